"""A made-up Result of the chest X-ray study: real twin, made-up scores, no training."""

import functools

import jax
import numpy as np
import pandas as pd

from equity_jax import arms as shelf
from equity_jax import trial_files as files
from equity_jax import trials as machine
from equity_jax.calibration import Calibration
from equity_jax.config import Arms, Audit, Config, Data, Images, Phantom, Train
from equity_jax.data import cxr
from equity_jax.forecasts import rows_of
from equity_jax.models import MODELS
from equity_jax.networks import network
from equity_jax.results import describe
from equity_jax.store import open_run
from equity_jax.systems import System
from equity_jax.train import Weights
from equity_jax.types import TEST, TRAIN, VALID

METHODS = ("erm", "class_weighted")
STRENGTH = {"cnn_small": 1.0, "cnn_deep": 2.5}  # of the made-up scores


def config(size=32, patients=220, replicates=60):
    """Two small networks, one of them crossed, the other by transfer alone."""
    train = Train(
        seeds=1,
        methods=METHODS,
        schemes=("finetune('head_only')", "finetune('full')"),
        steps=40,
        batch=16,
        eval_every=20,
        lr=(1e-2, 1e-3),
    )
    return Config(
        name="covid_cxr",
        data=Data(
            name="cxr", images=Images(size=size), phantom=Phantom(patients=patients)
        ),
        train=train,
        arms=Arms(scratch=("cnn_small",), transfer=("cnn_deep",), augment="flip"),
        audit=Audit(replicates=replicates),
    )


def result(path, chosen=None):
    """A Result in the directory `path`."""
    chosen = chosen or config()
    dataset = cxr.load(chosen.data, seed=chosen.seed)
    store = open_run(str(path), chosen)
    store.write_json("data.json", describe(dataset))
    held = rows_of(dataset, np.flatnonzero(np.isin(dataset.split, (VALID, TEST))))
    trials, table, log = [], [], []
    for arm in shelf.plan_arms(chosen, dataset.spec.group not in ("source", "label")):
        for method in arm.methods:
            for scheme in arm.schemes:
                if scheme == "mixture" and arm.schemes == shelf.GROUPED:
                    continue  # the same as that of another arm
                trials.append(trial(arm, method, scheme, dataset, held, len(trials)))
                rows, seen = written(arm, method, scheme, dataset, len(table))
                table.append(rows)
                log.append(seen)
    best = files.ranking(trials)
    every = machine.predictions(trials, held, TEST)
    every = every._replace(valid=machine.predictions(trials, held, VALID))
    test = machine.select(every, best)
    report, overall = machine.judge(chosen, dataset, test, True)
    words = "100 steps on 90 SIMULATED X-rays (COVID, Normal)"
    begun = {
        t.arm.model: shelf.Start(None, t.arm.model, words)
        for t in trials
        if t.arm.started
    }
    joined = [pd.concat(t, ignore_index=True) for t in (table, log)]
    seconds = {"load": 1.0, "fit": 20.0, "compile": 5.0}
    parts = trials, best, *joined, every, report, overall, begun, seconds
    return machine.Result(store, dataset, held, *parts)


def trial(arm, method, scheme, dataset, held, number):
    """Scores that know the class a little, a network that knows nothing."""
    rng, classes = np.random.default_rng(number), dataset.spec.classes
    strength = STRENGTH[arm.model] * (1.2 if arm.augment else 1.0)
    strength *= 0.5 if scheme == "finetune('head_only')" else 1.0
    strength += 0.2 * (method == "erm")
    logits = rng.normal(size=(len(held.y), len(classes)))
    logits += strength * (held.y == np.arange(len(classes))[None])
    valid = 1 / strength + number / 1e4
    pooled = scheme == "mixture" or scheme.startswith("finetune")
    runs = {} if pooled else {0: number, 1: number}
    system = System(0, method, scheme, scheme, runs, number)
    made = None
    if pooled:
        made = untrained(arm, system, dataset)
    return files.Trial(arm, system, logits.astype(np.float32), valid, made)


def untrained(arm, system, dataset):
    """A Network with random weights."""
    name, classes = files.about(arm, system)["system"], dataset.spec.classes
    scale = Calibration(0.8, (0.0,) * len(classes))
    weights = random(arm.model, len(classes), dataset.recipe["size"])
    return network(name, arm.model, classes, dataset.recipe, weights, scale)


@functools.cache
def random(architecture, outputs, size):
    """Random weights, drawn once for each architecture."""
    model = MODELS.get(architecture, outputs, 0)
    x = np.zeros((1, size, size, 1), np.uint8)
    return Weights(*jax.jit(model.init)(jax.random.key(0), x))


def written(arm, method, scheme, dataset, run):
    """The rows of runs.csv and log.csv of one trial."""
    row = {
        "run": run,
        "model": arm.model,
        "start": "pretrained" if arm.started else "scratch",
        "augment": arm.augment,
        "seed": 0,
        "method": method,
        "scheme": scheme,
        "target": "all",
        "lr": arm.lr,
        "fraction": 1.0,
        "rows": int(np.sum(dataset.split == TRAIN)),
        "valid": 0.5,
        "step": 20,
        "chosen": True,
    }
    look = [
        (step, run, split, metric, 1.1 - step / 100 + 0.1 * (split == "valid"))
        for step in (0, 20, 40)
        for split, metric in (("train", "loss"), ("valid", "nll"))
    ]
    columns = ["step", "run", "split", "metric", "value"]
    return pd.DataFrame([row]), pd.DataFrame(look, columns=columns)
