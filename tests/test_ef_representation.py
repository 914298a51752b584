"""Gaps with one planted cause: the experiment names it, and claims no more."""

import types

import numpy as np
import pandas as pd
import pytest

from equity_jax.audit import NOT_ESTIMABLE, OK, view
from equity_jax.config import Audit, Config
from equity_jax.metrics import sigmoid
from equity_jax.store import open_run
from equity_jax.types import TEST, TRAIN, VALID, Predictions
from experiments import ef_representation, ef_separate, ef_thinning, ef_words
from experiments.ef_words import Row
from tests.ef_worlds import SIZES, world

CAUSES = {
    "size": {"own": True},
    "noise": {"noise": 0.25},
    "prevalence": {"rates": (0.25, 0.5)},
}


@pytest.fixture(scope="module")
def found():
    """Cause -> subsample.csv of a world with that cause alone."""

    def one(how):
        return ef_thinning.experiment(world(**how), 1.0, draws=4, replicates=200)

    return {cause: one(how) for cause, how in CAUSES.items()}


def rows(found, cause):
    return ef_words.rows_of(found[cause], "small")


def test_a_gap_of_size_alone_goes_at_equal_size(found):
    r = rows(found, "size")
    assert r["gap as trained"].low > 0.05 and r["size"].low > 0.05
    assert (
        r["gap at equal size"].unsure and r["gap at equal size and prevalence"].unsure
    )
    assert r["home"].low > 0.05, "each group needs its own direction"
    assert r["harder"].unsure, "neither group is harder to rank"
    assert r["change of the reference"].high < 0 < r["change of the group"].low


def test_a_gap_of_label_noise_stays(found):
    r = rows(found, "noise")
    for name in (
        "gap as trained",
        "gap at equal size",
        "gap at equal size and prevalence",
    ):
        assert r[name].low > 0.1
    assert abs(r["size"].value) < 0.02 and r["harder"].low > 0.1
    assert abs(r["home"].value) < 0.02


def test_prevalence_alone_changes_no_auroc(found):
    r = rows(found, "prevalence")
    assert r["gap as trained"].unsure and abs(r["prevalence"].value) < 0.01
    table = view(
        found["prevalence"], trained="big thinned to the size and prevalence of small"
    )
    assert table["prevalence"].iloc[0] == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("cause", CAUSES)
def test_the_parts_add_up_to_the_gap(found, cause):
    r = {k: v.value for k, v in rows(found, cause).items()}
    left = r["gap at equal size and prevalence"]
    assert r["size"] + r["prevalence"] + left == pytest.approx(r["gap as trained"])
    gained = r["change of the group"] - r["change of the reference"]
    assert r["size"] == pytest.approx(gained)


def test_gaps_are_differences_of_the_aurocs_beside_them(found):
    table = view(found["size"], quantity="auroc", trained="all rows")
    value = table.set_index("tested")["value"]
    gap = rows(found, "size")["gap as trained"].value
    assert gap == pytest.approx(value["big"] - value["small"])


def test_learning_curves_rise_with_the_groups_own_patients(found):
    table = view(found["size"], quantity="auroc", trained="small thinned")
    assert table["patients"].tolist() == [15, 38, 75]
    every = view(found["size"], quantity="auroc", trained="all rows", tested="small")
    values = [*table["value"], every["value"].iloc[0]]
    assert values == sorted(values) and values[-1] - values[0] > 0.03
    assert (table["low"] < table["value"]).all() and (table["draws"] == 4).all()


def test_sentences_say_what_the_intervals_allow(found):
    words = {c: ef_words.sentence(rows(found, c), "big") for c in CAUSES}
    assert "equal size takes away" in words["size"]
    assert "cannot be told from 0" in words["size"].split("Heads")[0]
    assert "gains from a head of its own" in words["size"]
    assert "which neither size nor prevalence explains" in words["noise"]
    assert "ranked worse whoever teaches" in words["noise"]
    assert words["prevalence"].startswith("no gap to big can be told from 0")


def test_the_other_direction_is_said_with_the_same_numbers_turned():
    gap, none = Row(-0.2, -0.3, -0.1), Row(0.0, -0.1, 0.1)
    mine = dict.fromkeys(("prevalence", "harder", "home", "teacher"), none)
    mine |= {"gap as trained": gap, "size": Row(-0.1, -0.15, -0.05)}
    mine |= {"gap at equal size": none, "gap at equal size and prevalence": none}
    said = ef_words.sentence(mine, "big")
    assert said.startswith(
        "ranked better than big, by 0.20 [0.10, 0.30]; equal size takes"
    )
    assert "takes away 0.10 [0.05, 0.15]" in said


def test_too_few_patients_are_not_estimable():
    dataset = world(noise=0.25)
    few = (dataset.split != TEST) | (np.arange(len(dataset.y)) % 400 == 0)
    table = ef_thinning.experiment(
        dataset._replace(mask=dataset.mask * few[:, None]), 1.0, draws=2, replicates=20
    )
    gap = view(table, quantity="gap as trained").iloc[0]
    assert gap.status == NOT_ESTIMABLE and gap.why and np.isnan(gap.value)
    assert ef_words.sentence(ef_words.rows_of(table, "small"), "big").startswith(
        "NOT_EST"
    )


def test_a_group_that_cannot_be_thinned_to_says_why():
    dataset = world()
    train = dataset.split == TRAIN
    kept = ~train | (dataset.attributes["race"] == "big")
    kept[np.flatnonzero(~kept)[:10]] = True  # five patients
    table = ef_thinning.experiment(
        dataset._replace(mask=dataset.mask * kept[:, None]), 1.0, draws=2, replicates=50
    )
    assert set(view(table, quantity="size")["why"]) == {
        "fewer than 10 training patients"
    }
    assert view(table, trained="all rows", tested="small")["status"].iloc[0] == OK


def test_sums_cancel_where_the_model_is_the_same():
    for name, terms in ef_separate.sums().items():
        assert sum(c for c, *_ in terms) == pytest.approx(0), name


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """What `sections` reads of a Result: one plain head's scores."""
    dataset = world(noise=0.25)
    config = Config(audit=Audit(replicates=100))
    x, y, *_ = ef_thinning._rows(dataset, TRAIN)

    def scored(split, valid=None):
        mine = dataset.split == split
        z = ef_thinning.scores(x, y, np.ones((1, len(y))), 1.0, dataset.x[mine])
        attributes = {k: v[mine] for k, v in dataset.attributes.items()}
        run = {"seed": 0, "method": "erm", "scheme": "mixture"}
        columns = dataset.y[mine], dataset.mask[mine], attributes, dataset.id[mine]
        return Predictions(
            sigmoid(z)[..., None], *columns, dataset.patient[mine], [run], valid=valid
        )

    grid = {"family": ["linear", "logistic"], "chosen": True, "l2": [np.nan, 1.0]}
    return types.SimpleNamespace(
        store=open_run(str(tmp_path_factory.mktemp("run")), config),
        config=config,
        dataset=dataset,
        test=scored(TEST, scored(VALID)),
        tuned=types.SimpleNamespace(table=pd.DataFrame(grid)),
    )


def test_the_sections_hold_both_answers(result):
    first, second = ef_representation.sections(result)
    known = result.store.read_csv("representation.csv")
    assert set(known["attribute"]) == {"race", "sex", "race × sex"}
    assert known.set_index("attribute").loc["race", "status"].eq(NOT_ESTIMABLE).all()
    assert any("race × sex" in text for text in first.text)
    assert any(
        text.startswith("**small**: ranked worse than big") for text in second.text
    )
    parts = second.tables[0].frame
    assert parts["training patients"].tolist() == [SIZES["small"]]
    assert parts["planted: all rows"].tolist() == ["0.100"]
    saved = result.store.read_csv("subsample.csv")
    assert {"group", "quantity", "trained", "value", "low", "high", "why"} <= set(saved)
    for figure in (*first.figures, *second.figures):
        assert (result.store.path / figure.path).stat().st_size > 10_000


def test_labels_of_many_classes_get_the_correlation_only(result):
    spec = result.dataset.spec._replace(task="multiclass(2)")
    other = types.SimpleNamespace(
        **vars(result) | {"dataset": result.dataset._replace(spec=spec)}
    )
    assert len(ef_representation.sections(other)) == 1


def test_without_a_grid_the_middle_penalty_is_taken(result):
    assert ef_thinning.strength(result) == 1.0
    bare = types.SimpleNamespace(config=Config(), tuned=None)
    assert ef_thinning.strength(bare) == sorted(Config().heads.l2)[2]
