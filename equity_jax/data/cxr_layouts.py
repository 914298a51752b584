"""How X-rays lie in folders: one function and one registry line a layout.

Each function gets the folder and returns a Source, or None where the folder is laid out
in another way. They are tried in the order of LAYOUTS; data.images.layout names one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from equity_jax.config import Data
from equity_jax.data import cxr_folders, cxr_tables, image_records, mimic_images
from equity_jax.data.cxr_source import NAMES, VERSION, Source, home, images, make
from equity_jax.types import InputError


class Layout(NamedTuple):
    """read: folder -> Source or None; expects: what the folder must hold; options: the
    part of config.data that `read` gets after the folder, "" = none.
    """

    read: Callable[..., Source | None]
    expects: str
    options: str = ""


def find(source: str, layout: str = "auto", data: Data | None = None) -> Source:
    """The rows of the folder `source`.

    layout: a name of LAYOUTS, or "auto"; data: where a layout's options are (None: the
    usual ones).

    Raises:
        InputError: no such folder, an unknown layout, or a folder that is not laid out
            so; whatever the layout refuses.

    Example:
        >>> find("cxr_radiography").layout  # doctest: +SKIP
        'folders'
    """
    root = Path(source)
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise InputError(f"data.source={source} {what}; expected a folder of images")
    if layout != "auto" and layout not in LAYOUTS:
        known = ", ".join(("auto", *LAYOUTS))
        raise InputError(f"data.images.layout={layout!r} is unknown; known: {known}")
    for name in LAYOUTS if layout == "auto" else (layout,):
        one = LAYOUTS[name]
        options = (getattr(data or Data(), one.options),) if one.options else ()
        found = one.read(root, *options)
        if found:
            return found
    if layout == "auto":
        raise InputError(f"{source}: no images, nor a table of them, in this folder")
    raise InputError(f"{source} is not {layout!r}; expected {LAYOUTS[layout].expects}")


def prepared(root: Path, name: str) -> Source | None:
    """What `scripts.prepare` wrote: its --data_dir, or anything below.

    name: of the data set, which is looked for first.
    """
    for one in sorted(NAMES, key=lambda n: n != name):
        folder = home(root, (one, VERSION))
        if folder is not None:
            from equity_jax.data.cxr_builder import read_prepared  # slow to import

            return read_prepared(folder)
    return None


def dicom(root: Path) -> Source | None:
    """Single DICOM files; patient, sex, age and view from their tags."""
    files = [p for p in images(root) if p.suffix.lower() in (".dcm", ".dicom")]
    if not files:
        return None
    from equity_jax.data.cxr_dicom import tags  # needs the extra `dicom`

    return make(root, "dicom", {"file": [p.name for p in files], **tags(files)})


def plain(root: Path) -> Source | None:
    """Images without labels, at any depth: for prediction."""
    files = [p.relative_to(root).as_posix() for p in images(root, deep=True)]
    return make(root, "plain", {"file": files}) if files else None


LAYOUTS = {
    "prepared": Layout(prepared, "the --data_dir of scripts.prepare", "name"),
    "nih": Layout(cxr_tables.nih, "Data_Entry_2017*.csv and images/"),
    "chexpert": Layout(cxr_tables.chexpert, "train.csv or valid.csv of CheXpert"),
    "mimic": Layout(
        mimic_images.mimic, "files/p10/... and the tables of MIMIC-CXR-JPG", "mimic"
    ),
    "records": Layout(image_records.records, "*.tfrecord* files", "records"),
    "folders": Layout(cxr_folders.folders, "a folder of images per class"),
    "table": Layout(cxr_folders.table, "a CSV with a column of file names"),
    "dicom": Layout(dicom, "*.dcm files"),
    "plain": Layout(plain, "image files"),
}
