"""Names on the rows of a deaths data set: groups, attributes, ids, blocks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from equity_jax.config import Data
from equity_jax.data import deaths_names as names
from equity_jax.data.deaths_rows import Rows
from equity_jax.data.deaths_table import Table
from equity_jax.types import InputError


def groups(
    frame: pd.DataFrame,
    config: Data,
    train: np.ndarray,
    shares: np.ndarray,
    recipe: Mapping[str, Any] | None,
) -> tuple[tuple[str, ...], str]:
    """Groups in alphabetical order; the reference has most usable training rows.

    train: bool[N], usable training rows; shares: exposure float[N], which breaks ties.

    Raises:
        InputError: config.reference is not a group of the file.

    Example:
        >>> groups(frame, Data(), train, exposure, None)[1]  # doctest: +SKIP
        'Non-Hispanic White'
    """
    if recipe:
        return tuple(recipe["groups"]), recipe["reference"]
    values = frame[config.group].to_numpy(str)
    found = tuple(sorted(set(values.tolist()) - {names.UNKNOWN}))
    if config.reference:
        if config.reference not in found:
            raise InputError(
                f"data.reference={config.reference!r} is no {config.group} of the "
                f"file; expected one of: {', '.join(found)}"
            )
        return found, config.reference

    def size(group: str) -> tuple[int, float]:
        member = train & (values == group)
        return int(member.sum()), float(np.nansum(shares[member]))

    return found, max(found, key=size)


def unit(table: Table, rows: Rows, config: Data) -> str:
    """What `patient` counts: "region × month block", "state", ...

    Example:
        >>> unit(table, rows, Data())  # doctest: +SKIP
        'region × month block'
    """
    place = "state" if table.layout == "states" else "region"
    if rows.grain == "total":
        return place
    if config.level == "nation":
        return rows.grain
    return f"{place} × {rows.grain} block"


def attributes(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """race, age, region, period: str[N]; race "" where it is not recorded.

    Example:
        >>> sorted(attributes(read("deaths.csv").frame))  # doctest: +SKIP
        ['age', 'period', 'race', 'region']
    """
    race = frame["race"].where(frame["race"] != names.UNKNOWN, "")
    columns = {"race": race, "age": frame["age"], "region": frame["region"]}
    return {
        k: v.to_numpy(str) for k, v in (columns | {"period": frame["period"]}).items()
    }


def ids(rows: Rows) -> np.ndarray:
    """Readable and unique, str[N]: "2021-03|04|Non-Hispanic Black|50-64 years".

    Example:
        >>> ids(rows)[0]  # doctest: +SKIP
        '2020-01|01|Hispanic|0-4 years'
    """
    frame, size = rows.frame, {"month": 7, "year": 4}.get(rows.grain, 10)
    parts = [frame["period"].str[:size], frame["region"], frame["race"], frame["age"]]
    return np.array(["|".join(cell) for cell in zip(*parts, strict=True)], dtype=str)


def blocks(rows: Rows) -> np.ndarray:
    """Code of the cells that are not independent of each other, int32[N].

    Example:
        >>> len(set(blocks(rows).tolist()))  # doctest: +SKIP
        240
    """
    blocks_of = rows.frame["region"].to_numpy(str)
    if rows.grain != "total":
        blocks_of = np.char.add(
            np.char.add(rows.frame["period"].to_numpy(str), "|"), blocks_of
        )
    return np.unique(blocks_of, return_inverse=True)[1].astype(np.int32)
