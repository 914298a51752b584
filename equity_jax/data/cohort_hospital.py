"""The hospital's tables of the SIMULATED cohort, as MIMIC-IV has them.

Every study has an admission. A person whose race records differ has RECORDS of them or
more, one of which names another race: the most frequent record is right, the first is
not always. Codes of heart failure follow the true EF class.
"""

import numpy as np
import pandas as pd

from equity_jax.data.cohort_people import INSURANCE, RACES, SPELLED, UNKNOWN, People
from equity_jax.keys import generator

FAILURE = (0.12, 0.85)  # chance of a code of heart failure: EF 40 or more, below
CODES = {  # version -> codes of heart failure; others
    "9": (("4280", "42822", "42823"), ("4019", "25000", "5849", "486")),
    "10": (("I5022", "I509", "I5020"), ("I10", "E119", "N179", "J189")),
}
RECORDS = 3  # admissions, at least, of a person whose race records differ


def hospital(people: People, seed: int) -> dict[str, pd.DataFrame]:
    """The tables "admissions", "patients" and "diagnoses_icd".

    Example:
        >>> people = cohort_people.draw(Cohort(patients=10, images=40))
        >>> len(hospital(people, 0)["patients"])
        10
    """
    rng = generator(seed, "cohort", "hospital")
    stays = _stays(people, rng)
    return {
        "admissions": _admissions(people, stays, rng),
        "patients": _patients(people),
        "diagnoses_icd": _diagnoses(people, stays, rng),
    }


def text(**columns: np.ndarray | str) -> pd.DataFrame:
    """A frame of text; a single value goes to every row.

    Example:
        >>> text(subject_id=np.array([10000032]), dod="").iloc[0].tolist()
        ['10000032', '']
    """
    n = max(len(v) for v in columns.values() if not isinstance(v, str))
    full = {k: np.full(n, v) if isinstance(v, str) else v for k, v in columns.items()}
    return pd.DataFrame({k: pd.Series(v).astype(str) for k, v in full.items()})


def _stays(people: People, rng: np.random.Generator) -> pd.DataFrame:
    """One admission a study, and earlier ones where records must differ."""
    frame = pd.DataFrame(
        {
            "person": people.person,
            "low": people.low,
            "day": people.day - rng.integers(0, 3, len(people.day)),
        }
    )
    seen = np.bincount(people.person, minlength=len(people.subject))
    first = frame.drop_duplicates("person").set_index("person", drop=False)
    lacking = np.where(people.torn, np.maximum(RECORDS - seen, 0), 0)
    more = first.loc[np.repeat(np.arange(len(seen)), lacking)].reset_index(drop=True)
    back = 200 * (1 + more.groupby("person").cumcount())
    more["day"] -= pd.to_timedelta(back, unit="D")
    frame = pd.concat([frame, more]).sort_values(["person", "day"], kind="stable")
    frame["hadm"] = np.arange(len(frame)) + 2 * 10**7
    return frame.reset_index(drop=True)


def _admissions(
    people: People, stays: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    who = stays["person"].to_numpy()
    came = stays["day"].to_numpy().astype("datetime64[s]")
    came = came + rng.integers(0, 86400, len(who))
    left = came + rng.integers(3 * 86400, 12 * 86400, len(who))
    spaced = (np.char.replace(t.astype(str), "T", " ") for t in (came, left))
    return text(
        subject_id=people.subject[who],
        hadm_id=stays["hadm"],
        **dict(zip(("admittime", "dischtime"), spaced, strict=True)),
        deathtime="",
        admission_type=rng.choice(
            ["EW EMER.", "URGENT", "OBSERVATION ADMIT"], len(who)
        ),
        admit_provider_id="P00SIM",
        admission_location="EMERGENCY ROOM",
        discharge_location=rng.choice(["HOME", "SKILLED NURSING FACILITY"], len(who)),
        insurance=np.array(INSURANCE)[people.insured[who]],
        language="ENGLISH",
        marital_status=rng.choice(["MARRIED", "SINGLE", "WIDOWED", ""], len(who)),
        race=_spelled(people, who, rng),
        edregtime="",
        edouttime="",
        hospital_expire_flag="0",
    )


def _spelled(people: People, who: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The race of each admission; one record of a torn person names another race."""

    def spell(race: np.ndarray, known: np.ndarray) -> np.ndarray:
        usual = rng.random(len(race)) < SPELLED
        turn = rng.integers(0, 100, len(race))
        lists = [r.spellings for r in RACES.values()]
        rows = zip(race, known, usual, turn, strict=True)
        lists = [(lists[r] if k else UNKNOWN, u, t) for r, k, u, t in rows]
        return np.array([s[0] if u else s[t % len(s)] for s, u, t in lists])

    always = spell(people.race, people.known)
    hop = rng.integers(1, len(RACES), len(always))
    other = spell((people.race + hop) % len(RACES), np.ones(len(always), bool))
    order = rng.permutation(len(who))
    wrong = np.zeros(len(who), bool)
    wrong[order[np.unique(who[order], return_index=True)[1]]] = True
    wrong &= (people.torn & people.known)[who]
    return np.where(wrong, other[who], always[who])


def _patients(people: People) -> pd.DataFrame:
    first = np.unique(people.person, return_index=True)[1]
    year = people.day[first].astype("datetime64[Y]").astype(str)
    return text(
        subject_id=people.subject,
        gender=np.where(people.female, "F", "M"),
        anchor_age=people.age,
        anchor_year=year,
        anchor_year_group="2014 - 2016",
        dod="",
    )


def _diagnoses(
    people: People, stays: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    who, low = stays["person"].to_numpy(), stays["low"].to_numpy(bool)
    failing = rng.random(len(who)) < np.where(low, *FAILURE[::-1])
    version = np.where(rng.random(len(who)) < 0.5, "9", "10")
    turn = rng.integers(0, 12, len(who))
    rows = []
    for stay, v in enumerate(version):
        sick, other = CODES[v]
        codes = [other[turn[stay] % len(other)]]
        if failing[stay]:
            codes.insert(turn[stay] % 2, sick[turn[stay] % len(sick)])
        rows += [(stay, str(i), code, v) for i, code in enumerate(codes, 1)]
    at, number, code, version = map(np.array, zip(*rows, strict=True))
    return text(
        subject_id=people.subject[who[at]],
        hadm_id=stays["hadm"].to_numpy()[at],
        seq_num=number,
        icd_code=code,
        icd_version=version,
    )
