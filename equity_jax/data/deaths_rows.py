"""Which rows of a deaths table make a data set, and to which split each one belongs.

The table holds its own sums: weeks, months, years and the total repeat the same deaths,
and so do the nation and its regions, `All Ages` and the age groups. One of each is kept
and every row left out is counted, by reason and group.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.config import Data
from equity_jax.data import deaths_names as names
from equity_jax.data.deaths_table import Table
from equity_jax.keys import generator
from equity_jax.types import LEFT_OUT, TEST, TRAIN, VALID, InputError

NOT_RECORDED = "not recorded"


class Rows(NamedTuple):
    """The rows that stay: frame (canonical, N rows) and split int8[N].

    grain: of all rows; by: the column whose values are split ("period" or "region");
    splits: value of that column -> split; left_out: reason -> group -> rows.
    """

    frame: pd.DataFrame
    split: np.ndarray
    grain: str
    by: str
    splits: dict[str, int]
    left_out: dict[str, dict[str, int]]


def choose(
    table: Table, config: Data, recipe: Mapping[str, Any] | None, seed: int
) -> Rows:
    """One grain, one level, one set of age groups; then splits by time (or by state).

    With a `recipe`, periods that it knows keep their split and new ones are TEST.

    Raises:
        InputError: the file mixes grains and the config names none, or what the config
            asks for is not there.

    Example:
        >>> rows = choose(read("deaths.csv.gz"), Data(), None, 0)  # doctest: +SKIP
    """
    frame, out = table.frame, {}
    grain = _grain(table, recipe["grain"] if recipe else config.grain)

    def keep(away: pd.Series, reason: str) -> pd.DataFrame:
        tally(frame[away], config.group, reason, out)
        return frame[~away]

    frame = keep(frame["grain"] != grain, "other groupings in time")
    frame = keep(_other_level(table, frame, config), _level_reason(config))
    sums = (frame["age"] == names.ALL_AGES) | (frame["race"] == names.ALL_RACES)
    frame = keep(sums, "All Ages or Total Deaths (sums of other rows)")
    overlap = _other_ages(table, frame, config)
    frame = keep(overlap, "age groups that overlap the chosen ones")
    if not len(frame):
        raise InputError(f"{table.name}: no row is left to use ({'; '.join(out)})")
    by = "region" if grain == "total" else "period"
    whole = complete(frame, config.incomplete_days)
    if recipe:
        splits = {v: recipe["splits"].get(v, TEST) for v in sorted(set(frame[by]))}
    elif by == "period":
        splits = _in_time(table, sorted(set(frame["period"][whole])), config)
    else:
        splits = _by_size(table, frame, config, seed)
    split = frame[by].map(splits).fillna(LEFT_OUT).to_numpy(np.int8)
    split[~whole] = LEFT_OUT
    tally(frame[~whole], config.group, "period not complete", out)
    return Rows(frame, split, grain, by, splits, out)


def complete(frame: pd.DataFrame, days: int) -> np.ndarray:
    """bool[N]: the period has its natural end, and ended `days` before the data date.

    Where no data date is known only the first can be judged. A total is never cut.
    """
    end, start = frame["end"], frame["start"]
    natural = {
        "week": (end - start).dt.days == 6,
        "month": end.dt.is_month_end,
        "year": (end.dt.month == 12) & (end.dt.day == 31),
        "total": end.notna(),
    }
    whole = np.select([frame["grain"] == g for g in natural], natural.values(), False)
    late = (frame["as_of"] - end).dt.days < days
    return whole & ~(late & (frame["grain"] != "total")).to_numpy()


def tally(frame: pd.DataFrame, group: str, reason: str, out: dict) -> None:
    """Adds out[reason] = {group: rows}, in alphabetical order; nothing if no rows."""
    if len(frame):
        unnamed = {names.UNKNOWN: NOT_RECORDED, names.ALL_RACES: NOT_RECORDED}
        counts = frame[group].replace(unnamed).value_counts().sort_index()
        out[reason] = {str(name): int(n) for name, n in counts.items()}


def _grain(table: Table, asked: str) -> str:
    found = [g for g in names.GRAINS if (table.frame["grain"] == g).any()]
    if asked and asked not in names.GRAINS:
        known = ", ".join(names.GRAINS)
        raise InputError(f"data.grain={asked!r} is unknown; expected one of: {known}")
    if asked and asked not in found:
        raise InputError(
            f"{table.name}, column 'Group': no {asked!r} rows; the file has "
            f"{', '.join(found)} (data.grain)"
        )
    if not asked and len(found) > 1:
        grain = table.frame["grain"]
        line = table.frame["line"][(grain != grain.iloc[0]).to_numpy()].iloc[0]
        raise InputError(
            f"{table.name}, line {line}, column 'Group': the file mixes "
            f"{', '.join(found)}, which repeat the same deaths; expected one, or "
            "data.grain to name the one to take"
        )
    return asked or found[0]


def _other_level(table: Table, frame: pd.DataFrame, config: Data) -> pd.Series:
    if config.level not in ("regions", "nation"):
        level = config.level
        raise InputError(f"data.level={level!r}; expected 'regions' or 'nation'")
    nation = frame["region"] == names.NATION
    wanted = nation if config.level == "nation" else ~nation
    if not wanted.any():
        kind = "United States" if config.level == "nation" else "region or state"
        raise InputError(f"{table.name}: no {kind} rows (data.level={config.level!r})")
    return ~wanted


def _level_reason(config: Data) -> str:
    if config.level == "nation":
        return "regions or states (parts of the United States rows)"
    return "United States (sums of the regions or states)"


def _other_ages(table: Table, frame: pd.DataFrame, config: Data) -> pd.Series:
    sets = {"fine": names.FINE, "coarse": names.COARSE}
    if config.ages not in ("", *sets):
        raise InputError(f"data.ages={config.ages!r}; expected 'fine' or 'coarse'")
    if config.ages != "coarse" and not _overlap(frame["age"]):
        return pd.Series(False, frame.index)
    kept = frame["age"].isin(sets[config.ages or "fine"])
    if {"30-39 years", "40-49 years"} <= set(frame["age"]) and config.ages == "coarse":
        kept &= frame["age"] != "30-49 years"
    young = {"fine": "5-14 years", "coarse": "0-17 years"}[config.ages or "fine"]
    if young not in set(frame["age"]) or _overlap(frame["age"][kept]):
        raise InputError(
            f"{table.name}, column 'Age Group': no {config.ages or 'fine'!r} age groups"
            f" that do not overlap; found {', '.join(sorted(set(frame['age'])))}"
        )
    return ~kept


def _overlap(ages: pd.Series) -> bool:
    spans = sorted(names.span(age) for age in set(ages))
    return any(a[1] >= b[0] for a, b in zip(spans, spans[1:], strict=False))


def _sizes(table: Table, n: int, config: Data, what: str) -> tuple[int, int]:
    for name, share in (("valid", config.valid), ("test", config.test)):
        if not 0 < share < 1:
            raise InputError(f"data.{name}={share}; expected a share between 0 and 1")
    valid, test = max(1, round(config.valid * n)), max(1, round(config.test * n))
    if n - valid - test < 1:
        raise InputError(
            f"{table.name}: {n} complete {what}; expected at least one each for "
            f"training, validation ({valid}) and test ({test})"
        )
    return valid, test


def _in_time(table: Table, periods: list[str], config: Data) -> dict[str, int]:
    valid, test = _sizes(table, len(periods), config, "periods")
    train = len(periods) - valid - test
    return dict(
        zip(periods, [TRAIN] * train + [VALID] * valid + [TEST] * test, strict=True)
    )


def _by_size(
    table: Table, frame: pd.DataFrame, config: Data, seed: int
) -> dict[str, int]:
    """Regions or states, seeded, so that each split has its share of large ones."""
    size = frame.groupby("region")["total_low"].sum()
    order = sorted(size.index, key=lambda region: (-size[region], region))
    n, draw = len(order), generator(seed, "deaths", "split by region")
    shares = dict(zip((VALID, TEST), _sizes(table, n, config, "regions"), strict=True))
    splits = {}
    for start in range(0, n, 8):  # strata of eight of about the same size
        stratum = [order[i] for i in start + draw.permutation(min(8, n - start))]
        done, end = 0, start + len(stratum)
        for split, total in shares.items():
            here = round(total * end / n) - round(total * start / n)
            splits |= dict.fromkeys(stratum[done : done + here], split)
            done += here
        splits |= dict.fromkeys(stratum[done:], TRAIN)
    return dict(sorted(splits.items()))
