"""Section of the embeddings page: what an image network costs, and what a head does.

On the same rows, with the same steps and batches: a linear head on frozen features, and
the whole network on the images, from random numbers and, where they are known, from the
weights that made the features. Then new rows come, and each goes on from where it was.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from equity_jax.audit.pages.page import Section, Table, interval_text
from equity_jax.audit.statistics import inference
from equity_jax.run import Result
from equity_jax.types import TEST, TRAIN, Dataset, Predictions
from experiments.cxr_parts import measured, paired, told
from experiments.ef_cost_data import Rows, later, prepare, without
from experiments.ef_cost_fits import CONTINUED, FRESH, TUNED, Bench, Spent

HEAD, NETWORK, AGAIN = (
    "head on embeddings",
    "network on images",
    "network on images, from the backbone",
)
EMBEDDING = "embedding the images, once"
FIRST, UPDATE = "first", "update"
GAIN = {"value": "gain", "low": "gain_low", "high": "gain_high"}  # paired's -> ours
ABSENT = (
    "Not compared: these embeddings came without their images. To compare, embed images"
    " that you have, `python -m scripts.embed --checkpoint=FILE --source=IMAGES"
    " --out=DIR`, and run this study with `--config.data.source=DIR"
    " --config.cost.images=IMAGES`."
)


class Trial(NamedTuple):
    """One system at one stage. prob: float[M, C] of the test rows; rows: trained on."""

    system: str
    stage: str
    spent: Spent
    prob: np.ndarray
    rows: int


def cost(result: Result) -> Section:
    """The comparison, and cost.csv; `seconds` are all that differs from run to run.

    Example:
        >>> cost(result).title  # doctest: +SKIP
        'What it costs'
    """
    title, found = "What it costs", prepare(result)
    if found is None:
        return Section(title, [ABSENT])
    bench, rows = found
    made = table(bench, rows, compare(bench, rows))
    result.store.write_csv("cost.csv", made)
    text = [rows.words, *verdict(made), how(bench, made)]
    tables = [
        Table(f"Trained on {number(made, FIRST):,} rows", shown(made, FIRST)),
        Table(f"After an update to {number(made, UPDATE):,} rows", shown(made, UPDATE)),
    ]
    return Section(title, text, tables)


def compare(bench: Bench, rows: Rows) -> list[Trial]:
    """Every system, trained and then updated.

    Example:
        >>> [t.stage for t in compare(bench, rows)][:2]  # doctest: +SKIP
        ['first', 'update']
    """
    new = later(rows.images, bench.config.cost.update, bench.config.seed)
    network = bench.config.cost.network
    asked = [
        (HEAD, "linear", rows.vectors, FRESH),
        (NETWORK, network, rows.images, FRESH),
    ]
    if rows.start is not None:
        asked.append((AGAIN, network, rows.images, TUNED))
    trials, test = [], rows.images.split == TEST
    for system, model, dataset, scheme in asked:
        start = rows.start if scheme == TUNED else None
        first = bench.fit(model, without(dataset, new), scheme, start)
        last = bench.fit(model, dataset, CONTINUED, first.weights)
        for stage, spent in ((FIRST, first), (UPDATE, last)):
            n = int(np.sum((dataset.split == TRAIN) & ~(new & (stage == FIRST))))
            prob = bench.prob(model, spent.weights, dataset.x[test])
            trials.append(Trial(system, stage, spent, prob, n))
    return trials


def table(bench: Bench, rows: Rows, trials: list[Trial]) -> pd.DataFrame:
    """cost.csv: a row for each system and stage, and one for the embedding.

    auroc (of several classes: macro) with its interval; gain: the system's AUROC minus
    the head's at that stage, with an interval that resamples patients for both at once.

    Example:
        >>> table(bench, rows, trials).columns[0]  # doctest: +SKIP
        'system'
    """
    level, classes = bench.config.audit.level, rows.images.spec.classes
    scored = predictions(bench, rows.images, trials)
    found = measured(scored, classes, bench.config)["macro_auroc"]
    low, high = (np.clip(end, 0, 1) for end in inference.interval(found, level))
    auroc = np.where(np.isfinite(low), found.value, np.nan)  # none without interval
    heads = {t.stage: i for i, t in enumerate(trials) if t.system == HEAD}
    lines = []
    for i, t in enumerate(trials):
        line = {"system": t.system, "stage": t.stage, "rows": t.rows, **took(t.spent)}
        line |= {"auroc": auroc[i], "low": low[i], "high": high[i]}
        if t.system != HEAD:
            gap = paired(found, [(i, heads[t.stage])], level)
            line |= {column: gap[name] for name, column in GAIN.items()}
        lines.append(line)
    if rows.embedded is not None:
        line = {"system": EMBEDDING, "stage": FIRST, "rows": len(rows.images.x)}
        lines.append(line | took(rows.embedded))
    return pd.DataFrame(lines)


def predictions(bench: Bench, dataset: Dataset, trials: list[Trial]) -> Predictions:
    """The test rows as the audit's resampling takes them."""
    test = np.flatnonzero(dataset.split == TEST)
    codes = np.asarray(bench.task.class_of(dataset.y[test]), float)
    runs = [{"seed": 0, "method": t.system, "scheme": t.stage} for t in trials]
    prob = np.stack([t.prob for t in trials])
    parts = dataset.mask[test], {}, dataset.id[test], dataset.patient[test], runs
    return Predictions(prob, codes, *parts)


def took(spent: Spent) -> dict[str, float]:
    """The columns of what a training took."""
    return {
        "steps": spent.steps,
        "seconds": round(spent.running + spent.compiling, 3),
        "seconds_running": round(spent.running, 3),
        "gflop": spent.flops / 1e9,
        "mbyte": spent.memory / 2**20,
        "parameters": spent.numbers,
    }


def shown(made: pd.DataFrame, stage: str) -> pd.DataFrame:
    """The rows of one stage as the page has them."""
    rows = made[made["stage"] == stage]
    auroc = [interval_text(*r) for r in rows[["auroc", "low", "high"]].to_numpy()]
    gain = [interval_text(*r) for r in rows[list(GAIN.values())].to_numpy()]
    named = rows["system"].tolist()  # the embedding predicts nothing by itself
    return pd.DataFrame(
        {
            "": rows["system"].to_numpy(),
            "seconds": [f"{s:.2f}" for s in rows["seconds"]],
            "without compiling": [f"{s:.2f}" for s in rows["seconds_running"]],
            "GFLOP": [f"{v:,.3g}" for v in rows["gflop"]],
            "MiB of a step": [f"{v:,.3g}" for v in rows["mbyte"]],
            "parameters trained": [f"{v:,.0f}" for v in rows["parameters"]],
            "AUROC": _but(auroc, named, EMBEDDING),
            "minus the head's": _but(gain, named, EMBEDDING, HEAD),
        }
    )


def _but(texts: list[str], systems: list[str], *blank: str) -> list[str]:
    """The texts, empty where the system is one of `blank`."""
    both = zip(texts, systems, strict=True)
    return ["" if system in blank else text for text, system in both]


def verdict(made: pd.DataFrame) -> list[str]:
    """How much dearer each network was, and what it gained: a paragraph a stage."""
    said = []
    embedded = made.loc[made["system"] == EMBEDDING, "gflop"].sum()
    for stage, words in ((FIRST, "To train"), (UPDATE, "To update")):
        rows = made[made["stage"] == stage].set_index("system")
        head, parts = rows.loc[HEAD], []
        for system in (s for s in (NETWORK, AGAIN) if s in rows.index):
            r = rows.loc[system]
            times = r.seconds_running / max(head.seconds_running, 1e-3)
            gain = interval_text(*r[list(GAIN.values())])
            parts.append(
                f"the {system} took {times:,.0f} times the seconds of the {HEAD} and"
                f" {r.gflop / head.gflop:,.0f} times its operations; its AUROC minus"
                f" the head's is {gain} ({told(r.gain_low, r.gain_high)})"
            )
        if stage == FIRST and embedded:
            share = rows.loc[NETWORK, "gflop"] / (head.gflop + embedded)
            parts.append(
                f"with the embedding counted, operations differ {share:.1f}-fold"
            )
        said.append(f"**{words}:** {'; '.join(parts)}.")
    return said


def how(bench: Bench, made: pd.DataFrame) -> str:
    """What was measured, and what was not."""
    cost = bench.config.cost
    new = number(made, UPDATE) - number(made, FIRST)
    return (
        f"All had {cost.steps} steps of {cost.batch} rows, a learning rate of"
        f" {cost.lr:g} (the head {cost.head_lr:g}), and kept their best step on the"
        f" same validation rows; the test rows are the same too. Then {new:,} new rows"
        " came, and each went on from its own weights for half the steps on all rows."
        " Seconds are of this machine; what a model's first fit took to compile is"
        " counted for each of its fits. Operations are floating-point, XLA's count of a"
        " step (loss and gradient) times the steps; looks at validation rows are not in"
        " it. Memory is what XLA plans to hold for a step (arguments, results and what"
        " lies between), not the process nor the data."
        f" Intervals are {bench.config.audit.level:.0%} and resample patients, the same"
        " for all systems."
    )


def number(made: pd.DataFrame, stage: str) -> int:
    """How many rows the head was trained on."""
    mine = (made["system"] == HEAD) & (made["stage"] == stage)
    return int(made.loc[mine, "rows"].iloc[0])
