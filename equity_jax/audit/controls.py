"""Controls of a probe: labels that mean nothing, groups of one prevalence, little x.

Hewitt & Liang, "Designing and interpreting probes with control tasks", EMNLP 2019.
"""

import numpy as np

from equity_jax.keys import generator
from equity_jax.types import Array


def shuffled(
    values: np.ndarray, split: np.ndarray, patient: np.ndarray, seed: int = 0
) -> np.ndarray:
    """str[N]: every patient with the values of another one of the same split.

    One with more rows than the other repeats them, so that rows of a patient stay as
    alike as they were. Unknown values ("") stay where they are.

    Example: `shuffled(race, split, patient)` has the shares of race, by chance apart.
    """
    rng, made = generator(seed, "probe", "shuffled"), values.copy()
    for part in np.unique(split):
        rows = np.flatnonzero((split == part) & (values != ""))
        order = rows[np.argsort(patient[rows], kind="stable")]
        starts = np.unique(patient[order], return_index=True)[1][1:]
        people = np.split(order, starts)
        for mine, other in zip(people, rng.permutation(len(people)), strict=True):
            made[mine] = np.resize(values[people[other]], len(mine))
    return made


def matched(
    values: np.ndarray, label: np.ndarray, split: np.ndarray, seed: int = 0
) -> np.ndarray:
    """str[N]: `values`, but "" in rows left out so that groups have one prevalence.

    In every split each group keeps as many rows as it can with the shares of labels
    that all rows of the split have; a row without a label is left out.

    Example: `np.mean(label[matched(race, label, split) == "Black"])` is that of White.
    """
    rng, made = generator(seed, "probe", "matched"), np.full_like(values, "")
    known = (values != "") & np.isfinite(label)
    for part in np.unique(split):
        here = known & (split == part)
        kinds, counts = np.unique(label[here], return_counts=True)
        share = counts / max(counts.sum(), 1)
        for group in np.unique(values[here]):
            cells = [
                np.flatnonzero(here & (values == group) & (label == k)) for k in kinds
            ]
            most = min(len(c) / s for c, s in zip(cells, share, strict=True))
            for cell, s in zip(cells, share, strict=True):
                kept = rng.permutation(cell)[: int(most * s + 1e-9)]
                made[kept] = values[kept]
    return made


def simple(x: Array, dims: int = 8, seed: int = 0) -> dict[str, np.ndarray]:
    """Baselines that every embedding has: its length, and a few random directions.

    Example: `told(x, attributes, split, patient, baselines=simple(x))`.
    """
    x = np.asarray(x)
    turn = generator(seed, "probe", "projection").normal(size=(x.shape[1], dims))
    length = np.sqrt(np.einsum("nf,nf->n", x, x))[:, None]
    few = (x @ turn.astype(np.float32)) / np.sqrt(x.shape[1])
    return {"length of the embedding": length, f"{dims} random directions": few}
