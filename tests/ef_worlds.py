"""Small worlds of two groups whose gap has one known cause."""

import numpy as np

from equity_jax.types import TEST, TRAIN, VALID, Dataset, Spec

SIZES = {"big": 900, "small": 150}  # training patients
TESTED = 700  # patients of each group
FEATURES, IMAGES, APART = 12, 2, 1.8


def world(*, own=False, noise=0.0, rates=(0.4, 0.4), seed=0, simulated=True):
    """A Dataset of binary labels.

    own: the small group's labels lie along another direction; noise: the share of its
    labels that are flipped; rates: the prevalence of both groups.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for code, (name, size) in enumerate(SIZES.items()):
        patients = size + 2 * TESTED
        split = np.repeat([TRAIN, VALID, TEST], [size, TESTED, TESTED])
        person = np.repeat(np.arange(patients), IMAGES)
        y = rng.random(len(person)) < rates[code]
        x = rng.normal(size=(len(person), FEATURES))
        x += 0.3 * rng.normal(size=(patients, FEATURES))[person]  # images are alike
        x[:, code if own else 0] += APART * (y - 0.5)
        if code:
            y ^= rng.random(len(y)) < noise
        parts.append(
            (x, y, np.full(len(y), name), split[person], person + 10_000 * code)
        )
    x, y, race, split, patient = (np.concatenate(p) for p in zip(*parts, strict=True))
    spec = Spec(
        name="world",
        task="binary",
        features=tuple(f"x{i}" for i in range(FEATURES)),
        targets=("y",),
        classes=("0", "1"),
        group="race",
        groups=("big", "small"),
        reference="big",
        unit="patient",
        simulated=simulated,
        fingerprint="0",
    )
    sex = np.where(patient % 3 == 0, "Female", "Male")
    return Dataset(
        spec,
        x.astype(np.float32),
        y.astype(np.float32)[:, None],
        np.ones((len(y), 1), np.float32),
        {"race": race, "sex": sex},
        split.astype(np.int8),
        np.arange(len(y)).astype(str),
        patient,
        {"truth": {"gap": {"found": {"small": 0.1}}}} if simulated else {},
    )
