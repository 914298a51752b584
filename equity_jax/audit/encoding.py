"""What an embedding tells of its patients: probes with intervals, beside controls.

An AUROC of race from a chest X-ray means little by itself. Beside it stand

- "shuffled labels": each patient has another patient's value, in all splits. What the
  machinery finds where nothing is (0.5, unless something leaks).
- "label-matched": of every group as many rows with the disease as the others have, in
  share. What is left when the attribute cannot be read through the disease.
- any baselines given: the same probes on features that see little (a pixel histogram,
  the features of an untrained network, `controls.simple`).

Encoding is not using: a probe says that an attribute can be read, not that a head leans
on it; and it is a lower bound, for another reader may read more (equity_jax.probes).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from equity_jax import probes
from equity_jax.audit.controls import matched, shuffled
from equity_jax.audit.multiclass import multiclass
from equity_jax.audit.statistics.floors import CLASS
from equity_jax.audit.status import NOT_ESTIMABLE, OK
from equity_jax.types import TEST, TRAIN, VALID, Array, InputError, Predictions

SHUFFLED, MATCHED = "shuffled labels", "label-matched"
USUAL = ("logistic", "knn")  # of probes.KINDS
PAIRED = ("difference", "difference_low", "difference_high")
COLUMNS = (
    *"attribute kind control class auroc low high n patients status reason".split(),
    *("strength", "metric", *PAIRED),
)


def told(
    x: Array,
    attributes: Mapping[str, Array],
    split: Array,
    patient: Array,
    *,
    label: Array | None = None,
    baselines: Mapping[str, Array] | None = None,
    kinds: Sequence[str] = USUAL,
    against: str = "",
    simple: Sequence[str] | None = None,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    quiet: bool = True,
    kept: dict[str, tuple[list[str], Predictions]] | None = None,
) -> pd.DataFrame:
    """How well each attribute is read from x: one-vs-rest AUROC of test rows.

    A class with fewer than 10 training rows is left out, and `reason` says so.

    Args:
        x: float[N, F], an embedding.
        attributes: name -> str[N], "" = not recorded.
        split: int[N], TRAIN, VALID, TEST.
        patient: int[N], whom the intervals resample, and shuffling swaps.
        label: float[N], the disease, NaN = unknown; None: no label-matched control.
        baselines: name -> float[N, f], see controls.simple.
        kinds: of probes.KINDS.
        against: the kind that all others are compared with, paired; "": none.
        simple: those of `kinds` that read the baselines; None: all.
        replicates: of the patients, for the macro average.
        seed: of shuffling, matching and replicates.
        level: of the intervals.
        quiet: no progress bar.
        kept: takes attribute -> (its classes, Predictions of the test rows by every
            kind, method, and control with labels as they are, scheme).

    Returns:
        Long table: attribute, kind, control ("" = none), class ("" = macro average),
        auroc, low, high, n and patients (test rows), status, reason (why a number is
        missing, or what was left out), strength (the l2 or k chosen), metric (of knn,
        or the units of mlp), difference, difference_low, difference_high (AUROC minus
        that of `against`, of the same control; for baselines: on x itself).

    Raises:
        InputError: shapes that do not fit, an unknown kind.

    Example:
        >>> table = told(x, {"race": race, "sex": sex}, split, patient, label=edema)
        >>> table[(table["class"] == "") & (table.control == "")]
    """
    split, patient = np.asarray(split), np.asarray(patient)
    _known("probe ", kinds, tuple(probes.KINDS))
    _known("against=", (against,), ("", *kinds))
    label = None if label is None else np.asarray(label, float)
    views = dict(baselines or {})
    asked = _questions(attributes, split, patient, label, seed)
    few = kinds if simple is None else simple
    made = _made(x, views, asked, split, kinds, few, quiet)
    drawn = {"replicates": replicates, "seed": seed, "level": level}
    rows = []
    for q in asked:
        if q.why:
            reason = "; ".join(filter(None, (q.why, q.lost)))
            rows += [_row(q, kind, q.control, reason=reason) for kind in kinds]
            continue
        pairs = [(k, q.control) for k in kinds]
        pairs += [] if q.control else [(k, view) for k in few for view in views]
        mine = {(k, c): made[q.attribute, c, k] for k, c in pairs}
        p = _predictions(q, mine, split, patient)
        if kept is not None and not q.control:
            kept[q.attribute] = q.names.tolist(), p
        rows += _judged(q, mine, p, against, drawn)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise InputError(f"{what}{name!r}; known: {', '.join(filter(None, known))}")


class _Question(NamedTuple):
    """One attribute, under one control. target: int[N], -1 = not used; lost, why: in
    words which classes are left out, and why it cannot be asked at all.
    """

    attribute: str
    control: str
    names: np.ndarray
    target: np.ndarray
    lost: str
    why: str


def _questions(
    attributes: Mapping[str, Array],
    split: np.ndarray,
    patient: np.ndarray,
    label: np.ndarray | None,
    seed: int,
) -> list[_Question]:
    made = []
    for name, values in attributes.items():
        values = np.asarray(values).astype(str)
        if not len(values) == len(split) == len(patient):
            raise InputError(f"{name} has {len(values)} rows; expected {len(split)}")
        first = _question(name, "", values, split)
        made.append(first)
        values = np.where(first.target >= 0, values, "")
        other = shuffled(values, split, patient, seed)
        made.append(_question(name, SHUFFLED, other, split))
        if label is not None:
            other = matched(values, label, split, seed)
            made.append(_question(name, MATCHED, other, split))
    return made


def _question(
    attribute: str, control: str, values: np.ndarray, split: np.ndarray
) -> _Question:
    known, counts = np.unique(values[split == TRAIN], return_counts=True)
    names = known[(counts >= CLASS) & (known != "")]
    lost = ", ".join(sorted(set(values) - set(names) - {""}))
    lost = f"fewer than {CLASS} training rows of {lost}" if lost else ""
    held = np.isin(values, names)
    target = np.where(held, np.searchsorted(names, values), -1)
    parts = [held & (split == part) for part in (TRAIN, VALID, TEST)]
    why = "" if all(p.any() for p in parts) else "no rows in one of the splits"
    why = "there is one value only" if len(names) == 1 else why
    return _Question(attribute, control, names, target, lost, why)


def _made(
    x: Array,
    views: Mapping[str, Array],
    asked: Sequence[_Question],
    split: np.ndarray,
    kinds: Sequence[str],
    few: Sequence[str],
    quiet: bool,
) -> dict[tuple[str, str, str], probes.Probe]:
    """(attribute, control, kind) -> its Probe; all targets of one x go together."""
    fine = [q for q in asked if not q.why]
    plain = [q for q in fine if not q.control]
    jobs = [(kind, "", x, fine) for kind in kinds]
    jobs += [(kind, name, view, plain) for kind in few for name, view in views.items()]
    made = {}
    for kind, view, seen, mine in tqdm(jobs if fine else [], "probes", disable=quiet):
        found = probes.KINDS[kind](seen, [q.target for q in mine], split)
        for q, probe in zip(mine, found, strict=True):
            made[q.attribute, view or q.control, kind] = probe
    return made


def _predictions(
    q: _Question,
    made: Mapping[tuple[str, str], probes.Probe],
    split: np.ndarray,
    patient: np.ndarray,
) -> Predictions:
    """The test rows of one target, by its probes: (kind, control) -> Probe."""
    test = (split == TEST) & (q.target >= 0)
    prob = np.stack([probe.scores[test] for probe in made.values()]).astype(float)
    truth = q.target[test][:, None].astype(float)
    _, people = np.unique(patient[test], return_inverse=True)
    runs = [{"seed": 0, "method": k, "scheme": control} for k, control in made]
    ids = np.flatnonzero(test).astype(str)
    return Predictions(prob, truth, np.ones_like(truth), {}, ids, people, runs)


def _judged(
    q: _Question,
    made: Mapping[tuple[str, str], probes.Probe],
    p: Predictions,
    against: str,
    drawn: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """The rows of the probes made of one target: (kind, control) -> Probe."""
    other = "/".join(filter(None, (against, q.control))) if against else ""
    table = multiclass(p, q.names.tolist(), against=other, **drawn)
    table = table[table.metric.isin(("auroc", "macro_auroc"))]
    where = ["method", "scheme", "label"]
    apart = table[table.contrast == "difference"].set_index(where)
    apart = apart[["value", "low", "high"]].set_axis(list(PAIRED), axis=1)
    told = table[table.contrast == "group"].join(apart, on=where)
    return [
        _row(q, r["method"], r["scheme"], r, made[r["method"], r["scheme"]])
        for r in told.to_dict("records")
    ]


def _row(
    q: _Question,
    kind: str,
    control: str,
    told: Mapping[str, Any] | None = None,
    probe: probes.Probe | None = None,
    reason: str = "",
) -> dict[str, Any]:
    row = {"attribute": q.attribute, "kind": kind, "control": control, "class": ""}
    row |= dict.fromkeys(("auroc", "low", "high", "strength"), np.nan)
    row |= {"n": 0, "patients": 0, "status": NOT_ESTIMABLE, "reason": reason}
    row |= {"metric": ""}
    if told is None or probe is None:
        return row
    row |= {k: told[k] for k in ("low", "high", "n", "patients", "status", *PAIRED)}
    row |= {"class": told["label"], "auroc": told["value"]}
    row |= {"strength": probe.strength, "metric": probe.metric}
    return row | {"reason": q.lost if told["status"] == OK else told["interval"]}
