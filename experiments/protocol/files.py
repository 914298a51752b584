"""From what was played and judged to the files of a run directory."""

import pandas as pd

from equity_jax.audit import AuditReport, audit
from equity_jax.forecasts import rows_of, scored
from equity_jax.store import Store
from equity_jax.types import SPLITS, TEST, VALID, Predictions
from equity_jax.verdict import asked, labels_of
from experiments.protocol.entries import BALANCED, ENTRIES, ERM
from experiments.protocol.judge import Judged
from experiments.protocol.played import Played
from experiments.protocol.scores import predictions


def write(store: Store, played: Played, judged: Judged, quiet: bool) -> None:
    """Tables of runs, log, methods and optimism, predictions, audit.

    predictions.npz: prob float32[R, n, C] of all runs, as numbered in runs.csv, on the
    validation and test rows, their id and split. predictions.csv and audit.csv: erm,
    erm on balanced cells and the best method, the trials that were chosen, first seed.
    """
    held = rows_of(played.dataset, played.rows)
    store.write_csv("runs.csv", played.table.assign(encoding=played.encoding))
    store.write_csv("log.csv", played.log)
    store.write_csv("methods.csv", judged.methods)
    store.write_csv("optimism.csv", judged.optimism)
    store.write_npz("predictions.npz", prob=played.prob, id=held.id, split=held.split)
    runs = shown(played, judged)
    names = {code: name for name, code in SPLITS.items()}
    split = [names[int(code)] for code in held.split]
    parts = []
    for name, run in runs.items():
        heading = {"id": held.id, "patient": held.patient, "split": split}
        columns = heading | {"system": name} | scored(held, played.prob[run])
        parts.append(pd.DataFrame(columns))
    store.write_csv("predictions.csv", pd.concat(parts, ignore_index=True))
    with store.place("audit.csv") as path:
        audited(store, played, runs, quiet).save(path)


def shown(played: Played, judged: Judged) -> dict[str, int]:
    """Entry -> number of the run that predictions.csv and audit.csv hold.

    Example: `shown(played, judged)` may be {"erm": 3, "oversample('both')": 40}.
    """
    table = played.table
    mine = table[table["trial"] == table["entry"].map(judged.chosen)]
    first = mine.drop_duplicates("entry").set_index("entry")["run"]
    return {
        name: int(first[name])
        for name in dict.fromkeys((ERM, BALANCED, judged.best))
        if name in first  # a task may refuse the balanced baseline
    }


def audited(
    store: Store, played: Played, runs: dict[str, int], quiet: bool
) -> AuditReport:
    """The audit of these runs by group, as every study has it."""
    spec, chosen = played.dataset.spec, store.config.audit
    prob = played.prob[list(runs.values())]
    about = [
        {"seed": 0, "method": name, "scheme": ENTRIES[name].scheme} for name in runs
    ]

    def part(split: int) -> Predictions:
        made = predictions(played.dataset, played.rows, prob, split)
        return made._replace(runs=about)

    return audit(
        asked(spec, part(TEST)._replace(valid=part(VALID))),
        attributes=spec.group,
        reference=spec.reference,
        target=spec.targets[0] if len(spec.targets) == 1 else "",
        labels=labels_of(spec),
        metrics=("auroc", "recall", "specificity"),
        threshold="youden",
        extras=False,
        replicates=chosen.replicates,
        level=chosen.level,
        min_rows=chosen.min_rows,
        seed=store.config.seed,
        unit=spec.unit,
        simulated=spec.simulated,
        quiet=quiet,
    )
