r"""Simulated worlds whose true metrics are known, for scripts.coverage.

A patient of group g has a label $Y \sim$ Bernoulli(prevalence) and one or several
images. An image keeps the patient's label, but with probability 0.1 its label is drawn
anew, so that the prevalence stays. What the model sees of it is binormal,
$x = \mu_g y + \sqrt{\rho}\, b + \sqrt{1-\rho}\, e$ with b of the patient and e of the
image standard normal: $\rho = 0.5$ is the correlation within a patient of the scores of
equal labels. The probability is a logistic function of x, the right one of the usual
$\mu$ but for being 20 % too sure and a little too high (else there were no calibration
error to cover).

Negatives are alike in all groups. AUROC is $\Phi(\mu_g/\sqrt 2)$: 0.85, and 0.79 in the
last group of a world with a planted gap: the chance that a positive image ranks above a
negative one of another patient. (Pairs within a patient are won more often; they are
one in ten thousand at 5,000 rows, but a few in a hundred at 50.)
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtr, ndtri

from equity_jax.types import Array

AUROC, GAP = 0.85, 0.06
USUAL = math.sqrt(2) * float(ndtri(AUROC))  # mean of positives, as the model has it
CORRELATION, REDRAWN = 0.5, 0.1
SURE, HIGH = 1.2, 0.2  # how the probability errs
BINS = 15
SPAN = (-9.0, 12.0)  # beyond it, nothing is left of the densities
NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)


class World(NamedTuple):
    """prevalence; means of the positives, one a group; threshold of decisions."""

    prevalence: float
    means: tuple[float, ...]
    threshold: float


def world(groups: int, prevalence: float, shift: int, threshold: float) -> World:
    """Equal groups (shift 0), or the last group worse by GAP in AUROC (shift 1).

    Example:
        >>> [round(m, 3) for m in world(2, 0.2, 1, 0.2).means]
        [1.466, 1.14]
    """
    last = math.sqrt(2) * float(ndtri(AUROC - GAP * shift))
    return World(prevalence, (USUAL,) * (groups - 1) + (last,), threshold)


def names(w: World) -> list[str]:
    """The groups: A, B, ...; A is the usual reference."""
    return [chr(ord("A") + i) for i in range(len(w.means))]


def simulate(
    w: World, rows: int, images: int, rng: np.random.Generator
) -> pd.DataFrame:
    """One row an image: group, patient, y, prob; about `rows` a group (whole patients).

    Example:
        >>> len(simulate(world(2, 0.2, 0, 0.2), 50, 6, np.random.default_rng(0)))
        96
    """
    each = max(round(rows / images), 1)
    patients = each * len(w.means)
    group = np.repeat(np.arange(len(w.means)), each * images)
    patient = np.repeat(np.arange(patients), images)
    label = (rng.random(patients) < w.prevalence)[patient]
    fresh = rng.random(len(patient)) < w.prevalence
    y = np.where(rng.random(len(patient)) < REDRAWN, fresh, label)
    effect = math.sqrt(CORRELATION) * rng.normal(size=patients)[patient]
    noise = math.sqrt(1 - CORRELATION) * rng.normal(size=len(patient))
    prob = probability(w, np.array(w.means)[group] * y + effect + noise)
    columns = {"group": np.array(names(w))[group], "patient": patient}
    return pd.DataFrame(columns | {"y": y.astype(int), "prob": prob})


def probability(w: World, x: Array) -> Array:
    """The model's probability, increasing in x; float[...]."""
    return expit(SURE * (logit(w.prevalence) + USUAL * x - USUAL**2 / 2) + HIGH)


def place(w: World, p: Array) -> Array:
    """The x that has probability p, kept inside SPAN."""
    z = (logit(p) - HIGH) / SURE - logit(w.prevalence)
    return np.clip((z + USUAL**2 / 2) / USUAL, *SPAN)


def truth(metric: str, w: World) -> float:
    """The metric in the population of all groups of `w` together, in equal parts.

    Closed forms of the normal distribution, or integrals by Gauss–Legendre, good to
    1e-9. For one group, ask for the world of its mean alone.

    Raises:
        KeyError: a metric without a known truth.

    Example:
        >>> round(truth("auroc", world(2, 0.2, 0, 0.2)), 9)
        0.85
    """
    return float(TRUTHS[metric](w))


def integral(f: Callable[[Array], Array], low: float, high: float) -> float:
    """Gauss–Legendre with 20 nodes on each stretch of length 1 or less."""
    edges = np.linspace(low, high, max(math.ceil(high - low), 1) + 1)
    half = np.diff(edges)[:, None] / 2
    x = (edges[:-1, None] + half) + half * NODES
    return float(np.sum(half * WEIGHTS * f(x)))


def density(w: World, x: Array) -> tuple[Array, Array]:
    """Density of positives and of negatives at x, each times its share of the rows."""
    sick = np.mean([_normal(x - m) for m in w.means], axis=0)
    return w.prevalence * sick, (1 - w.prevalence) * _normal(x)


def above(w: World, x: Array) -> tuple[Array, Array]:
    """Share of all rows that is positive and above x, and negative and above x."""
    sick = np.mean([ndtr(m - x) for m in w.means], axis=0)
    return w.prevalence * sick, (1 - w.prevalence) * ndtr(-x)


def mean(w: World, of: Callable[[Array, int], Array], low: float, high: float) -> float:
    """Integral of of(p, y) over the rows with x from low to high."""

    def f(x: Array) -> Array:
        sick, well = density(w, x)
        p = probability(w, x)
        return sick * of(p, 1) + well * of(p, 0)

    return integral(f, low, high)


def _normal(z: Array) -> Array:
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def _auroc(w: World) -> float:
    return np.mean([ndtr(m / math.sqrt(2)) for m in w.means])


def _auprc(w: World) -> float:
    def f(x: Array) -> Array:
        tp, fp = above(w, x)
        return density(w, x)[0] * tp / (tp + fp)

    return integral(f, *SPAN) / w.prevalence


def _decided(of: Callable[[float, float, float, float], float]) -> Callable:
    """A metric of tp, fp, fn, tn, the shares of all rows at the threshold."""

    def metric(w: World) -> float:
        tp, fp = above(w, place(w, w.threshold))
        return of(tp, fp, w.prevalence - tp, 1 - w.prevalence - fp)

    return metric


def _ece(edges: Callable[[World], Array]) -> Callable[[World], float]:
    def metric(w: World) -> float:
        cuts = [SPAN[0], *edges(w), SPAN[1]]
        pairs = zip(cuts[:-1], cuts[1:], strict=True)
        return sum(abs(mean(w, lambda p, y: p - y, a, b)) for a, b in pairs)

    return metric


def _equal_width(w: World) -> Array:
    return place(w, np.arange(1, BINS) / BINS)


def _equal_mass(w: World) -> Array:
    def short(x: float, share: float) -> float:
        return 1 - sum(above(w, x)) - share

    return np.array([brentq(short, *SPAN, args=(k / BINS,)) for k in range(1, BINS)])


def _recalibrated(w: World, free: int) -> float:
    """The last of (intercept, slope) that solve the population's score equations."""
    beta = np.array([0.0, 1.0])
    for _ in range(50):
        a, b = beta

        def fit(p: Array, a: float = a, b: float = b) -> Array:
            return expit(a + b * logit(p))

        left = [
            mean(w, lambda p, y, k=k: (y - fit(p)) * logit(p) ** k, *SPAN)
            for k in range(free)
        ]
        curve = [
            mean(w, lambda p, y, k=k: fit(p) * (1 - fit(p)) * logit(p) ** k, *SPAN)
            for k in range(3)
        ]
        hessian = np.array([[curve[0], curve[1]], [curve[1], curve[2]]])
        beta[:free] += np.linalg.solve(hessian[:free, :free], left)
    return beta[free - 1]


def _log_loss(p: Array, y: int) -> Array:
    return -np.log(p if y else 1 - p)


TRUTHS: Mapping[str, Callable[[World], float]] = {
    "auroc": _auroc,
    "auprc": _auprc,
    "accuracy": _decided(lambda tp, fp, fn, tn: tp + tn),
    "balanced_accuracy": _decided(
        lambda tp, fp, fn, tn: (tp / (tp + fn) + tn / (tn + fp)) / 2
    ),
    "precision": _decided(lambda tp, fp, fn, tn: tp / (tp + fp)),
    "recall": _decided(lambda tp, fp, fn, tn: tp / (tp + fn)),
    "specificity": _decided(lambda tp, fp, fn, tn: tn / (tn + fp)),
    "fpr": _decided(lambda tp, fp, fn, tn: fp / (tn + fp)),
    "fnr": _decided(lambda tp, fp, fn, tn: fn / (tp + fn)),
    "npv": _decided(lambda tp, fp, fn, tn: tn / (tn + fn)),
    "f1": _decided(lambda tp, fp, fn, tn: 2 * tp / (2 * tp + fp + fn)),
    "selection_rate": _decided(lambda tp, fp, fn, tn: tp + fp),
    "prevalence": lambda w: w.prevalence,
    "brier": lambda w: mean(w, lambda p, y: (p - y) ** 2, *SPAN),
    "log_loss": lambda w: mean(w, _log_loss, *SPAN),
    "ece_width": _ece(_equal_width),
    "ece_mass": _ece(_equal_mass),
    "calibration_slope": lambda w: _recalibrated(w, 2),
    "calibration_intercept": lambda w: _recalibrated(w, 1),
}
"""The metrics that scripts.coverage can judge: name -> truth in a world."""
