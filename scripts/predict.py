"""Scores new rows with a finished run: later months of the table it was trained on.

    python -m scripts.predict --run=RUN_DIR --source=PATH --out=FILE.csv

Every row is scored by each selected system of the run (per scheme the method that
validation chose), with its own group's parameters where the scheme has them. What
earlier periods a row needs is taken from the new file and, where that lacks them, from
the history that the run stored.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from equity_jax.data import DATASETS
from equity_jax.files import atomic, csv_text
from equity_jax.forecasts import table
from equity_jax.models import MODELS
from equity_jax.results import load_systems
from equity_jax.store import load
from equity_jax.tasks import TASKS
from equity_jax.types import InputError
from experiments.launch import exit_codes, parse


def predict(run: str, source: str, out: str) -> str:
    """Writes the predictions of `source` to `out`; returns one line for the user.

    Raises:
        InputError: not a finished run, a file that its loader refuses, an output that
            cannot be written.

    Example:
        >>> predict("runs/cdc", "later.csv.gz", "scores.csv")  # doctest: +SKIP
        '7,920 rows × 10 systems in scores.csv'
    """
    store = load(run)
    config, about = store.config, store.read_json("data.json")
    history = None
    if (store.path / "history.csv").exists():
        history = store.read_csv("history.csv", dtype={"region": str, "period": str})
    if not source:
        raise InputError("--source=... is missing (a file to score)")
    config.data.source = source
    loader = DATASETS[config.data.name]
    dataset = loader(
        config.data, recipe=about["recipe"], history=history, seed=config.seed
    )
    task = TASKS.get(about["task"])
    model = MODELS.get(config.model.name, task.outputs, task.constants)
    systems, weights = load_systems(store, model, dataset.x[:1])
    frame = table(dataset, task, model, systems, weights, config.data)
    try:
        with atomic(Path(out)) as path:
            path.write_text(csv_text(frame), "utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from error
    return f"{len(dataset.x):,} rows × {len(systems)} systems in {out}"


def main(argv: Sequence[str]) -> None:
    """Reads the flags, scores, says what was written."""
    values = flags.FlagValues()
    for name, text in (
        ("run", "a finished run directory"),
        ("source", "the file to score"),
        ("out", "the CSV to write"),
    ):
        flags.DEFINE_string(name, None, text, flag_values=values)
    rest = parse(values, argv, __doc__, ("run", "source", "out"))
    if rest:
        raise InputError(f"unexpected argument {json.dumps(rest[0])}")
    print(predict(values.run, values.source, values.out))


if __name__ == "__main__":
    sys.exit(exit_codes(main))
