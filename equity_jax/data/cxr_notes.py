"""What the page must say about a set of chest X-rays."""

from typing import Any

import numpy as np
import pandas as pd

from equity_jax.data import cxr_people
from equity_jax.data.cxr_source import Source
from equity_jax.types import SPLITS, Spec


def notes(
    spec: Spec,
    frame: pd.DataFrame,
    rows: Any,
    source: Source,
    alike: np.ndarray,
    split: np.ndarray,
) -> tuple[str, ...]:
    """Sentences, in the order of reading; rows: a cxr.Rows.

    Example:
        >>> notes(spec, frame, rows, source, alike, split)  # doctest: +SKIP
    """
    people = frame["patient"].nunique()
    said = ["SIMULATED: these are not real X-rays."] if spec.simulated else []
    said += [f"{len(frame):,} images of {people:,} patients (layout {source.layout})."]
    said += [*source.notes, *rows.made.notes, *rows.notes]
    if source.equalize:
        said.append(f"scripts.prepare has treated the pixels: {source.equalize}.")
    lost = rows.everything.loc[rows.everything["lost"] != "", "lost"]
    if len(lost):
        parts = ", ".join(f"{n:,} {why}" for why, n in lost.value_counts().items())
        said.append(f"Left out: {parts}.")
    if rows.reasons:
        examples = "; ".join(reason for _, reason in rows.reasons[:3])
        said.append(f"{len(rows.reasons)} unreadable files, such as {examples}.")
    if spec.task.startswith("multiclass"):
        several = frame[frame["label"] != ""].groupby("patient")["label"].nunique() > 1
        if several.any():
            n = int(several.sum())
            said.append(f"{n} patients are in two classes; each stays in one split.")
    if (frame["official"] != "").any():
        said.append(_official(frame["official"]))
    return (*said, *_alike(frame, alike, split))


def left_out(frame: pd.DataFrame, group: str) -> dict[str, dict[str, int]]:
    """Rows that have no part: reason -> group -> how many.

    Example:
        >>> left_out(frame, "sex")  # doctest: +SKIP
        {'unreadable': {'Male': 1}}
    """
    lost = frame[frame["lost"] != ""]
    values = cxr_people.attributes(lost)[group]
    values = np.where(values == "", cxr_people.UNKNOWN, values)
    made: dict[str, dict[str, int]] = {}
    counts = pd.Series(values).groupby([lost["lost"].to_numpy(str), values]).size()
    for (why, value), n in counts.items():
        made.setdefault(why, {})[value] = int(n)
    return made


def _official(said: pd.Series) -> str:
    parts = [f"{n:,} {word or 'free'}" for word, n in said.value_counts().items()]
    return f"Official splits are kept ({', '.join(parts)})."


def _alike(frame: pd.DataFrame, alike: np.ndarray, split: np.ndarray) -> list[str]:
    if not len(alike):
        return []
    patient, label = (frame[n].to_numpy(str)[alike] for n in ("patient", "label"))
    strangers = patient[:, 0] != patient[:, 1]
    said = [
        f"Look-alikes: {len(alike)} pairs show one picture, {int(strangers.sum())} of "
        "them under two patients, who are kept in one split."
    ]
    differ = int((label[:, 0] != label[:, 1]).sum())
    if differ:
        said.append(f"{differ} of these pairs have two different labels.")
    apart = split[alike[:, 0]] != split[alike[:, 1]]
    if apart.any():
        names = {code: name for name, code in SPLITS.items()}
        a, b = alike[apart][0]
        said.append(
            f"{int(apart.sum())} pairs lie across official splits, such as "
            f"{frame['file'][a]} ({names[split[a]]}) and {frame['file'][b]} "
            f"({names[split[b]]})."
        )
    return said
