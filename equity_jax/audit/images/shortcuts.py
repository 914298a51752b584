"""Honest controls: are class and source told by pixels that show no disease?

A logistic regression sees the border alone, or a thumbnail of 16 × 16. What it can tell
from these, a network can too, without having learned anything of lungs.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from equity_jax import probes
from equity_jax.audit.images import rows
from equity_jax.audit.images.within import scored
from equity_jax.audit.statistics.floors import CLASS
from equity_jax.types import TEST, TRAIN, VALID, Predictions

CELLS, RING = 32, 3  # the border: the outer 3 of 32 × 32 cells, 9 % on each side
THUMB = 16
CHUNK = 256  # images read at once


def reduced(x: Any, cells: int) -> np.ndarray:
    """float32[N, cells, cells]: means over the pixels of each cell.

    x: uint8[N, H, W, 1] or a Stream; images smaller than that keep their size.
    """
    made = []
    for image in map(np.float32, _chunks(x)):
        for axis in (1, 2):
            size = image.shape[axis]
            edges = np.linspace(0, size, min(cells, size) + 1).astype(int)
            sums = np.add.reduceat(image, edges[:-1], axis=axis)
            wide = np.diff(edges).astype(np.float32)
            image = sums / (wide[None, :, None] if axis == 1 else wide[None, None])
        made.append(image)
    return np.concatenate(made)


def histogram(x: Any, bins: int = 64) -> np.ndarray:
    """float32[N, bins]: which share of an image's pixels is how bright, not where.

    x: uint8[N, H, W, 1] or a Stream; bins: a divisor of 256.

    Example: of a black image it is 1 in the first bin.
    """
    made = []
    for image in _chunks(x):
        n = len(image)
        place = image.reshape(n, -1) // (256 // bins) + bins * np.arange(n)[:, None]
        counts = np.bincount(place.reshape(-1), minlength=n * bins)
        made.append(counts.reshape(n, bins) / place.shape[1])
    return np.concatenate(made).astype(np.float32)


def _chunks(x: Any) -> Iterator[np.ndarray]:
    """uint8[n, H, W], some images after the other."""
    for first in range(0, len(x), CHUNK):
        rows = np.arange(first, min(first + CHUNK, len(x)))
        yield np.asarray(x[rows])[..., 0]


def views(x: Any) -> dict[str, np.ndarray]:
    """Views without the lungs' detail: "border pixels", "thumbnail"; float32[N, F]."""
    cells = reduced(x, CELLS)
    inside = np.zeros(cells.shape[1:], bool)
    inside[RING:-RING, RING:-RING] = True
    thumb = reduced(x, THUMB)
    return {
        "border pixels": cells[:, ~inside],
        f"{THUMB} × {THUMB} thumbnail": thumb.reshape(len(thumb), -1),
    }


def told_from_pixels(
    x: Any,
    targets: Mapping[str, np.ndarray],
    split: np.ndarray,
    patient: np.ndarray,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Can each target be told from the border alone, or from a thumbnail?

    By a logistic probe (equity_jax.probes), scored on test rows.

    Args:
        x: uint8[N, H, W, 1] or a Stream.
        targets: name -> str[N], such as class and source; "" is unknown.
        split: int[N], TRAIN, VALID, TEST.
        patient: int[N], whom the intervals resample.
        replicates: of the patients.
        seed: of the replicates.

    Returns:
        Table of rows.COLUMNS, a row a target, view and metric; a value with fewer than
        10 training, or no test rows is left out, and `reason` says so.

    Example:
        >>> told_from_pixels(x, {"class": label, "source": source}, split, patient)
    """
    seen = views(x)
    made = [
        _told(
            seen,
            target,
            np.asarray(values),
            split,
            np.asarray(patient),
            replicates,
            seed,
        )
        for target, values in targets.items()
    ]
    return pd.concat(made, ignore_index=True)


def _told(
    seen: Mapping[str, np.ndarray],
    target: str,
    values: np.ndarray,
    split: np.ndarray,
    patient: np.ndarray,
    replicates: int,
    seed: int,
) -> pd.DataFrame:
    """All views of one target."""
    values = values.astype(str)
    train, valid, test = (split == part for part in (TRAIN, VALID, TEST))
    known, counts = np.unique(values[train & (values != "")], return_counts=True)
    names = known[counts >= CLASS]
    lost = sorted(set(values) - set(names) - {""})
    reason = f"fewer than {CLASS} training rows of {', '.join(lost)}" if lost else ""
    used = np.isin(values, names)
    about = {"control": "told from pixels", "what": target, "reason": reason}
    if len(names) < 2 or not (used & valid).any() or not (used & test).any():
        why = f"there is one {target} only" if len(names) < 2 else "no held-out rows"
        why = f"{why}; {reason}" if reason else why
        return rows.frame([about | rows.missing(why)])
    target = np.where(used, np.searchsorted(names, values), -1)
    test = used & test
    found = [probes.logistic(x, [target], split)[0] for x in seen.values()]
    prob = np.stack([probe.scores[test] for probe in found]).astype(float)
    truth = target[test][:, None].astype(float)
    runs = [{"seed": seed, "method": name, "scheme": ""} for name in seen]
    p = Predictions(
        prob, truth, np.ones_like(truth), {}, np.flatnonzero(test).astype(str),
        patient[test], runs,
    )  # fmt: skip
    drawn = {"replicates": replicates, "seed": seed}
    return scored(p, names.tolist(), about, **drawn)
