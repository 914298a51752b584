"""The page of the protocol says what was found, refused and left out."""

import dataclasses

import pytest
from protocol_worlds import BALANCED, dataset, played

from equity_jax.audit import view
from equity_jax.config import Config
from equity_jax.store import open_run
from experiments.protocol import tables
from experiments.protocol.judge import judge
from experiments.protocol.page import answer, make_page

CONFIG = Config(name="protocol")
CONFIG.audit = dataclasses.replace(CONFIG.audit, replicates=40)


@pytest.fixture(scope="module")
def made():
    data = dataset()
    data.attributes["place"][data.attributes["place"] == "there"] = "<there>"
    spec = data.spec._replace(groups=("here", "<there>"))
    world = played(data._replace(spec=spec), seeds=3)._replace(
        refused={"mixup": "needs images"}
    )
    return world, judge(CONFIG, world)


def test_everything_is_on_the_page(made, tmp_path):
    store = open_run(str(tmp_path / "run"), CONFIG)
    make_page(store, *made, {"fit": 1.0})
    text = (store.path / "report.md").read_text("utf-8")
    for word in (
        *("SIMULATED", "4 methods under one protocol", "oversample('both')", "figures"),
        *("Not run: mixup: needs images", "Holm", "worst-cell accuracy", "never"),
        *("encoding", "pareto", "optimism", "compiled program", "<10"),
    ):
        assert word.replace("<", "&lt;") in text, word
    assert "<there>" not in (store.path / "report.html").read_text("utf-8")
    assert (store.path / "figures" / "ranks.png").exists()


def test_the_answer_counts_who_is_told_apart(made):
    told = dict(answer(CONFIG, *made))
    assert told["Better than balanced erm"].startswith("0 of 3: none")
    assert told["Worse than balanced erm"].startswith("2 of 3: ")
    assert "erm (" in told["Worse than balanced erm"]
    assert BALANCED in told["Better than erm"]
    assert told["On how many"].startswith("900 test rows of 601 patients; 3 seed(s)")


def test_the_table_is_sorted_by_rank_and_compares(made):
    frame = tables.methods(made[1]).frame
    ranks = view(made[1].methods, metric=made[1].metric).set_index("entry")["rank"]
    assert frame["method"].tolist() == ranks.sort_values().index.tolist()
    gained = frame.set_index("method")["minus balanced erm"]
    assert gained[BALANCED] == "–" and gained["erm"].startswith("−0.")
    assert set(frame["group known"]) == {"never", "in training"}


def test_every_criterion_has_its_line(made):
    frame = tables.criteria(made[1], "worst_cell").frame.set_index("criterion")
    assert frame.loc["worst_cell", "other trials"] == 0
    assert frame.loc["overall", "other trials"] > 0
    every = tables.choices(made[1], "worst_cell")
    assert len(every.frame) == 4 * len(frame) and every.choose
