"""The words of the CDC deaths tables, in every version, and what each one means here.

Every parser takes one cell of text and returns its value, or raises ValueError with
what was expected; `deaths_table.read` adds the file, the line and the column.
"""

import re
from datetime import datetime

import numpy as np

NATION = "United States"
UNKNOWN = "Unknown"
ALL_AGES, ALL_RACES = "All Ages", "Total Deaths"
GRAINS = ("week", "month", "year", "total")
REGIONS = tuple(f"{i:02d}" for i in range(1, 11))
RACES = (
    "Hispanic",
    "Non-Hispanic American Indian or Alaska Native",
    "Non-Hispanic Asian",
    "Non-Hispanic Black",
    "Non-Hispanic More than one race",
    "Non-Hispanic Native Hawaiian or Other Pacific Islander",
    "Non-Hispanic White",
)
STATES = tuple(
    """Alabama,Alaska,Arizona,Arkansas,California,Colorado,Connecticut,Delaware,
    District of Columbia,Florida,Georgia,Hawaii,Idaho,Illinois,Indiana,Iowa,Kansas,
    Kentucky,Louisiana,Maine,Maryland,Massachusetts,Michigan,Minnesota,Mississippi,
    Missouri,Montana,Nebraska,Nevada,New Hampshire,New Jersey,New Mexico,New York,
    New York City,North Carolina,North Dakota,Ohio,Oklahoma,Oregon,Pennsylvania,
    Puerto Rico,Rhode Island,South Carolina,South Dakota,Tennessee,Texas,Utah,Vermont,
    Virginia,Washington,West Virginia,Wisconsin,Wyoming""".replace("\n    ", "").split(
        ","
    )
)
AGES = (  # of the tables by HHS region; they do not overlap
    *("0-4 years", "5-17 years", "18-29 years", "30-39 years", "40-49 years"),
    *("50-64 years", "65-74 years", "75-84 years", "85 years and over"),
)
# The table by state holds two partitions of life, one inside the other.
OLDEST = ("65-74 years", "75-84 years", "85 years and over")
FINE = (
    *("Under 1 year", "1-4 years", "5-14 years", "15-24 years", "25-34 years"),
    *("35-44 years", "45-54 years", "55-64 years", *OLDEST),
)
COARSE = (
    *("0-17 years", "18-29 years", "30-39 years", "40-49 years", "30-49 years"),
    *("50-64 years", *OLDEST),
)
SYNONYMS = {"hispanic or latino": "Hispanic", "total": ALL_RACES}

# column of ours -> its names in the releases (lower case, only letters and digits)
ALIASES = {
    "as_of": ("data as of",),
    "start": ("start date", "start week"),
    "end": ("end date", "end week", "week ending date"),
    "group": ("group",),
    "region": ("hhs region", "state"),
    "race": ("race and hispanic origin group", "race and hispanic origin", "race"),
    "age": ("age group", "age group inferred"),
    "covid": ("covid 19 deaths", "covid deaths"),
    "total": ("total deaths",),
    "footnote": ("footnote",),
    "week": ("week",),
    "period": ("time period",),
}
TITLES = {  # what a missing column is called in messages
    "start": "Start Date",
    "end": "End Date",
    "region": "HHS Region",
    "race": "Race and Hispanic Origin Group",
    "age": "Age Group",
    "covid": "COVID-19 Deaths",
    "total": "Total Deaths",
    "week": "Week",
}
LAYOUTS = {
    "regions": "the CDC table by HHS region, race and age (tpcp-uiv5, 14 columns)",
    "cleaned": "its cleaned copy (11 columns with Time Period, blank rows dropped)",
    "weekly": "the weekly copy (Week, HHS_Region, Race, COVID_Deaths, age group)",
    "states": "the CDC table by state, race and age (ks3g-spdg)",
}


def plain(text: str) -> str:
    """A header or a name without case, punctuation and spacing.

    Example:
        >>> plain("COVID-19 Deaths"), plain("hhs_region")
        ('covid 19 deaths', 'hhs region')
    """
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def count(text: str) -> float:
    """A whole number that is not negative, float; NaN if blank."""
    text = text.strip()
    if not text:
        return np.nan
    if re.fullmatch(r"\d+(\.0*)?", text):
        return float(text)
    why = "is not a number"
    if re.fullmatch(r"[-+]?\d+(\.\d*)?", text):
        why = "is negative" if text.startswith("-") else "is not a whole number"
    raise ValueError(f"{text!r} {why}; expected a count (digits only) or a blank")


def date(text: str) -> np.datetime64:
    """A day: MM/DD/YYYY or YYYY-MM-DD (a time of day is ignored); NaT if blank."""
    text = text.strip()
    if not text:
        return np.datetime64("NaT", "s")
    for form, size in (("%m/%d/%Y", 10), ("%Y-%m-%d", 10)):
        try:
            day = datetime.strptime(re.split("[T ]", text)[0][:size], form)
        except ValueError:
            continue
        return np.datetime64(day, "s")
    raise ValueError(f"{text!r} is not a date; expected MM/DD/YYYY or YYYY-MM-DD")


def day(text: str) -> np.datetime64:
    """As `date`, and a blank is refused."""
    found = date(text)
    if np.isnat(found):
        raise ValueError("is blank; expected a date, MM/DD/YYYY or YYYY-MM-DD")
    return found


def region(text: str) -> str:
    """`4`, `4.0` and `04` are "04"; or "United States"."""
    found = re.fullmatch(r"0*(\d+)(\.0*)?", text.strip())
    name = f"{int(found[1]):02d}" if found else _match(text, (NATION,))
    if name not in (*REGIONS, NATION):
        raise ValueError(f"{text!r} is no HHS region; expected 01 to 10 or {NATION}")
    return name


def state(text: str) -> str:
    """A state, District of Columbia, New York City, Puerto Rico or United States."""
    name = _match(text, (*STATES, NATION))
    if not name:
        raise ValueError(f"{text!r} is no state; expected a full name such as Alabama")
    return name


def race(text: str) -> str:
    """One of RACES, "Unknown" or "Total Deaths"; `Hispanic or Latino` is "Hispanic"."""
    name = _match(text, (*RACES, UNKNOWN, ALL_RACES))
    if not name:
        known = "; ".join((*RACES, UNKNOWN))
        raise ValueError(f"{text!r} is no known race group; expected one of: {known}")
    return name


def age(text: str) -> str:
    """An age group such as "50-64 years", or "All Ages"."""
    name = _match(text, tuple(dict.fromkeys((*AGES, *FINE, *COARSE, ALL_AGES))))
    if not name:
        raise ValueError(f"{text!r} is no known age group; expected e.g. '50-64 years'")
    return name


def grain(text: str) -> str:
    """`By Month` is "month"."""
    name = plain(text).removeprefix("by ")
    if name not in GRAINS:
        raise ValueError(
            f"{text!r} is no known grouping; expected By Week, By Month, By Year or "
            "By Total"
        )
    return name


def span(name: str) -> tuple[int, int]:
    """First and last year of life of an age group (the last of the oldest is 150).

    Example:
        >>> span("Under 1 year"), span("85 years and over")
        ((0, 0), (85, 150))
    """
    if name == "Under 1 year":
        return 0, 0
    numbers = [int(n) for n in re.findall(r"\d+", name)]
    return numbers[0], numbers[1] if len(numbers) > 1 else 150


def _match(text: str, names: tuple[str, ...]) -> str:
    key = plain(text)
    if key in SYNONYMS and SYNONYMS[key] in names:
        return SYNONYMS[key]
    return {plain(name): name for name in names}.get(key, "")
