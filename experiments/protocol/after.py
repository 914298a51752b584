"""What is made of finished runs: post-processors, and last layers in closed form."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from equity_jax import last_layers
from equity_jax.posthoc import POSTHOC, processed
from equity_jax.registry import Registry
from equity_jax.types import Dataset, InputError
from experiments.protocol.entries import Entry
from experiments.protocol.fits import View


class Closed(NamedTuple):
    """A method without steps.

    fit: (Dataset, seed, rounds) -> probabilities float32[n, C] of validation and test
    rows; frozen: whether x is replaced by the features of the erm run of the same trial
    and seed; if not, x is as it is, and one seed stands for all.
    """

    fit: Callable[[Dataset, int, int], np.ndarray]
    frozen: bool


def dfr(rows: str = "train") -> Closed:
    """Deep feature reweighting on balanced draws of training or validation rows.

    Raises:
        InputError: other rows.

    Example: `dfr("valid").fit(dataset, 0, 50).shape` is (5000, 1).
    """
    if rows not in ("train", "valid"):
        raise InputError(f"dfr on {rows!r} rows; expected 'train' or 'valid'")
    made = last_layers.balanced if rows == "train" else last_layers.validated
    return Closed(lambda dataset, seed, rounds: made(dataset, seed), True)


def reduction(constraint: str, head: str = "linear", eps: float = 0.01) -> Closed:
    """Exponentiated gradient under a constraint, which may be missed by eps.

    Example: `reduction("equalized_odds", "mlp").frozen` is False.
    """

    def fit(dataset: Dataset, seed: int, rounds: int) -> np.ndarray:
        more = {"eps": eps, "rounds": rounds, "seed": seed}
        return last_layers.reduced(dataset, constraint, head, **more)

    return Closed(fit, False)


CLOSED = Registry("closed form", {"dfr": dfr, "reduction": reduction})


def made(
    entry: Entry,
    own: str,
    seed: int,
    view: View | None,
    dataset: Dataset,
    rounds: int,
) -> np.ndarray:
    """What a post-processor or closed form says of the held rows: float32[n, C].

    own: its registry string with a trial's settings; view: of the run that it starts
    from (prob of the held rows); rounds: config.protocol.rounds.

    Raises:
        InputError: a task that it is not for.

    Example: `made(ENTRIES["temperature"], "temperature", 0, view, dataset, 50)`.
    """
    if entry.post:
        return processed(POSTHOC.get(own), view.prob, dataset)
    closed = CLOSED.get(own)
    some = dataset._replace(x=view.features) if closed.frozen else dataset
    return closed.fit(some, seed, rounds)
