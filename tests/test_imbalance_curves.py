"""Curves of the smaller group: planted causes of a gap told apart, SIMULATED."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from ef_worlds import world

from equity_jax.audit import NOT_ESTIMABLE, view
from equity_jax.config import Audit, Config, Imbalance, Model, Train
from equity_jax.store import Store
from equity_jax.types import TEST, TRAIN, VALID, Spec
from experiments import imbalance_curves as ic
from experiments.ef_subsamples import Arm, Training, plan
from experiments.ef_thinning import scores
from experiments.imbalance_gaps import LAW, PARTS, noise_of

DRAWS = 4
CONFIG = Config(audit=Audit(replicates=200), imbalance=Imbalance(draws=DRAWS, gap=0.02))


def quick(dataset, config, kept, store, quiet):
    """Logistic heads at their optimum in place of networks: the same worlds."""
    rows, y, *_ = ic._rows(dataset, TRAIN)
    chosen = np.stack([one[rows] for one in kept])
    held = dataset.x[dataset.split == TEST]
    return scores(dataset.x[rows], y, chosen, 10.0, held)


@pytest.fixture(scope="module")
def found():
    """cause -> curves.csv of a world whose gap has that cause alone."""
    causes = {"nothing": {}, "amount": {"own": True}, "shift": {"noise": 0.25}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ic, "_fitted", quick)
        return {
            cause: ic.experiment(world(**options), CONFIG, None)
            for cause, options in causes.items()
        }


def parts(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["quantity"].isin(PARTS)].set_index("quantity")


def test_the_parts_add_up_to_the_gap(found):
    for table in found.values():
        value = parts(table)["value"]
        assert value["gap"] == pytest.approx(value[list(PARTS[1:])].sum(), abs=1e-12)


def test_too_few_rows_and_other_rows_are_told_apart(found):
    amount, shift = parts(found["amount"]), parts(found["shift"])
    assert amount["low"]["amount"] > 0.05
    assert amount["low"]["shift"] < 0 < amount["high"]["shift"]
    assert shift["low"]["shift"] > 0.05
    assert shift["low"]["amount"] < 0 < shift["high"]["amount"]
    for table in (amount, shift):
        assert table["low"]["prevalence"] < 0 < table["high"]["prevalence"]


def test_no_gap_is_called_one_where_none_was_planted(found):
    table = parts(found["nothing"])
    assert ((table["low"] < 0.005) & (table["high"] > -0.005)).all()


def test_the_curve_falls_where_rows_help_and_stays_where_they_do_not(found):
    for cause, falls in (("amount", True), ("shift", False)):
        points = view(found[cause], quantity="gap at")
        assert points["rows"].is_monotonic_increasing
        assert (points["rows"] == 2 * points["patients"]).all()  # two images each
        fell = points["value"].iloc[0] - points["value"].iloc[-1]
        assert (fell > 0.08) if falls else (abs(fell) < 0.02)
        law = view(found[cause], quantity="law")
        assert law["rows"].max() == pytest.approx(2 * points["rows"].max())


def test_a_gap_that_rows_do_not_close_needs_no_number_of_them(found):
    row = view(found["shift"], quantity=LAW[-1]).iloc[0]
    assert row["status"] == NOT_ESTIMABLE and np.isnan(row["value"])
    assert row["why"] == "not reached with 2 times the 300 rows that there are"


def test_noise_is_the_gap_within_its_error_and_little_of_a_large_one():
    np.testing.assert_allclose(
        noise_of(np.array([0.02, -0.02]), 0.03**2), [0.02, -0.02]
    )
    gap = np.array([-0.5, 0.5])
    wanted = gap - np.array([-1, 1]) * np.sqrt(0.25 - 0.03**2)
    np.testing.assert_allclose(noise_of(gap, 0.03**2), wanted)


def test_worlds_are_nested_and_hold_whole_patients_of_both_splits():
    dataset = world(seed=3)
    rows, *rest = ic._rows(dataset, TRAIN)
    train = Training(*rest, dataset.spec.groups, 0)
    planned = ic.needed_of(train, plan(train, 2, 0))
    assert not any(arm.kind == "only" for arm in planned.runs)
    kept = ic.kept_of(dataset, train, planned, 0)
    assert len(kept) == len(planned.rows)
    everybody = kept[planned.runs[Arm("all")][0]]
    assert (everybody == (dataset.split != TEST)).all()
    small = [kept[planned.runs[Arm("thin", 1, k)][1]] for k in (15, 38, 75)]
    for few, more in zip(small, small[1:], strict=False):
        assert (few <= more).all() and few.sum() < more.sum()
    group = dataset.group == 1
    for one, share in zip(small, (0.1, 38 / 150, 0.5), strict=True):
        inside = set(dataset.patient[one])
        assert not inside & set(dataset.patient[~one & group & (dataset.split != TEST)])
        held = one & group & (dataset.split == VALID)
        assert held.sum() == pytest.approx(1400 * share, abs=2)
        assert (one[~group] == everybody[~group]).all()


def test_a_section_says_it_all(tmp_path, monkeypatch):
    """The networks themselves, a few steps of them."""
    train = Train(steps=20, eval_every=10, segment=20, lr=(0.03,), chunk=16)
    config = dataclasses.replace(CONFIG, model=Model("linear"), train=train)
    config.imbalance.draws = 2
    store = Store(tmp_path, config)
    made = ic.curves(world(), config, store)
    assert (tmp_path / "figures/curves.png").exists()
    table = store.read_csv("curves.csv")
    assert set(table["group"]) == {"small"}
    assert {*PARTS, *LAW, "gap at", "law"} == set(table["quantity"])
    assert made.tables[0].frame.columns.tolist() == ["group", *PARTS]
    assert "minus the group's" in made.text[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "multiclass(3)"}, "one binary label"),
        ({"groups": ("big",)}, "fewer than two groups"),
    ],
)
def test_what_has_no_curve_says_why(change, words, tmp_path):
    dataset = world()
    spec: Spec = dataset.spec._replace(**change)
    made = ic.curves(dataset._replace(spec=spec), CONFIG, None)
    assert words in made.text[0] and NOT_ESTIMABLE in made.text[0]
    assert not made.tables
