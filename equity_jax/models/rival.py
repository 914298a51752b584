"""A second network of the same kind beside the first, for methods that have a rival.

Only fitting knows it: what a fit leaves is the first network alone.
"""

from functools import lru_cache

import jax

from equity_jax.nouns import Model
from equity_jax.types import Array, Output, PyTree

RIVAL = "rival"  # its block among the parameters, its logits among the taps


@lru_cache(maxsize=8)
def beside(model: Model) -> Model:
    """The same Model with a rival: fresh parameters of its own, the same rows.

    Its logits are output.taps["rival"]. Its parameters, and its statistics, stand as
    one block more, before all others. One and the same for the same Model, so that
    what was compiled for it is found again.

    Example:
        >>> beside(model).blocks[0]
        'rival'
    """

    def init(key: Array, x: Array) -> tuple[PyTree, PyTree]:
        params, stats = model.init(key, x)
        other, others = model.init(jax.random.fold_in(key, 1), x)
        both = {name: {**part, RIVAL: others[name]} for name, part in stats.items()}
        return {**params, RIVAL: other}, both

    def apply(
        params: PyTree, stats: PyTree, x: Array, train: bool | frozenset, key: Array
    ) -> tuple[Output, PyTree]:
        mode = train if isinstance(train, bool) else RIVAL in train
        out, new = model.apply(*without((params, stats)), x, train, key)
        theirs = {name: part[RIVAL] for name, part in stats.items()}
        two = jax.random.fold_in(key, 1)
        other, others = model.apply(params[RIVAL], theirs, x, mode, two)
        both = {name: {**part, RIVAL: others[name]} for name, part in new.items()}
        return out._replace(taps={**out.taps, RIVAL: other.logits}), both

    def at(shape: str) -> Model:
        return beside(model.at(shape))

    return Model(init, apply, (RIVAL, *model.blocks), at=at if model.at else None)


def without(weights: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
    """(params, stats) of the first network alone; as they are where there is one."""
    params, stats = weights
    return _rest(params), {name: _rest(part) for name, part in stats.items()}


def _rest(tree: PyTree) -> PyTree:
    return {name: leaf for name, leaf in tree.items() if name != RIVAL}
