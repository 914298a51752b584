"""COVID-19, normal and viral pneumonia on chest X-rays: from scratch and by transfer.

    python -m experiments.covid_cxr --workdir=runs/cxr                  # simulated twin
    python -m experiments.covid_cxr --workdir=runs/radiography \
        --config.data.source=COVID-19_Radiography_Dataset
    python -m experiments.covid_cxr --workdir=runs/gpu --config.data.source=DIR \
        --config.data.images.size=224 --config.train.steps=5000 \
        --config.arms.checkpoints=densenet201=densenet201.pth,vgg19=vgg19.pth

Two networks from random numbers (cnn_small, cnn_deep) and three by transfer (VGG19,
ResNet101, DenseNet201) from a checkpoint that you name or, where you name none, from a
pretraining of our own on simulated X-rays or on the folder --config.arms.pretrain. On
one network learning rate, augmentation, sampling and freezing depth are all crossed;
the others run at every depth. Pretrain on children, fine-tune on adults:

    python -m experiments.covid_cxr --workdir=runs/adults --config.data.source=ADULTS \
        --config.arms.pretrain=COVID-19_Radiography_Dataset \
        --config.arms.pretrain_classes="COVID=,Normal=Normal,Viral Pneumonia=Viral"

The defaults are shrunk so that two CPU cores finish (30 minutes): images of 48 pixels,
150 steps of 32 images, pretraining on 279 simulated images; no network's width is. On a
GPU use the third command.

Expected, 2,420 images of the COVID-19 Radiography Database and its sources, 605 tested,
accuracy and macro AUROC: cnn_deep from scratch .931 [.907, .948], .989 [.980, .994];
cnn_small from scratch .940 [.918, .957], .991; resnet101 .921 [.895, .940], .987;
densenet201 .902 [.875, .925], .980; vgg19 .68 [.64, .73], .84, unfinished at 150 steps.
None of it shows that the disease is read: a logistic regression on border pixels alone
reaches .89 [.86, .91], on a 16 x 16 thumbnail .91 [.89, .93]; COVID comes from sources
that hold no other class, and the other classes are children.
"""

import dataclasses

from equity_jax.audit.pages.page import Page, write
from equity_jax.config import Arms, Audit, Config, Data, Images, Train
from equity_jax.store import Store
from equity_jax.trials import Result, run_trials
from experiments import (
    cxr_classes,
    cxr_controls,
    cxr_explore,
    cxr_factors,
    cxr_grouped,
    cxr_maps,
    cxr_results,
)
from experiments.launch import launch
from experiments.page_parts import closing

DEPTHS = ("head_only", "last_blocks", "full", "probe_then_full")


def main_config() -> Config:
    """The study, at a size and length for two CPU cores."""
    train = Train(
        seeds=1,
        methods=("erm", "oversample('class')", "class_weighted"),
        schemes=tuple(f"finetune('{depth}')" for depth in DEPTHS),
        steps=150,
        batch=32,
        lr=(1e-3, 3e-4),
        eval_every=30,
        segment=30,
        patience=3,
        chunk=1,
    )
    return Config(
        name="covid_cxr",
        data=Data(name="cxr", images=Images(size=48)),
        train=train,
        arms=Arms(),
        audit=Audit(),
    )


def smoke(config: Config) -> Config:
    """The same study, shrunk until it takes seconds: two small networks."""
    replace = dataclasses.replace
    train = replace(
        config.train,
        methods=("erm", "oversample('class')"),
        schemes=("finetune('head_only')", "finetune('full')"),
        steps=40,
        eval_every=20,
        segment=20,
        lr=(3e-3,),
    )
    images = replace(config.data.images, size=32)
    phantom = replace(config.data.phantom, patients=200)
    return replace(
        config,
        data=replace(config.data, images=images, phantom=phantom),
        train=train,
        arms=replace(
            config.arms,
            scratch=("cnn_small",),
            transfer=("cnn_deep",),
            pretrain_steps=40,
        ),
        audit=replace(config.audit, replicates=200),
    )


def study(config: Config, workdir: str, quiet: bool) -> Store:
    """Runs, writes the page, and prints where it is and what was found."""
    store = run_trials(config, workdir, page=make_page, quiet=quiet)
    if not quiet:
        print(summary(store))
    return store


def make_page(result: Result) -> None:
    """report.md, report.html and the figures of one result."""
    spec = result.dataset.spec
    sections = [
        cxr_results.leaderboard(result),
        cxr_controls.controls(result),
        cxr_classes.confusion(result),
        cxr_classes.groups(result),
        cxr_grouped.grouped(result),
        cxr_factors.factors(result),
        cxr_maps.maps(result),
        cxr_explore.exploration(result),
        cxr_factors.learning_curves(result),
        cxr_results.conduct(result),
    ]
    page = Page(
        title=f"Chest X-rays: {', '.join(spec.classes)}",
        subtitle=f"{len(result.best)} networks, tested by {spec.unit}",
        simulated=spec.simulated,
        sections=[s for s in sections if s is not None],
        answer=cxr_classes.answer(result),
    )
    write(page, result.store.path)


def summary(store: Store) -> str:
    """What the command prints at its end: the leaderboard and the page's path."""
    board = store.read_csv("leaderboard.csv")
    simulated = " SIMULATED" if store.read_json("data.json")["simulated"] else ""
    return "\n".join(
        [
            f"\nNetworks as validation ranks them{simulated}:",
            board.to_string(index=False),
            *closing(store),
        ]
    )


if __name__ == "__main__":
    launch(main_config, smoke, study, a_device_per_core=False)
