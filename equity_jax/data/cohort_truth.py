"""What the best scores reach on the SIMULATED cohort: the truth behind the twin.

Given race g, true class d and insurance i, an image is normal along the planted axes
with unit covariance about a known mean m_c: a mixture with components c = (g, d, i).
A linear score w'x is normal in each, so that its AUROC is a finite sum,

    sum_ij p_i q_j Phi((w'm_i - w'm_j) / (sqrt(2) |w|)),

p and q the components' shares of the positives and of the negatives, as labelled: a
smaller group's label is flipped with probability `noise`. Within one group this is
1/2 + (A - 1/2) (P(low | labelled low) - P(low | labelled not)) with A = Phi(distance /
sqrt 2), and no score does better. Directions are Fisher's (1936) for the mixture.
Posteriors given the whole image are no sums: their AUROC is integrated with Sobol
points, to about 1e-3. All is of a score that was learned without end: a head trained on
the default 14,000 images stays about 0.01 to 0.02 below.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm, qmc

from equity_jax.config import Cohort
from equity_jax.data.cohort_axes import (
    INSURED,
    INSURED_AT,
    RACE,
    SEX_GAP,
    VIEW_GAP,
    places,
    shifts,
)
from equity_jax.data.cohort_people import INSURANCE, RACES, REFERENCE

POINTS = 11  # log2 of the Sobol points of a component


class Mixture(NamedTuple):
    """The components, C of them.

    mean: float[C, K] along EF, race and insurance axes; weight: float[C], sums to 1;
    group, insured: int[C]; low: float[C], 1 where EF is below 40; positive: float[C],
    the probability that its label says so.
    """

    mean: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    insured: np.ndarray
    low: np.ndarray
    positive: np.ndarray


def mixture(options: Cohort) -> Mixture:
    """The distribution of images with a recorded race.

    Example:
        >>> mixture(Cohort()).weight.sum().round(6)
        1.0
    """
    shape = len(RACES), 2, len(INSURANCE)
    group, low, insured = (i.reshape(-1) for i in np.indices(shape))
    race = list(RACES.values())
    share, rate = (np.array([r[i] for r in race])[group] for i in (0, 1))
    cover = np.array([r.insured for r in race])[group, insured]
    mean = np.zeros((len(group), INSURED + 1))
    mean[:, :2] = shifts(options)[group] * (low[:, None] - 0.5)
    mean[:, RACE] = places(options.race)[group]
    mean[:, INSURED] = np.array(INSURED_AT)[insured]
    weight = share * np.where(low, rate, 1 - rate) * cover
    flip = np.where(np.array(list(RACES))[group] == REFERENCE, 0, options.noise)
    positive = np.where(low, 1 - flip, flip)
    return Mixture(mean, weight, group, insured, low.astype(float), positive)


def direction(mix: Mixture, weight: np.ndarray) -> np.ndarray:
    """The linear score that separates the labels best, float[K]; weight: float[C].

    Fisher, "The use of multiple measurements in taxonomic problems", 1936.
    """
    sides = [weight * mix.positive, weight * (1 - mix.positive)]
    centres = [side @ mix.mean / side.sum() for side in sides]
    spread = np.eye(mix.mean.shape[1])
    for side, centre in zip(sides, centres, strict=True):
        off = mix.mean - centre[None]
        spread += (off * side[:, None]).T @ off / weight.sum()
    return np.linalg.solve(spread, centres[0] - centres[1])


def auroc(mix: Mixture, along: np.ndarray, weight: np.ndarray) -> float:
    """Of the score `along`, for the labels of the rows that `weight` float[C] counts.

    Example:
        >>> mix = mixture(Cohort())
        >>> w = mix.weight * (mix.group == 0)
        >>> round(auroc(mix, direction(mix, w), w), 3)
        0.871
    """
    score = mix.mean @ along / (np.linalg.norm(along) or 1.0)
    wins = norm.cdf((score[:, None] - score[None]) / np.sqrt(2))
    p, q = weight * mix.positive, weight * (1 - mix.positive)
    return float(p @ wins @ q / (p.sum() * q.sum()))


def truth(options: Cohort) -> dict[str, Any]:
    """JSON-able; every AUROC and prevalence is of the labels as recorded.

    share, prevalence, prevalence_true: by race. auroc: of the best score within each
    race; auroc_all: of the best over all races. linear: "found" and "balanced" -> race
    or "all" -> AUROC of the best linear score trained on races as found, or with every
    race weighing the same. gap: "best", "found", "balanced" -> race -> AUROC of the
    reference less its own. readable: "race", "insurance", "sex", "view" -> value ->
    AUROC of the best score that tells it from the rest.

    Example:
        >>> round(truth(Cohort())["auroc"]["White"], 3)
        0.871
    """
    mix = mixture(options)
    own = {name: mix.weight * (mix.group == i) for i, name in enumerate(RACES)}
    even = sum(w / w.sum() for w in own.values())
    rows = {"all": mix.weight} | own
    best = {name: auroc(mix, direction(mix, w), w) for name, w in own.items()}
    linear = {
        kind: {name: auroc(mix, direction(mix, seen), w) for name, w in rows.items()}
        for kind, seen in (("found", mix.weight), ("balanced", even))
    }
    held = [name for name in RACES if name != REFERENCE]
    gaps = {
        kind: {name: reached[REFERENCE] - reached[name] for name in held}
        for kind, reached in ({"best": best} | linear).items()
    }
    label, race, insurance = _posteriors(mix)
    found = {
        "reference": REFERENCE,
        "share": {k: w.sum() for k, w in own.items()},
        "prevalence": {k: w @ mix.positive / w.sum() for k, w in own.items()},
        "prevalence_true": {k: w @ mix.low / w.sum() for k, w in own.items()},
        "auroc": best,
        "auroc_all": label[0],
        "linear": linear,
        "gap": gaps,
        "readable": {
            "race": dict(zip(RACES, race, strict=True)),
            "insurance": dict(zip(INSURANCE, insurance, strict=True)),
            "sex": dict.fromkeys(("Female", "Male"), norm.cdf(SEX_GAP / 2**0.5)),
            "view": dict.fromkeys(("AP", "PA"), norm.cdf(VIEW_GAP / 2**0.5)),
        },
    }
    return _plain(found)


def _posteriors(mix: Mixture) -> list[list[float]]:
    """AUROC of P(label | x), of P(race | x) and of P(insurance | x), one by one."""
    kinds, width = mix.mean.shape
    noise = norm.ppf(qmc.Sobol(width, rng=0).random_base2(POINTS))
    x = (mix.mean[:, None] + noise[None]).reshape(-1, width)
    log = x @ mix.mean.T - 0.5 * (mix.mean**2).sum(1)[None] + np.log(mix.weight)[None]
    post = np.exp(log - logsumexp(log, 1, keepdims=True))
    questions = (
        mix.positive[:, None],
        np.eye(len(RACES))[mix.group],
        np.eye(len(INSURANCE))[mix.insured],
    )
    weight = np.repeat(mix.weight / len(noise), len(noise))
    return [
        [
            weighted(post @ is_it, weight, is_it[np.arange(kinds).repeat(len(noise))])
            for is_it in asked.T
        ]
        for asked in questions
    ]


def weighted(score: np.ndarray, weight: np.ndarray, positive: np.ndarray) -> float:
    """AUROC of n points that each count `weight`, in part (0..1) as positive.

    Example:
        >>> float(weighted(np.arange(3.0), np.ones(3), np.array([0.0, 0.5, 1.0])))
        0.9444444444444444
    """
    rank = np.unique(score.round(12), return_inverse=True)[1]  # equal ones are a tie
    p, q = (np.bincount(rank, weight * part) for part in (positive, 1 - positive))
    return (p @ (np.cumsum(q) - q / 2)) / (p.sum() * q.sum())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value if isinstance(value, str) else float(value)
