"""What a probe is, what it is given, and how its setting is chosen on validation rows.

The probes themselves are in equity_jax.probes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from equity_jax.glm_rows import table_of
from equity_jax.types import TEST, TRAIN, VALID, Array, InputError

NARROW = 1e-6  # spread, beside the widest, below which a feature counts as constant


class Probe(NamedTuple):
    """What one reader made of one target.

    kind: of KINDS; scores: float32[N, C], probabilities of validation and test rows,
    NaN elsewhere; strength: the l2, or k, that was chosen; metric: of knn, or the units
    of mlp; valid: mean log-likelihood of the validation rows; start: what saying the
    training shares of the classes gives there; coef: of logistic and ridge, float[C, F]
    by standardized features (one row if logistic, of two classes).
    """

    kind: str
    scores: np.ndarray
    strength: float
    metric: str
    valid: float
    start: float
    coef: np.ndarray | None = None


def chosen(
    kind: str,
    target: np.ndarray,
    split: np.ndarray,
    tried: Sequence[tuple[float, str]],
    scores: np.ndarray,
    coef: np.ndarray | None = None,
) -> Probe:
    """Of L settings, the one that is likeliest on validation rows.

    target: int[N]; tried: (strength, metric) of each; scores: float[L, n, C] of the
    rows that are `held`; coef: of each, for the Probe.

    Example: `chosen("knn", race, split, [(5, "cosine")], scores).strength` is 5.
    """
    rest = held(split)
    valid = (split[rest] == VALID) & (target[rest] >= 0)
    y = target[rest][valid]
    tiny = np.finfo(np.float32).tiny
    told = np.take_along_axis(scores[:, valid], y[None, :, None], axis=2)
    value = np.log(np.maximum(told, tiny)).mean(axis=(1, 2))
    best = int(np.argmax(value))
    learned = target[(split == TRAIN) & (target >= 0)]
    prior = np.bincount(learned, minlength=scores.shape[2]) / len(learned)
    start = float(np.log(np.maximum(prior[y], tiny)).mean())
    every = np.full((len(split), scores.shape[2]), np.nan, np.float32)
    every[rest] = scores[best]
    strength, metric = tried[best]
    end = float(value[best]), start, None if coef is None else coef[best]
    return Probe(kind, every, float(strength), metric, *end)


def shares(logits: np.ndarray) -> np.ndarray:
    """float[L, n, C]: probabilities; the one logit of two classes is their contrast.

    Example: `shares(np.zeros((1, 1, 1)))` is [[[0.5, 0.5]]].
    """
    if logits.shape[2] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=2)
    power = np.exp(logits - logits.max(axis=2, keepdims=True))
    return power / power.sum(axis=2, keepdims=True)


def held(split: np.ndarray) -> np.ndarray:
    """bool[N]: rows that a probe scores, of validation and test.

    Example: `probe.scores[held(split)]` is finite.
    """
    return np.isin(split, (VALID, TEST))


def ready(
    x: Array, targets: Sequence[Array], split: Array
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """What a probe is given: x standardized, split as an array, targets checked.

    Arguments as probes.logistic.

    Raises:
        InputError: shapes that do not fit, a target without rows of two classes.

    Example: `x, split, targets = ready(x, [race], split)`.
    """
    x, split = table_of(x, np.float32), np.asarray(split)
    mean, scale = scaling(x, split)
    made = x - mean
    made *= scale
    return made, split, [_checked(t, split) for t in targets]


def scaling(x: Array, split: Array) -> tuple[np.ndarray, np.ndarray]:
    """Mean and 1 / spread of each feature in the training rows, float32[F] both.

    Features that hardly vary, beside the widest, have 0: what an eraser leaves of one
    is rounding, and must not be blown up.

    Raises:
        InputError: x float[N, F] and split int[N] do not fit, no training rows.

    Example: `mean, scale = scaling(x, split); (x - mean) * scale` is standardized.
    """
    train = np.asarray(split) == TRAIN
    if x.shape[:1] != train.shape or not train.any():
        raise InputError(f"x {x.shape}, split {train.shape}: no training rows")
    learn = x[train]
    mean, spread = (getattr(learn, k)(0, dtype=np.float64) for k in ("mean", "std"))
    fine = spread > NARROW * spread.max()
    scale = np.where(fine, 1 / np.where(fine, spread, 1), 0)
    return mean.astype(np.float32), scale.astype(np.float32)


def _checked(target: Array, split: np.ndarray) -> np.ndarray:
    target = np.asarray(target).astype(int)
    if target.shape != split.shape:
        raise InputError(f"target has shape {target.shape}; expected {split.shape}")
    for name, part in (("training", TRAIN), ("validation", VALID)):
        used = target[(split == part) & (target >= 0)]
        if len(np.unique(used)) < (2 if part == TRAIN else 1):
            raise InputError(f"a probe has no {name} rows, or of one class only")
    return target
