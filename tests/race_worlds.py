"""Made-up frozen features with findings and a planted attribute, for the race study."""

import dataclasses

import numpy as np

from equity_jax.config import Audit, Config, Data, Removal
from equity_jax.types import Dataset, Spec

GROUPS = ("Asian", "Black", "White")


def planted(n: int = 900, f: int = 12, apart: float = 2.5, seed: int = 0) -> Dataset:
    """Three findings along axes of their own, three groups `apart` SD along others."""
    rng = np.random.default_rng(seed)
    people = n // 2
    race = rng.choice(3, people, p=(0.2, 0.3, 0.5))
    split = rng.choice(3, people, p=(0.5, 0.2, 0.3)).astype(np.int8)
    patient = np.repeat(np.arange(people), 2)
    group = race[patient]
    y = (rng.random((n, 3)) < 0.3 + 0.1 * (group < 2)[:, None]).astype(np.float32)
    signs = np.concatenate([np.eye(3)[group] * apart / np.sqrt(2), 1.5 * y], axis=1)
    turn = np.linalg.qr(rng.normal(size=(f, f)))[0][:6]
    x = signs @ turn + rng.normal(size=(n, f))
    names = np.array(GROUPS)[group]
    names[patient % 17 == 0] = ""
    spec = Spec(
        "made up", "multilabel(3)", (), ("Edema", "Mass", "Fracture"), (), "race",
        GROUPS, "White", "patient", True, "0",
    )  # fmt: skip
    ids = np.arange(n).astype(str)
    args = y, np.ones_like(y), {"race": names}, split[patient], ids, patient
    return Dataset(spec, x.astype(np.float32), *args)


def config(**options) -> Config:
    """A study of a removal that takes seconds; options: of config.removal."""
    small = {"model": "mlp(16)", "adversary": 8, "steps": 150, "batch": 64}
    small["lr"] = 5e-3
    whole = Config(name="mimic_race", data=Data(name="embeddings"))
    return dataclasses.replace(
        whole, removal=Removal(**(small | options)), audit=Audit(replicates=100)
    )
