"""What torch.save writes: a zip of a pickle and raw storages, or all in one stream.

The zip (since torch 1.6): `NAME/data.pkl`, `NAME/data/KEY`, `NAME/byteorder`. The older
stream: three small pickles, the object's pickle, the keys, then each storage as its
length and its bytes (torch/serialization.py). A tensor is a view of a storage; offset,
shape and strides are checked against the bytes that are there before numpy sees them.
"""

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from equity_jax.models.pretrained.torch_pickle import unpickle
from equity_jax.models.pretrained.torch_values import Shell, Storage, Tensor
from equity_jax.models.pretrained.zips import opened
from equity_jax.types import InputError

MAGIC = 0x1950A86A20F9469CFC6C
WEIGHTS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network")
MANY = 100_000  # values in one file: more is a file that repeats itself without end


def read_torch(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays under their dotted names, and the plain numbers and texts beside them.

    A training checkpoint gives its `state_dict` (or model, net) alone; a network that
    was pickled whole gives the same names as its state_dict would.

    Raises:
        InputError: anything but tensors in the file, a damaged or hostile file.

    Example:
        >>> arrays, facts = read_torch(Path("densenet121.pth"))  # doctest: +SKIP
    """
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    whole, bytes_of, order = (_zipped if zipped else _stream)(path)
    if isinstance(whole, Shell | Tensor):
        whole = {"model": whole}
    if not isinstance(whole, dict):
        raise InputError(f"{path} holds no named tensors")
    facts = {k: v for k, v in whole.items() if isinstance(v, str | int | float)}
    inside = next((whole[k] for k in WEIGHTS if _holds(whole.get(k))), whole)
    tensors = _flatten(inside, str(path))
    return {
        name: _array(tensor, bytes_of, order, f"{path}: {ascii(name)}")
        for name, tensor in tensors.items()
    }, facts


def _zipped(path: Path) -> tuple[Any, Callable[[Storage], bytes], str]:
    archive = opened(path)
    found = [n for n in archive if n == "data.pkl" or n.endswith("/data.pkl")]
    if len(found) != 1:
        raise InputError(f"{path} is a zip without a torch checkpoint in it")
    top = found[0].removesuffix("data.pkl")
    order = archive.get(top + "byteorder", lambda: b"little")()
    read: dict[str, bytes] = {}

    def bytes_of(storage: Storage) -> bytes:
        name = f"{top}data/{storage.key}"
        if name not in archive:
            raise InputError(f"{path} is damaged: {name} is missing")
        if name not in read:
            read[name] = archive[name]()
        return read[name]

    whole = unpickle(io.BytesIO(archive[found[0]]()), str(path))
    return whole, bytes_of, ">" if order.strip() == b"big" else "<"


def _stream(path: Path) -> tuple[Any, Callable[[Storage], bytes], str]:
    stream, file = io.BytesIO(path.read_bytes()), str(path)
    if unpickle(stream, file) != MAGIC:
        raise InputError(f"{path} is a pickle, but torch.save did not write it")
    unpickle(stream, file)  # the protocol
    machine, storages = unpickle(stream, file), {}
    big = isinstance(machine, dict) and not machine.get("little_endian", True)
    whole, keys = unpickle(stream, file, storages), unpickle(stream, file)
    places, start, view = {}, stream.tell(), stream.getbuffer()
    for key in keys if isinstance(keys, list) else ():
        storage = storages.get(str(key))
        if storage is None:
            raise InputError(f"{path} is damaged: nothing uses storage {key}")
        size = storage.length * _dtype(storage).itemsize
        stated = int.from_bytes(view[start : start + 8], "big" if big else "little")
        if stated != storage.length or start + 8 + size > len(view):
            raise InputError(f"{path} is damaged: storage {key} is cut")
        places[storage.key] = slice(start + 8, start + 8 + size)
        start += 8 + size

    def bytes_of(storage: Storage) -> bytes:
        if storage.key not in places:
            raise InputError(f"{path} is damaged: storage {storage.key} is missing")
        return view[places[storage.key]]

    return whole, bytes_of, ">" if big else "<"


def _holds(value: Any) -> bool:
    return isinstance(value, Shell) or (
        isinstance(value, dict) and any(isinstance(v, Tensor) for v in value.values())
    )


def _flatten(value: Any, file: str) -> dict[str, Tensor]:
    """Tensors of nested dicts and networks under dotted names."""
    found: dict[str, Tensor] = {}
    todo, seen = [("", value)], 0
    while todo:
        prefix, here = todo.pop()
        seen += 1
        if seen > MANY or len(prefix) > 1000:
            raise InputError(f"{file} is damaged: it contains itself")
        if isinstance(here, Shell):
            parts = ("_parameters", "_buffers", "_modules")
            here = {k: v for p in parts for k, v in (here.state.get(p) or {}).items()}
        if isinstance(here, Tensor):
            found[prefix] = here
        elif isinstance(here, dict):
            dot = f"{prefix}." if prefix else ""
            todo += [(f"{dot}{k}", v) for k, v in reversed(here.items())]
    return found


def _dtype(storage: Storage) -> np.dtype:
    if storage.dtype == "bfloat16":
        return np.dtype(jnp.bfloat16)
    return np.dtype(storage.dtype)


def _array(tensor: Tensor, bytes_of: Callable, order: str, where: str) -> np.ndarray:
    storage, offset, shape, strides = tensor
    plain = isinstance(shape, tuple) and isinstance(strides, tuple)
    numbers = (offset, *shape, *strides) if plain else (None,)
    whole = all(type(n) is int and n >= 0 for n in numbers)
    if not whole or len(shape) != len(strides) or not isinstance(storage, Storage):
        raise InputError(f"{where} is damaged: a tensor of impossible shape")
    dtype, data, size = _dtype(storage), bytes_of(storage), math.prod(shape)
    if len(data) != storage.length * dtype.itemsize:
        raise InputError(f"{where} is damaged: its storage is cut")
    reach = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1
    if size and (reach > storage.length or size > storage.length):
        raise InputError(
            f"{where} reaches beyond its storage: shape {shape}, strides {strides}, "
            f"offset {offset}, {storage.length:,} numbers"
        )
    if not size or len(shape) > 32:
        return np.zeros(0, dtype)
    flat = np.frombuffer(data, dtype.newbyteorder(order))[offset:]
    steps = [stride * dtype.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(flat, shape, steps, writeable=False)
