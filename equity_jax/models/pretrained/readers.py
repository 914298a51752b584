"""A checkpoint of any maker as named arrays, told apart by its first bytes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors

from equity_jax.models.pretrained.keras_files import parsed, read_keras
from equity_jax.models.pretrained.torch_files import read_torch
from equity_jax.models.pretrained.zips import opened
from equity_jax.types import InputError, PyTree


class Checkpoint(NamedTuple):
    """Arrays under their maker's names.

    kind: "torch" (OIHW kernels, dotted names), "keras" ("layer/kernel") or "ours";
    facts: file, its name; config, the Keras model's JSON where there is one; whatever
    plain values stand beside the arrays.
    """

    kind: str
    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any] = {}


def read(path: str | Path) -> Checkpoint:
    """Reads .pth, .pt, .th, .safetensors, .h5, .weights.h5 or .keras; runs nothing.

    Beside NAME.safetensors (or a .weights.h5) a NAME.config.json may hold the Keras
    model's JSON.

    Raises:
        InputError: no such file, a format that is not known, a damaged or hostile file.

    Example:
        >>> read("densenet121-a639ec97.pth").kind  # doctest: +SKIP
        'torch'
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file (a checkpoint was expected)")
    with path.open("rb") as file:
        head = file.read(16)
    if head[:4] == b"PK\x03\x04":
        keras = "model.weights.h5" in opened(path)
        kind, (arrays, facts) = (
            ("keras", read_keras(path)) if keras else ("torch", read_torch(path))
        )
    elif head[:8] == b"\x89HDF\r\n\x1a\n":
        kind, (arrays, facts) = "keras", read_keras(path)
    elif head[8:9] == b"{":
        kind, arrays, facts = _safetensors(path)
    elif head[:1] == b"\x80":
        kind, (arrays, facts) = "torch", read_torch(path)
    else:
        raise InputError(
            f"{path} is no checkpoint: expected what torch.save, safetensors or Keras "
            "writes"
        )
    beside = path.with_name(path.name.removesuffix(path.suffix) + ".config.json")
    if "config" not in facts and beside.is_file():
        facts["config"] = parsed(beside.read_bytes(), str(beside))
    if not arrays:
        raise InputError(f"{path} holds no arrays")
    if not all(name.isprintable() for name in arrays):
        raise InputError(f"{path} is damaged: a name in it cannot be printed")
    return Checkpoint(kind, arrays, {**facts, "file": path.name})


def from_tree(tree: PyTree, facts: Mapping[str, Any]) -> Checkpoint:
    """Our own: {"params": ..., "batch_stats": ...}, as train.checkpoint loads it.

    Example:
        >>> from_tree({"params": {"head": np.ones(2)}}, {}).arrays
        {'params/head': array([1., 1.])}
    """
    return Checkpoint("ours", {"/".join(k): v for k, v in leaves(tree)}, facts)


def leaves(tree: PyTree, prefix: tuple[str, ...] = ()) -> list[tuple[tuple, Any]]:
    """(path, leaf) of every leaf of nested dicts.

    Example:
        >>> leaves({"a": {"b": 1}})
        [(('a', 'b'), 1)]
    """
    if not isinstance(tree, Mapping):
        return [(prefix, tree)]
    return [x for name, inner in tree.items() for x in leaves(inner, (*prefix, name))]


def _safetensors(path: Path) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
    try:
        with safetensors.safe_open(path, "np") as file:
            facts = dict(file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, TypeError, ValueError) as error:
        raise InputError(f"{path} is a damaged safetensors file: {error}") from error
    torch = any(name.endswith((".weight", ".running_mean")) for name in arrays)
    names = arrays if torch else {n.removesuffix(":0"): v for n, v in arrays.items()}
    return "torch" if torch else "keras", dict(names), facts
