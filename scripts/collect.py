"""Joins the audits of several finished runs into one long table.

    python -m scripts.collect RUN_DIR... --out=FILE.csv
    python -m scripts.collect RUN_DIR... --out=FILE.csv --table=methods --wide=FILE.md

--table=methods joins the methods.csv of runs of experiments.protocol instead; --wide
writes it for reading too: a line a method, a few columns a run.

Four columns come first: run_dir (the shortest end of each path that tells the runs
apart), name (the study), config (twelve digits that change with any setting) and data
(the source's file name, or SIMULATED). The cells of the tables are copied as they are.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from absl import flags

from equity_jax.config import digest
from equity_jax.files import atomic, write_csv
from equity_jax.store import load
from equity_jax.types import InputError
from experiments.launch import exit_codes, parse

METHODS = "methods"
TABLES = ("audit", METHODS)  # files of a run directory that can be joined


def collect(runs: Sequence[str], which: str = "audit") -> pd.DataFrame:
    """One long table of the audits of finished runs, in the order given.

    which: of TABLES.

    Raises:
        InputError: no run, a run given twice, not a run directory, not finished, a run
            without such a table, an unknown table.

    Example:
        >>> collect(["runs/a", "runs/b"])  # doctest: +SKIP
    """
    if not runs:
        raise InputError("name at least one run directory")
    if which not in TABLES:
        raise InputError(f"--table={which}; known: {', '.join(TABLES)}")
    tables = []
    for short, run in zip(_short_names(runs), runs, strict=True):
        store = load(run)
        name = f"{which}.csv"
        if not (store.path / name).exists():
            raise InputError(f"{run} has no {name}; a run of experiments.protocol has")
        table = store.read_csv(name, dtype=str, na_filter=False)
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
    for name, value, text in (
        ("out", None, "the CSV to write"),
        ("table", TABLES[0], f"one of {', '.join(TABLES)}"),
        ("wide", "", "the Markdown to write too, of --table=methods"),
    ):
        flags.DEFINE_string(name, value, text, flag_values=values)
    runs = parse(values, argv, __doc__, required=("out",))
    if values.wide and values.table != METHODS:
        raise InputError(f"--wide needs --table={METHODS}")
    for name in filter(None, (values.out, values.wide)):
        if Path(name).is_dir() or not Path(name).absolute().parent.is_dir():
            raise InputError(f"{name} must be a file in a folder that exists")
    table = collect(runs, values.table)
    write_csv(Path(values.out), table)
    if values.wide:
        from scripts.collect_methods import wide  # the protocol and all its methods

        with atomic(Path(values.wide)) as path:
            path.write_text(wide(table), "utf-8")
    print(f"{values.out}: {len(table)} rows from {len(runs)} runs")


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
