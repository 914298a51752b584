"""Several models on the same rows: side by side in columns, or one below the other."""

from typing import NamedTuple, NoReturn

import numpy as np
import pandas as pd

from equity_jax.audit.reading.columns import Columns
from equity_jax.audit.reading.sheet import Sheet
from equity_jax.types import SPLITS, InputError


class Model(NamedTuple):
    """One model: its name, its score columns, its rows int[N] in the common order."""

    name: str
    scores: tuple[str, ...]
    rows: np.ndarray


def matched(sheet: Sheet, columns: Columns, split: np.ndarray) -> list[Model]:
    """Each model with its rows of the sheet, so that row i is the same case in all.

    split: int[N]. A case is an id in a split; the order is that of the first model.

    Raises:
        InputError: an id twice in a split, an id that a model lacks, a case of which
            two models' rows say different things.

    Example:
        >>> from equity_jax.audit.reading.opening import open_sheet
        >>> table = {"id": list("1221"), "net": list("aabb"), "y": list("0110")}
        >>> columns = Columns("y", "p", id="id", system="net")
        >>> sheet = open_sheet(table | {"p": list("0000")}, columns.used)
        >>> [model.rows.tolist() for model in matched(sheet, columns, np.full(4, 2))]
        [[0, 1], [3, 2]]
    """
    model, names = _systems(sheet, columns)
    case = _cases(sheet, columns, split)
    rows = np.arange(len(case))
    place = np.full((len(names), case.max() + 1), -1)
    place[model, case] = rows
    twice = np.flatnonzero(place[model, case] != rows)
    if len(twice):
        i = twice[0]
        other = rows[(model == model[i]) & (case == case[i])][1]
        again = f"is also the id of {sheet.where(other)}"
        sheet.fail(i, columns.id, f"{sheet.cell(i, columns.id)!r} {again}")
    if (place < 0).any():
        _lacks(sheet, columns, names, place, split)
    if not columns.system:
        return [Model(name, found, place[0]) for name, found in columns.models.items()]
    _agree(sheet, columns, names, place)
    (scores,) = columns.models.values()
    return [Model(name, scores, place[s]) for s, name in enumerate(names)]


def _systems(sheet: Sheet, columns: Columns) -> tuple[np.ndarray, list[str]]:
    if not columns.system:
        return np.zeros(len(sheet.row), int), [""]
    return _filled(sheet, columns.system)


def _cases(sheet: Sheet, columns: Columns, split: np.ndarray) -> np.ndarray:
    """int[N]: rows of one id and split share a number; numbered as they come."""
    if not columns.id:
        return np.arange(len(split))
    code, _ = _filled(sheet, columns.id)
    case, _ = pd.factorize(code * (len(SPLITS) + 1) + split + 1)
    return case


def _filled(sheet: Sheet, column: str) -> tuple[np.ndarray, list[str]]:
    code, texts = sheet.coded(column)
    if "" in texts:
        sheet.fail(int(np.argmax(code == texts.index(""))), column, "the cell is empty")
    return code, texts


def _lacks(
    sheet: Sheet,
    columns: Columns,
    names: list[str],
    place: np.ndarray,
    split: np.ndarray,
) -> NoReturn:
    case, s = np.argwhere(place.T < 0)[0]
    i = place[:, case].max()  # some model has it
    part = {code: name for name, code in SPLITS.items()}.get(split[i], "left-out")
    raise InputError(
        f"{sheet.name}: {columns.system} {names[s]!r} has no {part} row of "
        f"{columns.id} {sheet.cell(i, columns.id)!r} ({sheet.where(i)} "
        "has one); every model must score the same rows"
    )


def _agree(sheet: Sheet, columns: Columns, names: list[str], place: np.ndarray) -> None:
    """What is said of a case must not depend on the model that scored it."""
    scores = {score for found in columns.models.values() for score in found}
    for column in set(columns.used) - scores - {columns.system}:
        code, texts = sheet.coded(column)
        differs = code[place] != code[place[:1]]
        if differs.any():
            s, case = np.argwhere(differs)[0]
            i, first = place[s, case], place[0, case]
            words = f"{texts[code[i]]!r}, but {texts[code[first]]!r} for the same "
            words += f"{columns.id} of {names[0]!r} ({sheet.where(first)})"
            sheet.fail(i, column, words)
