"""Pictures of images: same bytes, all the words, nothing global."""

import struct

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text

from equity_jax.audit.images.regions import lungs
from equity_jax.audit.pages import image_figures as figures
from equity_jax.audit.pages.style import save

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (9, 24, 24)).astype(np.uint8)
CLASSES = ("COVID", "Normal", "<script>")
COUNTS = {
    "cnn_small": np.array([[30, 2, 1], [0, 1234, 5], [0, 0, 0]]),
    "densenet201": np.eye(3, dtype=int),
}


def seen(k, called, height=1.0):
    return figures.Seen(IMAGES[k], height * IMAGES[k] / 255, "COVID", called, 0.875)


SEEN = {
    "COVID, hits": [seen(k, "COVID") for k in range(5)],
    "COVID, misses": [seen(5, "Normal", height=0.0)],
    "Normal, misses": [],
}
PICTURES = {
    "samples": lambda **k: figures.samples(
        {name: IMAGES[3 * i : 3 * i + 3] for i, name in enumerate(CLASSES)},
        {name: ["kermany", "hannover", "57 years"] for name in CLASSES},
        **k,
    ),
    "confusions": lambda **k: figures.confusions(COUNTS, CLASSES, **k),
    "overlays": lambda **k: figures.overlays(SEEN, outline=lungs(24, 24), **k),
}
WORDS = {
    "samples": (*CLASSES, "kermany", "hannover", "57 years"),
    "confusions": (*CLASSES, "densenet201", "called", "true class", "1,234", "91 %"),
    "overlays": (
        *("COVID, hits", "true: COVID called: Normal 0.88", "the map is zero"),
        "No such image: Normal, misses",
    ),
}


def texts(figure):
    own = [t.get_text() for t in figure.findobj(Text)]
    return " ".join(t.replace("\n", " ") for t in own)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_say_what_they_are_and_save_the_same_bytes(name, tmp_path):
    before = dict(matplotlib.rcParams)
    for k in range(2):
        figure = PICTURES[name](title="A title", simulated=True)
        save(figure, tmp_path / f"{k}.png")
    a, b = ((tmp_path / f"{k}.png").read_bytes() for k in range(2))
    assert a == b
    width, height = struct.unpack(">II", a[16:24])
    assert width == 1440 and 300 < height < 2500
    shown = texts(figure)
    for word in ("SIMULATED", "A title", *WORDS[name]):
        assert word in shown
    assert "SIMULATED" not in texts(PICTURES[name](title="A title"))
    assert dict(matplotlib.rcParams) == before


def test_shares_are_of_the_rows_of_a_class():
    figure = PICTURES["confusions"](title="t")
    drawn = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(drawn[0], [30 / 33, 2 / 33, 1 / 33])
    np.testing.assert_allclose(drawn[2], 0)
    assert texts(figure).count("–") == 3  # a class without rows has no shares


@pytest.mark.parametrize("systems", [1, 2, 4])
def test_every_system_has_its_matrix_with_class_names(systems):
    many = [f"finding {c}" for c in range(7)]
    counts = {f"s{i}": np.ones((7, 7), int) for i in range(systems)}
    figure = figures.confusions(counts, many, title="t")
    shown = [a for a in figure.axes if a.get_visible()]
    assert len(shown) == systems
    labels = [t.get_text() for t in shown[0].get_yticklabels()]
    assert labels == many


def test_only_what_fits_a_line_is_shown():
    figure = figures.samples({"COVID": np.repeat(IMAGES, 2, axis=0)}, title="t")
    assert sum(bool(a.images) for a in figure.axes) == figures.ACROSS
    figure = figures.overlays(SEEN, title="t")
    assert sum(bool(a.images) for a in figure.axes) == 2 * 3 + 2


def test_a_map_is_laid_over_its_own_image():
    figure = figures.overlays({"COVID, hits": SEEN["COVID, hits"]}, title="t")
    for k in range(3):
        plain, over = figure.axes[2 * k], figure.axes[2 * k + 1]
        np.testing.assert_array_equal(plain.images[0].get_array(), IMAGES[k])
        np.testing.assert_array_equal(over.images[0].get_array(), IMAGES[k])
        np.testing.assert_allclose(over.images[1].get_array(), IMAGES[k] / 255)
