"""Rows on their way to the devices: fixed-size batches, from memory or a stream.

Pixels that fit stay on the device as they are (uint8) and are gathered there; what
does not fit comes from anything that has `batches(index int[S, B])` (data/stream.py).
Both give the same batch. Several devices share the rows of a batch.
"""

from collections.abc import Iterator
from functools import lru_cache
from math import gcd
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from equity_jax.train.sweep import take
from equity_jax.types import Batch, PyTree

ALIGNED = 64  # bytes, to which arrays are aligned that XLA takes as they are


def mesh_of(batch: int) -> Mesh:
    """The devices that share the rows of a batch: as many as divide it.

    Example:
        >>> mesh_of(32).axis_names
        ('rows',)
    """
    n = gcd(batch, jax.device_count())
    devices, kinds = jax.devices()[:n], (AxisType.Auto,)
    return jax.make_mesh((n,), ("rows",), axis_types=kinds, devices=devices)


def place(tree: PyTree, mesh: Mesh) -> PyTree:
    """A copy of every leaf on every device; a stream stays where it is."""
    if isinstance(tree, Batch) and streamed(tree.x):
        return place(tree._replace(x=None), mesh)._replace(x=tree.x)
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def streamed(x: Any) -> bool:
    """Do these rows come from a stream, rather than from memory?"""
    return hasattr(x, "batches")


def moved(x: np.ndarray, rows: np.ndarray) -> Any:
    """Rows int[n] of x on the device.

    They are copied once, to where a CPU may read them as they lie: a large table in
    half the memory, and many times sooner, than by jnp.asarray(x[rows]).

    Example:
        >>> moved(np.eye(3, dtype=np.float32), np.array([2])).shape
        (1, 3)
    """
    shape = (len(rows), *x.shape[1:])
    size = int(np.prod(shape)) * x.dtype.itemsize
    memory = np.empty(size + ALIGNED, np.uint8)
    first = -memory.ctypes.data % ALIGNED
    out = memory[first : first + size].view(x.dtype).reshape(shape)
    np.take(x, rows, 0, out=out, mode="clip")  # which writes without a buffer
    return jax.device_put(out, may_alias=True)


def batches(rows: Batch, index: np.ndarray, mesh: Mesh) -> Iterator[Batch]:
    """Rows int[S, B] as S batches, their rows shared out over the devices.

    rows: as `place` leaves it.
    """
    gather = _gather(mesh)
    if not streamed(rows.x):
        yield from (gather(rows, one) for one in index)
        return
    rest = rows._replace(x=None)
    for one, x in zip(index, pixels(rows.x, index, mesh), strict=True):
        yield gather(rest, one)._replace(x=x)


def pixels(x: Any, index: np.ndarray, mesh: Mesh) -> Iterator[Any]:
    """Rows int[S, B] of x alone, a numpy array or a stream, shared out likewise."""
    shared = NamedSharding(mesh, PartitionSpec("rows"))
    found = x.batches(index) if streamed(x) else (x[one] for one in index)
    yield from (jax.device_put(one, shared) for one in found)


def padded(rows: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers int[n] in batches: index int[S, B] and weight float32[S, B].

    The last batch is filled up with a row of weight 0.

    Example:
        >>> padded(np.array([4, 7, 9]), 2)[0].tolist()
        [[4, 7], [9, 9]]
    """
    spare = -len(rows) % batch
    index = np.concatenate([rows, np.repeat(rows[-1:], spare)]).astype(np.int32)
    weight = (np.arange(len(index)) < len(rows)).astype(np.float32)
    return index.reshape(-1, batch), weight.reshape(-1, batch)


@lru_cache(maxsize=4)
def _gather(mesh: Mesh) -> Any:
    return jax.jit(take, out_shardings=NamedSharding(mesh, PartitionSpec("rows")))
