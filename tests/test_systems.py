"""Systems: who is scored by whom, and what validation chooses."""

import numpy as np
import pandas as pd
import pytest

from equity_jax import systems as sys
from equity_jax.config import Train
from equity_jax.schemes import SCHEMES

NAMES = ("mixture", "alone", "transfer('full')", "transfer('head_only')")
SCHEME = {name: SCHEMES.get(name) for name in NAMES}
TRAIN = Train(
    seeds=2, methods=("erm", "focal"), schemes=NAMES, lr=(1e-3, 1e-2), fractions=(0.5,)
)
SIZES = {0: 100, 1: 30, 2: 12}


@pytest.fixture
def table() -> pd.DataFrame:
    runs = sys.run_table(TRAIN, SCHEME, SIZES, 0, least=10)
    rng = np.random.default_rng(0)
    runs["valid"] = rng.random(len(runs)) + (runs["lr"] == 1e-3)  # 1e-2 is better
    runs.loc[runs["scheme"] == "transfer('head_only')", "valid"] -= 5
    return sys.choose(runs, {-1: 60, 0: 40, 1: 15, 2: 5})


def test_run_table_has_every_point_once(table):
    full = table[table["fraction"] == 1]
    assert len(full) == 2 * 2 * 2 * (1 + 3 * 3)
    half = table[table["fraction"] == 0.5]
    assert set(half["method"]) == {"erm"}
    # not the reference, and not the group that half would leave with 6 rows
    assert set(half["target"]) == {1}
    assert table["run"].tolist() == list(range(len(table)))


def test_the_learning_rate_is_chosen_on_validation(table):
    assert set(table.loc[table["chosen"], "lr"]) == {1e-2}


def test_validation_weighs_rows_alike(table):
    rows = table[table["chosen"] & (table["fraction"] == 1)]
    mine = rows[(rows["method"] == "erm") & (rows["scheme"] == "alone")]
    sizes = mine["target"].map({0: 40, 1: 15, 2: 5})
    expected = (mine["valid"] * sizes).sum() / sizes.sum()
    assert sys.validation(table)["erm", "alone"] == pytest.approx(expected)


def test_the_variant_is_chosen_per_method(table):
    chosen = sys.variants(table, 0)
    assert chosen == {m: "transfer('head_only')" for m in ("erm", "focal")}
    systems = sys.systems_of(table, chosen)
    best = [s for s in systems if s.scheme == "transfer"]
    assert len(best) == 4 and {s.source for s in best} == {"transfer('head_only')"}


def test_rows_are_scored_by_their_own_group_or_the_mixture(table):
    systems = sys.systems_of(table, sys.variants(table, 0))
    alone = next(s for s in systems if s.scheme == "alone")
    group = np.array([0, 1, 2, 3, -1])  # 3: a group without parameters of its own
    logits = np.broadcast_to(
        np.arange(len(table), dtype=float)[:, None, None], (len(table), 5, 1)
    )
    scored = sys.stitch(alone, logits, group)[:, 0].astype(int)
    targets = table.set_index("run")["target"]
    schemes = table.set_index("run")["scheme"]
    assert [targets[r] for r in scored] == [0, 1, 2, -1, -1]
    assert [schemes[r] for r in scored[3:]] == ["mixture", "mixture"]


def test_selected_systems_are_the_best_method_of_each_scheme(table):
    systems = sys.systems_of(table, sys.variants(table, 0))
    score = sys.validation(table)
    for i in sys.selected(systems, score):
        mine = systems[i]
        assert mine.seed == 0 and "@" not in mine.scheme
        others = [score[m, mine.source] for m in TRAIN.methods]
        assert score[mine.method, mine.source] == min(others)


def test_systems_survive_json(table):
    for system in sys.systems_of(table, {}):
        assert sys.from_json(sys.as_json(system)) == system
