"""Features of a cell of the deaths table: who, where, when, and earlier shares.

Only earlier periods are looked at, never the cell's own, and everything that is
estimated (categories, scales, the limits of the trend) comes from training rows alone.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.data.deaths_names import UNKNOWN, span
from equity_jax.types import InputError

HISTORY = (
    *("period", "region", "race", "age"),
    *("low", "high", "total_low", "total_high"),
)
KEYS = list(HISTORY[:4])


class Features(NamedTuple):
    """x float32[N, F], its names, the recipe to make it again, notes for the page."""

    x: np.ndarray
    names: tuple[str, ...]
    recipe: dict[str, Any]
    notes: tuple[str, ...]


def fit(
    past: pd.DataFrame,
    rows: pd.DataFrame,
    train: np.ndarray,
    grain: str,
    lags: tuple[int, ...],
    race: bool,
) -> Features:
    """Learns categories, scales and trend limits from `train` (bool[N]), then applies.

    rows: N cells, canonical; past: HISTORY of every cell that may serve as an earlier
    one (including these). A cumulative table (grain "total") has no season, trend or
    lags.

    Raises:
        InputError: a lag below 1.

    Example:
        >>> made = fit(past, rows, split == 0, "month", (1, 2), False)  # doctest: +SKIP
    """
    if any(int(lag) != lag or lag < 1 for lag in lags):
        raise InputError(f"data.lags={tuple(lags)}; expected whole numbers from 1 up")
    # a cumulative table is split by region: its indicators would never be met again
    columns = ["age"] + ["region"] * (grain != "total") + ["race"] * race
    seen = rows[train]
    recipe: dict[str, Any] = {
        "grain": grain,
        "lags": [] if grain == "total" else [int(lag) for lag in lags],
        "categories": {c: _categories(seen[c]) for c in columns},
        "scales": {},
    }
    if grain != "total":
        steps = _steps(seen["period"], grain)
        recipe["trend"] = [float(steps.min()), float(steps.max())]
        recipe["scales"]["trend"] = _scale(steps)
    for name, values in _shares(past, rows, recipe).items():
        recipe["scales"][name] = _scale(values[train])
    return apply(past, rows, recipe)


def apply(
    past: pd.DataFrame, rows: pd.DataFrame, recipe: Mapping[str, Any]
) -> Features:
    """The same features of other rows, with the categories and scales of `recipe`.

    The trend is held at its training limits; a share that is not exactly known is 0
    with its indicator 1; an unknown category is all zeros, and a note says so.

    Example:
        >>> later = apply(past, new_rows, made.recipe)  # doctest: +SKIP
    """
    columns, notes = {}, []
    for column, known in recipe["categories"].items():
        for value in known:
            columns[f"{column}={value}"] = (rows[column] == value).to_numpy(float)
        unseen = sorted(set(rows[column]) - set(known) - {"", UNKNOWN})
        if unseen:
            one = len(unseen) == 1
            notes.append(
                f"{column} {', '.join(unseen)} {'is' if one else 'are'} not among the "
                f"training rows: the {column} features of "
                f"{'that one' if one else 'those'} are all 0."
            )
    if recipe["grain"] in ("week", "month"):
        columns |= _season(rows["period"], recipe["grain"])
    if "trend" in recipe:
        steps = np.clip(_steps(rows["period"], recipe["grain"]), *recipe["trend"])
        columns["trend"] = _standard(steps, recipe["scales"]["trend"])
    for name, values in _shares(past, rows, recipe).items():
        unknown = np.isnan(values)
        scaled = _standard(values, recipe["scales"][name])
        columns[name] = np.where(unknown, 0.0, scaled)
        columns[f"{name} unknown"] = unknown.astype(float)
    x = np.stack(list(columns.values()), axis=1).astype(np.float32)
    return Features(x, tuple(columns), dict(recipe), tuple(notes))


def earlier(own: pd.DataFrame, history: pd.DataFrame | None) -> pd.DataFrame:
    """HISTORY rows of `own`, and of `history` where `own` lacks that period and region.

    `history` may have been read from a CSV, where region 04 becomes the number 4.

    Example:
        >>> past = earlier(rows, run.history)  # doctest: +SKIP
    """
    own = own[list(HISTORY)]
    if history is None or not len(history):
        return own
    history = history[list(HISTORY)].copy()
    region = history["region"].astype(str).str.removesuffix(".0")
    history["region"] = region.where(~region.str.isdecimal(), region.str.zfill(2))
    history["race"] = history["race"].fillna("").replace("", UNKNOWN).astype(str)
    history["period"] = history["period"].astype(str)
    have = set(zip(own["period"], own["region"], strict=True))
    where = zip(history["period"], history["region"], strict=True)
    lacking = np.array([place not in have for place in where])
    return pd.concat([history[lacking], own], ignore_index=True)


def _categories(values: pd.Series) -> list[str]:
    found = sorted(set(map(str, values)) - {UNKNOWN})
    return sorted(found, key=span) if values.name == "age" else found


def _shares(
    past: pd.DataFrame, rows: pd.DataFrame, recipe: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Log shares at each lag, NaN where not exactly known: the cell's and its region's.

    The region's pools the cells where both counts are published: sum over sum.
    """
    known = (past["low"] == past["high"]) & (past["total_low"] == past["total_high"])
    past = past[known & (past["total_low"] > 0)]
    own = pd.Series(_log_share(past["low"], past["total_low"]), _index(past, KEYS))
    sums = past.groupby(KEYS[:2])[["low", "total_low"]].sum()
    pooled = pd.Series(_log_share(sums["low"], sums["total_low"]), sums.index)
    found = {}
    for lag in recipe["lags"]:
        then = rows.assign(period=_before(rows["period"], recipe["grain"], lag))
        found[f"lag{lag} cell"] = own.reindex(_index(then, KEYS)).to_numpy()
        found[f"lag{lag} region"] = pooled.reindex(_index(then, KEYS[:2])).to_numpy()
    return found


def _index(frame: pd.DataFrame, keys: list[str]) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(frame[keys])


def _log_share(deaths: pd.Series, total: pd.Series) -> np.ndarray:
    return np.log((deaths.to_numpy() + 0.5) / (total.to_numpy() + 1.0))


def _before(period: pd.Series, grain: str, lag: int) -> pd.Series:
    step = {
        "week": pd.DateOffset(days=7 * lag),
        "month": pd.DateOffset(months=lag),
        "year": pd.DateOffset(years=lag),
    }[grain]
    unique = period.unique()
    return period.map({p: str((pd.Timestamp(p) - step).date()) for p in unique})


def _steps(period: pd.Series, grain: str) -> np.ndarray:
    """Periods since the year 0, in the unit of the grain: float64[N]."""
    day = pd.to_datetime(period)
    if grain == "week":
        return (day - pd.Timestamp("2000-01-02")).dt.days.to_numpy(float) / 7
    months = day.dt.year * 12 + day.dt.month - 1
    return (months if grain == "month" else day.dt.year).to_numpy(float)


def _season(period: pd.Series, grain: str) -> dict[str, np.ndarray]:
    """Two harmonics of the year."""
    day = pd.to_datetime(period).dt
    month = (day.month - 1) / 12
    part = month if grain == "month" else (day.day_of_year - 1) / 365.25
    turn = 2 * np.pi * part.to_numpy(float)
    return {
        f"{name}{k}": wave(k * turn)
        for k in (1, 2)
        for name, wave in (("sin", np.sin), ("cos", np.cos))
    }


def _scale(values: np.ndarray) -> list[float]:
    """Mean and standard deviation of the known values; [0, 1] where there are none."""
    values = values[np.isfinite(values)]
    if not len(values):
        return [0.0, 1.0]
    return [float(values.mean()), float(values.std()) or 1.0]


def _standard(values: np.ndarray, scale: list[float]) -> np.ndarray:
    return (values - scale[0]) / scale[1]
