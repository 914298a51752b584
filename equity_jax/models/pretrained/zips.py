"""Zips of stored (not compressed) entries, as torch.save and Keras write them."""

import functools
import zipfile
from collections.abc import Callable
from pathlib import Path

from equity_jax.types import InputError


def opened(path: Path) -> dict[str, Callable[[], bytes]]:
    """Entry name -> a function that reads it into memory; nothing is ever unpacked.

    Raises:
        InputError: a damaged zip; compressed entries, or entries that together are
            larger than the file (a zip made by another tool, or a bomb).

    Example:
        >>> opened(Path("model.keras"))["config.json"]()  # doctest: +SKIP
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{path} is a damaged zip: {error}") from error
    packed = [e for e in entries if e.compress_type != zipfile.ZIP_STORED]
    if packed or sum(e.file_size for e in entries) > path.stat().st_size:
        raise InputError(
            f"{path} would unpack to more than the file's own size; torch.save and "
            "Keras do not compress, so it was packed again: unpack it first"
        )
    return {e.filename: functools.partial(_read, path, e) for e in entries}


def _read(path: Path, entry: zipfile.ZipInfo) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(entry)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError) as error:
        raise InputError(f"{path} is damaged at {entry.filename}: {error}") from error
