"""What cells mean: splits, labels, weights, scores. A cell that means nothing stops."""

import re
from collections.abc import Sequence

import numpy as np
from scipy.special import expit, softmax

from equity_jax.audit.reading.columns import Columns, class_names
from equity_jax.audit.reading.sheet import Sheet
from equity_jax.types import LEFT_OUT, TEST, TRAIN, VALID, InputError

SPLIT_WORDS = (
    {word: TRAIN for word in ("train", "training")}
    | {word: VALID for word in ("valid", "validation", "val", "dev")}
    | {word: TEST for word in ("test", "testing", "held out", "heldout")}
    | {"left out": LEFT_OUT}
)


def splits(sheet: Sheet, column: str) -> np.ndarray:
    """int[N]: TRAIN, VALID, TEST or LEFT_OUT; without a column every row is a test row.

    Raises:
        InputError: another word; lists all such words.

    Example:
        >>> from equity_jax.audit.reading.opening import open_sheet
        >>> sheet = open_sheet({"part": ["dev", "Held-out"]}, ["part"])
        >>> splits(sheet, "part").tolist() == [VALID, TEST]
        True
    """
    if not column:
        return np.full(len(sheet.row), TEST)
    code, texts = sheet.coded(column)
    words = [re.sub(r"[\s_-]+", " ", text.lower()) for text in texts]
    unknown = [t for t, w in zip(texts, words, strict=True) if w not in SPLIT_WORDS]
    if unknown:
        first = int(np.argmax(code == texts.index(unknown[0])))
        found = ", ".join(map(repr, unknown[:5])) + (", ..." if unknown[5:] else "")
        sheet.fail(first, column, f"expected train, valid or test, found {found}")
    return np.array([SPLIT_WORDS[word] for word in words])[code]


def weights(sheet: Sheet, column: str) -> np.ndarray:
    """float[N], all 1 without a column.

    Raises:
        InputError: a weight that is missing, infinite or negative.
    """
    if not column:
        return np.ones(len(sheet.row))
    value = sheet.number(column)
    _refuse(
        sheet, column, ~(np.isfinite(value) & (value >= 0)), "a weight of 0 or more"
    )
    return value


def exposed(sheet: Sheet, column: str) -> np.ndarray:
    """bool[N]: where a count has an exposure; missing or 0 is none.

    Raises:
        InputError: an exposure that is negative or infinite.
    """
    value = sheet.number(column)
    _refuse(sheet, column, (value < 0) | np.isinf(value), "an exposure of 0 or more")
    return value > 0


def labels(
    sheet: Sheet, columns: Columns, positive: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The label of each row: float[N, K], NaN where missing; the names of classes.

    K labels of 0 and 1; one column of class numbers for a multiclass label; one of
    counts. Only a multiclass label has names of classes.

    Raises:
        InputError: a cell outside the set, a positive class that no row has.
    """
    if columns.kind == "count":
        (column,) = columns.labels
        y = sheet.number(column)
        _refuse(sheet, column, (y < 0) | np.isinf(y), "a count of 0 or more")
        return y[:, None], ()
    if columns.kind == "multiclass":
        return _classes(sheet, columns)
    y = np.stack([_binary(sheet, name, positive) for name in columns.labels], axis=1)
    if positive and not (y == 1).any():
        texts = sorted(
            {t for name in columns.labels for t in sheet.coded(name)[1] if t}
        )
        found = ", ".join(texts[:8]) + (", ..." if texts[8:] else "")
        raise InputError(f"{sheet.name}: no label is {positive!r}; found: {found}")
    return y, ()


def scores(
    sheet: Sheet,
    names: Sequence[str],
    need: np.ndarray,
    columns: Columns,
    *,
    logits: bool,
    stop: bool,
) -> np.ndarray:
    """The scores of one model, float[N, C]; NaN where missing or not finite.

    need: bool[N, C], where a score counts; elsewhere it is 0.

    Raises:
        InputError: a probability outside 0..1, a negative expected count; if `stop`, a
            score that is missing or not finite.
    """
    raw = np.stack([sheet.number(name) for name in names], axis=1)
    usable = np.isfinite(raw) & need
    if stop and (usable != need).any():
        i, c = np.argwhere(usable != need)[0]
        found = sheet.cell(i, names[c])
        hint = "to leave such rows out say on_bad_score='leave_out' or --bad_scores="
        sheet.fail(i, names[c], f"expected a score, found {found}; {hint}leave_out")
    found = np.where(usable, raw, 0.0)
    if logits and columns.kind == "multiclass":
        found = softmax(found, axis=1)
    elif logits:
        found = expit(found)
    for c, name in enumerate(names):
        if columns.kind == "count":
            wrong, words = found[:, c] < 0, "a mean count of 0 or more"
        else:
            wrong = (found[:, c] < 0) | (found[:, c] > 1)
            words = "a probability (for logits say --logits or logits=True)"
        _refuse(sheet, name, wrong, words)
    return np.where(usable, found, np.where(need, np.nan, 0.0))


def _refuse(sheet: Sheet, column: str, wrong: np.ndarray, expected: str) -> None:
    if wrong.any():
        i = int(np.argmax(wrong))
        found = sheet.cell(i, column)
        sheet.fail(i, column, f"expected {expected}, found {found}")


def _binary(sheet: Sheet, column: str, positive: str) -> np.ndarray:
    code, texts = sheet.coded(column)
    values = [_zero_or_one(text, positive) for text in texts]
    if None in values:
        wrong = values.index(None)
        words = f"expected 0 or 1, found {texts[wrong]!r}"
        hint = "; name the positive class with --positive or positive="
        sheet.fail(int(np.argmax(code == wrong)), column, words + hint)
    return np.array(values, float)[code]


def _zero_or_one(text: str, positive: str) -> float | None:
    if not text:
        return np.nan
    if positive:
        return float(text == positive or _as_number(text) == _as_number(positive))
    known = {"true": 1.0, "false": 0.0, 1.0: 1.0, 0.0: 0.0}
    return known.get(text.lower(), known.get(_as_number(text)))


def _as_number(text: str) -> float | str:
    """So that 1, 1.0 and "1" are one class; a text that is no number is itself."""
    try:
        return float(text)
    except ValueError:
        return text


def _classes(sheet: Sheet, columns: Columns) -> tuple[np.ndarray, tuple[str, ...]]:
    """Matches the label's texts to the score columns' names, or takes 0..C-1."""
    (column,) = columns.labels
    names = tuple(columns.classes) or _common_names(columns)
    code, texts = sheet.coded(column)
    numbers = {float(i): i for i in range(len(names))}
    for known in (
        {name: i for i, name in enumerate(names)},
        {name: i for i, name in enumerate(next(iter(columns.models.values())))},
        numbers,
    ):
        keys = [_as_number(text) if known is numbers else text for text in texts]
        if all(key in known or not text for key, text in zip(keys, texts, strict=True)):
            return np.array([known.get(k, np.nan) for k in keys])[code, None], names
    wrong = next(i for i, text in enumerate(texts) if text and text not in names)
    expected = f"one of the classes {', '.join(names)} (from the score columns)"
    sheet.fail(
        int(np.argmax(code == wrong)),
        column,
        f"expected {expected}, found {texts[wrong]!r}",
    )


def _common_names(columns: Columns) -> tuple[str, ...]:
    found = {model: class_names(names) for model, names in columns.models.items()}
    first, names = next(iter(found.items()))
    for model, others in found.items():
        if others != names:
            raise InputError(
                f"the score columns of {model!r} name the classes {', '.join(others)}, "
                f"those of {first!r} {', '.join(names)}; expected the same order"
            )
    return names
