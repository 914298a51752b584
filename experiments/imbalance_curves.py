"""How many rows would the minority need, and what is its gap made of?

The minority's training patients are thinned to nested shares, several times, and the
network of the config is fitted again by erm on the rows of all groups; test rows stay
as they are. A power law through the gaps tells the rows that a small gap would need, up
to twice those that there are, and no further. The gap is divided into noise, amount,
prevalence and shift (imbalance_gaps.py), for which the reference is thinned too.

Validation patients are thinned by the same shares; those of a reference thinned to
another prevalence keep their own.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from equity_jax.audit import NOT_ESTIMABLE, OK, view
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Figure, Section, Table, interval_text
from equity_jax.audit.statistics.learning import REACH
from equity_jax.config import Config
from equity_jax.data.sampler import nested
from equity_jax.keys import generator
from equity_jax.methods import METHODS
from equity_jax.models import MODELS
from equity_jax.schemes import SCHEMES
from equity_jax.store import Store
from equity_jax.tasks import TASKS
from equity_jax.train import Journal, Run, fit, score
from equity_jax.types import TEST, TRAIN, VALID, Dataset
from experiments.ef_marks import Testing, marks
from experiments.ef_subsamples import (
    Arm,
    Plan,
    Training,
    halves_of,
    plan,
    roles_of,
    shares_of,
)
from experiments.imbalance_gaps import LAW, PARTS, table

POOLED = "mixture"
TEXT = (
    "Training {unit}s of each smaller group were thinned to nested shares, {draws}"
    " times each, and the network fitted again by erm; all were tested on the same"
    " rows. The **gap** is the AUROC of {home} minus the group's. **Noise** is what a"
    " finite test adds to the size of any gap; **amount** goes when {home} has as few"
    " training {unit}s; **prevalence** goes when these have the group's prevalence"
    " too; **shift** is what is left: noisy labels, fainter signs, another relation of"
    " inputs and label. The parts add up to the gap.",
    "The rows that a gap of {gap:g} needs are read off a power law, at most at"
    " {reach:g} times the rows that there are: beyond, other laws fit as well and say"
    " other things.",
)


def curves(
    dataset: Dataset, config: Config, store: Store, quiet: bool = True
) -> Section:
    """Fits the thinned worlds, writes curves.csv and tells it.

    config.imbalance: `draws` of every share, and the `gap` that would be small enough.
    Where nothing can be asked (several labels or classes, images, one group) the
    section says why.

    Example: `curves(dataset, config, store).tables[0].frame`.
    """
    title, why = "How many rows a smaller group needs", refused(dataset)
    if why:
        return Section(title, [f"{NOT_ESTIMABLE}: {why}."])
    found = experiment(dataset, config, store, quiet)
    store.write_csv("curves.csv", found)
    spec, asked = dataset.spec, config.imbalance
    words = {"unit": spec.unit, "home": spec.reference, "draws": asked.draws}
    words |= {"reach": REACH, "gap": asked.gap}
    tables = [
        Table("The gap in AUROC and its parts", _wide(found, PARTS)),
        Table(
            "The curve, and the training rows of the group needed", _wide(found, LAW)
        ),
    ]
    text = [part.format(**words) for part in TEXT]
    return Section(title, text, tables, _drawn(dataset, store, found))


def refused(dataset: Dataset) -> str:
    """Why no curve can be asked of these data, or ""."""
    spec = dataset.spec
    if spec.task != "binary" or len(spec.targets) > 1:
        return f"curves are of the AUROC of one binary label; the task is {spec.task}"
    if dataset.x.ndim > 2:
        return "curves fit a table many times; these rows are images"
    return "" if len(spec.groups) > 1 else "fewer than two groups"


def experiment(
    dataset: Dataset, config: Config, store: Store, quiet: bool = True
) -> pd.DataFrame:
    """curves.csv, as imbalance_gaps.table says: plans, fits side by side, judges."""
    asked, names = config.imbalance, dataset.spec.groups
    _, *training = _rows(dataset, TRAIN)
    _, *testing = _rows(dataset, TEST)
    train = Training(*training, names, names.index(dataset.spec.reference))
    planned = needed_of(train, plan(train, asked.draws, config.seed))
    kept = kept_of(dataset, train, planned, config.seed)
    logits = _fitted(dataset, config, kept, store, quiet)
    judged = marks(
        logits,
        Testing(np.zeros(0), *testing, names),
        asked.draws,
        replicates=config.audit.replicates,
        min_rows=config.audit.min_rows,
        seed=config.seed,
    )
    return table(train, planned, judged, asked.gap, config.audit.level)


def needed_of(train: Training, planned: Plan) -> Plan:
    """The training sets of curves and parts, without the crosswise ones."""
    arms = [Arm("all")]
    for g in train.smaller:
        arms += [Arm("thin", g, k) for k in shares_of(train.patients(g))]
        for made in (roles_of(train, g), halves_of(train, g)):
            arms += [made[role] for role in ("all", "equal", "match")]
    rows: list[np.ndarray] = []
    runs: dict[Arm, list[int]] = {}
    for arm in dict.fromkeys(arms):
        old = planned.runs.get(arm, [])
        if old:
            runs[arm] = list(range(len(rows), len(rows) + len(old)))
            rows += [planned.rows[run] for run in old]
    return Plan(np.stack(rows), runs)


def kept_of(
    dataset: Dataset, train: Training, planned: Plan, seed: int
) -> list[np.ndarray]:
    """bool[N] a run, over all rows of the data: whom it trains and validates on."""
    fitted, held = _rows(dataset, TRAIN)[0], _rows(dataset, VALID)[0]
    names, patient = dataset.group[held], dataset.patient[held]
    made = []
    for arm, runs in planned.runs.items():
        for draw, run in enumerate(runs):
            kept = np.zeros(len(dataset.split), bool)
            kept[fitted[planned.rows[run]]], kept[held] = True, True
            for code, share in _shares(train, arm):
                mine = held[names == code]
                rng = generator(seed, "curves/valid", f"{train.names[code]}/{draw}")
                kept[mine] = nested(patient[names == code], share, rng)
            made.append(kept)
    return made


def _shares(train: Training, arm: Arm) -> Iterator[tuple[int, float]]:
    """Which groups an arm thins, and to what share of their patients."""
    code = train.reference if arm.kind == "match" else arm.code
    if code >= 0:
        yield code, arm.patients / train.patients(code)
    if arm.halved >= 0:
        yield arm.halved, 0.5


def _rows(dataset: Dataset, split: int) -> tuple[np.ndarray, ...]:
    """Numbers of the observed rows of a split, and their y, group and patient."""
    rows = np.flatnonzero((dataset.split == split) & (dataset.mask[:, 0] > 0))
    y = np.asarray(dataset.y)[rows, 0].astype(float)
    return rows, y, dataset.group[rows], dataset.patient[rows]


def _fitted(
    dataset: Dataset,
    config: Config,
    kept: Sequence[np.ndarray],
    store: Store,
    quiet: bool,
) -> np.ndarray:
    """float[R, M]: logits on the test rows of one network a training set."""
    task = TASKS.get(dataset.spec.task)
    model = MODELS.get(config.model.name, task.outputs, task.constants)
    worlds = {f"world {i}": rows for i, rows in enumerate(kept)}
    runs = [
        Run(config.seed, "erm", POOLED, -1, config.train.lr[0], kept=name)
        for name in worlds
    ]
    made = fit(
        model,
        dataset,
        runs,
        task=task,
        reconstruct=TASKS.get("reconstruct"),
        train=config.train,
        methods={"erm": METHODS.get("erm")},
        schemes={POOLED: SCHEMES.get(POOLED)},
        journal=Journal(store.folder("checkpoints"), config.train.save_seconds),
        quiet=quiet,
        name="curves ",
        kept=worlds,
    )
    weights = [made.of(run) for run in range(len(runs))]
    return score(model, weights, dataset.x[_rows(dataset, TEST)[0]])[..., 0]


def _wide(found: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """A line a group, a column a quantity; what is not known says why."""
    lines = []
    for group in dict.fromkeys(found["group"]):
        mine = (
            view(found, group=group).drop_duplicates("quantity").set_index("quantity")
        )
        texts = {name: _text(mine.loc[name]) for name in names}
        lines.append({"group": group} | texts)
    return pd.DataFrame(lines)


def _text(row: pd.Series) -> str:
    """A number with its interval, an end that was not reached in words, or why."""
    if row["status"] != OK:
        return f"{row['status']}: {row['why']}"
    if np.isinf(row["high"]):
        return f"{row['value']:,.0f} [{row['low']:,.0f}, not reached]"
    return interval_text(row["value"], row["low"], row["high"])


def _drawn(dataset: Dataset, store: Store, found: pd.DataFrame) -> list[Figure]:
    """The gaps that were measured, and the law through them, a panel a group."""
    kinds = {"gap at": "measured", "law": "power law"}
    rows = found[found["quantity"].isin(list(kinds)) & (found["status"] == OK)]
    if not len(rows):
        return []
    home = dataset.spec.reference
    figure = figures.curves(
        rows.assign(kind=rows["quantity"].map(kinds)),
        x="rows",
        title="The gap by the smaller group's own training rows",
        xlabel="training rows of the group, all others kept",
        ylabel="gap in AUROC",
        by="kind",
        simulated=dataset.spec.simulated,
    )
    with store.place("figures/curves.png") as path:
        figures.save(figure, path)
    caption = f"Gap to {home} by a group's own training rows, with the power law"
    alt = caption + ", up to twice the rows: lines with interval bands, a panel a group"
    return [Figure("figures/curves.png", caption, alt)]
