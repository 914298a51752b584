"""How trials are chosen: every criterion, ties, what validation cannot tell."""

import numpy as np
import pandas as pd
import pytest
from protocol_worlds import BALANCED, LEANS, dataset, played

from equity_jax.types import InputError
from experiments.protocol import criteria, scores

NUMBERS = {  # trial -> auroc, worst_group_auroc, worst_cell, worst_class, balanced
    0: (0.70, 0.69, 0.50, 0.60, 0.65),
    1: (0.80, 0.60, 0.40, 0.62, 0.71),
    2: (0.78, 0.68, 0.45, 0.61, 0.73),
}
ORDER = (
    "auroc", "worst_group_auroc", "worst_cell_accuracy", "worst_class_accuracy",
    "balanced_accuracy",
)  # fmt: skip


def table(numbers=NUMBERS, encoding=(0.7, 0.6, 0.9)):
    rows = []
    for trial, values in numbers.items():
        for seed, away in ((0, -0.01), (1, 0.01)):
            row = dict(zip(ORDER, np.array(values) + away, strict=True))
            row |= {"worst_group_accuracy": 0.5, "encoding": encoding[trial]}
            row |= {"entry": "focal", "trial": trial, "seed": seed}
            rows.append(row | {"run": len(rows)})
    rows = pd.DataFrame(rows)
    test = rows.assign(**{name: rows[name] - 0.05 for name in ORDER})
    both = [rows.assign(split="valid"), test.assign(split="test")]
    return pd.concat(both, ignore_index=True)


@pytest.mark.parametrize(
    ("criterion", "trial"),
    [("overall", 1), ("worst_group", 0), ("worst_cell", 0), ("worst_class", 1),
     ("balanced", 2), ("pareto", 2), ("encoding", 1)],
)  # fmt: skip
def test_every_criterion_takes_its_own_trial(criterion, trial):
    assert criteria.choose(table(), criterion) == {"focal": trial}


def test_ties_and_what_cannot_be_told_take_the_papers_settings():
    same = {trial: NUMBERS[0] for trial in (2, 0, 1)}
    assert criteria.choose(table(same), "overall") == {"focal": 0}
    told = table()
    told.loc[told["seed"] == 1, "auroc"] = np.nan
    for name in ("overall", "pareto"):
        assert criteria.choose(told, name) == {"focal": 0}
    assert criteria.choose(told, "balanced") == {"focal": 2}
    told = table(encoding=(np.nan,) * 3)
    assert criteria.choose(told, "encoding") == {"focal": 0}


def test_a_seed_without_a_number_spoils_its_trial_only():
    told = table()
    told.loc[(told["seed"] == 1) & (told["trial"] == 1), "auroc"] = np.nan
    assert criteria.choose(told, "overall") == {"focal": 2}


def test_optimism_is_validation_minus_test():
    found = criteria.optimism(table())
    assert len(found) == len(criteria.CRITERIA) * len(scores.METRICS)
    assert found.groupby("criterion")["own"].sum().to_dict() == {
        name: int(bool(metric)) for name, metric in criteria.CRITERIA.items()
    }
    own = found[found["own"]]
    assert own["optimism"].to_numpy() == pytest.approx(0.05)
    row = found[(found["criterion"] == "overall") & found["own"]].iloc[0]
    assert (row["trial"], row["metric"]) == (1, "auroc")
    assert row["valid"] == pytest.approx(0.80)


def test_an_unknown_criterion_is_refused():
    with pytest.raises(InputError, match="unknown criterion 'best'; known: overall"):
        criteria.choose(table(), "best")


def test_every_run_is_scored_on_both_splits():
    made = played(dataset())
    found = criteria.scored(made)
    assert len(found.table) == 2 * len(made.table) and len(LEANS) == 4
    assert found.cut.shape == (len(made.table), 1)
    means = criteria.averages(found.table.query("split == 'test'"))
    balanced = means.loc[BALANCED, "worst_cell_accuracy"]
    assert balanced[0] > balanced[1] + 0.1  # the second trial leans on the group
    same = criteria.scored(made._replace(prob=made.prob[::-1].copy()))
    first, last = (x.table.query("split == 'test'")["auroc"] for x in (found, same))
    assert np.array_equal(first.to_numpy(), last.to_numpy()[::-1])
