"""Who is in the SIMULATED cohort of chest X-ray embeddings: people, studies, images.

A person has a race, a sex, an insurance and an age; a study has an ejection fraction;
an image has nothing of its own but noise. Shares are near those of MIMIC-CXR. Low EF
depends on race alone, insurance on race alone, age on insurance alone: so the best
scores that anyone can reach are known (`cohort_truth`).
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from equity_jax.config import Cohort
from equity_jax.keys import generator
from equity_jax.types import InputError


class Race(NamedTuple):
    """One race: share of the people, of low EF, of each INSURANCE; its spellings."""

    share: float
    low: float
    insured: tuple[float, ...]
    spellings: tuple[str, ...]


INSURANCE = ("Medicare", "Medicaid", "Private", "Other")
RACES = {
    "White": Race(
        *(0.65, 0.22, (0.5, 0.1, 0.35, 0.05)),
        ("WHITE", "WHITE - OTHER EUROPEAN", "WHITE - RUSSIAN"),
    ),
    "Black": Race(
        *(0.18, 0.3, (0.35, 0.3, 0.3, 0.05)),
        ("BLACK/AFRICAN AMERICAN", "BLACK/CAPE VERDEAN", "BLACK/CARIBBEAN ISLAND"),
    ),
    "Hispanic": Race(
        *(0.085, 0.25, (0.25, 0.4, 0.25, 0.1)),
        *[("HISPANIC/LATINO - PUERTO RICAN", "HISPANIC/LATINO - DOMINICAN")],
    ),
    "Asian": Race(
        *(0.05, 0.18, (0.35, 0.25, 0.35, 0.05)),
        ("ASIAN", "ASIAN - CHINESE", "ASIAN - SOUTH EAST ASIAN"),
    ),
    "Other": Race(
        *(0.035, 0.22, (0.35, 0.2, 0.35, 0.1)),
        ("OTHER", "MULTIPLE RACE/ETHNICITY"),
    ),
}
REFERENCE = "White"  # the others are the smaller groups
UNKNOWN = ("UNKNOWN", "UNABLE TO OBTAIN", "PATIENT DECLINED TO ANSWER")
UNRECORDED = 0.05  # share of the people whose records never name their race
SPELLED = 0.8  # share of a race's people that have its first spelling
FEMALE, PORTABLE = 0.48, 0.6  # shares of women; of studies that are AP
MOST = 12  # images of a person
NEW = 0.6  # chance that the next image belongs to a new study
STEADY = 0.9  # chance that a study has its person's class, not a fresh one
SPLITS = {"train": 0.7, "validate": 0.1, "test": 0.2}  # of the people; MIMIC's own
# 97/1/2 would leave a hundred of these people to test on
SHOWS = 0.6  # correlation of EF within its class with what the image shows


class People(NamedTuple):
    """P people, S studies, N images, each sorted by its id's path.

    subject, race (code of RACES), female, insured (code of INSURANCE), age, split,
    known (race recorded), torn (records differ): [P]; study, person, portable, low
    (true EF below 40), flipped (recorded on the other side of 40), day (datetime64):
    [S]; dicom str[N]; of: int[N], each image's study.
    """

    subject: np.ndarray
    race: np.ndarray
    female: np.ndarray
    insured: np.ndarray
    age: np.ndarray
    split: np.ndarray
    known: np.ndarray
    torn: np.ndarray
    study: np.ndarray
    person: np.ndarray
    portable: np.ndarray
    low: np.ndarray
    flipped: np.ndarray
    day: np.ndarray
    dicom: np.ndarray
    of: np.ndarray


def draw(options: Cohort) -> People:
    """Everyone and everything but the pictures.

    Raises:
        InputError: a field of config.data.cohort out of its range.

    Example:
        >>> people = draw(Cohort(patients=10, images=40))
        >>> people.race.shape, people.of.shape
        ((10,), (40,))
    """
    _check(options)
    rng = generator(options.seed, "cohort", "who")
    n, table = options.patients, list(RACES.values())
    race = rng.choice(len(table), n, p=[r.share for r in table])
    insured = _pick(rng, np.array([r.insured for r in table])[race])
    elder = insured == INSURANCE.index("Medicare")
    age = np.where(elder, rng.integers(65, 91, n), rng.integers(18, 71, n))
    whose = np.repeat(np.arange(n), _images(options, rng))
    first = np.r_[True, whose[1:] != whose[:-1]]
    of = np.cumsum(first | (rng.random(options.images) < NEW)) - 1
    person = whose[np.r_[True, of[1:] != of[:-1]]]
    low = np.array([r.low for r in table])[race]
    usual = rng.random(n) < low
    fresh = rng.random(len(person)) < low[person]
    steady = rng.random(len(person)) < STEADY
    noisy = rng.random(len(person)) < options.noise
    smaller = race != list(RACES).index(REFERENCE)
    return People(
        *(_ids(rng, n, 1), race, rng.random(n) < FEMALE, insured, age),
        rng.choice(list(SPLITS), n, p=list(SPLITS.values())),
        *(rng.random(n) >= UNRECORDED, rng.random(n) < options.conflicts),
        *(_ids(rng, len(person), 5), person, rng.random(len(person)) < PORTABLE),
        *(np.where(steady, usual[person], fresh), noisy & smaller[person]),
        *(_days(rng, person), _dicoms(rng, of), of),
    )


def percent(people: People, shown: np.ndarray, options: Cohort) -> np.ndarray:
    """The ejection fraction as the echo has it, int[S], in percent.

    shown: standard normal float[S], what the images show of the heart beside its
    class. Given the (recorded) class, EF is lower where they show more; so EF is
    continuous, and yet shows nothing of its class that the class does not.
    """
    rng = generator(options.seed, "cohort", "percent")
    rest = rng.normal(size=len(shown))
    rank = norm.cdf(SHOWS * shown + np.sqrt(1 - SHOWS**2) * rest)
    low = people.low ^ people.flipped
    value = np.where(low, 40 - 28 * rank, 40 + 32 * np.sqrt(1 - rank))
    return np.floor(value).astype(int)


def _check(options: Cohort) -> None:
    people = options.patients
    for name, low, high in (
        ("patients", 1, 200_000),
        ("images", people, MOST * people),
        ("features", 16, 10**6),
        ("ef", 0, 10),
        ("race", 0, 10),
        ("faint", 0, 1),
        ("own", 0, 1),
        ("noise", 0, 0.5),
        ("conflicts", 0, 1),
    ):
        value = getattr(options, name)
        if not low <= value <= high:
            asked = f"expected {low} to {high}"
            raise InputError(f"data.cohort.{name}={value}; {asked}")


def _pick(rng: np.random.Generator, shares: np.ndarray) -> np.ndarray:
    """One column of each row, drawn by the row's shares."""
    ends = shares.cumsum(1)[:, :-1]
    return (rng.random(len(shares))[:, None] > ends).sum(1)


def _images(options: Cohort, rng: np.random.Generator) -> np.ndarray:
    """1 to MOST images a person that add up: some people are seen more often."""
    often = rng.gamma(1.0, size=(options.patients, 1))
    turn = rng.exponential(size=(options.patients, MOST - 1)) / often
    more = options.images - options.patients
    taken = np.zeros(turn.size, bool)
    taken[np.argsort(turn, None, kind="stable")[:more]] = True
    return 1 + taken.reshape(turn.shape).sum(1)


def _ids(rng: np.random.Generator, n: int, first: int) -> np.ndarray:
    """N growing numbers of eight digits, the first of which is given."""
    step = 10**7 // n
    return first * 10**7 + step * np.arange(n) + rng.integers(0, step, n)


def _dicoms(rng: np.random.Generator, of: np.ndarray) -> np.ndarray:
    """Five words of eight hex digits; sorted within a study, as its files are."""
    words = rng.integers(0, 2**32, (len(of), 5), np.uint32).tolist()
    names = np.array(["-".join(f"{w:08x}" for w in row) for row in words])
    return names[np.lexsort((names, of))]


def _days(rng: np.random.Generator, person: np.ndarray) -> np.ndarray:
    """Studies of a person lie 120 days apart or more; years are shifted, as MIMIC's."""
    gap = 120 + rng.exponential(150, len(person)).astype(int)
    start = np.flatnonzero(np.r_[True, person[1:] != person[:-1]])
    gap[start] = 0
    since = np.cumsum(gap)
    since -= np.repeat(since[start], np.diff(np.r_[start, len(person)]))
    begin = rng.integers(0, 80 * 365, person[-1] + 1)[person]
    return np.datetime64("2110-01-01") + begin + since
