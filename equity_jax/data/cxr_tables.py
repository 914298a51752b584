"""Two published multi-label layouts: NIH ChestX-ray14 and CheXpert."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd

from equity_jax.data.cxr_source import (
    NO_FILE,
    NOTHING,
    Source,
    csv,
    images,
    make,
    present,
)
from equity_jax.types import InputError

NIH = (
    "Image Index",
    "Finding Labels",
    "Follow-up #",
    "Patient ID",
    "Patient Age",
    "Patient Gender",
    "View Position",
)
NIH_LABELS = (
    *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion"),
    *("Emphysema", "Fibrosis", "Hernia", "Infiltration", "Mass", "Nodule"),
    *("Pleural_Thickening", "Pneumonia", "Pneumothorax"),
)
LISTS = {"train_val_list.txt": "train|valid", "test_list.txt": "test"}
UNLISTED = "in neither official list"
CHEXPERT = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA")
PEOPLE = "CHEXPERT DEMO.csv"  # Stanford's workbook of the same name, saved as a CSV
RACES = {  # a word of PRIMARY_RACE, and what it means; the first wins
    **{name.upper(): name for name in ("White", "Black", "Asian", "Pacific Islander")},
    **dict.fromkeys(("NATIVE AMERICAN", "AMERICAN INDIAN"), "Native American"),
    "OTHER": "Other",
}
# Stanford kept its test patients back; valid.csv is what it published to validate on.
HALVES = {"train.csv": "train|test", "valid.csv": "valid"}


def nih(root: Path) -> Source | None:
    """NIH ChestX-ray14: Data_Entry_2017*.csv(.gz), images/ or images_*/images/.

    Wang et al., "ChestX-ray8", CVPR 2017. The brackets of the header's last two
    names hold commas, and the file of 2017 ends its lines with one: columns are taken
    by place. Labels between bars, all 14 observed in every row. Rows without an image
    are left out and counted. train_val_list.txt and test_list.txt, where present,
    decide who is tested; validation is drawn from the former.

    Raises:
        InputError: a label that is none of the 14, and the line it is on.
    """
    path = next((p for p in sorted(root.glob("*.csv*")) if _is_nih(p)), None)
    if path is None:
        return None
    frame = csv(path, header=None, skiprows=1, names=NIH, usecols=range(7))
    places = [root, root / "images", *sorted(root.glob("images_*/images"))]
    found = {p.name: p for place in places for p in images(place)}
    known = [found.get(name) for name in frame["Image Index"]]
    file = [
        p.relative_to(root).as_posix() if p else name
        for p, name in zip(known, frame["Image Index"], strict=True)
    ]
    lost = np.array(["" if p else NO_FILE for p in known], object)
    official = _lists(root, frame["Image Index"])
    if official is not None:
        lost[(lost == "") & (official == "")] = UNLISTED
    columns = {
        "file": file,
        "finding": frame["Finding Labels"],
        "patient": frame["Patient ID"],
        "sex": frame["Patient Gender"],
        "age": frame["Patient Age"],
        "view": frame["View Position"],
        "official": "" if official is None else official,
        "lost": lost,
    }
    raw = _nih_labels(path, frame["Finding Labels"])
    return make(root, "nih", columns, labels=NIH_LABELS, raw=raw)


def chexpert(root: Path) -> Source | None:
    """CheXpert: train.csv, valid.csv and the folders that their paths name.

    Irvin et al., AAAI 2019. 14 findings (No Finding is one): 1, 0, -1 = uncertain (see
    data.images.uncertain), blank = not mentioned (see data.images.blank). Patient and
    study are in the path. valid.csv is the validation, and the test is drawn from
    train.csv, by patient, because the official test was not published; without it both
    are drawn. Race is that of the workbook of demographics, where it was saved as
    PEOPLE: Hispanic by either column, else as PRIMARY_RACE says.

    Raises:
        InputError: a label that is neither 1, 0, -1 nor blank; columns that differ.
    """
    parts = [root / name for name in HALVES if _is_chexpert(root / name)]
    if not parts:
        return None
    halves = HALVES if len(parts) == len(HALVES) else dict.fromkeys(HALVES, "")
    frames = [csv(path).assign(half=halves[path.name]) for path in parts]
    if any(list(f.columns) != list(frames[0].columns) for f in frames):
        raise InputError(f"{root}: train.csv and valid.csv have different columns")
    labels = [c for c in frames[0].columns if c not in (*CHEXPERT, "half")]
    for path, frame in zip(parts, frames, strict=True):
        _check_chexpert(path, frame, labels)
    frame = pd.concat(frames, ignore_index=True)
    lateral = frame["Frontal/Lateral"].str.lower() == "lateral"
    file = [_below(root, path) for path in frame["Path"]]
    columns = {
        "file": file,
        "patient": frame["Path"].str.extract(r"(patient\d+)", expand=False),
        "sex": frame["Sex"],
        "age": frame["Age"],
        "view": frame["AP/PA"].mask(lateral, "lateral"),
        "official": frame["half"],
        "lost": ["" if (root / name).is_file() else NO_FILE for name in file],
    }
    raw = frame[labels].replace("", "nan").to_numpy(np.float32)
    columns["finding"] = present(raw, labels)
    if (root / PEOPLE).exists():
        columns["race"] = _chexpert_races(root / PEOPLE, columns["patient"])
    return make(root, "chexpert", columns, labels=labels, raw=raw)


def _is_nih(path: Path) -> bool:
    return _first_line(path).startswith(",".join(NIH))


def _is_chexpert(path: Path) -> bool:
    return path.is_file() and _first_line(path).startswith(",".join(CHEXPERT))


def _first_line(path: Path) -> str:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", errors="replace") as file:
            return file.readline()
    except (OSError, EOFError):
        return ""


def _lists(root: Path, file: pd.Series) -> np.ndarray | None:
    present = {name: word for name, word in LISTS.items() if (root / name).exists()}
    if not present:
        return None
    said = {
        line.strip(): word
        for name, word in present.items()
        for line in (root / name).read_text("utf-8").splitlines()
    }
    return np.array([said.get(name, "") for name in file], object)


def _nih_labels(path: Path, cells: pd.Series) -> np.ndarray:
    place = {label: k for k, label in enumerate(NIH_LABELS)}
    raw = np.zeros((len(cells), len(NIH_LABELS)), np.float32)
    for row, cell in enumerate(cells):
        for word in cell.split("|"):
            if word in place:
                raw[row, place[word]] = 1.0
            elif word != NOTHING:
                where = f"{path}, line {row + 2}, column 'Finding Labels'"
                raise InputError(f"{where}: {word!r}; expected one of the 14 findings")
    return raw


def _chexpert_races(path: Path, patient: pd.Series) -> pd.Series:
    table = csv(path)
    for column in ("PATIENT", "PRIMARY_RACE", "ETHNICITY"):
        if column not in table:
            raise InputError(f"{path}, line 1, column {column!r}: missing")
    said = {
        row.PATIENT: _race(row.PRIMARY_RACE, row.ETHNICITY)
        for row in table.itertuples()
    }
    return patient.map(said).fillna("")


def _race(primary: str, ethnicity: str) -> str:
    # "White, Hispanic" or, in other versions, "White" beside "Hispanic/Latino".
    if ethnicity.strip().startswith("Hispanic") or primary.endswith(", Hispanic"):
        return "Hispanic"
    found = (name for word, name in RACES.items() if word in primary.upper())
    return next(found, "")


def _check_chexpert(path: Path, frame: pd.DataFrame, labels: list[str]) -> None:
    for label in labels:
        cells = frame[label]
        wrong = ~cells.isin(["", "0", "1", "-1", "0.0", "1.0", "-1.0"])
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            where = f"{path}, line {row + 2}, column {label!r}"
            raise InputError(f"{where}: {cells[row]!r}; expected 1, 0, -1 or blank")


def _below(root: Path, path: str) -> str:
    """The tables name their own top folder, which may have been renamed here."""
    inner = path.partition("/")[2]
    return inner if inner and not (root / path).is_file() else path
