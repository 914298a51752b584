"""Probes: can an attribute be read from an embedding that was made for something else?

Methods of shared/methods.md 25: features standardized with the training rows; logistic
regression (multinomial for three classes or more) with the penalty, or k nearest
neighbors with the k and metric, that have the best likelihood on validation rows.

A probe is a lower bound: another reader may read more. And *encoding an attribute is
not using it*: that race can be read from an embedding says nothing on whether a head
trained on it for another task leans on race. (Alain & Bengio 2016; Hewitt & Liang 2019
on controls, which are in equity_jax.audit.encoding with the intervals.)
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from equity_jax import neighbors, solvers
from equity_jax.glm_rows import table_of
from equity_jax.types import TEST, TRAIN, VALID, Array, InputError

L2S = tuple(10.0 ** np.arange(1, 6))
KS = (5, 15, 45, 135)


class Probe(NamedTuple):
    """What one reader made of one target.

    kind: "logistic" or "knn"; scores: float32[N, C], probabilities of validation and
    test rows, NaN elsewhere; strength: the l2, or k, that was chosen; metric: of knn;
    valid: mean log-likelihood of the validation rows; start: what saying the training
    shares of the classes gives there.
    """

    kind: str
    scores: np.ndarray
    strength: float
    metric: str
    valid: float
    start: float


def logistic(
    x: Array, targets: Sequence[Array], split: Array, l2s: Sequence[float] = L2S
) -> list[Probe]:
    """One logistic probe a target; all of as many classes, and all l2s, in one program.

    Args:
        x: float[N, F].
        targets: each int[N], a class 0..C-1 or -1 = not used.
        split: int[N], TRAIN, VALID, TEST.
        l2s: 1 / C of scikit-learn, to choose from.

    Raises:
        InputError: a target without training or validation rows of two classes or more.

    Example:
        >>> probe = logistic(x, [race], split)[0]
        >>> probe.scores[split == TEST].shape
        (3490, 5)
    """
    x, split = _standardized(x, split), np.asarray(split)
    targets = [_checked(target, split) for target in targets]
    counts = [int(target.max()) + 1 for target in targets]
    train, rest = split == TRAIN, np.isin(split, (VALID, TEST))
    learn, seen = x[train], x[rest]
    made: list[Probe] = [None] * len(targets)
    for classes in sorted(set(counts)):
        mine = [i for i, count in enumerate(counts) if count == classes]
        y = np.stack([targets[i][train] for i in mine])
        lanes = {"y": np.repeat(np.maximum(y, 0), len(l2s), 0)}
        lanes |= {"weight": np.repeat(y >= 0, len(l2s), 0)}
        lanes |= {"l2": np.tile(np.asarray(l2s, float), len(mine))}
        family = "logistic" if classes == 2 else "multinomial"
        fits = solvers.subsets(learn, **lanes, family=family, tolerance=1e-5)
        coef = fits.coef.reshape(len(mine), len(l2s), -1, x.shape[1])
        base = fits.intercept.reshape(len(mine), len(l2s), 1, -1)
        for i, theta, shift in zip(mine, coef, base, strict=True):
            tried = [(l2, "") for l2 in l2s]
            logits = np.einsum("nf,lcf->lnc", seen, theta, optimize=True) + shift
            made[i] = _best("logistic", targets[i], split, tried, _shares(logits))
    return made


def knn(
    x: Array,
    targets: Sequence[Array],
    split: Array,
    ks: Sequence[int] = KS,
    metrics: Sequence[str] = neighbors.METRICS,
) -> list[Probe]:
    """One nearest-neighbor probe a target, arguments as `logistic`.

    The score is the share of the class among the k nearest training rows, drawn by one
    row's worth to the share of the class in training. A k larger than the smallest
    training set is left out.

    Example: `knn(x, [race, shuffled], split)[0].strength` is the k chosen.
    """
    x, split = _standardized(x, split), np.asarray(split)
    targets = [_checked(target, split) for target in targets]
    train, rest = split == TRAIN, np.isin(split, (VALID, TEST))
    codes = np.stack(targets)[:, train]
    least = int((codes >= 0).sum(axis=1).min())
    ks = [k for k in ks if k <= least] or [least]
    sets, which = np.unique(codes >= 0, axis=0, return_inverse=True)
    found = neighbors.among(x[train], x[rest], max(ks), sets, metrics)
    tried = [(k, metric) for metric in metrics for k in ks]
    made = []
    for target, labels, mine in zip(targets, codes, which.reshape(-1), strict=True):
        classes = int(target.max()) + 1
        prior = np.bincount(labels[labels >= 0], minlength=classes)
        prior = prior / prior.sum()
        scores = [
            (k * neighbors.shares(index[mine], labels, classes, k) + prior) / (k + 1)
            for index in found
            for k in ks
        ]
        made.append(_best("knn", target, split, tried, np.stack(scores)))
    return made


KINDS = {"logistic": logistic, "knn": knn}
"""Name -> (x, targets, split) -> one Probe a target."""


def _best(
    kind: str,
    target: np.ndarray,
    split: np.ndarray,
    tried: Sequence[tuple[float, str]],
    scores: np.ndarray,
) -> Probe:
    """Of scores float[L, n, C] of validation and test rows, the likeliest."""
    rest = np.isin(split, (VALID, TEST))
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
    return Probe(kind, every, float(strength), metric, float(value[best]), start)


def _shares(logits: np.ndarray) -> np.ndarray:
    """float[L, n, C]: probabilities; the one logit of two classes is their contrast."""
    if logits.shape[2] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=2)
    power = np.exp(logits - logits.max(axis=2, keepdims=True))
    return power / power.sum(axis=2, keepdims=True)


def _standardized(x: Array, split: Array) -> np.ndarray:
    """float32[N, F] with mean 0 and spread 1 in the training rows."""
    x, train = table_of(x, np.float32), np.asarray(split) == TRAIN
    if len(x) != len(train) or not train.any():
        raise InputError(f"x {x.shape}, split ({len(train)},): no training rows")
    mean = x[train].mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = x[train].std(axis=0, dtype=np.float64).astype(np.float32)
    return (x - mean) / np.where(spread > 0, spread, 1)


def _checked(target: Array, split: np.ndarray) -> np.ndarray:
    target = np.asarray(target).astype(int)
    if target.shape != split.shape:
        raise InputError(f"target has shape {target.shape}; expected {split.shape}")
    for name, part in (("training", TRAIN), ("validation", VALID)):
        used = target[(split == part) & (target >= 0)]
        if len(np.unique(used)) < (2 if part == TRAIN else 1):
            raise InputError(f"a probe has no {name} rows, or of one class only")
    return target
