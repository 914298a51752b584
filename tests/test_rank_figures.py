"""The critical-difference picture: every name and bar, the same bytes."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.text import Text

from equity_jax.audit.pages.rank_figures import critical_difference
from equity_jax.audit.pages.style import save

WORDS = {"title": "Ranked by accuracy", "xlabel": "gain over erm"}


@pytest.fixture
def table():
    rank = np.arange(1.0, 7.0)
    made = pd.DataFrame({"name": [*"abcdef"], "uses": ["never", "test"] * 3})
    made = made.assign(rank=rank, rank_low=rank - 0.5, rank_high=rank + 0.5)
    gain = np.where(rank == 3, np.nan, 0.1 - rank / 50)
    return made.assign(difference=gain, low=gain - 0.02, high=gain + 0.02)


def bars_of(axes):
    lines = [c for c in axes.findobj(LineCollection) if len(c.get_segments()) == 1]
    ends = [c.get_segments()[0] for c in lines]
    return [e for e in ends if np.ptp(e[:, 0]) == 0 and e[0, 0] > 6.5]


def test_names_kinds_and_bars_are_drawn(table):
    bars = [(0, 2), (1, 3), (4, 5)]
    figure = critical_difference(table, bars, simulated=True, **WORDS)
    texts = {t.get_text() for t in figure.findobj(Text)}
    assert {*"abcdef", *WORDS.values(), "SIMULATED", "never", "test"} <= texts
    left, right = figure.axes
    drawn = bars_of(left)
    assert [tuple(e[:, 1].round(2)) for e in drawn] == [
        (first - 0.25, last + 0.25) for first, last in bars
    ]
    place = [e[0, 0] for e in drawn]
    assert place[0] == place[2] < place[1] < left.get_xlim()[1], "bars never overlap"
    assert left.get_ylim() == right.get_ylim(), "the first is at the top"
    assert left.get_ylim()[0] > left.get_ylim()[1]


def test_the_same_table_gives_the_same_bytes(table, tmp_path):
    for name in ("a.png", "b.png"):
        save(critical_difference(table, [], **WORDS), tmp_path / name, dpi=50)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
