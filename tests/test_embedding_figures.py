"""Pictures of embeddings: every kind has a mark, rare ones are joined, files repeat."""

import numpy as np

from equity_jax.audit.pages import embedding_figures, style

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(300, 2))
RACE = np.where(np.arange(300) % 5, "White", "")
MANY = np.array([f"source {i % 12}" for i in range(300)])


def names(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def drawn(**more):
    kinds = {"race": RACE, "source": MANY}
    ends = {"title": "Where rows lie", "axes": ("first", "second")}
    return embedding_figures.scatter(POINTS, kinds, **ends, **more)


def test_every_kind_is_named_and_rare_ones_are_joined():
    race, source = drawn().axes
    assert names(race) == ["White", "not recorded"]
    assert len(names(source)) == embedding_figures.MOST
    assert names(source)[-1] == "others"


def test_outliers_are_ringed_in_every_panel():
    far = np.arange(300) == 7
    plain, ringed = drawn(), drawn(outliers=far)
    for before, after in zip(plain.axes, ringed.axes, strict=True):
        assert len(after.collections) == len(before.collections) + 1
        np.testing.assert_allclose(after.collections[-1].get_offsets(), POINTS[far])


def test_explained_sums_to_the_whole():
    share = np.array([0.5, 0.3, 0.2])
    figure = embedding_figures.explained(share, title="Variance")
    sums, each = (line.get_ydata() for line in figure.axes[0].lines[:2])
    np.testing.assert_allclose(sums, [50, 80, 100])
    np.testing.assert_allclose(each, 100 * share)


def test_simulated_rows_say_so_and_files_repeat(tmp_path):
    for name in ("a.png", "b.png"):
        figure = drawn(simulated=True)
        assert "SIMULATED" in [text.get_text() for text in figure.texts]
        style.save(figure, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
