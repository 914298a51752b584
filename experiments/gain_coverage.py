"""Does the 95 % interval of transfer's gain cover the true gain? SIMULATED twins.

    python -m experiments.gain_coverage --out=FILE.csv [--repeats=200] \
        [--fresh=1000000] [--shift=0.35] [--slope=0.15] [--quiet]

Each repeat fits mixture and transfer on new counts of one planted population and audits
transfer minus mixture in mean deviance: below 0, transfer serves the group better. The
truth is the same difference of the very same fitted models on fresh rows: the cells of
the test period in many further draws of counts and block effects. Two test sets are
judged, because the interval resamples region × month blocks as if they had been drawn
from a population of blocks:
    blocks at random   a random sample of the fresh blocks: what the interval is for
    each block once    the repeat's own test rows, as in a study. The fresh rows repeat
                       the same months and regions, so how blocks differ by design does
                       not move the truth, but the interval allows for it: too wide
Without --shift two settings are run: the twin's shift and age slope, and both 0.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from absl import flags
from scipy.stats import beta
from tqdm import tqdm

from equity_jax import forecasts
from equity_jax.audit import audit, view
from equity_jax.config import Twin
from equity_jax.files import write_csv
from equity_jax.types import Dataset, InputError
from experiments.gain_bench import (
    MIXTURE,
    TRANSFER,
    Bench,
    Fits,
    Fresh,
    fit_both,
    fresh_rows,
    logits_of,
    make_bench,
    redraw,
    sample,
    tested,
    true_gain,
)
from experiments.launch import exit_codes, parse, use_cache

RANDOM, ONCE = "blocks at random", "each block once"
MONTHS = 24  # as many as the public monthly table of 2020-2021
BY = ["shift", "slope", "test", "group"]


def gain_interval(bench: Bench, some: Dataset, fits: Fits, seed: int) -> pd.DataFrame:
    """The audit's rows of transfer minus mixture, one a group, on these test rows."""
    systems, params, stats = fits
    logits = np.asarray(logits_of(bench.model, params, stats, some.x))
    judged = forecasts.judged(some, bench.task, systems, logits, bench.config.data)
    report = audit(
        # every observed cell, also where high burden is not decided
        judged._replace(ratios={"deviance": judged.ratios["deviance"]}, mask=some.mask),
        attributes=some.spec.group,
        metrics=(),
        extras=False,
        reference=some.spec.reference,
        compare=[({"scheme": TRANSFER}, {"scheme": MIXTURE})],
        replicates=bench.config.audit.replicates,
        level=bench.config.audit.level,
        min_rows=bench.config.audit.min_rows,
        seed=seed,
        unit=some.spec.unit,
        resample_seeds=False,
    )
    found = view(report.table, reference=f"scheme:{MIXTURE}", scheme=TRANSFER)
    return found[["group", "n", "patients", "value", "low", "high", "status"]]


def repeat(bench: Bench, fresh: Fresh, draw: int) -> pd.DataFrame:
    """One row a test set and group: difference, interval, truth, covered."""
    dataset = redraw(bench, draw, np.arange(len(bench.first.x)))
    fits = fit_both(bench, dataset)
    truth = true_gain(bench, fresh, fits)
    own = forecasts.rows_of(dataset, tested(dataset))
    tests = {RANDOM: sample(bench, fresh, draw), ONCE: own}
    found = pd.concat(
        gain_interval(bench, some, fits, draw).assign(test=name)
        for name, some in tests.items()
    )
    # rows without a group are scored by the mixture in both: 0 by construction
    found = found[found["group"].isin(list(truth))].reset_index(drop=True)
    found[["truth", "truth_error"]] = [truth[group] for group in found["group"]]
    within = (found["low"] <= found["truth"]) & (found["truth"] <= found["high"])
    found["covered"] = within.astype(float).where(found["status"] == "OK")
    twin = bench.config.data.twin
    named = {"data": "SIMULATED", "shift": twin.shift, "slope": twin.slope}
    return found.assign(repeat=draw, **named)


def study(
    twins: Sequence[Twin],
    repeats: int,
    fresh: int,
    quiet: bool = True,
    bench: Bench | None = None,
) -> pd.DataFrame:
    """All repeats of all settings, one below the other; `bench` lends what it compiled.

    Example:
        >>> table = study([Twin(months=24)], 200, 10**6)  # doctest: +SKIP
    """
    parts = []
    for twin in twins:
        bench = make_bench(twin, bench)
        rows = fresh_rows(bench, fresh, quiet)
        name = f"shift {twin.shift:g}"
        for draw in tqdm(range(1, repeats + 1), name, disable=quiet, unit="repeat"):
            parts.append(repeat(bench, rows, draw))
    return pd.concat(parts, ignore_index=True)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Per setting, test set and group, over repeats.

    coverage with its exact 95 % interval; truth: mean true difference; wins: share of
    repeats where transfer is truly better; better, worse: share of intervals wholly
    below and above 0; error: standard deviation of value - truth; stated: mean half
    width / 1.96, what the interval takes that to be.
    """
    ok = table[table["status"] == "OK"]
    known = ok.assign(
        wins=ok["truth"] < 0,
        better=ok["high"] < 0,
        worse=ok["low"] > 0,
        error=ok["value"] - ok["truth"],
        stated=(ok["high"] - ok["low"]) / 2 / 1.96,
    ).groupby(BY, sort=False)
    n, hits = known["covered"].count(), known["covered"].sum()
    means = known[["truth", "wins", "better", "worse", "stated"]].mean()
    made = pd.DataFrame({"repeats": n, "coverage": hits / n})
    made["from"] = np.where(hits > 0, beta.ppf(0.025, hits, n - hits + 1), 0.0)
    made["to"] = np.where(hits < n, beta.ppf(0.975, hits + 1, n - hits), 1.0)
    return made.join(means).assign(error=known["error"].std())


def twins_of(shift: float | None, slope: float | None) -> list[Twin]:
    """The settings that the flags ask for; no shift, no slope, unless it is given.

    Raises:
        InputError: a number that is not finite.
    """
    if not all(math.isfinite(v) for v in (shift, slope) if v is not None):
        raise InputError(f"--shift={shift}, --slope={slope}: expected finite numbers")
    usual = Twin()
    shifts = (usual.shift, 0.0) if shift is None else (shift,)
    slopes = [slope if slope is not None else usual.slope * (s != 0) for s in shifts]
    return [
        Twin(months=MONTHS, shift=a, slope=b)
        for a, b in zip(shifts, slopes, strict=True)
    ]


def main(argv: Sequence[str]) -> None:
    """Reads the flags, runs, writes every repeat, prints the summary."""
    values = flags.FlagValues()
    to = {"flag_values": values}
    flags.DEFINE_string("out", None, "the CSV to write, one row a repeat", **to)
    flags.DEFINE_integer("repeats", 200, "fits a setting", lower_bound=2, **to)
    flags.DEFINE_integer("fresh", 1_000_000, "rows of truth", lower_bound=2, **to)
    flags.DEFINE_float(
        "shift", None, "planted log rate ratio; none: 0.35, then 0", **to
    )
    flags.DEFINE_float("slope", None, "planted difference in the age slope", **to)
    flags.DEFINE_bool("quiet", False, "no progress bars", **to)
    rest = parse(values, argv, __doc__, ("out",))
    if rest:
        raise InputError(f"unexpected argument {rest[0]!r}; flags are --name=value")
    out = Path(values.out)
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise InputError(f"--out={out} must be a file in a folder that exists")
    twins = twins_of(values.shift, values.slope)
    use_cache()
    table = study(twins, values.repeats, values.fresh, values.quiet)
    write_csv(out, table)
    print("Transfer minus mixture, mean deviance by group, 95 % intervals, SIMULATED:")
    print(summary(table).round(3).to_string())
    print(f"{out}: {len(table)} rows")


if __name__ == "__main__":
    sys.exit(exit_codes(main))
