"""SIMULATED twins: the file format of the real table, a planted disparity, the truth.

The twin of the deaths table has the columns and quirks of the last public export of
tpcp-uiv5 (months only). Cells are about as large as the nation's; the constants below
are rounded from the public monthly table of 2020-2021 (national rows, and shares of
regions by race from the table by state); waves of 2022-2023 are rough.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from equity_jax.config import Twin
from equity_jax.data import deaths_names as names
from equity_jax.keys import generator
from equity_jax.types import InputError

COLUMNS = (
    *("Data As Of", "Start Date", "End Date", "Group", "Year", "Month", "MMWR Week"),
    *("Week-Ending Date", "HHS Region", "Race and Hispanic Origin Group", "Age Group"),
    *("COVID-19 Deaths", "Total Deaths", "Footnote"),
)
FOOTNOTE = (
    "One or more data cells have counts between 1-9 and have been suppressed in "
    "accordance with NCHS confidentiality standards."
)
AS_OF, LAST_DAY = "09/27/2023", np.datetime64("2023-09-23")
RACES = (*names.RACES, names.UNKNOWN)
REFERENCE = "Non-Hispanic White"
BY_SIZE = (  # smaller groups, largest first: planted shifts alternate in sign
    *("Non-Hispanic Black", "Hispanic", "Non-Hispanic Asian"),
    "Non-Hispanic American Indian or Alaska Native",
    "Non-Hispanic More than one race",
    "Non-Hispanic Native Hawaiian or Other Pacific Islander",
)
REFERENCE_AGE = names.AGES.index("65-74 years")
# Deaths of any cause a month in the nation, by age (columns) and race (rows of RACES).
DEATHS = np.array(
    [
        [428, 215, 1117, 1356, 2015, 5626, 4950, 5125, 5245],
        [21, 16, 105, 182, 215, 562, 444, 369, 242],
        [58, 27, 120, 172, 307, 1119, 1459, 1899, 2526],
        [560, 242, 1407, 1729, 2486, 8974, 8714, 7219, 6200],
        [72, 25, 101, 98, 109, 286, 252, 230, 200],
        [7, 3, 16, 26, 44, 113, 91, 66, 41],
        [794, 429, 2608, 4477, 6827, 31762, 42285, 53855, 66885],
        [6, 3, 25, 35, 45, 140, 150, 160, 150],
    ],
    float,
)
# Share of each race's deaths in regions 01..10, in thousandths.
PLACES = np.array(
    [
        [20, 190, 27, 138, 49, 232, 10, 27, 291, 16],
        [10, 16, 14, 87, 80, 285, 27, 134, 231, 116],
        [27, 141, 65, 77, 75, 70, 12, 14, 475, 44],
        [18, 101, 137, 339, 158, 135, 28, 6, 73, 7],
        [22, 44, 51, 106, 99, 109, 44, 36, 396, 93],
        [12, 12, 22, 53, 30, 75, 28, 77, 553, 138],
        [53, 76, 104, 229, 189, 109, 57, 35, 104, 44],
        [124, 309, 58, 42, 92, 46, 36, 28, 235, 29],
    ],
    float,
)
# COVID-19 as a share of the nation's deaths: about the real one until March 2022, then
# higher than it was, so that the last months still hold deaths to learn from; and all
# deaths relative to their mean.
WAVE = np.array(
    [
        *(0, 0, 0.026, 0.202, 0.136, 0.072, 0.112, 0.108, 0.075, 0.091, 0.176, 0.268),
        *(0.283, 0.172, 0.086, 0.073, 0.058, 0.033, 0.044, 0.161, 0.203, 0.142, 0.112),
        *(0.143, 0.23, 0.13, 0.05, 0.045, 0.05, 0.07, 0.1, 0.11, 0.09, 0.08, 0.1),
        *(0.15, 0.17, 0.12, 0.08, 0.06, 0.055, 0.07, 0.1, 0.12, 0.11),
    ]
)
SEASON = np.array([1.08, 0.97, 0.97, 1.0, 0.96, 0.93, 0.96, 1, 0.98, 1, 1.03, 1.12])
AGE_EFFECT = np.array([-3.0, -1.9, -1.2, -0.5, -0.05, 0.0, 0.0, -0.05, -0.2])
REGION_SD, LEVEL = 0.1, -0.25  # LEVEL keeps mu well below the total in the peaks


class Truth(NamedTuple):
    """What was planted. Rows as in the frame (N of them).

    log_ratio: race -> log rate ratio to the reference at age 65-74; log_rate float[N]:
    log of the expected share before block noise (-inf where it is 0, the sum's for the
    nation's rows); mu float[N]: the expected count, block noise included; covid, total
    float[N]: true counts, before suppression.
    """

    log_ratio: dict[str, float]
    log_rate: np.ndarray
    mu: np.ndarray
    covid: np.ndarray
    total: np.ndarray


def deaths(
    twin: Twin, *, suppress: bool = True, draw: int = 0
) -> tuple[pd.DataFrame, Truth]:
    """A SIMULATED monthly table by region, race and age, and the truth behind it.

    Y ~ NegBin(mu, alpha = twin.dispersion), at most the total, where log mu =
    log total + wave + age + region + planted group ratio + group × age slope + block.
    Regions are suppressed per column (1-9 -> blank and footnote), the nation's rows are
    their unsuppressed sums. Planted parameters and totals depend on twin.seed alone;
    another `draw` gives fresh counts and block effects of the same population.

    Returns:
        A frame of text with COLUMNS, 792 rows a month for ten regions, and its Truth.

    Raises:
        InputError: months not in 1..45, regions not in 1..10, a negative spread.

    Example:
        >>> frame, truth = deaths(Twin(months=3))
        >>> len(frame), truth.log_ratio["Non-Hispanic White"]
        (2376, 0.0)
    """
    _check(twin)
    total = _totals(twin)
    log_rate = _log_rate(twin)
    shape = (twin.months, twin.regions)
    block = generator(twin.seed, "twin", f"blocks {draw}").normal(size=shape)
    spread = twin.block_sd * block - twin.block_sd**2 / 2  # mean one
    planned = total * np.exp(log_rate)
    mu = planned * np.exp(spread)[:, :, None, None]
    random = generator(twin.seed, "twin", f"counts {draw}")
    rate = mu * _gamma(random, twin.dispersion, mu.shape)
    covid = np.minimum(random.poisson(rate), total)
    planned, mu, covid, total = map(_with_nation, (planned, mu, covid, total))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.log(planned / total)
        share[:, 1:] = log_rate  # defined where a region's cell has no deaths, too
    flat = (
        a.reshape(-1) for a in (share, mu, covid.astype(float), total.astype(float))
    )
    truth = Truth(_ratios(twin), *flat)
    return _frame(twin, truth, suppress), truth


def _check(twin: Twin) -> None:
    for name, value, most in (
        ("months", twin.months, len(WAVE)),
        ("regions", twin.regions, len(names.REGIONS)),
    ):
        if not 1 <= value <= most:
            raise InputError(f"data.twin.{name}={value}; expected 1 to {most}")
    for name in ("size", "block_sd", "dispersion"):
        if getattr(twin, name) < 0:
            value = getattr(twin, name)
            raise InputError(f"data.twin.{name}={value}; expected 0 or more")


def _days(twin: Twin) -> tuple[np.ndarray, np.ndarray]:
    """First and last day of each month; the data end on LAST_DAY."""
    month = np.datetime64("2020-01") + np.arange(twin.months)
    start = month.astype("datetime64[D]")
    end = (month + 1).astype("datetime64[D]") - 1
    return start, np.minimum(end, LAST_DAY)


def _totals(twin: Twin) -> np.ndarray:
    """Deaths of any cause, int[months, regions, races, ages]."""
    start, end = _days(twin)
    calendar = np.arange(twin.months) % 12
    part = ((end - start).astype(int) + 1) / 30.4
    months = SEASON[calendar] * part * (0.9 + WAVE[: twin.months])
    places = (PLACES / PLACES.sum(1, keepdims=True)).T[: twin.regions]
    cells = places[:, :, None] * DEATHS[None]
    mean = twin.size * months[:, None, None, None] * cells[None]
    return generator(twin.seed, "twin", "totals").poisson(mean)


def _ratios(twin: Twin) -> dict[str, float]:
    return {race: twin.shift * _sign(race) for race in RACES}


def _sign(race: str) -> float:
    return (-1.0) ** BY_SIZE.index(race) if race in BY_SIZE else 0.0


def _log_rate(twin: Twin) -> np.ndarray:
    """Log expected share before block noise, [months, regions, races, ages]."""
    ratio = np.array(list(_ratios(twin).values()))
    sign = np.array([_sign(race) for race in RACES])
    age = (np.arange(len(names.AGES)) - REFERENCE_AGE) / 3
    who = ratio[:, None] + twin.slope * sign[:, None] * age[None] + AGE_EFFECT[None]
    regions = generator(twin.seed, "twin", "regions").normal(size=len(names.REGIONS))
    where = REGION_SD * regions[: twin.regions]
    with np.errstate(divide="ignore"):
        when = np.log(WAVE[: twin.months]) + LEVEL
    return when[:, None, None, None] + where[None, :, None, None] + who[None, None]


def _gamma(random: np.random.Generator, alpha: float, shape: tuple) -> np.ndarray:
    if alpha == 0:
        return np.ones(shape)
    return random.gamma(1 / alpha, alpha, shape)


def _with_nation(cells: np.ndarray) -> np.ndarray:
    return np.concatenate([cells.sum(1, keepdims=True), cells], axis=1)


def _frame(twin: Twin, truth: Truth, suppress: bool) -> pd.DataFrame:
    places = np.array([names.NATION, *names.REGIONS[: twin.regions]])
    shape = (twin.months, len(places), len(RACES), len(names.AGES))
    month, place, race, age = (i.reshape(-1) for i in np.indices(shape))
    start, end = (
        np.array([pd.Timestamp(d).strftime("%m/%d/%Y") for d in days])
        for days in _days(twin)
    )
    small = [suppress & (place > 0) & (c >= 1) & (c <= 9) for c in truth[-2:]]
    covid, total = (
        np.where(hide, "", values.astype(int).astype(str))
        for hide, values in zip(small, truth[-2:], strict=True)
    )
    blank = np.full(len(month), "")
    values = (
        *(np.full(len(month), AS_OF), start[month], end[month]),
        *(np.full(len(month), "By Month"), (2020 + month // 12).astype(str)),
        *((month % 12 + 1).astype(str), blank, blank, places[place]),
        *(np.array(RACES)[race], np.array(names.AGES)[age], covid, total),
        np.where(small[0] | small[1], FOOTNOTE, ""),
    )
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
