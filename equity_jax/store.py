"""The run directory: fixed names, atomic writes, a config that cannot change.

    DIR/  config.json  env.json  data.json  runs.csv  log.csv  predictions.csv
          predictions.npz  audit.csv  report.md  report.html  figures/*.png
          checkpoints/  DONE (written last)

Nothing is written before the first result is there to write, so a wrong flag or a
wrong file leaves no directory behind. A file is either absent or whole.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.config import Config, digest, from_dict, to_dict
from equity_jax.files import TEMPORARY, atomic, csv_text, env, json_text
from equity_jax.types import InputError

FILES = (
    *("config.json", "env.json", "data.json", "runs.csv", "log.csv"),
    *("predictions.csv", "predictions.npz", "audit.csv", "report.md", "report.html"),
)
TUNED = "tuned.json"  # the config of the sweep, where a study chose part of it


class Store(NamedTuple):
    """The run directory of one config. Make it with `open_run` or `load`.

    Every `name` is relative to the directory ("audit.csv", "figures/gaps.png").

    Example:
        >>> store = open_run("runs/a", config)  # doctest: +SKIP
        >>> store.write_csv("audit.csv", table)  # doctest: +SKIP
        >>> store.finish()  # doctest: +SKIP
    """

    path: Path
    config: Config

    @property
    def done(self) -> bool:
        """Whether the run is complete."""
        return (self.path / "DONE").exists()

    @property
    def tuned(self) -> Config:
        """The config that the sweep ran with: as validation tuned it, if it did."""
        there = (self.path / TUNED).exists()
        return from_dict(self.read_json(TUNED)) if there else self.config

    @contextlib.contextmanager
    def place(self, name: str) -> Iterator[Path]:
        """A temporary path that becomes `name` when the block ends without error.

        The suffix is kept, so that savefig and the like know the format.
        """
        target = self._ready() / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic(target) as temporary:
            yield temporary

    def folder(self, name: str) -> Path:
        """A folder of the run, made if missing (checkpoints)."""
        path = self._ready() / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Writes `value`; arrays become lists, NaN and infinities null."""
        with self.place(name) as path:
            path.write_text(json_text(value), "utf-8")

    def write_text(self, name: str, text: str) -> None:
        """Writes `text` as UTF-8."""
        with self.place(name) as path:
            path.write_text(text, "utf-8", newline="\n")

    def write_csv(self, name: str, frame: pd.DataFrame) -> None:
        """Writes `frame` without its index; equal frames give equal bytes."""
        with self.place(name) as path:
            path.write_text(csv_text(frame), "utf-8", newline="\n")

    def write_npz(self, name: str, **arrays: Any) -> None:
        """Writes named arrays; equal arrays give equal bytes."""
        with self.place(name) as path:
            np.savez(path, **{key: np.asarray(value) for key, value in arrays.items()})

    def pin(self, name: str, value: Mapping[str, Any], key: str) -> None:
        """Writes `value` the first time; later insists that value[key] is the same.

        For data.json: a run is not resumed on a file whose content has changed.

        Raises:
            InputError: the directory was begun with another value[key].
        """
        if (self.path / name).exists():
            known = self.read_json(name).get(key)
            if known != json.loads(json_text(value)).get(key):
                raise InputError(
                    f"{self.path} was begun with other data: {key} in {name} is "
                    f"{known!r}, now {value.get(key)!r}; use another directory"
                )
            return
        self.write_json(name, value)

    def write_env(self, seconds: Mapping[str, float]) -> None:
        """Writes env.json; seconds by phase add up over the sessions of a run."""
        total = dict(seconds)
        if (self.path / "env.json").exists():
            for phase, spent in self.read_json("env.json")["seconds"].items():
                total[phase] = spent + total.get(phase, 0.0)
        self.write_json("env.json", env(total))

    def read_json(self, name: str) -> dict[str, Any]:
        """The content of a JSON file of the run."""
        return json.loads((self.path / name).read_text("utf-8"))

    def read_csv(self, name: str, **options: Any) -> pd.DataFrame:
        """A table of the run; only an empty cell is missing ("NA" is a text)."""
        options = {"keep_default_na": False, "na_values": [""], **options}
        return pd.read_csv(self.path / name, **options)

    def read_npz(self, name: str) -> dict[str, np.ndarray]:
        """The named arrays of a file of the run."""
        with np.load(self.path / name, allow_pickle=False) as file:
            return dict(file)

    def finish(self) -> None:
        """Writes DONE, the last file of a run.

        Raises:
            RuntimeError: a file that every run has is missing.
        """
        missing = [name for name in FILES if not (self.path / name).exists()]
        if missing:
            raise RuntimeError(f"the run has not written {', '.join(missing)}")
        self.write_text("DONE", digest(self.config) + "\n")

    def _ready(self) -> Path:
        """The directory, made and claimed by config.json on the first write."""
        if not (self.path / "config.json").exists():
            self.path.mkdir(parents=True, exist_ok=True)
            with atomic(self.path / "config.json") as path:
                path.write_text(json_text(to_dict(self.config)), "utf-8")
        return self.path


def open_run(workdir: str, config: Config) -> Store:
    """The store of a new run, or of one that is resumed; writes nothing yet.

    What a killed write left behind is removed.

    Raises:
        InputError: `workdir` is a file, is not writable, holds something else, or
            holds a run of another config (the fields that differ are named).
    """
    store = Store(Path(workdir), config)
    if not workdir:
        raise InputError("workdir is empty; name a directory")
    here = store.path.absolute()
    nearest = next(p for p in (here, *here.parents) if p.exists())
    if not nearest.is_dir():
        raise InputError(f"{workdir}: {nearest} is a file, not a directory")
    if not store.done and not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{workdir}: {nearest} cannot be written")
    if (store.path / "config.json").exists():
        _refuse_another(workdir, to_dict(config), to_dict(_config(store.path)))
    elif any(not p.name.startswith(TEMPORARY) for p in _entries(store.path)):
        raise InputError(f"{workdir} is not empty and not a run (no config.json)")
    for left in list(store.path.rglob(TEMPORARY + "*")):
        left.unlink()
    return store


def load(path: str) -> Store:
    """The store of a finished run, for reading.

    Raises:
        InputError: not a run directory, or a run that is not finished.

    Example:
        >>> load("runs/a").read_csv("audit.csv")  # doctest: +SKIP
    """
    store = Store(Path(path), _config(Path(path)))
    if not store.done:
        raise InputError(f"{path} is not finished (no DONE); start it again to resume")
    return store


def _config(path: Path) -> Config:
    if not (path / "config.json").exists():
        raise InputError(f"{path} is not a run directory (no config.json)")
    try:
        return from_dict(json.loads((path / "config.json").read_text("utf-8")))
    except (ValueError, TypeError, AttributeError) as error:
        message = f"{path / 'config.json'} is not a config of this version: {error}"
        raise InputError(message) from error


def _refuse_another(workdir: str, asked: dict, found: dict) -> None:
    asked, found = _flat(asked), _flat(found)
    differ = [name for name in asked if asked[name] != found[name]]
    if differ:
        text = "; ".join(
            f"{name} is {found[name]!r} there, {asked[name]!r} here"
            for name in differ[:5]
        )
        more = f" (and {len(differ) - 5} more)" if len(differ) > 5 else ""
        raise InputError(f"{workdir} holds a run of another config: {text}{more}")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in values.items():
        inside = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{name}.") if inside else {prefix + name: value}
    return flat


def _entries(path: Path) -> list[Path]:
    return list(path.iterdir()) if path.exists() else []
