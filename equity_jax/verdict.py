"""The verdict on a sweep: its systems and its controls, audited on the test rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from equity_jax import systems as sys
from equity_jax.audit import AuditReport, against, audit
from equity_jax.config import Config
from equity_jax.results import Choices
from equity_jax.types import Dataset, Predictions, Spec


def judge(
    config: Config,
    dataset: Dataset,
    choices: Choices,
    test: Predictions,
    quiet: bool,
    judged: Mapping[str, Any] = {},
) -> AuditReport:
    """The audit of the test rows: groups, gaps, systems, controls.

    judged: options of the audit that differ from the usual ones: AUROC by the data's
    group, of every label. Of two classes the first is the label (COVID before Other). A
    score that uses no model is judged by AUROC alone.
    """
    spec, chosen = dataset.spec, config.audit
    test = asked(spec, test)
    options = {
        "attributes": spec.group,
        "reference": spec.reference,
        "target": spec.targets[0] if len(spec.targets) == 1 else "",
        "labels": labels_of(spec),
        "metrics": ("auroc",),
        "extras": False,
        "replicates": chosen.replicates,
        "level": chosen.level,
        "min_rows": chosen.min_rows,
        "seed": config.seed,
        "unit": spec.unit,
        "simulated": spec.simulated,
        **judged,
    }
    pairs = comparisons(config, {s.scheme for s in choices.systems})
    report = audit(test, compare=pairs, quiet=quiet, **options)
    if not dataset.controls or test.prob.shape[2] > 1:
        return report  # one number ranks two classes, not more
    alone = options | {"metrics": ("auroc",), "extras": False, "threshold": "0.5"}
    plain = audit(controls(dataset, test), **alone)
    table = pd.concat([report.table, plain.table], ignore_index=True)
    return AuditReport(table, report.meta)


def labels_of(spec: Spec) -> tuple[str, ...]:
    """What an audit calls the labels: the findings, or the classes, each against the
    rest (of two the first); () where one label is all there is.
    """
    if spec.task.startswith("multiclass"):
        return spec.classes[:1] if len(spec.classes) == 2 else spec.classes
    return spec.targets if len(spec.targets) > 1 else ()


def asked(spec: Spec, p: Predictions) -> Predictions:
    """Predictions whose labels are those of `labels_of`."""
    two = spec.task.startswith("multiclass") and len(spec.classes) == 2
    return first_class(p) if two else p


def first_class(p: Predictions) -> Predictions:
    """Predictions of two classes, the first of them (COVID before Other) as 1."""
    valid = None if p.valid is None else first_class(p.valid)
    return p._replace(prob=p.prob[..., ::-1], y=1 - p.y, valid=valid)


def controls(dataset: Dataset, test: Predictions) -> Predictions:
    """The data set's controls as systems of the method "control"."""
    row = {name: i for i, name in enumerate(dataset.id)}
    rows = np.array([row[name] for name in test.id])
    scores = [np.asarray(score)[rows] for score in dataset.controls.values()]
    runs = [{"seed": 0, "method": "control", "scheme": c} for c in dataset.controls]
    prob = np.stack(scores)[:, :, None]
    return test._replace(prob=prob, runs=runs, ratios={}, valid=None)


def comparisons(config: Config, schemes: set[str]) -> list[tuple[dict, dict]]:
    """Gain over mixture, over independent and over erm; thinned against thinned."""
    pairs = []
    for fraction in sorted({1.0, *config.train.fractions}):
        end = sys.at("", fraction)
        mine = sorted(s for s in schemes if s.endswith(end) and ("@" in s) == bool(end))
        for base in (sys.at(b, fraction) for b in (sys.POOLED, "alone")):
            others = (s for s in mine if s != base and base in schemes)
            pairs += [({"scheme": s}, {"scheme": base}) for s in others]
    return pairs + (against(method="erm") if "erm" in config.train.methods else [])
