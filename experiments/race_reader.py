"""Section of the race study: a network trained to read the attribute from the images.

It sees the same training, validation and test patients as the disease network and has
its design, so it says how much can be read at all by such a network, and with the probe
how much of that the disease network keeps. Settings of the original study: Adam,
categorical cross-entropy, batches of 32, 10 epochs (config.reader); the weights that
were best on the validation images are kept.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from equity_jax.audit import NOT_ESTIMABLE, OK
from equity_jax.audit.multiclass import multiclass
from equity_jax.audit.pages.page import Section, Table, interval_text
from equity_jax.audit.statistics import inference
from equity_jax.audit.statistics.inference import Estimate
from equity_jax.config import Config
from equity_jax.forecasts import rows_of
from equity_jax.models import MODELS
from equity_jax.run import Result, sweep
from equity_jax.train import Journal, Weights, score
from equity_jax.trial_files import softmax
from equity_jax.types import LEFT_OUT, TRAIN, Dataset, InputError, Predictions
from experiments.cxr_parts import measured, wide
from experiments.race_parts import truth
from experiments.race_probes import MEAN, READERS, Probed, dots

COLUMNS = ("attribute", "reader", "group", "value", "low", "high", "n", "patients")
PLANTED = "best possible (planted)"


class Reader(NamedTuple):
    """What the classifier found.

    table: reader.csv, AUROC of each group (and MEAN) by the classifier, by every probe
    and, on the twin, by the best reader there can be; kept: kept.csv, the share of what
    the classifier reads that each probe finds in the disease network; test: the
    classifier's Predictions of the probes' rows, None where nothing can be asked.
    """

    table: pd.DataFrame
    kept: pd.DataFrame
    test: Predictions | None


def refuse(config: Config) -> None:
    """Looks up what config.reader names, before anything is read or written.

    Raises:
        InputError: an unknown model; a batch, epochs or rate that is not positive.
    """
    reader = config.reader
    MODELS.get(reader.model or config.model.name, 2, 0)
    for name in ("batch", "epochs", "lr"):
        if not getattr(reader, name) > 0:
            text = f"--config.reader.{name} is {getattr(reader, name)}; above 0"
            raise InputError(text)


def read(
    result: Result, probed: Probed, start: Weights | None = None, quiet: bool = True
) -> Reader:
    """Trains the classifier and holds it beside the probes; reader.csv, kept.csv.

    start: what the disease network began with, for a classifier of its design (None:
    random numbers).

    Example:
        >>> read(result, probed).kept  # doctest: +SKIP
    """
    dataset, config = result.dataset, result.config
    test, table, kept = None, pd.DataFrame(columns=list(COLUMNS)), pd.DataFrame()
    if probed.test is not None:
        start = None if config.reader.model else start
        mine = labeled(dataset, probed.classes)
        name = f"{dataset.spec.group} classifier"
        plan = planned(config, int(np.sum(mine.split == TRAIN)), start is not None)
        folder = result.store.folder("checkpoints/reader")
        journal = Journal(folder, config.train.save_seconds)
        swept = sweep(plan, mine, journal, quiet, start=start)
        rows = probed.test.id.astype(int)
        logits = score(swept.model, [swept.fitted.of(0)], dataset.x[rows])
        runs = [{"seed": 0, "method": name, "scheme": ""}]
        test = probed.test._replace(prob=softmax(logits), runs=runs)
        both = beside(probed, test)
        table, kept = judged(result, both, probed.classes), shares(result, both, probed)
    result.store.write_csv("reader.csv", table)
    result.store.write_csv("kept.csv", kept)
    return Reader(table, kept, test)


def labeled(dataset: Dataset, classes: tuple[str, ...]) -> Dataset:
    """The rows of these groups, with the group in place of the findings."""
    values, name = dataset.attributes[dataset.spec.group], dataset.spec.group
    rows = np.isin(values, classes) & (dataset.split != LEFT_OUT)
    mine = rows_of(dataset, np.flatnonzero(rows))
    task = f"multiclass({len(classes)})"
    spec = dataset.spec._replace(task=task, targets=(name,), classes=classes)
    code = {group: i for i, group in enumerate(classes)}
    y = np.array([[code[group]] for group in values[rows]], np.int32)
    return mine._replace(spec=spec, y=y, mask=np.ones(y.shape, np.float32), controls={})


def planned(config: Config, rows: int, started: bool) -> Config:
    """The config of the classifier's sweep: whole epochs, no early stop."""
    reader = config.reader
    looks = max(1, round(reader.epochs))
    each = max(1, math.ceil(reader.epochs * rows / reader.batch / looks))
    train = dataclasses.replace(
        config.train,
        **{"seeds": 1, "methods": ("erm",), "fractions": (), "weight_decay": 0.0},
        schemes=("finetune('full', 1.0)" if started else "mixture",),
        steps=looks * each,
        batch=reader.batch,
        lr=(reader.lr,),
        **{"eval_every": each, "segment": each, "patience": looks, "chunk": 1},
    )
    model = dataclasses.replace(config.model, name=reader.model or config.model.name)
    return dataclasses.replace(config, train=train, model=model)


def beside(probed: Probed, test: Predictions) -> Predictions:
    """The classifier, then every probe of the features: the same rows."""
    p = probed.test
    mine = [i for i, run in enumerate(p.runs) if not run["scheme"]]
    prob = np.concatenate([test.prob, p.prob[mine]])
    return p._replace(prob=prob, runs=[*test.runs, *(p.runs[i] for i in mine)])


def judged(result: Result, p: Predictions, classes: tuple[str, ...]) -> pd.DataFrame:
    """Columns COLUMNS and status: one-vs-rest AUROC of every group, by every reader."""
    config, name = result.config, result.dataset.spec.group
    drawn = {"replicates": config.audit.replicates, "level": config.audit.level}
    found = multiclass(p, classes, **drawn, seed=config.seed)
    found = found[found["metric"].isin(("auroc", "macro_auroc"))]
    found = found.assign(
        attribute=name,
        reader=[READERS.get(m, m) for m in found["method"]],
        group=found["label"].where(found["label"] != "", MEAN),
    )
    planted = truth(result.dataset).get("readable", {}).get(name, {})
    known = {g: planted[g] for g in classes if g in planted}
    known |= {MEAN: float(np.mean(list(known.values())))} if known else {}
    row = {"attribute": name, "reader": PLANTED, "status": OK}
    rows = [row | {"group": group, "value": value} for group, value in known.items()]
    joined = pd.concat([found, pd.DataFrame(rows)]) if rows else found
    return joined[[*COLUMNS, "status"]].reset_index(drop=True)


def shares(result: Result, p: Predictions, probed: Probed) -> pd.DataFrame:
    """Of every probe (AUROC - .5) / (the classifier's - .5), macro averages.

    In the same replicates of the patients. Nothing is estimated where the classifier's
    own interval holds .5. Measured (four groups, a share of .70, 300 worlds each): 95 %
    intervals held it in 95.9 % with 150 test patients, in 94.0 % with 400.
    """
    config = result.config
    level = config.audit.level
    found = measured(p, probed.classes, config)["macro_auroc"]
    above = _above(found)
    first = np.zeros(len(p.runs) - 1, int)
    low = inference.interval(found, level)[0][0]
    share = inference.quotient(
        inference.cells(above, slice(1, None)), inference.cells(above, first)
    )
    share = share._replace(ok=share.ok & bool(low > 0.5))
    ends = inference.interval(share, level)
    rows = {
        "reader": [READERS[run["method"]] for run in p.runs[1:]],
        "value": np.where(share.ok, share.value, np.nan),
        **{"low": ends[0], "high": ends[1]},
        "status": np.where(share.ok, OK, NOT_ESTIMABLE),
    }
    return pd.DataFrame(rows)


def _above(found: Estimate) -> Estimate:
    """By how much it is better than a coin."""
    moved = {k: getattr(found, k) - 0.5 for k in ("value", "seeds", "draws")}
    return found._replace(**moved)


def section(result: Result, reader: Reader) -> Section:
    """The classifier beside the probes, and the share that is kept.

    Example:
        >>> section(result, reader).title  # doctest: +SKIP
        'How much of it the disease network keeps'
    """
    spec, title = result.dataset.spec, "How much of it the disease network keeps"
    if reader.test is None:
        return Section(title, [f"{NOT_ESTIMABLE}: {spec.group} cannot be read."])
    settings, rows = result.config.reader, reader.table
    text = [
        f"A network of its own, {settings.model or result.config.model.name}, learned"
        f" {spec.group} from the same training images ({settings.epochs:g} epochs of"
        f" batches of {settings.batch}, Adam, plain cross-entropy). What it reads is in"
        " the images; what the probe reads the disease network kept, though nobody"
        " asked it to. Neither is the most that can be read.",
        *_sentences(reader),
    ]
    if (rows["reader"] == PLANTED).any():
        text.append(
            "The twin was made with a faint sign of known strength in the pixels, so"
            f" the {PLANTED.replace(' (planted)', '')} reader is known: its AUROC on"
            " infinitely many patients stands in the last row."
        )
    several = rows[rows["group"] != MEAN]["group"].nunique() > 2
    shown = rows if several else rows[rows["group"] == MEAN]
    shown = shown.assign(probe=shown["reader"])
    caption = f"AUROC of reading {spec.group}, test images, with intervals"
    return Section(
        title,
        text,
        [Table(caption, wide(shown, "probe", "group"))],
        [dots(result, "reader", shown, caption)],
    )


def _sentences(reader: Reader) -> list[str]:
    """The share that each probe finds, in words."""
    known = reader.kept[reader.kept["status"] == OK]
    if not len(known):
        return ["The classifier itself cannot be told from a coin: no share is known."]
    said = [
        f"{r.reader} {interval_text(r.value, r.low, r.high)}"
        for r in known.itertuples()
    ]
    return [
        "Of what the classifier reads (macro AUROC above 0.5) the frozen features give"
        f" this share: {', '.join(said)}. Above 1, the probe reads more."
    ]
