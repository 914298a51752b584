"""Who has what in the SIMULATED ward, and what the labelers' tables say of it.

Twelve of CheXpert's labels are drawn, each by itself, from a rate that depends on race
alone; two follow from them: Lung Opacity is there where one of its kinds is, No Finding
where nothing is but devices. The tables miss: a share of the smaller groups' ill
studies is labelled "No Finding". -1 (uncertain) and 0 (denied) are said only of what is
not there, so that "u-zeros" is right.
"""

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from equity_jax.config import Ward
from equity_jax.data.cohort_hospital import text
from equity_jax.data.cohort_people import RACES, REFERENCE, STEADY, People
from equity_jax.data.cohort_tables import DENIED, FINDINGS, UNSURE

LABELS = tuple(FINDINGS)
SHARES = {  # of White studies
    "Atelectasis": 0.16,
    "Cardiomegaly": 0.18,
    "Consolidation": 0.07,
    "Edema": 0.13,
    "Enlarged Cardiomediastinum": 0.03,
    "Fracture": 0.02,
    "Lung Lesion": 0.06,
    "Pleural Effusion": 0.2,
    "Pleural Other": 0.02,
    "Pneumonia": 0.09,
    "Pneumothorax": 0.05,
    "Support Devices": 0.25,
}
DRAWN = tuple(SHARES)
RISK = {"White": 0.0, "Black": 1.0, "Hispanic": 0.5, "Asian": -0.5, "Other": 0.0}
BARE = ("Enlarged Cardiomediastinum", "Fracture", "Pleural Other")  # rare, and without
# a sign in the image
OPACITY, KINDS = (
    "Lung Opacity",
    ("Atelectasis", "Consolidation", "Edema", "Lung Lesion", "Pneumonia"),
)
CLEAR, DEVICES = "No Finding", "Support Devices"
ILL = tuple(name for name in LABELS if name not in (CLEAR, DEVICES))
HALF = 0.5  # of what CheXpert calls uncertain, NegBio denies


def rates(options: Ward) -> np.ndarray:
    """Chance of each of DRAWN in a study of each race: float[G, 12].

    Example:
        >>> rates(Ward())[:2, 0].round(3)
        array([0.16 , 0.239])
    """
    risk = np.array([RISK[name] for name in RACES])
    return expit(
        logit(np.array(list(SHARES.values())))[None] + options.gap * risk[:, None]
    )


def missed(options: Ward) -> np.ndarray:
    """Share of each race's ill studies whose labels say "No Finding": float[G]."""
    return np.array([0.0 if name == REFERENCE else options.missed for name in RACES])


def unsure() -> dict[str, float]:
    """Chance of -1 where a finding of ILL is not there."""
    shares = np.array([SHARES.get(name, 0) for name in ILL])
    kinds = np.array([SHARES[name] for name in KINDS])
    shares[ILL.index(OPACITY)] = 1 - np.prod(1 - kinds)
    return dict(zip(ILL, (UNSURE * shares).tolist(), strict=True))


def draw(people: People, options: Ward, rng: np.random.Generator) -> pd.DataFrame:
    """What is true of S studies: bool, columns LABELS.

    A study has what its person usually has, but for a share of fresh draws.

    Example:
        >>> draw(people, Ward(), rng)["Edema"].mean()  # doctest: +SKIP
    """
    rate = rates(options)[people.race]
    usual = rng.random(rate.shape) < rate
    rate = rate[people.person]
    fresh = rng.random(rate.shape) < rate
    steady = rng.random(len(rate)) < STEADY
    found = np.where(steady[:, None], usual[people.person], fresh)
    frame = pd.DataFrame(found, columns=list(DRAWN))
    frame[OPACITY] = frame[list(KINDS)].any(axis=1)
    frame[CLEAR] = ~frame[list(ILL)].any(axis=1)
    return frame[list(LABELS)]


def tables(
    true: pd.DataFrame, people: People, options: Ward, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """The tables "chexpert" and "negbio": text, "" = not mentioned.

    true: of `draw`.

    Example:
        >>> tables(true, people, Ward(), rng)["negbio"].columns  # doctest: +SKIP
    """
    n = len(true)
    lost = rng.random(n) < missed(options)[people.race[people.person]]
    doubt = unsure()
    said, other, ill = {}, {}, np.zeros(n, bool)
    for name in LABELS:
        there = true[name].to_numpy(bool)
        turn, denied, half = rng.random((3, n))
        vague = ~there & (turn < doubt.get(name, 0.0))
        if name in ILL:
            there, vague = there & ~lost, vague & ~lost
            ill |= there | vague
        below = np.where(denied < DENIED, "0.0", "")
        said[name] = np.where(there, "1.0", np.where(vague, "-1.0", below))
        other[name] = np.where(vague & (half < HALF), "0.0", said[name])
    said[CLEAR] = other[CLEAR] = np.where(ill, "", "1.0")
    keys = {"subject_id": people.subject[people.person], "study_id": people.study}
    return {"chexpert": text(**keys, **said), "negbio": text(**keys, **other)}
