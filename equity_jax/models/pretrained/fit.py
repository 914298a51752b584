"""A checkpoint into a model's own tree, leaf by leaf, with an account of each.

The model's fresh parameters are the contract: their names and shapes say what is
wanted. Kernels of torch are turned (OIHW -> HWIO, out x in -> in x out); a first dense
layer after maps also changes its order of inputs from (c, h, w) to (h, w, c). A stem of
3 channels becomes one of 1 by summing: where an image is the same in all three, the
convolution gives the same numbers.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from pathlib import Path as File
from typing import Any

import numpy as np

from equity_jax.models.pretrained import names_keras, names_torch
from equity_jax.models.pretrained.diff import Diff, Leaf
from equity_jax.models.pretrained.names_torch import SILENT
from equity_jax.models.pretrained.readers import Checkpoint, leaves, read
from equity_jax.nouns import Model
from equity_jax.types import InputError, Path, PyTree

SIDE = 7  # torchvision's VGG averages its last maps to 7x7 before it flattens them
EXPECTED = {
    "densenet": ("features.conv0.weight", "conv1_conv/kernel"),
    "resnet": ("layer1.0.conv1.weight", "conv1_conv/kernel"),
    "vgg19": ("features.0.weight", "block1_conv1/kernel"),
    "vgg19_bn": ("features.0.weight", "block1_conv1/kernel"),
}


def load(
    source: str | File | Checkpoint,
    arch: str,
    model: Model,
    params: PyTree,
    stats: PyTree,
    *,
    head: bool = False,
) -> tuple[PyTree, PyTree, Diff]:
    """The checkpoint's values in the model's trees, and the diff.

    params, stats: as `model.init` gives them; what the file lacks keeps these values.
    head: take the file's head as well; otherwise it stays fresh.

    Raises:
        InputError: as `read`; a file in which nothing fits this architecture, or that
            was converted as another; values that are not finite.

    Example:
        >>> params, stats, diff = load(  # doctest: +SKIP
        ...     "densenet121.pth", "densenet121", model, *model.init(key, x)
        ... )
        >>> print(diff)  # doctest: +SKIP
    """
    checkpoint = source if isinstance(source, Checkpoint) else read(source)
    file = _checked(checkpoint, arch)
    given = placed_in(checkpoint, family(arch), model.blocks)
    tree, taken, used = {"params": params, **stats}, {}, set()
    matched, fresh, adapted = [], [], []
    for path, leaf in leaves(tree):
        here, name, value = Leaf("/".join(path), np.shape(leaf)), given.get(path), None
        if path[:2] == ("params", "head") and not head:
            note = "the head is fresh unless asked for"
        elif name is None:
            note = "not in the file"
        else:
            array = np.asarray(checkpoint.arrays[name], leaf.dtype)
            value, note = _fitted(array, path, here.shape, checkpoint.kind)
        if value is None:
            fresh.append(here._replace(note=note))
            continue
        if not np.isfinite(value).all():
            raise InputError(f"{file}: {name} holds values that are not finite")
        taken[path] = value.copy(order="C")
        used.add(name)
        matched.append(here)
        adapted += [here._replace(note=note)] if note else []
    if all(leaf.name.startswith("params/head/") for leaf in matched):
        raise InputError(_nothing(checkpoint, arch, file))
    over = _unused(checkpoint, used)
    tree = _filled(tree, taken)
    diff = Diff(file, arch, tuple(matched), tuple(fresh), over, tuple(adapted))
    return tree.pop("params"), tree, diff


def family(arch: str) -> str:
    """The naming rules of an architecture: "densenet121(...)" -> "densenet".

    Example:
        >>> family("resnet50(style='keras')"), family("vgg19_bn")
        ('resnet', 'vgg19_bn')
    """
    name = _plain(arch)
    return name if name.startswith("vgg") else re.sub(r"(_\w+|\d+)$", "", name)


def _checked(checkpoint: Checkpoint, arch: str) -> str:
    file = str(checkpoint.facts.get("file", "checkpoint"))
    made = str(checkpoint.facts.get("arch", arch))  # of a converted one
    if checkpoint.kind == "ours" and _plain(made) != _plain(arch):
        raise InputError(f"{file} was converted as {made}; expected {arch}")
    return file


def _plain(arch: str) -> str:
    return re.split(r"\W", arch, maxsplit=1)[0]


def placed_in(
    checkpoint: Checkpoint, kind: str, blocks: Collection[str] = ()
) -> dict[Path, str]:
    """Our path -> the file's name for it; kind: a family; blocks: those of a cnn.

    Raises:
        InputError: two arrays of one path.

    Example:
        >>> placed_in(read("densenet121.pth"), "densenet")  # doctest: +SKIP
    """
    arrays = checkpoint.arrays
    if checkpoint.kind == "ours":
        found = {name: tuple(name.split("/")) for name in arrays}
    elif checkpoint.kind == "keras":
        layers = blocks if kind == "cnn" else ()
        found = names_keras.places(arrays, kind, layers)
    else:
        spots = {n: names_torch.place(n, v.ndim, kind) for n, v in arrays.items()}
        found = {name: path for name, path in spots.items() if path is not None}
    placed: dict[Path, str] = {}
    for name, path in found.items():
        other = placed.setdefault(path, name)
        if other != name and path[:2] != ("params", "head"):  # a head of two layers
            raise InputError(
                f"{checkpoint.facts.get('file')}: {other} and {name} are both "
                f"{'/'.join(path)}; keep one of the two networks"
            )
    return placed


def _fitted(value: np.ndarray, path: Path, shape: tuple, kind: str) -> tuple[Any, str]:
    """The array as the leaf wants it and what was done; None and why it cannot be."""
    if kind == "torch" and value.ndim == 4:
        value = value.transpose(2, 3, 1, 0)
    elif kind == "torch" and value.ndim == 2:
        value = value.T
        if path[-2] == "fc1" and len(value) % SIDE**2 == 0:
            maps = value.reshape(-1, SIDE, SIDE, value.shape[1])
            value = maps.transpose(1, 2, 0, 3).reshape(value.shape)
    if value.shape == shape:
        return value, ""
    stem = value.ndim == 4 and len(shape) == 4 and path[-1] == "kernel"
    if stem and (*value.shape[:2], value.shape[3]) == (*shape[:2], shape[3]):
        if (value.shape[2], shape[2]) == (3, 1):
            return value.sum(2, keepdims=True), "3 input channels summed to 1"
        if (value.shape[2], shape[2]) == (1, 3):
            return np.repeat(value / 3, 3, 2), "1 input channel shared among 3"
    return None, f"the file has shape {value.shape}"


def _filled(tree: PyTree, taken: Mapping[Path, Any], path: Path = ()) -> Any:
    if isinstance(tree, Mapping):
        return {k: _filled(v, taken, (*path, k)) for k, v in tree.items()}
    return taken.get(path, np.asarray(tree))


def _unused(checkpoint: Checkpoint, used: Collection[str]) -> tuple[Leaf, ...]:
    names = [n for n in checkpoint.arrays if n not in used and not n.endswith(SILENT)]
    return tuple(Leaf(n, checkpoint.arrays[n].shape) for n in names)


def _nothing(checkpoint: Checkpoint, arch: str, file: str) -> str:
    wanted = EXPECTED.get(family(arch), ("conv1.weight", "conv1/kernel"))
    example = wanted[checkpoint.kind == "keras"]
    names = list(checkpoint.arrays)
    close = difflib.get_close_matches(example, names, 3, 0) or names[:3]
    return (
        f"{file}: none of its {len(names):,} arrays fits {arch}; expected names such "
        f"as {example}, found {', '.join(close)}"
    )
