"""Which leaves a fit takes over, which it moves, and which lie still."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from equity_jax.nouns import Model, Scheme
from equity_jax.types import Array, InputError, Output, Path, PyTree


class Weights(NamedTuple):
    """What a finished job leaves behind: params and stats, pytrees of numpy arrays."""

    params: PyTree
    stats: PyTree


def names(path: Any) -> Path:
    """A jax key path as our Path."""
    return tuple(str(getattr(k, "key", getattr(k, "name", k))) for k in path)


def carry(old: PyTree, new: PyTree, keep: Callable[[Path], bool]) -> PyTree:
    """`new` with the leaves of `old` that have the same path and shape and are kept.

    Example:
        >>> carry({"a": np.ones(2)}, {"a": np.zeros(2)}, lambda path: True)["a"]
        array([1., 1.])
    """
    before = _by_path(old)

    def choose(path: Any, leaf: Any) -> Any:
        there = before.get(names(path))
        if there is None or there.shape != leaf.shape or not keep(names(path)):
            return leaf
        return there

    return jax.tree_util.tree_map_with_path(choose, new)


def refuse_random(
    schemes: Mapping[str, Scheme], model: Model, start: Weights | None, x: Array
) -> None:
    """Random initialisation is never labelled transfer. x: the rows, for their shape.

    Raises:
        InputError: a scheme's first stage carries leaves, and there is no `start`, or
            it lacks one of them or has it in another shape.
    """
    for name, scheme in schemes.items():
        for first in [stages[0] for stages in (scheme.stages, scheme.home) if stages]:
            if not any(first.carry((block,)) for block in model.blocks):
                continue
            if start is None:
                raise InputError(
                    f"scheme {name!r} starts from given weights, and there are none"
                    " (start): random initialisation is never labelled transfer"
                )
            for had, wanted in zip(start, shapes_of(model, x), strict=True):
                _refuse_holes(name, _by_path(had), _by_path(wanted), first.carry)


def shapes_of(model: Model, x: Array) -> Weights:
    """The shapes of what the model's init makes of rows like x[:1]; nothing is run."""
    row = jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)
    return Weights(*jax.eval_shape(model.init, jax.random.key(0), row))


def width_of(model: Model, x: Array) -> int:
    """How many features the model makes of a row. x: as in `shapes_of`."""
    row = jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)

    def made(key: Array, x: Array) -> Array:
        params, stats = model.init(key, x)
        return model.apply(params, stats, x, False, key)[0].features

    return jax.eval_shape(made, jax.random.key(0), row).shape[1]


def blank(model: Model, x: Any) -> Weights:
    """Zeros of those shapes, for a checkpoint to fill. x: as in `shapes_of`."""
    shapes = shapes_of(model, x)
    return Weights(*jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), shapes))


def _refuse_holes(name: str, had: dict, wanted: dict, keep: Callable) -> None:
    for path, leaf in wanted.items():
        shape = had[path].shape if path in had else None
        if keep(path) and shape != leaf.shape:
            found = "lacks it" if shape is None else f"has {shape}"
            raise InputError(
                f"scheme {name!r} takes {'/'.join(path)} {leaf.shape} from the weights"
                f" it starts from; start {found}"
            )


def _by_path(tree: PyTree) -> dict[Path, Any]:
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {names(path): leaf for path, leaf in flat}


def with_bias(params: PyTree, bias: np.ndarray, constants: int) -> PyTree:
    """The head's bias and free logits set to float[O]."""
    outputs = len(bias) - constants
    head = {**params["head"]}
    head["dense"] = {**head["dense"], "bias": bias[:outputs]}
    if constants:
        head["constant"] = bias[outputs:]
    return {**params, "head": head}


def cut(
    params: PyTree, stats: PyTree, rates: PyTree
) -> tuple[tuple[PyTree, PyTree], tuple[PyTree, PyTree]]:
    """(params, stats) that move and that lie still, None where the other has the leaf.

    A leaf moves if its rate is above 0; the statistics of a block move with any of its
    leaves ({collection: {block: ...}}).

    Example:
        >>> cut({"a": 1, "b": 2}, {}, {"a": 0.0, "b": 1.0})
        (({'a': None, 'b': 2}, {}), ({'a': 1, 'b': None}, {}))
    """
    moves = {b for b in params if any(r > 0 for r in jax.tree.leaves(rates[b]))}

    def part(wanted: bool) -> tuple[PyTree, PyTree]:
        def stat(path: Any, leaf: Any) -> Any:
            return leaf if (names(path)[1] in moves) is wanted else None

        mine = jax.tree.map(
            lambda p, r: p if bool(r > 0) is wanted else None, params, rates
        )
        return mine, jax.tree_util.tree_map_with_path(stat, stats)

    return part(True), part(False)


def merge(moving: PyTree, still: PyTree) -> PyTree:
    """The inverse of `cut`; `still` may be () where everything moves.

    Example:
        >>> merge({"a": None, "b": 2}, {"a": 1, "b": None})
        {'a': 1, 'b': 2}
    """
    if not jax.tree.leaves(still):
        return moving
    return jax.tree.map(lambda a, b: b if a is None else a, moving, still, is_leaf=none)


def none(leaf: Any) -> bool:
    """Is there no leaf here?"""
    return leaf is None


def only(model: Model, still: PyTree) -> Model:
    """The model as a function of its moving leaves alone.

    Nothing is differentiated, and no activation kept, for what lies still. A block
    without a moving leaf runs as in evaluation, so its statistics keep their bits.
    """

    def apply(
        params: PyTree, stats: PyTree, x: Array, train: bool, key: Array
    ) -> tuple[Output, PyTree]:
        moves = moving_blocks(params)
        mode = train and (True if moves == set(params) else frozenset(moves))
        whole = merge((params, stats), still)
        out, new = model.apply(*whole, x, mode, key)
        kept = jax.tree.map(
            lambda s, n: s if s is None else n, stats, new, is_leaf=none
        )
        return out, kept

    return model._replace(apply=apply)


def moving_blocks(params: PyTree) -> set[str]:
    """Names of the blocks of which some leaf is here."""
    return {block for block, leaves in params.items() if jax.tree.leaves(leaves)}
