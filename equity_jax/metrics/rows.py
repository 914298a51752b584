"""Metrics that are means over rows: the term of each row, float[N]."""

from collections.abc import Callable, Mapping

import numpy as np

from equity_jax.types import Array


def sigmoid(z: Array) -> np.ndarray:
    """float[...]: logits to probabilities, without overflow."""
    z = np.asarray(z, float)
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + small), small / (1 + small))


def squared_error(score: Array, y: Array) -> np.ndarray:
    r"""float[N]: $(p - y)^2$, the terms of Brier (1950)."""
    return np.square(score - y)


def surprisal(score: Array, y: Array) -> np.ndarray:
    r"""float[N]: $-y\log p-(1-y)\log(1-p)$ in nats, p kept one epsilon off 0 and 1."""
    tiny = np.finfo(float).eps
    p = np.clip(np.asarray(score, float), tiny, 1 - tiny)
    return -y * np.log(p) - (1 - y) * np.log1p(-p)


ROWS: Mapping[str, Callable[[Array, Array], np.ndarray]] = {
    "brier": squared_error,
    "log_loss": surprisal,
}
"""Name -> (score float[N], y float[N]) -> float[N]; the metric is their mean."""
