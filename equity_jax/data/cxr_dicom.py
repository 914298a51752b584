"""The tags of DICOM files that an audit needs (extra `dicom`)."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from equity_jax.types import InputError

TAGS = {
    "patient": "PatientID",
    "sex": "PatientSex",
    "age": "PatientAge",
    "view": "ViewPosition",
}


def tags(files: Sequence[Path]) -> dict[str, list[str]]:
    """patient, sex, age and view of each file, "" where it has no such tag.

    A file that is no DICOM has none; reading its pixels will say so.

    Raises:
        InputError: the extra `dicom` is not installed.

    Example:
        >>> tags([])
        {'patient': [], 'sex': [], 'age': [], 'view': []}
    """
    with ThreadPoolExecutor() as pool:
        rows = list(pool.map(_one, files))
    return {name: [row[name] for row in rows] for name in TAGS}


def _one(path: Path) -> dict[str, str]:
    try:
        import pydicom
    except ImportError as error:
        how = "install the extra: pip install 'equity_jax[dicom]'"
        raise InputError(f"{path}: reading DICOM files needs pydicom; {how}") from error
    asked = list(TAGS.values())
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=asked)
        return {name: str(header.get(tag) or "") for name, tag in TAGS.items()}
    except Exception:  # a stranger's bytes: pydicom may raise anything
        return dict.fromkeys(TAGS, "")
