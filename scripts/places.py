"""Where a script writes: checked before the work begins, so that none is lost."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from equity_jax import files
from equity_jax.types import InputError


@contextlib.contextmanager
def folder(out: str, flag: str = "out") -> Iterator[Path]:
    """Makes the folder before the work; if that fails, takes back what it made.

    Raises:
        InputError: it is a file, or cannot be made or written.

    Example:
        >>> with folder("maps", "gradcam") as path:  # doctest: +SKIP
        ...     draw(path)
    """
    path = Path(out)
    if path.exists() and not path.is_dir():
        raise InputError(f"--{flag}={out} is a file; expected a folder")
    made = [p for p in (path, *path.parents) if not p.exists()]
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"--{flag}={out} cannot be made: {error.strerror}"
            raise InputError(what) from error
        if not os.access(path, os.W_OK):
            raise InputError(f"--{flag}={out} cannot be written")
        yield path
    except BaseException:
        for empty in made:
            with contextlib.suppress(OSError):
                empty.rmdir()
        raise


def file(out: str, flag: str = "out") -> Path:
    """A path that a file can be written to; writes nothing.

    Raises:
        InputError: it is a folder, or its folder is missing or cannot be written.

    Example:
        >>> file("scores.csv")
        PosixPath('scores.csv')
    """
    path, folder = Path(out), Path(out).absolute().parent
    if path.is_dir() or not folder.is_dir():
        raise InputError(f"--{flag}={out} must be a file in a folder that exists")
    if not os.access(folder, os.W_OK):
        raise InputError(f"--{flag}={out} cannot be written")
    return path


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """The whole file or nothing.

    Raises:
        InputError: it cannot be written.
    """
    try:
        files.write_csv(path, table)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
