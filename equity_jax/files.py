"""What a run directory is written with: whole files, fixed bytes, plain facts.

A file is either absent or whole: it is written under a temporary name in the same
folder, flushed to the disk, then renamed. Equal content gives equal bytes.
"""

import contextlib
import importlib.metadata
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

STACK = (
    *("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets"),
    *("array_record", "grain", "ml_collections", "numpy", "pandas", "scipy"),
)
TEMPORARY = ".tmp-"


@contextlib.contextmanager
def atomic(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` that replaces it if the block succeeds.

    Example:
        >>> with atomic(Path("out.csv")) as path:  # doctest: +SKIP
        ...     table.to_csv(path)
    """
    temporary = target.with_name(TEMPORARY + target.name)
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        _flush(target.parent)


def csv_text(frame: pd.DataFrame) -> str:
    r"""CSV with nine significant digits and \n line ends, without the index."""
    mixed = {name: frame[name] for name in frame if frame[name].dtype == object}
    frame = frame.assign(**{k: v.map(_nine_digits) for k, v in mixed.items()})
    return frame.to_csv(index=False, float_format="%.9g", lineterminator="\n")


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Writes a table, whole or not at all; equal tables give equal bytes.

    Example:
        >>> write_csv(Path("out.csv"), table)  # doctest: +SKIP
    """
    with atomic(path) as temporary:
        temporary.write_text(csv_text(frame), "utf-8", newline="\n")


def env(seconds: Mapping[str, float]) -> dict[str, Any]:
    """What produced a run: versions, devices, git state, seconds by phase.

    Names no host, user or path, so that a run directory can be published.
    """
    import jax

    return {
        "versions": {name: _version(name) for name in ("equity_jax", *STACK)},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "devices": [f"{d.platform}: {d.device_kind}" for d in jax.devices()],
        "git": _git(Path(__file__).resolve().parents[1]),
        "seconds": {name: round(spent, 3) for name, spent in seconds.items()},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None  # equity_jax run from a folder that was not installed


def _git(root: Path) -> dict[str, Any] | None:
    def ask(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        if Path(ask("rev-parse", "--show-toplevel")).resolve() != root:
            return None  # installed inside somebody else's repository
        changed = bool(ask("status", "--porcelain"))
        return {"commit": ask("rev-parse", "HEAD"), "changed": changed}
    except (OSError, subprocess.CalledProcessError):
        return None  # not a clone, or no git


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _nine_digits(value: Any) -> Any:
    return f"{value:.9g}" if isinstance(value, float) else value


def json_text(value: Any) -> str:
    """JSON; arrays become lists, NaN and infinities null."""
    return json.dumps(_plain(value), indent=1, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "tolist"):  # arrays and scalars of numpy and jax
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
