"""Anybody's predictions, read so that the audit can judge them.

`read` takes a CSV file, a DataFrame or arrays and says which columns mean what. What
does not fit stops it with the file, the row and the column; what is left out is
counted with the reason.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import xlogy

from equity_jax.audit.reading import meanings
from equity_jax.audit.reading.columns import Columns
from equity_jax.audit.reading.matching import Model, matched
from equity_jax.audit.reading.opening import open_sheet
from equity_jax.audit.reading.sheet import Sheet
from equity_jax.audit.reading.telling import Found, tell
from equity_jax.types import TEST, TRAIN, VALID, InputError, Predictions, Ratio


def read(
    source: Any,
    columns: Columns,
    *,
    positive: str = "",
    logits: bool = False,
    on_bad_score: str = "error",
) -> tuple[Predictions, Found]:
    """The test rows as Predictions, the validation rows in their `valid`.

    Where the mask is 0, prob is 0. Of counts (columns.exposure) prob is the expected
    count, y is NaN and `ratios` hold "observed_expected" (count, expected) and
    "deviance" (Poisson: 2 (y log(y / mu) - y + mu), 1). A model is a run of seed 0, its
    name as method and the scheme "".

    Args:
        source: a CSV or CSV.gz file, a DataFrame, or a dict of arrays.
        columns: which column means what.
        positive: the text of a label that means 1; all others mean 0.
        logits: the scores are logits; their sigmoid (multiclass: softmax) is audited.
        on_bad_score: a score that is missing or not finite: "error", or "leave_out",
            which leaves the row out for all models, and counts it.

    Raises:
        InputError: one line with the source, the row and the column.

    Example:
        >>> table = {"y": [0, 1], "p": [0.2, 0.7], "sex": ["F", "M"]}
        >>> predictions, found = read(table, Columns("y", "p", "sex"))
        >>> predictions.prob.shape, found.kind, found.unit
        ((1, 2, 1), 'binary', 'row')
    """
    kind = columns.check().kind
    _check(kind, positive, logits, on_bad_score)
    sheet = open_sheet(source, columns.used)
    unit = "patient" if columns.patient else "row"
    found = Found(sheet.name, sheet.fingerprint, columns.labels, kind, unit)
    models = matched(sheet, columns, meanings.splits(sheet, columns.split))
    models = _kept(sheet, columns, models, found)
    base = sheet.take(models[0].rows)
    split = meanings.splits(base, columns.split)
    y, found.classes = meanings.labels(base, columns, positive)
    lacks = {"no label": np.isnan(y)}
    if kind == "count":
        none = ~meanings.exposed(base, columns.exposure)[:, None]
        lacks["no exposure"] = none & ~np.isnan(y)
    mask = ~np.any(list(lacks.values()), axis=0)
    prob, bad = _scores(sheet, columns, models, mask, logits, on_bad_score == "error")
    lacks["score missing or not finite"] = bad
    mask &= ~bad
    found.leave_out(lacks, split)
    if not mask[split == TEST].any():
        raise InputError(f"{sheet.name}: no test row is left to judge{found.why}")
    whole = _predictions(base, columns, models, y, mask, prob)
    test, valid = (_part(whole, split == code) for code in (TEST, VALID))
    tell(found, base, columns, whole, split, positive)
    return test._replace(valid=valid if len(valid.id) else None), found


def _check(kind: str, positive: str, logits: bool, on_bad_score: str) -> None:
    if on_bad_score not in ("error", "leave_out"):
        raise InputError(f"on_bad_score={on_bad_score!r}; expected error or leave_out")
    if kind == "count" and (logits or positive):
        raise InputError("counts (with exposure=) take neither logits nor positive=")
    if kind == "multiclass" and positive:
        raise InputError("positive= is for labels of two classes")


def _kept(
    sheet: Sheet, columns: Columns, models: Sequence[Model], found: Found
) -> list[Model]:
    """The models without training rows, rows left out, and rows of weight 0."""
    base = sheet.take(models[0].rows)
    split = meanings.splits(base, columns.split)
    keep = np.isin(split, (TEST, VALID))
    found.count("training row", split == TRAIN)
    found.count("left out by the split column", ~keep & (split != TRAIN))
    weight = meanings.weights(base, columns.weight)
    found.count("weight 0", keep & (weight == 0))
    keep &= weight > 0
    if not (split[keep] == TEST).any():
        raise InputError(f"{sheet.name}: no test row is left to judge{found.why}")
    return [model._replace(rows=model.rows[keep]) for model in models]


def _scores(
    sheet: Sheet,
    columns: Columns,
    models: Sequence[Model],
    mask: np.ndarray,
    logits: bool,
    stop: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """float[S, N, C], 0 where the mask is; bool[N, K], where a model has no score."""
    alike = mask.shape[1] == len(models[0].scores)  # a score a label, or one a class
    need = mask if alike else np.repeat(mask, len(models[0].scores), axis=1)
    prob = np.stack(
        [
            meanings.scores(
                sheet.take(m.rows), m.scores, need, columns, logits=logits, stop=stop
            )
            for m in models
        ]
    )
    lost = np.isnan(prob).any(axis=0)
    bad = lost if alike else lost.any(axis=1, keepdims=True)
    return np.where(bad, 0.0, prob), bad


def _predictions(
    base: Sheet,
    columns: Columns,
    models: Sequence[Model],
    y: np.ndarray,
    mask: np.ndarray,
    prob: np.ndarray,
) -> Predictions:
    """Test and validation rows together, so that patients share their numbers."""
    counts = columns.kind == "count"
    return Predictions(
        prob,
        np.full_like(y, np.nan) if counts else y,
        mask.astype(float),
        {name: base.text(name) for name in columns.groups},
        base.text(columns.id) if columns.id else base.row.astype(str),
        _patients(base, columns.patient),
        [{"seed": 0, "method": model.name, "scheme": ""} for model in models],
        _ratios(base, columns, models, y, mask, prob) if counts else {},
        meanings.weights(base, columns.weight) if columns.weight else None,
    )


def _patients(base: Sheet, column: str) -> np.ndarray:
    """int[N]; a row without a patient is one by itself."""
    if not column:
        return np.arange(len(base.row))
    code, texts = base.coded(column)
    blank = np.array([text == "" for text in texts])[code]
    return np.where(blank, len(texts) + np.arange(len(code)), code)


def _ratios(
    base: Sheet,
    columns: Columns,
    models: Sequence[Model],
    y: np.ndarray,
    mask: np.ndarray,
    prob: np.ndarray,
) -> dict[str, Ratio]:
    use = mask[:, 0]
    count, mu = np.where(use, y[:, 0], 0.0), prob[:, :, 0]
    never = (mu == 0) & (count > 0)
    if never.any():
        s, i = np.argwhere(never)[0]
        words = f"expected 0 where the count is {count[i]:g}"
        base.fail(i, models[s].scores[0], words)
    safe = np.where(mu > 0, mu, 1.0)
    deviance = 2 * (xlogy(count, count / safe) - count + mu)
    seen = np.broadcast_to(use.astype(float), mu.shape)
    return {
        "observed_expected": Ratio(count * seen, mu * seen),
        "deviance": Ratio(deviance * seen, seen),
    }


def _part(p: Predictions, rows: np.ndarray) -> Predictions:
    """The rows bool[N] of predictions."""
    return p._replace(
        prob=p.prob[:, rows],
        y=p.y[rows],
        mask=p.mask[rows],
        attributes={name: values[rows] for name, values in p.attributes.items()},
        id=p.id[rows],
        patient=p.patient[rows],
        ratios={k: Ratio(r.num[:, rows], r.den[:, rows]) for k, r in p.ratios.items()},
        weight=None if p.weight is None else p.weight[rows],
    )
