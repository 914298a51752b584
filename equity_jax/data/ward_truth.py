"""What is planted in the SIMULATED ward, as numbers: what its images tell at best.

Given race, a person's faint sign z is normal about the race's corner of a simplex with
unit covariance, and findings are independent draws: so the posterior of race is a
formula, and its AUROC one against the rest, the best that any reader can reach, is
integrated with Sobol points to about 1e-3. Shares of labels are finite sums.
"""

from typing import Any

import numpy as np
from scipy.special import logit, softmax
from scipy.stats import norm, qmc

from equity_jax.config import Mimic, Ward
from equity_jax.data.cohort_axes import places
from equity_jax.data.cohort_people import INSURANCE, RACES, REFERENCE
from equity_jax.data.cohort_truth import weighted
from equity_jax.data.ward_findings import (
    BARE,
    CLEAR,
    DEVICES,
    DRAWN,
    ILL,
    KINDS,
    LABELS,
    OPACITY,
    missed,
    rates,
    unsure,
)

POINTS = 13  # log2 of the Sobol points of a race


def truth(options: Ward, keep: str = Mimic.keep) -> dict[str, Any]:
    """JSON-able; keep: as data.mimic.keep, the races that are groups.

    readable: "race", "insurance" -> value -> AUROC of the best score, from the faint
    sign alone, that tells it from the rest (insurance: through race). readable_all: of
    race, from the sign and the findings that have one, seen without error: what no
    reader of the images can exceed. prevalence: label -> race -> share of the studies,
    as recorded (uncertain and blank are 0); prevalence_true: as it is. underdiagnosis:
    race -> share of the ill studies whose labels say "No Finding". clear: "fpr", "fnr"
    -> race -> rates of "No Finding", as recorded, of a reader who sees all findings.
    unseen: labels without a sign in the image.

    Example:
        >>> round(truth(Ward())["readable"]["race"]["White"], 3)
        0.837
    """
    told = _labels(options)
    kept = [name.strip() for name in keep.split(",")]
    names = [name for name in RACES if name in kept or not keep]
    race, seen = (_race(options, names, findings) for findings in (False, True))
    return {
        "reference": REFERENCE,
        "readable": {"race": race, "insurance": _insurance(options)},
        "readable_all": {"race": seen},
        "unseen": list(BARE),
        **{
            name: {label: _by_race(share) for label, share in shares.items()}
            for name, shares in told.items()
        },
        "underdiagnosis": _by_race(missed(options)),
    }


def _labels(options: Ward) -> dict[str, dict[str, np.ndarray]]:
    """prevalence_true and prevalence: label -> float[G]; clear: "fpr", "fnr"."""
    lost = missed(options)
    true = dict(zip(DRAWN, rates(options).T, strict=True))
    true[OPACITY] = 1 - np.prod([1 - true[name] for name in KINDS], axis=0)
    drawn = [name for name in DRAWN if name in ILL]
    true[CLEAR] = np.prod([1 - true[name] for name in drawn], axis=0)
    said = {name: share * (1 - lost) for name, share in true.items() if name in ILL}
    sure = np.prod([1 - chance for chance in unsure().values()])
    blank = lost * true[CLEAR] + (1 - lost) * true[CLEAR] * sure  # and truly clear
    hidden = lost * (1 - true[CLEAR])  # labelled clear, and ill
    said |= {CLEAR: blank + hidden, DEVICES: true[DEVICES]}
    return {
        "prevalence": {name: said[name] for name in LABELS},
        "prevalence_true": {name: true[name] for name in LABELS},
        "clear": {
            "fpr": (true[CLEAR] - blank) / (1 - said[CLEAR]),
            "fnr": hidden / said[CLEAR],
        },
    }


def _points(options: Ward, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """z, float[G, n, 4], and which of DRAWN are there, 0 or 1, float[G, n, 12]."""
    at = [list(RACES).index(name) for name in names]
    where = places(options.race)[at]
    width = where.shape[1]
    u = qmc.Sobol(width + len(DRAWN), rng=0).random_base2(POINTS)
    z = where[:, None] + norm.ppf(u[:, :width])[None]
    return z, (u[None, :, width:] < rates(options)[at][:, None]).astype(float)


def _posterior(options: Ward, names: list[str], findings: bool) -> np.ndarray:
    """P(race | what is seen) at the points of each race: float[G, n, G]."""
    at = [list(RACES).index(name) for name in names]
    where, rate = places(options.race)[at], rates(options)[at]
    z, found = _points(options, names)
    share = np.array([RACES[name].share for name in names])
    score = z @ where.T - 0.5 * (where**2).sum(1) + np.log(share)
    if findings:
        shown = [i for i, name in enumerate(DRAWN) if name not in BARE]
        rate, found = rate[:, shown], found[..., shown]
        score += found @ logit(rate).T + np.log1p(-rate).sum(1)
    return softmax(score, axis=-1)


def _race(options: Ward, names: list[str], findings: bool) -> dict[str, float]:
    if len(names) < 2:  # nothing to tell apart
        return {}
    post = _posterior(options, names, findings)
    n = post.shape[1]
    weight = np.repeat([RACES[name].share / n for name in names], n)
    is_it = np.repeat(np.eye(len(names)), n, axis=0)
    post = post.reshape(-1, len(names))
    return {
        name: float(weighted(post[:, i], weight, is_it[:, i]))
        for i, name in enumerate(names)
    }


def _insurance(options: Ward) -> dict[str, float]:
    post = _posterior(options, list(RACES), False)
    n = post.shape[1]
    weight = np.repeat([race.share / n for race in RACES.values()], n)
    cover = np.array([race.insured for race in RACES.values()])
    score, has = post.reshape(-1, len(RACES)) @ cover, np.repeat(cover, n, axis=0)
    return {
        name: float(weighted(score[:, i], weight, has[:, i]))
        for i, name in enumerate(INSURANCE)
    }


def _by_race(values: np.ndarray) -> dict[str, float]:
    return dict(zip(RACES, values.tolist(), strict=True))
