"""A small data set with groups, for tests of the machines."""

import numpy as np

from equity_jax.types import Dataset, Spec

GROUPS = ("a", "b", "c")


def toy(n: int = 600, features: int = 5, seed: int = 0) -> Dataset:
    """Binary labels, three groups of unequal size, blocks of ten rows."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, features)).astype(np.float32)
    code = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    slope = rng.normal(size=features) + 0.5 * rng.normal(size=(3, features))
    y = rng.random(n) < 1 / (1 + np.exp(-(x * slope[code]).sum(1)))
    race = np.array(GROUPS)[code]
    race[::50] = ""  # not recorded
    split = np.repeat([0, 1, 2], [n // 2, n // 4, n - n // 2 - n // 4])
    spec = Spec(
        name="toy",
        task="binary",
        features=tuple(f"x{i}" for i in range(features)),
        targets=("y",),
        classes=("0", "1"),
        group="race",
        groups=GROUPS,
        reference="a",
        unit="block",
        simulated=True,
        fingerprint="0",
    )
    return Dataset(
        spec,
        x,
        y.astype(np.float32)[:, None],
        np.ones((n, 1), np.float32),
        {"race": race},
        split.astype(np.int8),
        np.arange(n).astype(str),
        np.arange(n) // 10,
    )
