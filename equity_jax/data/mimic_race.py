"""One race a patient: a replaceable table of names, a policy for records that differ.

MIMIC-IV records race at every admission. races.csv of this package maps the detailed
names to coarse ones; a blank coarse name means "not recorded" (unknown, unable to
obtain, declined), and so does a name that the table lacks, which a note then lists.
Replace it with the option `races` of data.embeddings or data.mimic.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from equity_jax.data.mimic_cells import refuse
from equity_jax.data.mimic_names import Options, section
from equity_jax.types import InputError

OWN = Path(__file__).with_name("races.csv")
LEVELS = ("coarse", "detailed")
POLICIES = ("most_frequent", "first", "exclude")


class Races(NamedTuple):
    """One race a patient: known (subject -> race; absent = not recorded), excluded
    (subjects whose records differ, under that policy), notes.
    """

    known: dict[str, str]
    excluded: set[str]
    notes: tuple[str, ...]


def read_map(path: str = "") -> dict[str, str]:
    """Detailed name in upper case -> coarse name, "" = not recorded; "": our own table.

    Raises:
        InputError: no such file, other columns, a detailed name with two coarse ones.

    Example:
        >>> read_map()["BLACK/CAPE VERDEAN"]
        'Black'
    """
    name = path or str(OWN)
    try:
        table = pd.read_csv(
            name, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (ValueError, OSError) as error:
        raise InputError(f"{name}: not a CSV of races ({error})") from error
    if list(table.columns) != ["detailed", "coarse"]:
        raise InputError(
            f"{name}, line 1: columns {', '.join(table.columns)}; expected "
            "detailed,coarse"
        )
    table.attrs["name"] = name
    made: dict[str, str] = {}
    for row, (detailed, coarse) in enumerate(table.itertuples(index=False)):
        word, coarse = plain(detailed), coarse.strip()
        if made.setdefault(word, coarse) != coarse:
            why = f"{coarse!r}, but {word} was {made[word]!r} before; expected one"
            raise refuse(table, row, "coarse", why)
    return made


def plain(word: str) -> str:
    """A name as it is compared: upper case, single spaces.

    Example:
        >>> plain(" White -  Russian")
        'WHITE - RUSSIAN'
    """
    return " ".join(word.upper().split())


def one_race(
    subject: np.ndarray,
    start: np.ndarray,
    said: np.ndarray,
    mapping: dict[str, str],
    options: Options,
) -> Races:
    """The race of each patient of N admissions.

    Args:
        subject: str[N].
        start: int64[N], the day of admission.
        said: str[N], race as recorded then.
        mapping: of `read_map`.
        options: race: "coarse" or "detailed"; names that differ, but not at this level,
            agree. conflicts: "first": the earliest; "most_frequent": of most
            admissions, among equals the one recorded first; "exclude": a patient of two
            names has no part.

    Records without a race never count: a patient is not recorded if none has one.

    Raises:
        InputError: an unknown level or policy.

    Example:
        >>> from equity_jax.config import Mimic
        >>> about = np.array(["a", "a"]), np.array([0, 9]), np.array(["WHITE", "ASIAN"])
        >>> one_race(*about, read_map(), Mimic()).known
        {'a': 'White'}
    """
    level, policy = options.race, options.conflicts
    for field, value, known in (
        ("race", level, LEVELS),
        ("conflicts", policy, POLICIES),
    ):
        if value not in known:
            raise InputError(
                f"{section(options)}.{field}={value!r}; expected one of: "
                f"{', '.join(known)}"
            )
    word = pd.Series(said, dtype=str).map(plain)
    coarse = word.map({**mapping, "": ""})
    lacking = word[coarse.isna()].value_counts()
    coarse = coarse.fillna("")
    race = coarse if level == "coarse" else word.where(coarse != "", "")
    table = pd.DataFrame({"subject": subject, "start": start, "race": race})
    table = table[table["race"] != ""].sort_values("start", kind="stable")
    records = table.groupby(["subject", "race"], sort=False).size().rename("n")
    records = records.reset_index()  # of a patient in order of first record
    several = records["subject"].duplicated(keep=False)
    if policy == "most_frequent":
        records = records.sort_values("n", ascending=False, kind="stable")
    chosen = records.drop_duplicates("subject").set_index("subject")["race"].to_dict()
    excluded = set(records["subject"][several])
    notes = _notes(len(excluded), len(chosen), level, policy, lacking)
    if policy != "exclude":
        return Races(chosen, set(), notes)
    kept = {who: race for who, race in chosen.items() if who not in excluded}
    return Races(kept, excluded, notes)


def _notes(
    conflicts: int, people: int, level: str, policy: str, lacking: pd.Series
) -> tuple[str, ...]:
    said = []
    if conflicts:
        said.append(
            f"{conflicts:,} of {people:,} patients have records of more than one race "
            f"({level}): policy {policy}."
        )
    if len(lacking):
        names = ", ".join(f"{name} ({n})" for name, n in lacking.items())
        said.append(
            f"Race as recorded, but not in the table of races: {names}; these "
            "admissions count as not recorded."
        )
    return tuple(said)
