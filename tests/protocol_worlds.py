"""A played protocol made by hand: scores that lean on the class and on the group."""

import numpy as np
import pandas as pd

from equity_jax.types import TEST, VALID, Dataset, Spec
from experiments.protocol.entries import BALANCED, ENTRIES, ERM
from experiments.protocol.played import Played

LEANS = {ERM: (2.0, 4.0), BALANCED: (2.0, 0.0), "focal": (2.0, 3.9), "swa": (2.4, 0.0)}
"""Entry -> how much its scores lean on the class, and on the group."""


def dataset(n=(400, 900), targets=1, classes=("absent", "present"), seed=0, agree=0.8):
    """Validation and test rows, three in two patients; the last few of no group."""
    rng = np.random.default_rng(seed)
    total = sum(n)
    split = np.repeat([VALID, TEST], n).astype(np.int8)
    y = rng.integers(0, len(classes), (total, targets)).astype(float)
    same = rng.random(total) < agree
    side = np.where(same, y[:, 0] > 0, rng.random(total) < 0.5)
    group = np.where(side, "there", "here").astype(object)
    group[-7:] = ""
    task = f"multilabel({targets})" if targets > 1 else "binary"
    task = f"multiclass({len(classes)})" if len(classes) > 2 else task
    spec = Spec(
        "planted", task, ("x",), tuple(f"label {k}" for k in range(targets)), classes,
        "place", ("here", "there"), "here", "patient", True, "0",
    )  # fmt: skip
    patient = split.astype(int) * 10_000 + np.arange(total) * 2 // 3
    return Dataset(
        spec, np.zeros((total, 1), np.float32), y, np.ones_like(y),
        {"place": group}, split, np.arange(total).astype(str), patient,
    )  # fmt: skip


def played(data, leans=LEANS, trials=2, seeds=2, worse=1.5, entries=ENTRIES):
    """Every trial after the first leans `worse` more on the group."""
    rows = np.arange(len(data.split))
    side = np.where(data.attributes["place"] == "here", -0.5, 0.5)
    table, prob = [], []
    for name, (core, extra) in leans.items():
        for trial in range(trials):
            for seed in range(seeds):
                rng = np.random.default_rng([seed, trial, len(table)])
                z = core * (data.y - 0.5) + rng.normal(size=data.y.shape)
                z = z + (extra + worse * trial) * side[:, None]
                run = {"run": len(table), "entry": name, "trial": trial, "seed": seed}
                table.append(run | {"lr": 0.01, "weight_decay": 0.0, "values": "{}"})
                prob.append(1 / (1 + np.exp(-z)))
    table = pd.DataFrame(table).assign(step=10)
    encoding = 0.5 + 0.1 * table["trial"].to_numpy(float)
    made = tuple(entries[name] for name in leans)
    log = pd.DataFrame(columns=["step", "run", "split", "metric", "value"])
    prob = np.array(prob, np.float32)
    return Played(data, made, table, prob, rows, encoding, {}, log, 1)
