"""Joins the audits of several finished runs into one long table.

    python -m scripts.collect RUN_DIR... --out=FILE.csv

Four columns come first: run_dir (the shortest end of each path that tells the runs
apart), name (the study), config (twelve digits that change with any setting) and data
(the source's file name, or SIMULATED). The cells of audit.csv are copied as they are.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from absl import flags

from equity_jax.config import digest
from equity_jax.files import write_csv
from equity_jax.store import load
from equity_jax.types import InputError
from experiments.launch import exit_codes, parse


def collect(runs: Sequence[str]) -> pd.DataFrame:
    """One long table of the audits of finished runs, in the order given.

    Raises:
        InputError: no run, a run given twice, not a run directory, not finished.

    Example:
        >>> collect(["runs/a", "runs/b"])  # doctest: +SKIP
    """
    if not runs:
        raise InputError("name at least one run directory")
    tables = []
    for short, run in zip(_short_names(runs), runs, strict=True):
        store = load(run)
        table = store.read_csv("audit.csv", dtype=str, na_filter=False)
        table.insert(0, "run_dir", short)
        table.insert(1, "name", store.config.name)
        table.insert(2, "config", digest(store.config))
        source = store.config.data.source
        table.insert(3, "data", Path(source).name if source else "SIMULATED")
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def main(argv: Sequence[str]) -> None:
    """Reads the command line, writes the table, says how much it holds."""
    values = flags.FlagValues()
    flags.DEFINE_string("out", None, "the CSV to write", flag_values=values)
    runs = parse(values, argv, __doc__, required=("out",))
    out = Path(values.out)
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise InputError(f"--out={out} must be a file in a folder that exists")
    table = collect(runs)
    write_csv(out, table)
    print(f"{out}: {len(table)} rows from {len(runs)} runs")


def _short_names(runs: Sequence[str]) -> list[str]:
    parts = [Path(run).resolve().parts for run in runs]
    if len(set(parts)) < len(parts):
        raise InputError("a run directory is given twice")
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-length:]) for p in parts]
        if len(set(names)) == len(names):
            break
    return names


if __name__ == "__main__":
    sys.exit(exit_codes(main))
