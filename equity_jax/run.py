"""run(config, workdir): the only file that knows everybody."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from equity_jax import systems as sys
from equity_jax.audit import AuditReport
from equity_jax.clock import compile_clock, phase
from equity_jax.config import Config, to_dict
from equity_jax.data import DATASETS
from equity_jax.face import answer_calls
from equity_jax.methods import METHODS, switch
from equity_jax.models import MODELS
from equity_jax.nouns import Method, Scheme
from equity_jax.results import (
    Choices,
    Swept,
    choose,
    describe,
    plan_runs,
    write_scores,
)
from equity_jax.schemes import SCHEMES
from equity_jax.store import TUNED, Store, open_run
from equity_jax.tasks import TASKS
from equity_jax.train import Checkpoint, Journal, Run, Weights, fit
from equity_jax.types import Batch, Dataset, InputError, Predictions
from equity_jax.verdict import judge

# Checkpoints of an unfinished run.
HALF_WAY = ("part_", "flight", "arm_", "pretrain_", "reader", "removal")
AXIS = ["seed", "method", "scheme", "target", "lr", "fraction"]


class Parts(NamedTuple):
    """The names of a config as values."""

    methods: dict[str, Method]
    schemes: dict[str, Scheme]


class Result(NamedTuple):
    """What a run leaves in memory; `store` holds the same on disk.

    config: as the sweep ran, tuned where the study tunes; swept: every run, and the
    choices; test: Predictions of the test rows that were audited; seconds: by phase;
    tuned: what the study's `tune` found.
    """

    store: Store
    config: Config
    dataset: Dataset
    swept: Swept
    test: Predictions
    report: AuditReport
    seconds: dict[str, float]
    tuned: Any = None

    @property
    def choices(self) -> Choices:
        """What validation decided."""
        return self.swept.choices


class Tuned(NamedTuple):
    """What a study decides before its sweep: (config, dataset, store, quiet) -> Tuned.

    config: that the sweep runs with (a model, a rate, a scheme); found: for the page;
    start, augment: as of `sweep`.
    """

    config: Config
    found: Any = None
    start: Weights | None = None
    augment: Callable[..., Batch] | None = None


def run(
    config: Config,
    workdir: str,
    *,
    page: Callable[[Result], None] | None = None,
    tune: Callable[[Config, Dataset, Store, bool], Tuned] | None = None,
    judged: Mapping[str, Any] = {},
    quiet: bool = False,
) -> Store:
    """Loads, fits, stitches, audits and writes; resumes what was begun in `workdir`.

    page: writes report.md, report.html and figures of a Result (default: a plain one).
    tune: (config, dataset, store, quiet) -> Tuned, what the sweep runs with.
    judged: options of the audit that differ.
    A finished directory is returned as it is.

    Raises:
        InputError: a wrong name in the config, a wrong file, another run's directory.

    Example:
        >>> store = run(Config(), "runs/deaths")  # doctest: +SKIP
        >>> store.read_csv("audit.csv")  # doctest: +SKIP
    """
    store = open_run(workdir, config)
    parts = resolve(config)
    if store.done:
        return store
    seconds: dict[str, float] = {}
    with phase(seconds, "load"):
        dataset = DATASETS[config.data.name](config.data, seed=config.seed)
        plan_runs(config, dataset, parts.schemes)  # refuses before anything is written
        store.pin("data.json", describe(dataset), "fingerprint")
        if dataset.history is not None:
            store.write_csv("history.csv", dataset.history)
    with phase(seconds, "fit"), compile_clock(seconds):
        tuned = Tuned(config)
        if tune is not None:
            tuned = tune(config, dataset, store, quiet)
            store.write_json(TUNED, to_dict(tuned.config))
        config, *_, start, augment = tuned
        journal = Journal(store.folder("checkpoints"), config.train.save_seconds)
        swept = sweep(config, dataset, journal, quiet, augment=augment, start=start)
    with phase(seconds, "score"):
        swept, test = write_scores(config, store, dataset, swept)
    with phase(seconds, "audit"):
        report = judge(config, dataset, swept.choices, test, quiet, judged)
        with store.place("audit.csv") as path:
            report.save(path)
    with phase(seconds, "page"):
        found = config, dataset, swept, test, report, seconds, tuned.found
        result = Result(store, *found)
        (page or plain_page)(result)
    return finish(store, seconds)


def sweep(
    config: Config,
    dataset: Dataset,
    journal: Journal | None = None,
    quiet: bool = True,
    *,
    augment: Callable[..., Batch] | None = None,
    start: Weights | None = None,
) -> Swept:
    """Fits every run of the config on a data set and makes the choices, in memory.

    augment: (key, Batch) -> Batch, for images; start: what stands before the first
    stage of schemes that carry something over.

    Example:
        >>> sweep(Config(), dataset).choices.variants  # doctest: +SKIP
        {'erm': "transfer('full')"}
    """
    parts = resolve(config)
    task = TASKS.get(dataset.spec.task)
    model = MODELS.get(config.model.name, task.outputs, task.constants)
    table = plan_runs(config, dataset, parts.schemes)
    fitted = fit(
        model,
        dataset,
        [Run(*row) for row in table[AXIS].itertuples(index=False)],
        task=task,
        reconstruct=TASKS.get("reconstruct"),
        train=config.train,
        methods=parts.methods,
        schemes=parts.schemes,
        journal=journal,
        quiet=quiet,
        augment=augment,
        start=start,
    )
    return Swept(task, model, choose(dataset, table, fitted), fitted)


def resolve(config: Config) -> Parts:
    """Every name of the config, looked up before anything is read or written.

    Raises:
        InputError: an unknown name (the known ones are listed), a count below 1, a
            step budget that evaluations do not divide.
    """
    train = config.train
    if config.data.name not in DATASETS:
        known = ", ".join(sorted(DATASETS))
        raise InputError(f"unknown dataset {config.data.name!r}; known: {known}")
    MODELS.get(config.model.name, 1, 0)
    for name in ("seeds", "steps", "batch", "eval_every", "patience", "chunk"):
        if getattr(train, name) < 1:
            raise InputError(f"--config.train.{name} is {getattr(train, name)}; >= 1")
    if train.segment % train.eval_every or train.steps % train.eval_every:
        raise InputError(
            f"--config.train.eval_every={train.eval_every} must divide segment"
            f" ({train.segment}) and steps ({train.steps})"
        )
    schemes = {s: SCHEMES.get(s) for s in train.schemes}
    alone = not all(s.pooled for s in schemes.values())
    if not train.methods or not train.lr or alone and sys.POOLED not in schemes:
        raise InputError(
            "--config.train needs at least one method, one lr, and the scheme"
            f" {sys.POOLED!r}, which scores rows without parameters of their own"
        )
    if any(not 0 < f <= 1 for f in train.fractions):
        raise InputError(f"--config.train.fractions={train.fractions}: in (0, 1]")
    if train.keep not in ("nll", "auroc"):
        raise InputError(f"--config.train.keep={train.keep}; expected nll or auroc")
    own = {stage.method for s in schemes.values() for stage in (*s.stages, *s.home)}
    names = list(dict.fromkeys([*train.methods, *sorted(own - {""})]))
    unified = switch(*(METHODS.get(m) for m in names))
    return Parts(dict(zip(names, unified, strict=True)), schemes)


def finish(store: Store, seconds: dict[str, float]) -> Store:
    """The last lines: env.json, no more half-way checkpoints, DONE."""
    store.write_env(seconds)
    saved = Checkpoint(store.path / "checkpoints")
    for prefix in HALF_WAY:
        saved.remove(prefix)
    store.finish()
    return store


def plain_page(result: Result) -> None:
    """A page with the audit's table only, for studies without their own."""
    from equity_jax.audit.pages.page import Page, Section, Table, write

    spec = result.dataset.spec
    tables = [Table("Every group, every system", result.report.by_group(), "")]
    section = Section("Who is served worse", list(spec.notes), tables, [])
    page = Page(result.store.config.name, spec.unit, spec.simulated, [section])
    write(page, result.store.path)


answer_calls(__name__)
