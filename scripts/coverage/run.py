"""Runs the scenarios of scripts.coverage: one file each, in processes of one thread.

A scenario depends on its own numbers and the settings only, so that a file is the same
whether it was written at once, after a stop, or beside others.
"""

import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from tqdm import tqdm

from equity_jax.files import atomic, json_text, write_csv
from equity_jax.keys import generator
from equity_jax.types import InputError
from experiments.launch import use_cache
from scripts.coverage import cells
from scripts.coverage.naive import naive
from scripts.coverage.world import TRUTHS, simulate, world

ONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Scenario(NamedTuple):
    """One corner of the grid."""

    groups: int
    rows: int
    prevalence: float
    images: int
    shift: int

    @property
    def name(self) -> str:
        """Its file's name."""
        return "-".join(f"{k}{v:g}" for k, v in self._asdict().items())


class Settings(NamedTuple):
    """What all scenarios share; threshold "prevalence" means each one's own."""

    repeats: int = 300
    replicates: int = 400
    metrics: tuple[str, ...] = tuple(TRUTHS)
    threshold: str = "prevalence"
    seed: int = 0


def study(one: Scenario, settings: Settings) -> pd.DataFrame:
    """The cells of one scenario, as `cells.cells` and `cells.tests` make them.

    Example:
        >>> study(Scenario(2, 200, 0.2, 1, 0), Settings(repeats=3))  # doctest: +SKIP
    """
    from equity_jax.audit import audit

    cut = one.prevalence
    cut = cut if settings.threshold == "prevalence" else float(settings.threshold)
    w = world(one.groups, one.prevalence, one.shift, cut)
    known, tables, tests = cells.truths(settings.metrics, w), [], []
    for repeat in range(settings.repeats):
        rng = generator(settings.seed, "coverage", f"{one.name}/{repeat}")
        frame = simulate(w, one.rows, one.images, rng)
        report = audit(
            frame,
            label="y",
            score="prob",
            attributes=("group",),
            patient="patient",
            metrics=settings.metrics,
            threshold=str(cut),
            replicates=settings.replicates,
            seed=repeat,
            extras=False,
            quiet=True,
        )
        table = report.table[report.table["attribute"] == "group"]
        found = pd.concat([table, naive(frame, cut, settings.replicates, rng)])
        tables.append(cells.judged(found, known).assign(repeat=repeat))
        tests.append(report.tests.assign(repeat=repeat))
    joined = pd.concat(tables, ignore_index=True)
    parts = [cells.cells(joined, one.shift)]
    parts += [cells.tests(pd.concat(tests, ignore_index=True), known, one.shift)]
    made = pd.concat(parts, ignore_index=True)
    for place, (name, value) in enumerate(one._asdict().items()):
        made.insert(place, name, value)
    return made


def run(
    corners: Sequence[Scenario],
    settings: Settings,
    out: Path,
    workers: int = 1,
    quiet: bool = True,
) -> pd.DataFrame:
    """All scenarios, each in a file of its own as soon as it is done.

    Raises:
        InputError: `out` holds scenarios of other settings.
    """
    folder = out / "scenarios"
    folder.mkdir(parents=True, exist_ok=True)
    _same_settings(out / "settings.json", settings)
    open_ = [s for s in corners if not (folder / f"{s.name}.csv").exists()]
    with tqdm(total=len(corners), unit="scenario", disable=quiet) as bar:
        bar.update(len(corners) - len(open_))
        for _ in _each(open_, settings, folder, workers):
            bar.update()
    parts = [pd.read_csv(folder / f"{s.name}.csv") for s in corners]
    return pd.concat(parts, ignore_index=True)


def _same_settings(path: Path, settings: Settings) -> None:
    text = json_text(settings._asdict())
    if not path.exists():
        with atomic(path) as temporary:
            temporary.write_text(text, "utf-8")
    found = json.loads(path.read_text("utf-8"))
    if found != json.loads(text):
        wanted = json.loads(text).items()
        names = ", ".join(k for k, v in wanted if found.get(k) != v)
        raise InputError(f"{path} has other settings ({names}): use another --out")


def _each(
    corners: Sequence[Scenario], settings: Settings, folder: Path, workers: int
) -> Iterator[None]:
    """Runs scenarios, here if workers is 0, else in fresh processes of one thread."""
    if not workers:
        for one in corners:
            yield _write(one, settings, folder)
        return
    before = {name: os.environ.get(name) for name in ONE}
    os.environ.update(ONE)  # read by the libraries when a worker loads them
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, context, use_cache) as pool:
            jobs = [pool.submit(_write, one, settings, folder) for one in corners]
            try:
                for job in as_completed(jobs):
                    yield job.result()
            finally:  # after an error or Ctrl-C, what has not begun does not begin
                pool.shutdown(wait=False, cancel_futures=True)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _write(one: Scenario, settings: Settings, folder: Path) -> None:
    table = study(one, settings)
    write_csv(folder / f"{one.name}.csv", table)
