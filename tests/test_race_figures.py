"""The picture of the frontier: all the words, the same bytes, nothing global."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from equity_jax.audit.pages.race_figures import frontier
from equity_jax.audit.pages.style import save

WORDS = {"title": "what is left", "xlabel": "to read", "ylabel": "to use"}


@pytest.fixture
def table():
    rows = [("erm", np.nan, "trained", True, 0.8, 0.8)]
    rows += [("dann", s, "trained", False, 0.8 - s / 20, 0.79) for s in (1.0, 3.0)]
    rows += [("last layer", np.nan, "closed form", True, 0.8, 0.8)]
    rows += [("leace", np.nan, "closed form", False, np.nan, 0.8)]
    made = pd.DataFrame(rows, columns=["method", "strength", "how", "reference", *"xy"])
    ends = {f"{axis}_low": made[axis] - 0.05 for axis in "xy"}
    ends |= {f"{axis}_high": made[axis] + 0.05 for axis in "xy"}
    return made.assign(**ends)


def test_it_says_everything_and_leaves_out_what_is_not_known(table):
    figure = frontier(table, simulated=True, **WORDS)
    texts = {t.get_text() for t in figure.findobj(Text)}
    assert {*WORDS.values(), "SIMULATED", "trained", "closed form"} <= texts
    assert {"erm", "dann", "3", "last layer"} <= texts, "the strongest strength too"
    assert "leace" not in texts and "1" not in texts
    first, second = figure.axes
    assert first.get_xlim() == second.get_xlim()


def test_the_same_table_gives_the_same_bytes(table, tmp_path):
    before = dict(matplotlib.rcParams)
    for name in ("a.png", "b.png"):
        save(frontier(table, **WORDS), tmp_path / name, dpi=50)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert dict(matplotlib.rcParams) == before


def test_nothing_known_is_an_empty_picture(table, tmp_path):
    save(frontier(table.assign(x=np.nan), **WORDS), tmp_path / "none.png", dpi=50)
