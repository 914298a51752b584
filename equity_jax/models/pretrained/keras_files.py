"""What Keras writes: HDF5 of three layouts, and `.keras`, a zip around the newest.

legacy whole model (.h5): /model_weights/LAYER/.../LAYER/kernel, attribute model_config;
legacy weights (.h5): the same without the group; names may end in ":0";
Keras 3 (.weights.h5): /layers/CLASS_2/vars/0, with the layer's name as an attribute in
later versions; where it is missing, the config.json of `.keras` tells which is which.

Arrays are returned as "LAYER/kernel". No layer is ever built from a file, so a Lambda
in it is only text. HDF5 can point at other files: such links are refused.
"""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from equity_jax.models.pretrained.zips import opened
from equity_jax.types import InputError

# The order in which Keras keeps a layer's arrays; `vars/2` is the third.
ORDER = {
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "conv2d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
}
MANY = 20_000  # groups and arrays of one file
SKIPPED = (
    "optimizer",
    "optimizer_weights",
    "seed_generator",
    "top_level_model_weights",
)


def read_keras(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays under "LAYER/variable", and the facts: config, the model's own JSON.

    Raises:
        InputError: a damaged file, links out of the file, arrays larger than the file,
            layers that are not named anywhere.

    Example:
        >>> arrays, facts = read_keras(Path("densenet.keras"))  # doctest: +SKIP
    """
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    if not zipped:
        return _hdf5(path, path, {})
    entries, facts = opened(path), {}
    if "config.json" in entries:
        facts["config"] = parsed(entries["config.json"](), str(path))
    return _hdf5(io.BytesIO(entries["model.weights.h5"]()), path, facts)


def parsed(text: bytes | str, file: str) -> dict[str, Any]:
    """JSON that must be an object.

    Raises:
        InputError: it is not.

    Example:
        >>> parsed("{}", "config.json")
        {}
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: the model's config is no JSON") from error
    if not isinstance(value, dict):
        raise InputError(f"{file}: the model's config is no JSON object")
    return value


def _hdf5(source: Any, path: Path, facts: dict) -> tuple[dict, dict[str, Any]]:
    try:
        with h5py.File(source, "r") as file:
            if "model_config" in file.attrs:
                facts["config"] = parsed(file.attrs["model_config"], str(path))
            arrays = _arrays(file, path, facts.get("config"))
            return arrays, facts
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is a damaged HDF5 file: {error}") from error


def _arrays(file: h5py.File, path: Path, config: Any) -> dict[str, np.ndarray]:
    _own(file, "model_weights", path)
    weights = file.get("model_weights", file)
    found = dict(_walk(weights, path))
    if sum(data.nbytes for data in found.values()) > path.stat().st_size:
        raise InputError(f"{path} declares more numbers than the file holds")
    legacy = "layer_names" in weights.attrs
    names = {} if legacy else _names(weights, found, config)
    arrays: dict[str, np.ndarray] = {}
    for parts, data in found.items():
        name = _legacy_name(parts) if legacy else _name(parts, data, names, found, path)
        if name in arrays:
            raise InputError(f"{path} has two arrays called {name}")
        arrays[name] = data[()]
    return arrays


def _walk(top: Any, path: Path) -> Iterator[tuple]:
    """(parts of the name, data set) of every array, staying inside the file."""
    todo, seen = [((), top)], 0
    while todo:
        prefix, group = todo.pop()
        for name in group:
            seen += 1
            if seen > MANY:
                raise InputError(f"{path} is damaged: its groups contain each other")
            if name in SKIPPED:
                continue
            _own(group, name, path)
            value, parts = group[name], (*prefix, name)
            if isinstance(value, h5py.Group):
                todo.append((parts, value))
            elif value.external or value.is_virtual:
                raise InputError(f"{path}: {name} lies in another file: refused")
            elif value.dtype.kind in "fiub":
                yield parts, value


def _own(group: Any, name: str, path: Path) -> None:
    link = group.get(name, getlink=True)
    if link is not None and not isinstance(link, h5py.HardLink):
        raise InputError(f"{path}: {name} points elsewhere: refused")


def _legacy_name(parts: tuple[str, ...]) -> str:
    # LAYER/[MODEL/]LAYER/kernel:0; layers of older DenseNets hold a slash themselves.
    *above, variable = parts
    layer = above[-1] if above else ""
    if layer in ("conv", "bn") and len(above) > 1 and above[-2] == "conv1":
        layer = f"conv1_{layer}"
    return f"{layer}/{variable.removesuffix(':0')}"


def _names(weights: Any, found: dict, config: Any) -> dict[tuple[str, ...], str]:
    """Group of a layer -> the layer's name: by attribute, else by the config."""
    names = {}
    for group in {parts[:-1] for parts in found}:
        stated = weights["/".join(group)].attrs.get("name") if group else None
        if isinstance(stated, str):
            names[group[:-1]] = stated
    return names or _by_config(config, ("layers",))


def _by_config(config: Any, prefix: tuple[str, ...]) -> dict[tuple[str, ...], str]:
    layers = (config or {}).get("config", {})
    layers = layers.get("layers", []) if isinstance(layers, dict) else []
    counts: dict[str, int] = {}
    names: dict[tuple[str, ...], str] = {}
    for layer in layers:
        kind = snake(str(layer["class_name"]))
        n = counts[kind] = counts.get(kind, -1) + 1
        group = (*prefix, f"{kind}_{n}" if n else kind)
        names[group] = str(layer["config"]["name"])
        names |= _by_config(layer, (*group, "layers"))
    return names


def snake(name: str) -> str:
    """Keras' way from a class's name to a group's.

    Example:
        >>> snake("BatchNormalization"), snake("Conv2D"), snake("ReLU")
        ('batch_normalization', 'conv2d', 're_lu')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _name(parts: tuple, data: Any, names: dict, found: dict, path: Path) -> str:
    group, number = parts[:-2], parts[-1]
    if parts[-2:-1] != ("vars",) or not group or not number.isdigit():
        return "/".join(parts)  # not Keras': it will be left over under its own name
    layer = names.get(group)
    if layer is None:
        raise InputError(
            f"{path} does not say which layer {'/'.join(group)} is; save the whole "
            "model as .keras instead"
        )
    kind = re.sub(r"_\d+$", "", group[-1])
    order = ORDER.get(kind, ())
    if kind == "batch_normalization":
        several = sum(p[:-1] == parts[:-1] for p in found)
        if several == 3:
            raise InputError(f"{path}: {layer} has 3 arrays; expected gamma and beta")
        order = order[4 - several :] if several < 4 else order
    i = int(number)
    return f"{layer}/{order[i] if i < len(order) else number}"
