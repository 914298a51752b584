"""Probes: can an attribute be read from an embedding that was made for something else?

Methods of shared/methods.md 25: features standardized with the training rows; logistic
regression (multinomial for three classes or more) and ridge regression with the
penalty, k nearest neighbors with the k and metric, a perceptron with the penalty and
the number of hidden units, that have the best likelihood on validation rows.

A probe is a lower bound: another reader may read more. And *encoding an attribute is
not using it*: that race can be read from an embedding says nothing on whether a head
trained on it for another task leans on race. (Alain & Bengio 2016; Hewitt & Liang 2019
on controls, which are in equity_jax.audit.encoding with the intervals.)
"""

from collections.abc import Sequence

import numpy as np

from equity_jax import least_squares, neighbors, perceptrons, solvers
from equity_jax.probe import Probe, chosen, held, ready, shares
from equity_jax.types import TRAIN, VALID, Array

L2S = tuple(10.0 ** np.arange(1, 6))
KS = (5, 15, 45, 135)
SHARPNESS = tuple(2.0 ** np.arange(6))  # of the probabilities of a ridge regression
WIDTHS, DECAYS = (8, 32), (30.0, 100.0, 300.0)  # of a perceptron


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
    x, split, targets = ready(x, targets, split)
    counts = [int(target.max()) + 1 for target in targets]
    train, seen = split == TRAIN, x[held(split)]
    learn, tried = x[train], [(l2, "") for l2 in l2s]
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
            logits = np.einsum("nf,lcf->lnc", seen, theta, optimize=True) + shift
            found = shares(logits)
            made[i] = chosen("logistic", targets[i], split, tried, found, theta)
    return made


def ridge(
    x: Array, targets: Sequence[Array], split: Array, l2s: Sequence[float] = L2S
) -> list[Probe]:
    """One ridge regression on 0/1 of the classes a target, arguments as `logistic`.

    The probabilities are those of the classes' shares in training, each times the
    power of what the regression adds to it; how sharp they are is chosen with the l2.

    Example: `ridge(x, [race], split)[0].coef.shape` is (4, 1024).
    """
    x, split, targets = ready(x, targets, split)
    seen, made = x[held(split)], []
    tried = [(l2, "") for l2 in l2s for _ in SHARPNESS]
    for target in targets:
        rows = np.flatnonzero((split == TRAIN) & (target >= 0))
        m = least_squares.moments(x, np.eye(int(target.max()) + 1)[target], rows)
        coef, base = least_squares.ridge(m, l2s)
        found = np.einsum("nf,lfc->lnc", seen, coef, optimize=True) + base[:, None]
        sharp = np.reshape(SHARPNESS, (1, -1, 1, 1)) * (found - m.y)[:, None]
        share = np.maximum(m.y, 1 / m.n)
        logits = (sharp + np.log(share)).reshape(-1, *found.shape[1:])
        coef = np.repeat(coef.transpose(0, 2, 1), len(SHARPNESS), 0)
        made.append(chosen("ridge", target, split, tried, shares(logits), coef))
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
    x, split, targets = ready(x, targets, split)
    train, seen = split == TRAIN, x[held(split)]
    codes = np.stack(targets)[:, train]
    least = int((codes >= 0).sum(axis=1).min())
    ks = [k for k in ks if k <= least] or [least]
    sets, which = np.unique(codes >= 0, axis=0, return_inverse=True)
    found = neighbors.among(x[train], seen, max(ks), sets, metrics)
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
        made.append(chosen("knn", target, split, tried, np.stack(scores)))
    return made


def mlp(
    x: Array,
    targets: Sequence[Array],
    split: Array,
    widths: Sequence[int] = WIDTHS,
    decays: Sequence[float] = DECAYS,
    seed: int = 0,
) -> list[Probe]:
    """One perceptron with a hidden layer a target, arguments as `logistic`.

    All targets, widths and decays learn side by side (equity_jax.perceptrons).

    widths: hidden units to choose from; decays: l2s to choose from; seed: of the first
    weights and the batches.

    Example: `mlp(x, [race], split)[0].metric` may be "32 units".
    """
    x, split, targets = ready(x, targets, split)
    tried = [(decay, width) for width in widths for decay in decays]
    y = np.repeat(np.stack(targets), len(tried), 0).astype(np.int32)
    rows = (perceptrons.Rows(x[split == p], y[:, split == p]) for p in (TRAIN, VALID))
    decay, width = (np.tile(each, len(targets)) for each in zip(*tried, strict=True))
    logits = perceptrons.fit(*rows, x[held(split)], width, decay, seed)
    logits = logits.reshape(len(targets), len(tried), *logits.shape[1:])
    names = [(decay, f"{width} units") for decay, width in tried]
    return [
        chosen("mlp", target, split, names, shares(each[:, :, : target.max() + 1]))
        for target, each in zip(targets, logits, strict=True)
    ]


KINDS = {"logistic": logistic, "ridge": ridge, "knn": knn, "mlp": mlp}
"""Name -> (x, targets, split) -> one Probe a target."""


def strongest(
    x: Array,
    targets: Sequence[Array],
    split: Array,
    kinds: Sequence[str] = ("logistic", "knn", "mlp"),
) -> list[Probe]:
    """Of several kinds the one that is likeliest on validation rows, for each target.

    Example: `strongest(erased, [race], split)[0].kind` may be "mlp".
    """
    made = [KINDS[kind](x, targets, split) for kind in kinds]
    return [max(each, key=lambda p: p.valid) for each in zip(*made, strict=True)]
