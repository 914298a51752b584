"""MIMIC-CXR-JPG joined with MIMIC-IV: images, 14 findings, who is on them.

Johnson et al., "MIMIC-CXR-JPG", 2019; Johnson et al., "MIMIC-IV", Sci Data 2023.
files/p10/p10000032/s50414267/DICOM.jpg below the folder, the tables anywhere below it
or below data.mimic.tables. metadata, the labeler's table and, for official splits,
theirs are needed. Without admissions race and insurance are not recorded, without
patients sex and age, which a note says. Outcomes: an image that is listed but absent,
in no row of split, or of a study that the labeler does not have is left out and
counted; every frontal view of a study is an image of its own, of one patient; a subject
without demographics stays and is in no group; of race records that differ
data.mimic.conflicts decides; a race that data.mimic.keep does not name stays, as not
recorded.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from equity_jax.config import Mimic
from equity_jax.data.cxr_names import FRONTAL
from equity_jax.data.cxr_source import NO_FILE, Source, make, present
from equity_jax.data.mimic_labels import findings
from equity_jax.data.mimic_people import lose, meet
from equity_jax.data.mimic_tables import find, read_tables
from equity_jax.types import InputError

KEY = ["dicom_id", "subject_id", "study_id"]
DEMOGRAPHICS = ("race", "insurance", "sex", "age")


def mimic(root: Path, options: Mimic) -> Source | None:
    """The rows of metadata, in its order.

    A folder without any of the tables is not read here (its images may be new ones, to
    score).

    Raises:
        InputError: a table that is needed is missing; a key twice; a cell that cannot
            be read; an option that cannot be; no race that is kept is recorded.

    Example:
        >>> mimic(Path("mimic-cxr-jpg/2.0.0"), Mimic()).labels[0]  # doctest: +SKIP
        'Atelectasis'
    """
    if not any(re.fullmatch(r"p\d\d", p.name) for p in (root / "files").glob("p*")):
        return None
    if not options.tables and not find(str(root)):
        return None
    tables = read_tables(str(root), options, beside=options.tables)
    images = pd.DataFrame({c: tables["metadata"][c].str.strip() for c in KEY})
    frame, _, _, notes = meet(images.reset_index(drop=True), tables, options)
    table = tables[options.labeler]
    labels = [name for name in table.columns if name not in KEY]
    raw, place = findings(frame, table, labels)
    lose(frame, place < 0, f"no row in {options.labeler}")
    file = "files/p" + frame["subject_id"].str[:2] + "/p" + frame["subject_id"]
    file += "/s" + frame["study_id"] + "/" + frame["dicom_id"] + ".jpg"
    absent = [not (root / name).is_file() for name in file]
    lose(frame, np.array(absent, bool), NO_FILE)
    notes += (*_told(frame), *_races(frame, options))
    age = frame["age_years"]
    columns = {
        "file": file,
        "finding": np.where(place >= 0, present(raw, labels), ""),
        "patient": frame["subject_id"],
        "age": age.astype(str).mask(age.isna(), ""),
        "official": frame["split"],
        **{c: frame[c] for c in ("sex", "view", "race", "insurance", "lost")},
    }
    return make(root, "mimic", columns, notes, labels, raw.astype(np.float32))


def _races(frame: pd.DataFrame, options: Mimic) -> Sequence[str]:
    """Blanks the races that are no group, and says whose."""
    keep = [name.strip() for name in options.keep.split(",") if name.strip()]
    race = frame["race"]
    other = race[(race != "") & ~race.isin(keep)]
    if not keep or other.empty:
        return ()
    if not race.isin(keep).any():
        raise InputError(
            f"data.mimic.keep={options.keep!r}: none of these is recorded; has "
            f"{', '.join(sorted(set(other)))}"
        )
    frame.loc[other.index, "race"] = ""
    parts = [f"{name} ({n:,})" for name, n in other.value_counts().items()]
    return (f"Images of another race, kept as not recorded: {', '.join(parts)}.",)


def _told(frame: pd.DataFrame) -> Sequence[str]:
    """Studies of several frontal views; subjects without demographics."""
    used = frame[frame["lost"] == ""]
    frontal = used[used["view"].str.startswith(FRONTAL)]
    several = int((frontal.groupby("study_id").size() > 1).sum())
    said = []
    if several:
        said.append(
            f"{several:,} studies have two frontal images or more: each is a row, and "
            "all are of one patient in one split."
        )
    blank = {name: used[used[name] == ""] for name in DEMOGRAPHICS}
    parts = [
        f"{name} of {len(rows):,} images ({rows['subject_id'].nunique():,} subjects)"
        for name, rows in blank.items()
        if 0 < len(rows) < len(used)
    ]
    if parts:
        said.append(f"Not recorded, but kept: {', '.join(parts)}.")
    return said
