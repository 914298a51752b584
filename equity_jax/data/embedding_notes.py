"""What the page must say about a set of embeddings."""

from typing import Any

import pandas as pd

from equity_jax.data.embedding_people import GROUP, People
from equity_jax.data.mimic_join import UNKNOWN
from equity_jax.data.mimic_join import left_out as of_tables
from equity_jax.types import Spec


def notes(
    found: Any, spec: Spec, frame: pd.DataFrame, people: People
) -> tuple[str, ...]:
    """Sentences, in the order of reading; found: an embeddings.Found.

    Example:
        >>> notes(found, spec, frame, people)  # doctest: +SKIP
    """
    embedded, joined = found.embedded, found.joined
    said = ["SIMULATED: these are not real patients."] if spec.simulated else []
    patients = people.patient.max() + 1
    said.append(
        f"{len(frame):,} embeddings of {embedded.x.shape[1]:,} numbers, {patients:,} "
        "patients."
    )
    counts = frame["label"].value_counts()
    parts = [f"{counts.get(i, 0):,} {name}" for i, name in enumerate(spec.classes)]
    said.append(f"Labels: {', '.join(parts)}.")
    said += [*embedded.notes, *joined.notes]
    lost = joined.frame["lost"]
    if (lost != "").any() and len(frame) < len(lost):
        said.append(f"Left out: {reasons(joined.frame)}.")
    if people.group != GROUP and GROUP not in people.attributes:
        said.append(f"Groups are of {people.group}: {GROUP} is not recorded.")
    if (frame["split"] != "").any():
        parts = [
            f"{n:,} {w or 'free'}" for w, n in frame["split"].value_counts().items()
        ]
        said.append(f"Official splits are kept ({', '.join(parts)}).")
    return tuple(said)


def reasons(frame: pd.DataFrame) -> str:
    """Why rows have no part, most rows first.

    Example:
        >>> reasons(pd.DataFrame({"lost": ["no row in split", ""]}))
        '1 no row in split'
    """
    counts = frame.loc[frame["lost"] != "", "lost"].value_counts()
    return ", ".join(f"{n:,} {why}" for why, n in counts.items())


def left_out(found: Any, group: str) -> dict[str, dict[str, int]]:
    """Reason -> group -> rows: of the tables, and the records that could not be read.

    Example:
        >>> left_out(found, "race")  # doctest: +SKIP
        {'no row in split': {'White': 1}}
    """
    unread = {why: {UNKNOWN: n} for why, n in found.embedded.left_out.items()}
    return unread | of_tables(found.joined.frame, group)
