"""The machine of the protocol: admit, train, score, and what is made afterwards."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from tqdm import tqdm

from equity_jax import last_layers
from equity_jax.config import Config
from equity_jax.train import Journal, Run
from equity_jax.types import Dataset, InputError
from experiments.protocol import plan
from experiments.protocol.admit import admitted, refuse
from experiments.protocol.after import made
from experiments.protocol.entries import chosen
from experiments.protocol.fits import Fits, View, fit_all, views
from experiments.protocol.plan import Point
from experiments.protocol.played import Played


def play(config: Config, dataset: Dataset, journal: Journal, quiet: bool) -> Played:
    """Every entry of the config, every trial, every seed.

    What a task refuses is listed with its reason. With the same journal a killed play
    goes on where it was, and leaves the same bytes.

    Raises:
        InputError: a task that is not about classes; an unknown entry.

    Example:
        >>> play(config, dataset, Journal(None), True).programs  # doctest: +SKIP
        14
    """
    refuse(dataset)
    entries, refused = admitted(config, dataset, chosen(config.protocol.entries))
    points = plan.points(config, entries)
    runs = list(dict.fromkeys(p.run for p in points if p.run))
    fits = fit_all(config, dataset, runs, journal, quiet)
    seen = _views(config, dataset, points, fits, quiet)
    prob: list[np.ndarray | None] = []
    for point in tqdm(points, "afterwards", disable=quiet):
        prob.append(_prob(config, point, seen, dataset, journal, refused))
    journal.flush()
    kept = [i for i, p in enumerate(points) if p.entry.name not in refused]
    points = [points[i] for i in kept]
    return Played(
        dataset,
        tuple(e for e in entries if e.name not in refused),
        _table(points, fits),
        np.stack([prob[i] for i in kept]).astype(np.float32),
        last_layers.held(dataset),
        np.array([seen[p.run].encoding if p.run else np.nan for p in points]),
        refused,
        _log(points, fits),
        fits.programs,
    )


def _views(
    config: Config, dataset: Dataset, points: Sequence[Point], fits: Fits, quiet: bool
) -> dict[Run, View]:
    """Run -> View of the held rows; features only where something starts from them."""
    rows = last_layers.held(dataset)
    frozen = {p.run for p in points if p.entry.closed}
    found = {}
    weights = list(fits.weights.values())
    for run, view in zip(
        fits.weights, views(config, dataset, weights, quiet), strict=True
    ):
        features = view.features if run in frozen else None
        found[run] = view._replace(prob=view.prob[rows], features=features)
    return found


def _prob(
    config: Config,
    point: Point,
    seen: Mapping[Run, View],
    dataset: Dataset,
    journal: Journal,
    refused: dict[str, str],
) -> np.ndarray | None:
    """float32[n, C] of one point; None, and a line in `refused`, where it cannot be."""
    if not point.own:
        return seen[point.run].prob
    name, label = point.entry.name, f"{point.own} {point.trial} {point.seed}"
    if name in refused:
        return None
    if label not in journal.found:
        try:
            view = seen.get(point.run)
            what = point.entry, point.own, point.seed
            found = made(*what, view, dataset, config.protocol.rounds)
        except InputError as error:
            refused[name] = str(error)
            return None
        if point.entry.post:  # as quick as reading it
            return found
        journal.found[label] = {"prob": found}
        journal.add(label, journal.found[label])
    return journal.found[label]["prob"]


def _table(points: Sequence[Point], fits: Fits) -> pd.DataFrame:
    steps = [fits.step[p.run] if p.run else np.nan for p in points]
    return plan.table(points).assign(step=steps)


def _log(points: Sequence[Point], fits: Fits) -> pd.DataFrame:
    """log.csv of the runs that are somebody's own."""
    own = [(i, p.run) for i, p in enumerate(points) if not p.own]
    return pd.concat([fits.log[run].assign(run=i) for i, run in own], ignore_index=True)
