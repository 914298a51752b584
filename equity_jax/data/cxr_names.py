"""Words of chest X-ray tables made alike: columns, sex, age, view."""

import re
from collections.abc import Iterable

import numpy as np

SEXES = {
    **dict.fromkeys(("f", "female", "woman", "w"), "Female"),
    **dict.fromkeys(("m", "male", "man"), "Male"),
}
NO_SEX = {"", "u", "unknown", "o", "other", "na", "n/a", "nan", "none"}
VIEWS = {
    **{"AP": "AP", "PA": "PA"},
    **dict.fromkeys(("L", "LL", "RL", "LAT", "LATERAL"), "lateral"),
}
FRONTAL = ("AP", "PA")
BANDS = ("0-17", "18-39", "40-59", "60-79", "80+")
STARTS = (18, 40, 60, 80)
OLDEST = 120
PER_YEAR = {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([YMWD]?)", re.IGNORECASE)
# What a column may be called, lower case and without spaces or signs; the first wins.
COLUMNS = {
    "file": ("file", "filename", "imageindex", "image", "path", "imagepath"),
    "patient": ("patientid", "patient", "subjectid", "subject"),
    "finding": ("finding", "findinglabels", "label", "class", "diagnosis"),
    "race": ("race", "patientrace", "primaryrace", "ethnicity"),
    "sex": ("sex", "gender", "patientsex", "patientgender"),
    "insurance": ("insurance",),
    "age": ("age", "patientage"),
    "view": ("view", "viewposition"),
    "source": ("source", "dataset"),
    "official": ("split",),
    "modality": ("modality",),
    "lesion": ("lesion",),  # of the simulated twin: where it was planted
}


def columns(header: Iterable[str]) -> dict[str, str]:
    """Which column of a table holds what: our name -> its name.

    Example:
        >>> columns(["Image Index", "Patient ID", "url"])
        {'file': 'Image Index', 'patient': 'Patient ID'}
    """
    plain = {re.sub(r"[^a-z0-9]", "", str(c).lower()): str(c) for c in header}
    found = {
        ours: next((plain[name] for name in names if name in plain), None)
        for ours, names in COLUMNS.items()
    }
    return {ours: name for ours, name in found.items() if name}


def sex(word: str) -> str:
    """One of "Female", "Male", and "" where it is not recorded.

    Raises:
        KeyError: a word that means none of these.

    Example:
        >>> sex("m"), sex(" Female "), sex("Unknown")
        ('Male', 'Female', '')
    """
    plain = word.strip().lower()
    return "" if plain in NO_SEX else SEXES[plain]


def age(text: str) -> float:
    """Years; NaN for no number or one above 120 (NIH has ages up to 414).

    Example:
        >>> age("058Y"), age("6M"), age("414")
        (58.0, 0.5, nan)
    """
    found = AGE.fullmatch(text.strip())
    if not found:
        return float("nan")
    years = float(found[1]) / PER_YEAR[(found[2] or "Y").upper()]
    return years if years <= OLDEST else float("nan")


def bands(ages: np.ndarray) -> np.ndarray:
    """Age bands str[N] of years float[N], "" where unknown.

    Example:
        >>> bands(np.array([5.0, 80.0, np.nan])).tolist()
        ['0-17', '80+', '']
    """
    place = np.searchsorted(STARTS, np.nan_to_num(ages), side="right")
    return np.where(np.isnan(ages), "", np.array(BANDS)[place])


def view(word: str) -> str:
    """One of "AP", "PA", "lateral"; any other word in upper case.

    Example:
        >>> view("pa"), view("L"), view("AP Supine")
        ('PA', 'lateral', 'AP SUPINE')
    """
    plain = word.strip().upper()
    return VIEWS.get(plain, plain)
