"""The picture of performance against representation."""

import pandas as pd

from equity_jax.audit.pages.representation_figures import against_size
from equity_jax.audit.pages.style import save

TABLE = pd.DataFrame(
    {
        "attribute": ["race"] * 4 + ["sex"] * 2,
        "group": ["A", "B", "C", "nobody", "F", "M"],
        "patients": [10, 100, 1000, 0, 500, 600],
        "value": [0.6, 0.7, 0.8, 0.9, 0.7, None],
        "low": [0.4, 0.6, 0.78, 0.8, 0.6, None],
        "high": [0.8, 0.8, 0.82, 0.95, 0.8, None],
    }
)


def drawn(table=TABLE, **more):
    return against_size(table, title="t", xlabel="patients", ylabel="AUROC", **more)


def names(axes):
    return [text.get_text() for text in axes.texts]


def test_a_panel_an_attribute_a_name_a_group():
    race, sex = drawn().axes
    assert (race.get_title("left"), sex.get_title("left")) == ("race", "sex")
    assert names(race) == ["A", "B", "C"] and names(sex) == ["F"]
    assert race.get_xscale() == "log"


def test_the_word_simulated_is_on_it(tmp_path):
    figure = drawn(simulated=True)
    assert "SIMULATED" in [text.get_text() for text in figure.texts]
    save(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5_000


def test_nothing_to_draw_is_an_empty_picture(tmp_path):
    save(drawn(TABLE[:0]), tmp_path / "a.png")
