"""Every method of the shelf, tuned alike and judged alike, on one data set.

    python -m experiments.protocol --workdir=runs/spurious            # simulated table
    python -m experiments.protocol --workdir=runs/embeddings \
        --config.data.name=embeddings
    python -m experiments.protocol --workdir=runs/deaths --config.data.name=deaths \
        --config.data.source=deaths.csv
    python -m experiments.protocol --workdir=runs/few \
        --config.protocol.entries="group_dro,jtt,logit_adjusted(by='class')"

The same model, steps, draws, stopping rule and number of trials for every method. The
first trial has the settings of the method's paper, the others are drawn from the one
table knobs.KNOBS; entries.ENTRIES lists the methods. Validation rows choose the trial,
by --config.protocol.criterion; what each other criterion would have chosen, and how
optimistic all of them are, is on the page. Methods are compared with erm and with erm
on balanced cells, on the same test patients. What a task refuses is listed with its
reason. Of config.train the first lr and the weight_decay are those of the first trial,
the other trials multiply them; methods, schemes and fractions are not read.

Expected (experiments/README.md has the tables of the first three commands): no method
is told from balanced erm as better, on any of the three. On "spurious" the worst cell's
accuracy is about .4 by erm, .76 by balanced erm, .8 by cell_weighted.
"""

import dataclasses

import numpy as np

from equity_jax.audit.pages.page import interval_text
from equity_jax.clock import compile_clock, phase
from equity_jax.config import Audit, Config, Data, Model, Train
from equity_jax.data import DATASETS
from equity_jax.results import describe
from equity_jax.run import finish, resolve
from equity_jax.store import Store, open_run
from equity_jax.train import Journal
from equity_jax.types import InputError
from experiments.page_parts import closing
from experiments.protocol.admit import refuse
from experiments.protocol.criteria import CRITERIA
from experiments.protocol.entries import BALANCED, ERM, chosen
from experiments.protocol.files import write
from experiments.protocol.judge import judge
from experiments.protocol.page import make_page
from experiments.protocol.play import play
from experiments.protocol.scores import METRICS

SHOWN = 5  # methods that the command prints


def main_config() -> Config:
    """The study at its full size: minutes (a table) to hours on two CPU cores."""
    train = Train(
        seeds=3, steps=600, batch=128, eval_every=50, segment=100, keep="auroc"
    )
    return Config(
        name="protocol",
        data=Data(name="spurious", task="burden"),
        model=Model("mlp(64)"),
        train=train,
        audit=Audit(),
    )


def smoke(config: Config) -> Config:
    """Every method, shrunk until it takes seconds: one seed, two trials."""
    replace = dataclasses.replace
    train = replace(
        config.train, seeds=1, steps=40, batch=64, eval_every=20, segment=20
    )
    spurious = replace(
        config.data.spurious, train=600, valid=800, test=800, features=12
    )
    cohort = replace(config.data.cohort, patients=2000, images=4000, features=64)
    return replace(
        config,
        data=replace(config.data, spurious=spurious, cohort=cohort),
        model=Model("mlp(16)"),
        train=train,
        protocol=replace(config.protocol, trials=2, rounds=5),
        audit=replace(config.audit, replicates=100),
    )


def study(config: Config, workdir: str, quiet: bool) -> Store:
    """Runs, judges, writes the page, and prints where it is and what was found."""
    store = open_run(workdir, config)
    check(config)
    if not store.done:
        _run(config, store, quiet)
    if not quiet:
        print(summary(store))
    return store


def check(config: Config) -> None:
    """Every name of the config, looked up before anything is read or written.

    Raises:
        InputError: an unknown name, no trial, steps that evaluations do not divide.
    """
    resolve(config)
    chosen(config.protocol.entries)
    if config.protocol.trials < 1:
        raise InputError(f"--config.protocol.trials={config.protocol.trials}; >= 1")
    if config.protocol.criterion not in CRITERIA:
        known = ", ".join(CRITERIA)
        raise InputError(
            f"--config.protocol.criterion={config.protocol.criterion}; known: {known}"
        )


def _run(config: Config, store: Store, quiet: bool) -> None:
    seconds: dict[str, float] = {}
    with phase(seconds, "load"):
        dataset = DATASETS[config.data.name](config.data, seed=config.seed)
        refuse(dataset)
        store.pin("data.json", describe(dataset), "fingerprint")
    with phase(seconds, "fit"), compile_clock(seconds):
        journal = Journal(store.folder("checkpoints"), config.train.save_seconds)
        played = play(config, dataset, journal, quiet)
    with phase(seconds, "audit"):
        judged = judge(config, played, quiet)
    with phase(seconds, "page"):
        write(store, played, judged, quiet)
        make_page(store, played, judged, seconds)
    finish(store, seconds)


def summary(store: Store) -> str:
    """What the command prints: the first methods by rank, both baselines, the page."""
    simulated = " SIMULATED" if store.read_json("data.json")["simulated"] else ""
    table = store.read_csv("methods.csv")
    ranked = table[table["rank"].notna()].sort_values("rank", kind="stable")
    base = ranked["entry"].isin([ERM, BALANCED])
    shown = ranked[base | (np.arange(len(ranked)) < SHOWN)]
    titles = [METRICS[metric].title for metric in ranked["metric"].unique()]
    lines = [f"\n{title}{simulated}, by mean rank:" for title in titles]
    lines += [
        f"  {r.rank:4.1f}  {r.entry}: {interval_text(r.value, r.low, r.high)}"
        for r in shown.itertuples()
    ]
    return "\n".join([*lines, *closing(store)])
