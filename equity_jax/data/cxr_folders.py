"""Two layouts that people make by hand: a folder per class, a folder and a table."""

from pathlib import Path

import numpy as np
import pandas as pd

from equity_jax.data import cxr_names
from equity_jax.data.cxr_source import NO_FILE, NO_XRAY, Source, csv, images, make
from equity_jax.types import InputError

TABLE = "metadata.csv"
XRAY = ("", "X-RAY", "XRAY", "CR", "DX", "CXR")


def folders(root: Path) -> Source | None:
    """A folder per class, as in the COVID-19 Radiography Database.

    Images lie in the class folder, or in images/ below it (beside masks/, which are not
    read). A metadata.csv beside the folders whose file column says "CLASS/NAME.png"
    adds patient, sex, age, view, source and split; the folder stays the label. A
    patient who is recorded nowhere is the file's name without its end.

    Raises:
        InputError: a class folder without an image; a metadata.csv without a column of
            file names.
    """
    classes = [p for p in sorted(root.iterdir()) if p.is_dir() and p.name[0] != "."]
    found = {
        p.name: images(p / "images" if (p / "images").is_dir() else p) for p in classes
    }
    if set(found) <= {"images", "masks"} or not any(found.values()):
        return None
    for name, files in found.items():
        if not files:
            raise InputError(f"{root / name}: a class folder without an image")
    pairs = [(path, name) for name, files in found.items() for path in files]
    columns = {
        "file": [path.relative_to(root).as_posix() for path, _ in pairs],
        "finding": [name for _, name in pairs],
    }
    if not (root / TABLE).exists():
        said = "No patients are recorded: each file counts as one."
        return make(root, "folders", columns, [said])
    added, notes = _beside(root / TABLE, columns["file"])
    return make(root, "folders", {**added, **columns}, notes)


def table(root: Path) -> Source | None:
    """A folder and a CSV of its files, as in ieee8023/covid-chestxray-dataset.

    The table is metadata.csv, or the only CSV there; its images lie beside it or in
    images/. Columns in any order, case and spelling of cxr_names.COLUMNS: the file is
    needed; patient, finding, sex, age, view, source, modality and split are used.
    """
    path = _only_csv(root)
    if path is None:
        return None
    frame = csv(path)
    known = cxr_names.columns(frame.columns)
    if "file" not in known:
        return None
    columns = {ours: frame[name] for ours, name in known.items()}
    here = {p.relative_to(root).as_posix() for p in images(root, deep=True)}
    below = [f"images/{file}" for file in columns["file"]]
    columns["file"] = [
        inside if inside in here else file
        for file, inside in zip(columns["file"], below, strict=True)
    ]
    lost = np.where(np.isin(columns["file"], list(here)), "", NO_FILE)
    if "modality" in columns:
        xray = columns["modality"].str.strip().str.upper().isin(XRAY)
        lost = np.where(xray, lost, NO_XRAY)
    notes = []
    extra = len(here - set(columns["file"]))
    if extra:
        notes.append(f"{extra} images that {path.name} does not list are not read.")
    if "patient" not in columns:
        notes.append("No patients are recorded: each file counts as one.")
    return make(root, "table", {**columns, "lost": lost}, notes)


def _only_csv(root: Path) -> Path | None:
    if (root / TABLE).exists():
        return root / TABLE
    found = sorted(root.glob("*.csv"))
    return found[0] if len(found) == 1 else None


def _beside(path: Path, files: list[str]) -> tuple[dict[str, pd.Series], list[str]]:
    """Columns of metadata.csv for the files of class folders, and what to say."""
    frame = csv(path)
    known = cxr_names.columns(frame.columns)
    if "file" not in known:
        expected = ", ".join(cxr_names.COLUMNS["file"])
        raise InputError(f"{path}: no column of file names; expected one of {expected}")
    frame = frame.set_index(known.pop("file"))
    if frame.index.duplicated().any():
        twice = frame.index[frame.index.duplicated()][0]
        line = int(np.flatnonzero(frame.index == twice)[1]) + 2
        raise InputError(f"{path}, line {line}: {twice} is listed twice")
    notes = []
    without, unused = set(files) - set(frame.index), set(frame.index) - set(files)
    if without:
        notes.append(f"{len(without)} images are not in {path.name}.")
    if unused:
        notes.append(f"{len(unused)} rows of {path.name} have no image.")
    rows = frame.reindex(files)
    wanted = set(known) - {"finding", "modality"}
    return {ours: rows[known[ours]].reset_index(drop=True) for ours in wanted}, notes
