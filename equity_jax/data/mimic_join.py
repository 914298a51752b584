"""Embeddings meet the tables: who is on each image (mimic_people), and its label."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from equity_jax.config import Embeddings
from equity_jax.data.cxr_labels import VIEWS
from equity_jax.data.mimic_labels import Target, label
from equity_jax.data.mimic_people import lose, meet
from equity_jax.types import InputError

ATTRIBUTES = ("race", "sex", "insurance", "age", "view")
UNKNOWN = "not recorded"


class Joined(NamedTuple):
    """frame: one row an image, in the order of the embeddings: dicom_id, subject_id,
    study_id, split ("train", "valid", "test", "" = free), view, study_date, race, sex,
    insurance, age_years (NaN unknown), age (band), hadm_id and hadm_days of the
    nearest admission, what the label's table says (ef, ef_days), label (NaN unknown)
    and lost, why a row has no part ("" = it has); "" = not recorded. attributes: which
    columns can be asked about; meaning: of labels that were words, word -> y.
    """

    frame: pd.DataFrame
    target: Target
    notes: tuple[str, ...]
    attributes: tuple[str, ...] = ATTRIBUTES
    meaning: Mapping[str, float] = {}


def join(
    id: np.ndarray,
    subject: np.ndarray,
    study: np.ndarray,
    tables: Mapping[str, pd.DataFrame],
    options: Embeddings,
    *,
    strict: bool = True,
) -> Joined:
    """The rows of N embeddings.

    Args:
        id: str[N], dicom_id.
        subject: str[N], "" where only metadata know it.
        study: str[N], likewise.
        tables: of `mimic_tables.read_tables`, or of the twin.
        options: data.embeddings.
        strict: False for new rows to score, where the tables may know none of them.

    Raises:
        InputError: no id is in metadata; a path that names another patient than
            metadata; a key twice; a cell that cannot be read; an option that cannot be.

    Example:
        >>> join(e.id, e.subject, e.study, tables, options).frame  # doctest: +SKIP
    """
    if options.views not in VIEWS:
        raise InputError(
            f"data.embeddings.views={options.views!r}; expected all or frontal"
        )
    frame = pd.DataFrame({"dicom_id": id, "subject_id": subject, "study_id": study})
    frame, day, stay, notes = meet(
        frame, tables, options, views=options.views, strict=strict
    )
    target = label(frame, day, tables, options, stay)
    frame = frame.assign(**target.columns, label=target.y)
    lose(frame, target.why != "", target.why)
    return Joined(frame, target, notes + target.notes)


def left_out(frame: pd.DataFrame, group: str) -> dict[str, dict[str, int]]:
    """Rows that have no part: reason -> group -> how many.

    Example:
        >>> left_out(joined.frame, "race")  # doctest: +SKIP
        {'a view that is not frontal': {'White': 3, 'not recorded': 1}}
    """
    lost = frame[frame["lost"] != ""]
    value = lost[group].replace("", UNKNOWN) if group in lost else UNKNOWN
    counts = lost.assign(value=value).groupby(["lost", "value"]).size()
    made: dict[str, dict[str, int]] = {}
    for (why, name), n in counts.items():
        made.setdefault(why, {})[name] = int(n)
    return made
