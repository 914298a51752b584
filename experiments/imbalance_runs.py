"""Which runs the imbalance study fits: every world × method × depth × draw."""

import dataclasses

import pandas as pd

from equity_jax.config import Config
from equity_jax.systems import POOLED
from equity_jax.types import Dataset
from experiments import imbalance_worlds as worlds
from experiments.imbalance_worlds import MAP, Case, Plan

SCRATCH = "scratch"


def adapted(config: Config, dataset: Dataset) -> Config:
    """The config that is fitted: tables also by the map's methods, images by their own
    numbers.

    Example:
        >>> adapted(config, images).train.steps  # doctest: +SKIP
        150
    """
    mine, network = config.imbalance, config.arms.transfer[0]
    if dataset.x.ndim == 2:
        methods = tuple(dict.fromkeys((*config.train.methods, *mine.mapped)))
        train = dataclasses.replace(config.train, methods=methods)
        return dataclasses.replace(config, train=train)
    tuned = tuple(f"finetune({depth!r})" for depth in mine.depths)
    train = dataclasses.replace(
        config.train,
        **{"methods": mine.weights, "schemes": (POOLED, *tuned), "steps": mine.steps},
        **{"batch": mine.batch, "lr": (mine.lr,), "keep": "nll", "chunk": 1},
    )
    chosen = dataclasses.replace(config.arms, transfer=(network,), scratch=())
    chosen = dataclasses.replace(chosen, crossed=())
    model = dataclasses.replace(config.model, name=network)
    return dataclasses.replace(config, train=train, arms=chosen, model=model)


def plain_of(config: Config) -> str:
    """erm, where it is fitted; else the first method."""
    methods = config.train.methods
    return "erm" if "erm" in methods else methods[0]


def depth_of(scheme: str) -> str:
    """A scheme in a word: "scratch", "full", "head_only".

    Example:
        >>> depth_of("mixture"), depth_of("finetune('full')")
        ('scratch', 'full')
    """
    return SCRATCH if scheme == POOLED else scheme.split("'")[1]


def methods_of(config: Config, case: Case) -> tuple[str, ...]:
    """The methods that are fitted in a world."""
    return config.imbalance.mapped if case.axis == MAP else config.train.methods


def scheme_of(case: Case, depth: str, images: bool) -> str:
    """What the audit calls a world and, of images, a depth."""
    return f"{case.name} | {depth}" if images else case.name


def plan_runs(config: Config, planned: Plan, images: bool) -> pd.DataFrame:
    """runs.csv before the fit: a line a world, method, depth and draw."""
    lines = []
    for case in planned.reached:
        for method in methods_of(config, case):
            for scheme in config.train.schemes:
                depth = depth_of(scheme)
                for seed in range(config.train.seeds):
                    line = {"run": len(lines), "seed": seed, "method": method}
                    line["scheme"] = scheme_of(case, depth, images)
                    line |= {"axis": case.axis, "world": case.name}
                    line |= {"depth": depth, "trained": scheme}
                    line["kept"] = worlds.drawn(case, seed)
                    lines.append(line)
    return pd.DataFrame(lines)
