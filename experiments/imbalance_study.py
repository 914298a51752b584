"""Weighted loss or resampling, as classes and groups grow rare.

    python -m experiments.imbalance_study --workdir=runs/rare           # simulated twin
    python -m experiments.imbalance_study --workdir=runs/xrays --config.data.name=cxr
    python -m experiments.imbalance_study --workdir=runs/deaths \
        --config.data.name=deaths --config.data.task=burden --config.data.source=FILE
    python -m experiments.imbalance_study --workdir=runs/radiography \
        --config.data.name=cxr --config.data.source=COVID-19_Radiography_Dataset

Training and validation rows are thinned into worlds: prevalence 50 % to 0.5 %, share of
the smaller groups 50 % to 1 %, 200 to 20,000 training rows, one at a time; and a map of
prevalence × share. Test rows stay as they are. A world lies inside every less rare one;
each is drawn once a seed. What the rows cannot make is NOT_ESTIMABLE. On tables all
worlds × methods × draws are fitted in one call; on images (`cxr`) the named class
(COVID first) is made rare, and the weighting is crossed with the depth of fine-tuning.

Expected of the embeddings' twin at half its size (20,000 images of 5,000 patients, 64
features, 3 draws, 200 replicates: `--config.data.cohort.patients=5000
--config.data.cohort.images=20000 --config.data.cohort.features=64
--config.train.seeds=3 --config.audit.replicates=200`), 936 runs. As the prevalence
falls from 50 % (3,092 rare rows) to 0.5 % (16), erm's AUROC falls from .792 [.766,
.818] to .67 [.60, .74]. Of 77 comparisons with erm none is better and 9 are worse: with
16 rare rows class_weighted by -.050 [-.087, -.013], oversample('both') by -.040 [-.065,
-.009]. At a threshold of 0.5 erm then finds 0.1 % of the ill, undersample('class')
39 %: weights move the threshold, not the ranking. The gap between White and the others
is .21 at equal shares (planted: fainter signs, noisy labels) and .26 at 1 %.

On CDC's deaths (the third command, 3 draws, 3,906 training rows), 804 runs: 13 of 62
worlds cannot be made; erm's AUROC is .75 [.69, .80] at 50 % and .71 [.65, .77] at 0.5 %
(8 rare rows); of 77 comparisons one is better and two are worse, as chance would have.
"""

import dataclasses

from equity_jax.audit import OK, view
from equity_jax.audit.pages.page import Page, Section, interval_text, write
from equity_jax.config import (
    Arms,
    Audit,
    Cohort,
    Config,
    Data,
    Images,
    Imbalance,
    Model,
    Phantom,
    Train,
)
from equity_jax.store import Store
from experiments import (
    imbalance_axes,
    imbalance_conduct,
    imbalance_depths,
    imbalance_map,
)
from experiments.imbalance_curves import curves
from experiments.imbalance_example import example
from experiments.imbalance_fits import Result, run_worlds
from experiments.imbalance_worlds import PREVALENCE
from experiments.launch import launch
from experiments.page_parts import closing

METHODS = (
    *("erm", "class_weighted", "oversample('both')", "undersample('both')"),
    *("class_weighted(True)", "effective_number", "group_weighted"),
    *("oversample('class')", "undersample('class')", "focal(2.0)"),
    *("logit_adjusted", "group_dro"),
)


def main_config() -> Config:
    """The study on the twin of the embeddings; its X-rays are for data.name cxr."""
    data = Data(
        name="embeddings",
        cohort=Cohort(patients=10_000, images=40_000, features=256),
        images=Images(size=32),
        phantom=Phantom(patients=1200),
    )
    train = Train(
        seeds=4,
        methods=METHODS,
        schemes=("mixture",),
        steps=400,
        batch=128,
        keep="auroc",
        chunk=64,
    )
    return Config(
        name="imbalance_study",
        data=data,
        model=Model("mlp(32)"),
        train=train,
        arms=Arms(transfer=("cnn_small",), augment="", pretrain_steps=150),
        imbalance=Imbalance(),
        audit=Audit(replicates=400),
    )


def smoke(config: Config) -> Config:
    """The same study, shrunk until it takes seconds."""
    replace = dataclasses.replace
    cohort = replace(config.data.cohort, patients=1500, images=5000, features=32)
    phantom = replace(config.data.phantom, patients=250)
    few = replace(
        config.imbalance,
        prevalence=(0.2, 0.05, 0.005),
        share=(0.5, 0.05),
        rows=(500, 2000, 20_000),
        images=(0.3, 0.1, 0.005),
        weights=("erm", "class_weighted"),
        depths=("full", "head_only"),
        draws=2,
        steps=20,
        batch=16,
    )
    train = replace(
        config.train, seeds=2, methods=METHODS[:4], steps=40, eval_every=20, segment=20
    )
    return replace(
        config,
        data=replace(config.data, cohort=cohort, phantom=phantom),
        model=replace(config.model, name="mlp(8)"),
        train=train,
        arms=replace(config.arms, pretrain_steps=20),
        imbalance=few,
        audit=replace(config.audit, replicates=100),
    )


def study(config: Config, workdir: str, quiet: bool) -> Store:
    """Runs, writes the page, and prints where it is and what was found."""

    def page(result: Result) -> None:
        make_page(result, quiet)

    store = run_worlds(config, workdir, page=page, quiet=quiet)
    if not quiet:
        print(summary(store))
    return store


def make_page(result: Result, quiet: bool = True) -> None:
    """report.md, report.html and the figures of one result."""
    spec, config = result.dataset.spec, result.config
    sections: list[Section | None] = [
        *imbalance_axes.axes(result),
        imbalance_map.two_way(result),
        imbalance_depths.depths(result),
    ]
    if config.imbalance.curves and not result.images:
        sections.append(curves(result.dataset, config, result.store, quiet))
    sections += [
        example(),
        imbalance_conduct.worlds(result),
        imbalance_conduct.conduct(result),
    ]
    page = Page(
        title=f"As it grows rare: {spec.classes[1]}",
        subtitle="Weights, draws and fine-tuning as classes and groups grow rare",
        simulated=spec.simulated,
        sections=[s for s in sections if s is not None],
        answer=imbalance_conduct.answer(result),
    )
    write(page, result.store.path)


def summary(store: Store) -> str:
    """What the command prints at its end: AUROC as the class grows rare, the page."""
    simulated = " SIMULATED" if store.read_json("data.json")["simulated"] else ""
    table, made = store.read_csv("audit.csv"), store.read_csv("worlds.csv")
    lines = [f"\nAUROC on all test rows{simulated}, erm as the class grows rare:"]
    for world in view(made, axis=PREVALENCE)["world"]:
        rows = view(table, metric="auroc", group="all", contrast="group", method="erm")
        rows = rows[rows["scheme"].str.partition(" | ")[0] == world]
        for r in rows.itertuples():
            known = r.status == OK
            ends = interval_text(r.value, r.low, r.high) if known else r.status
            lines.append(f"  {r.scheme}: {ends}")
    return "\n".join([*lines, *closing(store)])


if __name__ == "__main__":
    launch(main_config, smoke, study)
