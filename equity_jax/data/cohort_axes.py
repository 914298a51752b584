"""Where the SIMULATED cohort's embeddings lie: planted axes, and the noise about them.

An embedding is `centre + A (m + e) + SPECK * noise`. A: float[F, K], orthonormal,
fixed by the seed. The axes: EF, a second EF axis that only the smaller groups show,
race (corners of a simplex), insurance, sex, view, then nuisance of decaying spread. m:
what the person and the study plant there. e: normal, unit spread along the planted
axes, part of it shared by all images of a person, part by those of a study. So the
images are, given race, EF class and insurance, normal with a known covariance.
"""

import numpy as np
from scipy.linalg import helmert

from equity_jax.config import Cohort
from equity_jax.data.cohort_people import RACES, REFERENCE, People
from equity_jax.keys import generator

RACE = slice(2, 1 + len(RACES))  # EF is axis 0, the smaller groups' own axis 1
INSURED, SEX, VIEW = RACE.stop, RACE.stop + 1, RACE.stop + 2
PLANTED = VIEW + 1
INSURED_AT = (0.5, 0.25, -0.25, 0.0)  # of INSURANCE, along its axis
SEX_GAP, VIEW_GAP = 1.0, 0.8  # SD between the two
NUISANCE, WIDEST, DECAY = 30, 2.0, 0.9  # axes, SD of the first, and from one to next
SHARED, STUDY = 0.4, 0.2  # share of e's variance by person, by study
SPECK = 0.1  # SD of the noise of every single number
ROWS = 4096  # images made at a time


def shifts(options: Cohort) -> np.ndarray:
    """Where low EF lies from the rest, along the two EF axes: float[G, 2].

    White: (ef, 0). The smaller groups: (faint * ef, own * ef).
    """
    small = [options.faint, options.own]
    share = np.array([[1.0, 0.0] if name == REFERENCE else small for name in RACES])
    return options.ef * share


def places(apart: float) -> np.ndarray:
    """Where the races lie: float[G, G - 1], each `apart` from each."""
    return helmert(len(RACES)).T * apart / np.sqrt(2)


def latent(people: People, options: Cohort) -> tuple[np.ndarray, np.ndarray]:
    """M + e but for SPECK, float32[N, K]; what studies show of EF, normal float[S]."""
    width = PLANTED + min(NUISANCE, options.features - PLANTED)
    rng = generator(options.seed, "cohort", "effects")
    person, study, image = (
        rng.standard_normal((n, width), np.float32)
        for n in (len(people.subject), len(people.study), len(people.of))
    )
    shared = np.sqrt(SHARED) * person[people.person] + np.sqrt(STUDY) * study
    shown = shared[:, 0] / np.sqrt(SHARED + STUDY)
    spread = np.ones(width, np.float32)
    spread[PLANTED:] = WIDEST * DECAY ** np.arange(width - PLANTED)
    image *= np.sqrt(1 - SHARED - STUDY - SPECK**2)
    image += shared[people.of]
    image *= spread
    image[:, :PLANTED] += _planted(people, options)[people.of]
    return image, shown


def numbers(latent: np.ndarray, options: Cohort) -> np.ndarray:
    """float32[N, F]; a chunk of rows has its own random numbers."""
    n, width = latent.shape
    rng = generator(options.seed, "cohort", "axes")
    axes, _ = np.linalg.qr(rng.normal(size=(options.features, width)))
    centre = rng.normal(size=options.features).astype(np.float32)
    turned = axes.T.astype(np.float32)
    x = np.empty((n, options.features), np.float32)
    for top in range(0, n, ROWS):
        rows = x[top : top + ROWS]
        rng = generator(options.seed, "cohort", f"speck {top}")
        rng.standard_normal(out=rows, dtype=np.float32)
        rows *= np.float32(SPECK)
        rows += latent[top : top + ROWS] @ turned
        rows += centre[None]
    return x


def _planted(people: People, options: Cohort) -> np.ndarray:
    """float[S, PLANTED]: what does not vary within a study."""
    who = people.person
    race = people.race[who]
    found = np.zeros((len(who), PLANTED))
    found[:, :2] = shifts(options)[race] * (people.low[:, None] - 0.5)
    found[:, RACE] = places(options.race)[race]
    found[:, INSURED] = np.array(INSURED_AT)[people.insured[who]]
    found[:, SEX] = SEX_GAP * (people.female[who] - 0.5)
    found[:, VIEW] = VIEW_GAP * (people.portable - 0.5)
    return found
