"""COVID-19 deaths by region (or state), race and age, as a Dataset.

Source: CDC/NCHS "Provisional COVID-19 Deaths by HHS Region, Race, and Age" and its
sibling by state, in every layout that `deaths_table` reads, or the simulated twin. The
rules for suppressed counts are in `deaths_target`.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from equity_jax.config import Data
from equity_jax.data import base, deaths_features, deaths_labels, deaths_notes, simulate
from equity_jax.data import deaths_names as names
from equity_jax.data.deaths_rows import Rows, choose, tally
from equity_jax.data.deaths_table import Table, read
from equity_jax.data.deaths_target import (
    UNEXPLAINED,
    burden,
    counts,
    exposure,
    resolve,
)
from equity_jax.types import LEFT_OUT, TRAIN, Counted, Dataset, InputError, Spec

TASKS = ("counts", "burden")
GROUPS = ("race", "age", "region")
LOG = logging.getLogger(__name__)


def load(
    config: Data,
    recipe: Mapping[str, Any] | None = None,
    history: pd.DataFrame | None = None,
    seed: int = 0,
) -> Dataset:
    """The data set that `config` asks for; with a `recipe`, new rows made to score.

    Args:
        config: config.source is a CSV, a CSV.gz or a folder of `scripts.prepare`;
            empty: the simulated twin.
        recipe: Dataset.recipe of the run whose model will score these rows: its
            categories, scales, groups and splits are used and nothing is fitted.
        history: Dataset.history of that run, for the earlier periods of lags that the
            file itself lacks.
        seed: splits the states of a cumulative table; periods are split by time.

    Returns:
        x float32[N, F]; y Counted of float32[N, 1] (task "counts") or float32[N, 1]
        (task "burden", NaN = undecided); mask float32[N, 1]; attributes race, age,
        region, period; table: canonical rows and their exposure (NaN = unknown).

    Raises:
        InputError: one line: what is wrong with the file or the config, and where.

    Example:
        >>> dataset = load(Data(source="deaths.csv.gz"))  # doctest: +SKIP
        >>> dataset.spec.groups[0], dataset.x.shape  # doctest: +SKIP
    """
    _check_config(config)
    table, joint = resolve(_table(config), config.blanks)
    _check_recipe(table, recipe)
    rows = choose(table, config, recipe, seed)
    shares = exposure(table, rows.frame, config.population)
    y, mask, why = _target(table, rows, config, shares, joint)
    rows = _count_masked(table, rows, why, config.group)
    usable = (rows.split == TRAIN) & (mask[:, 0] > 0)
    if not recipe and not usable.any():
        raise InputError(f"{table.name}: no usable row in the training split")
    past = _past(table, rows, shares)
    made = _features(deaths_features.earlier(past, history), rows, config, recipe)
    groups = deaths_labels.groups(rows.frame, config, usable, shares, recipe)
    cut = isinstance(y, Counted) and bool((y.truncated * mask).any())
    said = deaths_notes.notes(table, rows, config, joint, cut) + made.notes
    spec = _spec(table, rows, config, recipe, groups, said)
    spec = spec._replace(features=made.names)
    dataset = Dataset(
        spec=spec,
        x=made.x,
        y=y,
        mask=mask,
        attributes=deaths_labels.attributes(rows.frame),
        split=rows.split,
        id=deaths_labels.ids(rows),
        patient=deaths_labels.blocks(rows),
        recipe=_recipe(table, rows, spec, made.recipe, recipe),
        history=None if rows.grain == "total" else past,
        table=rows.frame.assign(exposure=shares).reset_index(drop=True),
        controls=_controls(rows.frame),
    )
    return base.check(dataset)


def lost_to_suppression(dataset: Dataset) -> pd.DataFrame:
    """What each group lost to suppression; one row a group of the config.

    Columns: group, cells, published, suppressed, absent (rows that the file dropped),
    unknown_exposure, lost (share of cells whose count or exposure is not published).

    Example:
        >>> lost_to_suppression(load(Data())).columns[0]
        'group'
    """
    group = dataset.attributes[dataset.spec.group]
    known = dataset.table["exposure"].to_numpy()
    layout = dataset.recipe["layout"]
    return deaths_notes.lost(dataset.table, group, known, layout)


def _controls(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """What a model of burden must beat: which cells are large, so published."""
    if frame["total_high"].isna().all():
        return {}
    total = frame["total_high"].fillna(1.0).to_numpy(np.float64)
    return {"log(total deaths)": np.log(np.maximum(total, 1.0))}


def _check_config(config: Data) -> None:
    for field, value, known in (
        ("task", config.task, TASKS),
        ("group", config.group, GROUPS),
    ):
        if value not in known:
            raise InputError(f"data.{field}={value!r}; expected {' or '.join(known)}")
    if not 0 < config.share < 1:
        share = config.share
        raise InputError(f"data.share={share}; expected a share between 0 and 1")
    if config.task == "burden" and config.population:
        raise InputError(
            "data.population does not go with data.task='burden', which is a share of "
            "total deaths"
        )


def _table(config: Data) -> Table:
    if not config.source:
        return read(simulate.deaths(config.twin)[0])
    if Path(config.source).is_dir():
        from equity_jax.data.deaths_builder import read_prepared  # slow to import

        return read_prepared(config.source)
    return read(config.source)


def _check_recipe(table: Table, recipe: Mapping[str, Any] | None) -> None:
    if recipe and (recipe["layout"] == "states") != (table.layout == "states"):
        raise InputError(
            f"{table.name}: {names.LAYOUTS[table.layout]}; expected what the run was "
            f"trained on: {names.LAYOUTS[recipe['layout']]}"
        )


def _target(
    table: Table, rows: Rows, config: Data, shares: np.ndarray, joint: bool
) -> tuple[Any, np.ndarray, dict[str, np.ndarray]]:
    if config.task == "burden":
        return burden(rows.frame, config.share)
    return counts(table, rows.frame, shares, joint, bool(config.population))


def _count_masked(
    table: Table, rows: Rows, why: Mapping[str, np.ndarray], group: str
) -> Rows:
    out = dict(rows.left_out)
    n = int(why[UNEXPLAINED].sum())
    if n:
        LOG.warning("%s: %d rows masked: %s", table.name, n, UNEXPLAINED)
    for reason, hit in why.items():
        tally(rows.frame[hit & (rows.split != LEFT_OUT)], group, reason, out)
    return rows._replace(left_out=out)


def _past(table: Table, rows: Rows, shares: np.ndarray) -> pd.DataFrame:
    """Complete rows as later periods will look back on them."""
    past = rows.frame
    if table.layout == "weekly":  # no totals: earlier rates stand for earlier shares
        past = past.assign(total_low=shares, total_high=shares)
    past = past[rows.split != LEFT_OUT][list(deaths_features.HISTORY)]
    return past.reset_index(drop=True)


def _features(
    past: pd.DataFrame, rows: Rows, config: Data, recipe: Mapping[str, Any] | None
) -> deaths_features.Features:
    if recipe:
        return deaths_features.apply(past, rows.frame, recipe["features"])
    return deaths_features.fit(
        past,
        rows.frame,
        rows.split == TRAIN,
        rows.grain,
        tuple(config.lags),
        config.race_as_feature,
    )


def _spec(
    table: Table,
    rows: Rows,
    config: Data,
    recipe: Mapping[str, Any] | None,
    groups: tuple[tuple[str, ...], str],
    said: tuple[str, ...],
) -> Spec:
    simulated = not config.source or bool(recipe and recipe["simulated"])
    if simulated:
        said = ("SIMULATED: these are not real deaths.", *said)
    percent = f"{config.share * 100:g} %"
    what = f"{config.share:g} per person-year" if config.population else percent
    return Spec(
        name=config.name,
        task=f"count({config.share})" if config.task == "counts" else "binary",
        features=(),
        targets=("covid_deaths" if config.task == "counts" else "high_burden",),
        classes=(f"below {what}", f"{what} or more"),
        group=config.group,
        groups=groups[0],
        reference=groups[1],
        unit=deaths_labels.unit(table, rows, config),
        simulated=simulated,
        fingerprint=table.fingerprint,
        left_out=rows.left_out,
        notes=said,
    )


def _recipe(
    table: Table,
    rows: Rows,
    spec: Spec,
    features: Mapping[str, Any],
    known: Mapping[str, Any] | None,
) -> dict[str, Any]:
    if known:
        return {**known, "layout": table.layout}
    return {
        "features": dict(features),
        "layout": table.layout,
        "grain": rows.grain,
        "splits": rows.splits,
        "groups": list(spec.groups),
        "reference": spec.reference,
        "simulated": spec.simulated,
    }
