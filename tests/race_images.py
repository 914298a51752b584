"""Made-up images with a faint sign of the group, for the probes of the race study."""

import dataclasses
from functools import cache
from pathlib import Path

import numpy as np
from scipy.linalg import helmert
from scipy.stats import rankdata

from equity_jax.config import Audit, Config, Data, Images, Model, Reader, Train
from equity_jax.results import write_scores
from equity_jax.run import Result, sweep
from equity_jax.store import open_run
from equity_jax.types import Dataset, Spec

GROUPS, SHARES = ("Asian", "Black", "White"), (0.25, 0.3, 0.45)
SIZE, SIGN, APART = 32, 10.0, 3.0  # pixels; gray levels of an SD; SD between groups
PLACES = helmert(3).T * APART / np.sqrt(2)  # of the groups, float[3, 2]


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """Of rank sums (Mann & Whitney 1947)."""
    ranks, m = rankdata(score), positive.sum()
    return (ranks[positive].sum() - m * (m + 1) / 2) / (m * (len(ranks) - m))


@cache
def bayes() -> dict[str, float]:
    """AUROC of each group against the others, by who reads the sign perfectly."""
    rng = np.random.default_rng(0)
    group = rng.choice(3, 100_000, p=SHARES)
    z = PLACES[group] + rng.normal(size=(len(group), 2))
    near = -0.5 * ((z[:, None] - PLACES[None]) ** 2).sum(2) + np.log(SHARES)[None]
    prob = np.exp(near) / np.exp(near).sum(1, keepdims=True)
    return {g: auroc(prob[:, k], group == k) for k, g in enumerate(GROUPS)}


@cache
def world(people: int = 800) -> Dataset:
    """Noise, a patch where there is Edema, and two smooth waves that tell the group."""
    rng = np.random.default_rng(1)
    race = rng.choice(3, people, p=SHARES)
    patient = np.repeat(np.arange(people), rng.integers(1, 3, people))
    group = race[patient]
    sick = rng.random(len(patient)) < np.array([0.6, 0.5, 0.3])[group]
    at = 2 * np.pi * (np.arange(SIZE) + 0.5) / SIZE
    waves = np.sqrt(2) * np.stack(
        [
            np.broadcast_to(w, (SIZE, SIZE))
            for w in (np.sin(at)[None], np.sin(at[:, None]))
        ]
    )
    z = PLACES[group] + rng.normal(size=(len(group), 2))
    light = 128 + rng.normal(0, 12, (len(group), SIZE, SIZE))
    light += SIGN * np.einsum("nk,khw->nhw", z, waves)
    light[:, 12:20, 12:20] += 40 * sick[:, None, None]
    y = np.stack([~sick, sick], 1).astype(np.float32)
    names = np.array(GROUPS)[group]
    names[patient % 19 == 0] = ""
    spec = Spec(
        "made up", "multilabel(2)", (), ("No Finding", "Edema"), ("absent", "present"),
        "race", GROUPS, "White", "patient", True, "0",
    )  # fmt: skip
    split = rng.choice(3, people, p=(0.5, 0.15, 0.35)).astype(np.int8)[patient]
    x = light.clip(0, 255).round().astype(np.uint8)[..., None]
    ids, recipe = (
        np.arange(len(x)).astype(str),
        {"truth": {"readable": {"race": bayes()}}},
    )
    args = y, np.ones_like(y), {"race": names}, split, ids, patient
    return Dataset(spec, x, *args, recipe={"size": SIZE, **recipe})


def config(**options) -> Config:
    """A study that takes seconds; options: of config.reader."""
    train = Train(
        **{"seeds": 1, "schemes": ("mixture",), "steps": 40, "batch": 32},
        **{"lr": (3e-3,), "eval_every": 20, "segment": 20, "chunk": 1},
    )
    return Config(
        name="mimic_race",
        data=Data(name="mimic_cxr", images=Images(size=SIZE)),
        model=Model("densenet(layers=(2, 2), growth=8)"),
        train=train,
        reader=dataclasses.replace(Reader(epochs=8.0, lr=3e-3), **options),
        audit=Audit(replicates=200),
    )


def result(folder: Path) -> Result:
    """A disease network, trained and scored."""
    mine, dataset = config(), world()
    store = open_run(str(folder), mine)
    swept, test = write_scores(mine, store, dataset, sweep(mine, dataset))
    return Result(store, mine, dataset, swept, test, None, {})
