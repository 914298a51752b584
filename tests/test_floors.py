import numpy as np
import pytest

from equity_jax.audit.statistics import floors
from equity_jax.audit.statistics.draws import Estimate

MANY = {"n": 900, "patients": 300, "positives": 400, "negatives": 500}


def estimate(effective, kind="logit"):
    value = np.array([0.8])
    one = value[:, None]
    return Estimate(value, one, one, np.array([effective]), value > 0, kind=kind)


def reason(metric, effective=200.0, kind="logit", **sizes):
    return floors.estimable(metric, estimate(effective, kind), (0,), MANY | sizes)


@pytest.mark.parametrize("metric", ["auroc", "recall", "f1", "brier", "accuracy"])
def test_enough_of_everything(metric):
    assert reason(metric) == ""


@pytest.mark.parametrize(
    ("metric", "few", "matters"),
    [
        ("auroc", "positives", True),
        ("auroc", "negatives", True),
        ("brier", "positives", True),
        ("recall", "positives", True),
        ("specificity", "negatives", True),
        ("recall", "negatives", False),
        ("specificity", "positives", False),
        ("accuracy", "positives", False),
        ("precision", "positives", False),
    ],
)
def test_few_of_a_class_matter_where_the_class_counts(metric, few, matters):
    said = f"fewer than 10 {few}" if matters else ""
    assert reason(metric, **{few: 9}) == said
    assert reason(metric, **{few: 10}) == ""


@pytest.mark.parametrize(
    ("metric", "kind", "least"),
    [
        ("auroc", "delong", 5),
        ("recall", "wilson", 10),
        ("brier", "logit", 10),
        ("calibration_slope", "bootstrap", 10),
    ],
)
def test_effective_patients(metric, kind, least):
    assert reason(metric, float(least), kind) == ""
    assert reason(metric, least - 1e-9, kind) == ""  # rounding of Kish's number
    said = reason(metric, least - 0.1, kind)
    assert said == f"fewer than {least} effective patients"


def test_numbers_without_classes_and_the_name_of_the_unit():
    none = {"positives": -1, "negatives": -1}
    assert reason("deviance", 6.0, "bootstrap", **none) == ""
    found = floors.estimable(
        "deviance", estimate(3.0, "bootstrap"), (0,), MANY | none, unit="region"
    )
    assert found == "fewer than 5 effective regions"
