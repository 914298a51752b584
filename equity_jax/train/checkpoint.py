"""Saving and loading arrays with Orbax: the only file that knows it.

An item is a nested dict of arrays under a name. A save that is killed leaves a
temporary folder that `names` does not list, so an item is whole or absent.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from equity_jax.types import PyTree


class Checkpoint:
    """Named items in one folder.

    Example:
        >>> saved = Checkpoint("run/checkpoints")
        >>> saved.save("part_0000", {"a": np.ones(3)})
        >>> saved.names()
        ['part_0000']
    """

    def __init__(self, directory: str | Path):
        self.directory = Path(directory).absolute()

    def names(self) -> list[str]:
        """Whole items, sorted."""
        if not self.directory.is_dir():
            return []
        folders = [p for p in self.directory.iterdir() if p.is_dir()]
        return sorted(p.name for p in folders if "orbax-checkpoint-tmp" not in p.name)

    def save(self, name: str, tree: dict[str, Any]) -> None:
        """Writes one item (replacing one of that name) and waits until it is whole."""
        self.directory.mkdir(parents=True, exist_ok=True)
        tree = jax.tree.map(np.asarray, tree)
        with ocp.PyTreeCheckpointer() as checkpointer:
            checkpointer.save(self.directory / name, tree, force=True)

    def load(self, name: str) -> dict[str, Any]:
        """One item as a nested dict of numpy arrays."""
        target = self.directory / name
        with ocp.PyTreeCheckpointer() as checkpointer:
            meta = checkpointer.metadata(target).item_metadata.tree
            kinds = jax.tree.map(
                lambda _: ocp.RestoreArgs(restore_type=np.ndarray), meta
            )
            return checkpointer.restore(target, restore_args=kinds)

    def remove(self, prefix: str) -> None:
        """Removes whole and half-written items whose name starts with `prefix`."""
        if self.directory.is_dir():
            for folder in self.directory.glob(f"{prefix}*"):
                shutil.rmtree(folder)


def pack(tree: PyTree) -> dict[str, np.ndarray]:
    """Leaves under their position; keys of jax.random become their raw numbers.

    Example:
        >>> list(pack((1, 2)))
        ['00000', '00001']
    """

    def raw(leaf: Any) -> np.ndarray:
        is_key = jax.dtypes.issubdtype(
            getattr(leaf, "dtype", np.float32), jax.dtypes.prng_key
        )
        return np.asarray(jax.random.key_data(leaf) if is_key else leaf)

    return {f"{i:05d}": raw(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}


def unpack(packed: dict[str, np.ndarray], like: PyTree) -> PyTree:
    """The inverse of `pack`, in the structure of `like`."""
    leaves, structure = jax.tree.flatten(like)
    found = [packed[f"{i:05d}"] for i in range(len(leaves))]

    def wrap(leaf: Any, value: np.ndarray) -> Any:
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(value)
        return value

    return structure.unflatten([wrap(a, b) for a, b in zip(leaves, found, strict=True)])


class Journal:
    """Results of a long job, saved every half minute under labels and found again.

    `directory` None keeps nothing. When a save falls does not change any result: what
    is saved is the exact state between two segments. Where saving is slow (large
    networks) it is done less often, to cost a twentieth of the time, but at least every
    ten times `seconds`.
    """

    def __init__(self, directory: str | Path | None, seconds: float = 30.0):
        self.store = None if directory is None else Checkpoint(directory)
        self.seconds = self.pause = seconds
        self.found: dict[str, Any] = {}
        self.flight: dict[str, Any] = {}
        self.pending: dict[str, Any] = {}
        self.clock = time.monotonic()
        self.parts = 0
        for name in self.store.names() if self.store else []:
            if name.startswith("part_"):
                self.found.update(self.store.load(name))
                self.parts = int(name.removeprefix("part_")) + 1
            if name == "flight":
                self.flight = self.store.load(name)

    def add(self, label: str, result: dict[str, Any]) -> None:
        """A finished piece of work, a nested dict of arrays."""
        self.pending[label] = result
        self.tick(label, None)

    def tick(self, label: str, state: Callable[[], dict] | None) -> None:
        """Between segments: saves finished work, and `state()` of what is under way."""
        began = time.monotonic()
        if self.store is None or began - self.clock < self.pause:
            return
        self.flush()
        if state is not None:
            self.store.save("flight", {label: state()})
        self.clock = time.monotonic()
        slow = min(20 * (self.clock - began), 10 * self.seconds)
        self.pause = max(self.seconds, slow)

    def flush(self) -> None:
        """Saves what is finished."""
        if self.store is not None and self.pending:
            self.store.save(f"part_{self.parts:05d}", self.pending)
            self.parts += 1
            self.pending = {}
