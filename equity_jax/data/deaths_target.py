"""What is known of each cell's count and of its denominator (methods.md 22)."""

import numpy as np
import pandas as pd

from equity_jax.data import deaths_names as names
from equity_jax.data.deaths_table import SUPPRESSED, Table, joint, suppressible
from equity_jax.data.deaths_text import convert, read_text
from equity_jax.types import Counted, InputError

ROUNDING = 1 - 1e-6  # 3 of 30 is a share of 0.1 in any precision
DAYS_PER_YEAR = 365.25
UNEXPLAINED = "a blank that no footnote explains"
UNDECIDED = "high burden cannot be decided from the intervals"
NO_POPULATION = "no population given"
NO_TOTAL = "total deaths suppressed or unknown"
ZERO = "total deaths are 0 (no share)"
NOBODY = "population is 0"


def resolve(table: Table, blanks: str) -> tuple[Table, bool]:
    """Reads blanks as the config asks: each count's own, or jointly of the row.

    Joint: a footnote says only that one of the two counts was suppressed, so COVID-19
    deaths lie in 0..9 and the total is unknown. "auto" decides by `joint`.

    Returns:
        The table with its intervals, and whether blanks are joint.

    Raises:
        InputError: `blanks` is none of "own", "joint", "auto".

    Example:
        >>> table, is_joint = resolve(read("deaths.csv.gz"), "auto")  # doctest: +SKIP
    """
    if blanks not in ("own", "joint", "auto"):
        raise InputError(f"data.blanks={blanks!r}; expected 'own', 'joint' or 'auto'")
    frame = table.frame
    if blanks == "own" or (blanks == "auto" and not joint(frame)):
        return table, False
    hidden = frame["footnote"] & (frame["low"] != frame["high"])
    hidden &= frame["total_low"] != frame["total_high"]
    frame = frame.copy()
    frame.loc[hidden, ["low", "high"]] = [0.0, SUPPRESSED[1]]
    frame.loc[hidden, ["total_low", "total_high"]] = np.nan
    return table._replace(frame=frame), True


def exposure(table: Table, frame: pd.DataFrame, path: str) -> np.ndarray:
    """The denominator, float64[N]; NaN where unknown.

    Total deaths where published; with a `population` CSV (region, race, age,
    population), person-years of the row's period.

    Raises:
        InputError: the table has no total deaths and there is no population file; the
            file cannot be read, or names a cell twice.

    Example:
        >>> exposure(table, table.frame, "")  # doctest: +SKIP
    """
    if path:
        people = _population(path, table.layout)
        keys = pd.MultiIndex.from_frame(frame[["region", "race", "age"]])
        days = (frame["end"] - frame["start"]).dt.days.to_numpy() + 1
        found = people.reindex(keys).to_numpy(float)
        if np.isnan(found).all():
            raise InputError(f"{path}: no region, race and age of it is in the table")
        return found * days / DAYS_PER_YEAR
    if table.layout == "weekly":
        raise InputError(
            f"{table.name}, line 1: this layout has no column 'Total Deaths'; expected "
            "data.population, a CSV of region, race, age, population"
        )
    known = frame["total_low"] == frame["total_high"]
    return frame["total_low"].where(known).to_numpy(float)


def counts(
    table: Table, frame: pd.DataFrame, exposure: np.ndarray, joint: bool, rate: bool
) -> tuple[Counted, np.ndarray, dict[str, np.ndarray]]:
    """The count task's y, each float32[N, 1]; mask float32[N, 1]; reason -> bool[N].

    Rows whose exposure is unknown or 0 have exposure 0 and mask 0. truncated is 1
    where the source leaves out rows whose count lies in 1..9.

    Example:
        >>> y, mask, why = counts(table, frame, e, False, False)  # doctest: +SKIP
    """
    unknown = np.isnan(exposure)
    unexplained = frame["unexplained"].to_numpy()
    why = {
        UNEXPLAINED: unexplained,
        NO_POPULATION if rate else NO_TOTAL: unknown & ~unexplained,
        NOBODY if rate else ZERO: (exposure == 0) & ~unexplained,
    }
    mask = ~np.any(list(why.values()), axis=0)
    low = frame["low"].to_numpy()
    high = frame["high"].fillna(frame["low"]).to_numpy()
    cut = suppressible(frame) & drops_suppressed(table, frame, joint and not rate)
    y = Counted(low, high, np.where(mask, exposure, 0.0), cut)
    y = Counted(*(np.asarray(part, np.float32)[:, None] for part in y))
    return y, mask.astype(np.float32)[:, None], why


def drops_suppressed(table: Table, frame: pd.DataFrame, joint: bool) -> bool:
    """Whether usable rows of regions hold only counts of 0, or 10 and more.

    So it is in the cleaned copy, with joint blanks, and in releases without a footnote
    column, whose blanks nothing explains.
    """
    if table.footnotes or table.layout == "cleaned":
        return table.layout == "cleaned" or joint
    rows = frame[suppressible(frame)]
    small = rows["low"].between(*SUPPRESSED) & (rows["low"] == rows["high"])
    return bool(rows["unexplained"].any() and not small.any())


def burden(
    frame: pd.DataFrame, share: float
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Is COVID-19 at least `share` of all deaths? y, mask float32[N, 1]; reasons.

    Decided by the intervals: 1 where even low / total_high reaches the share, 0 where
    not even high / total_low does; NaN with mask 0 where they cannot tell.

    Example:
        >>> y, mask, why = burden(table.frame, 0.10)  # doctest: +SKIP
    """
    edge = share * ROUNDING
    least = frame["low"] / frame["total_high"].replace(0, np.nan)
    most = frame["high"] / frame["total_low"].replace(0, np.nan)
    unexplained = frame["unexplained"].to_numpy()
    zero = (frame["total_high"] == 0).to_numpy() & ~unexplained
    y = np.where(least >= edge, 1.0, np.where(most < edge, 0.0, np.nan))
    y[unexplained | zero] = np.nan
    open_ = np.isnan(y) & ~unexplained & ~zero
    why = {UNEXPLAINED: unexplained, ZERO: zero, UNDECIDED: open_}
    mask = np.isfinite(y).astype(np.float32)[:, None]
    return y.astype(np.float32)[:, None], mask, why


def _population(path: str, layout: str) -> pd.Series:
    header, rows, lines = read_text(path)
    index = {names.plain(title): i for i, title in enumerate(header)}
    place = names.state if layout == "states" else names.region
    parsers = {"region": place, "race": names.race, "age": names.age}
    parsed = {}
    for column, parse in {**parsers, "population": _people}.items():
        if column not in index:
            raise InputError(
                f"{path}, line 1, column {column!r}: missing; expected region, race, "
                "age, population"
            )
        cells = pd.Series([row[index[column]] for row in rows], dtype=object)
        title = header[index[column]]
        parsed[column] = convert(cells, parse, np.array(lines), path, title)
    frame = pd.DataFrame(parsed)
    again = frame.duplicated(list(parsers)).to_numpy()
    if again.any():
        line = lines[int(again.argmax())]
        raise InputError(
            f"{path}, line {line}, columns 'region', 'race', 'age': a cell given "
            "twice; expected each once"
        )
    return frame.set_index(list(parsers))["population"].astype(float)


def _people(text: str) -> float:
    found = names.count(text)
    if np.isnan(found):
        raise ValueError("is blank; expected a number of people")
    return found
