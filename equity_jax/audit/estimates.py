"""From predictions to estimates: every metric, group and system in every replicate.

A ratio of sums needs only its sums per system, group and block: then the replicates
are one matrix product. AUROC sorts each system's rows of a group once. With few
blocks it then counts the pairs won between every two blocks, and a replicate is a
quadratic form in its weights; with many, prefix sums under every replicate's weights.
Both are exact, and equal.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from equity_jax import metrics
from equity_jax.audit import inference
from equity_jax.audit.inference import Estimate
from equity_jax.audit.subjects import Cell, Measure, Rows, Sizes

CHUNK = 2**22  # replicate × row cells held at once, about 32 MB an array
FEW = 256  # blocks up to which a matrix of pairs is quicker than prefix sums


class Plan(NamedTuple):
    """How to resample: weights uint8[R, blocks]; replicates; seed; floors."""

    weights: np.ndarray
    seed: int
    resample_seeds: bool
    min_rows: int
    min_blocks: int


def estimate(
    measure: Measure,
    sizes: Sizes,
    rows: Rows,
    cells: Sequence[Cell],
    plan: Plan,
    tick: Callable[[], object] = lambda: None,
) -> Estimate:
    """Every cell and group of one measure.

    Returns:
        Estimate with value float[M, G + 1] ("all" first), seeds padded to the most
        seeds of any cell, ok False for cells under a floor, not defined, undefined in
        more than one replicate of ten, or the same in all of them (no deaths in any
        block, every cell covered): resampling cannot say how sure such a number is.
    """
    most = max(len(c.seeds) for c in cells)
    shape = (len(cells), len(rows.groups) + 1)
    value = np.full(shape, np.nan)
    seeds = np.full((*shape, most), np.nan)
    draws = np.full((*shape, len(plan.weights)), np.nan)
    effective = np.zeros(shape)
    many = _ranked if measure.den is None else _summed
    for m, cell in enumerate(cells):
        point, moved, effective[m] = many(measure, rows, cell.systems, plan.weights)
        value[m] = point.mean(axis=1)
        share = _seed_weights(cell, plan, draws.shape[-1])
        draws[m] = np.einsum("gsr,sr->gr", moved, share)
        if plan.resample_seeds:
            seeds[m, :, : len(cell.seeds)] = point
        tick()
    floor = (sizes.n >= plan.min_rows) & (sizes.patients >= plan.min_blocks)
    steady = np.isfinite(draws).mean(axis=-1) >= 0.9
    low, high = (
        np.nanmin(draws, -1, initial=np.inf),
        np.nanmax(draws, -1, initial=-np.inf),
    )
    ok = floor[None, :] & np.isfinite(value) & steady & (high > low)
    return Estimate(value, seeds, draws, effective, ok)


def _seed_weights(cell: Cell, plan: Plan, replicates: int) -> np.ndarray:
    """float[s, R], columns sum to 1; the same for all cells of the same seeds."""
    count = len(cell.seeds)
    if count == 1 or not plan.resample_seeds:
        return np.full((count, replicates), 1 / count)
    purpose = "bootstrap/seeds/" + ",".join(map(str, cell.seeds))
    return inference.resample(count, replicates, plan.seed, purpose).T / count


def _summed(
    measure: Measure, rows: Rows, systems: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value [G + 1, s], draws [G + 1, s, R], effective [G + 1] of a ratio of sums."""
    num = _block_sums(measure.num[systems], measure.use, rows)
    den = _block_sums(measure.den[systems], measure.use, rows)
    draws = np.empty((*num.shape[:2], len(weights)))
    step = max(1, CHUNK // rows.blocks)
    with np.errstate(divide="ignore", invalid="ignore"):
        point = num.sum(axis=-1) / den.sum(axis=-1)
        for i in range(0, len(weights), step):
            w = weights[i : i + step].T.astype(float)
            draws[..., i : i + step] = (num @ w) / (den @ w)
    draws = np.where(np.isfinite(draws), draws, np.nan)
    effective = inference.effective_number(den.mean(axis=1))
    return np.where(np.isfinite(point), point, np.nan), draws, effective


def _block_sums(x: np.ndarray, use: np.ndarray, rows: Rows) -> np.ndarray:
    """float[s, N] -> float[G + 1, s, blocks], "all" first."""
    groups = len(rows.groups)
    code = rows.code[use] * rows.blocks + rows.block[use]
    size = groups * rows.blocks
    sums = np.stack([np.bincount(code, v[use], minlength=size) for v in x])
    sums = sums.reshape(len(x), groups, rows.blocks).transpose(1, 0, 2)
    return np.concatenate([sums.sum(axis=0, keepdims=True), sums])


def _ranked(
    measure: Measure, rows: Rows, systems: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value [G + 1, s], draws [G + 1, s, R], effective [G + 1] of AUROC."""
    points, draws, effective = [], [], []
    for g in range(-1, len(rows.groups)):
        keep = np.flatnonzero(measure.use & ((g < 0) | (rows.code == g)))
        block, y = rows.block[keep], measure.y[keep]
        auroc = _auroc_of_pairs if rows.blocks <= FEW else _auroc_of_rows
        point, moved = auroc(measure.num[systems][:, keep], y, weights, block)
        points.append(point)
        draws.append(moved)
        # The scarcer class decides how much there is to learn from.
        sick = np.bincount(block, y, minlength=rows.blocks)
        well = np.bincount(block, 1 - y, minlength=rows.blocks)
        effective.append(inference.effective_number(np.stack([sick, well])).min())
    return np.stack(points), np.stack(draws), np.array(effective)


def _auroc_of_pairs(
    score: np.ndarray, y: np.ndarray, weights: np.ndarray, block: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Value [s] and draws [s, R] from pairs won between blocks."""
    blocks = weights.shape[1]
    w = weights.astype(float)
    positives = np.bincount(block, y, minlength=blocks)
    negatives = np.bincount(block, 1 - y, minlength=blocks)
    pairs = positives.sum() * negatives.sum()
    drawn = (w @ positives) * (w @ negatives)
    point, draws = np.full(len(score), np.nan), np.full((len(score), len(w)), np.nan)
    for s, scores in enumerate(score):
        if pairs == 0 or np.isnan(scores).any():
            continue
        won = _pairs_won(scores, y, block, blocks)
        point[s] = won.sum() / pairs
        np.divide(np.sum((w @ won) * w, axis=1), drawn, out=draws[s], where=drawn > 0)
    return point, draws


def _pairs_won(
    score: np.ndarray, y: np.ndarray, block: np.ndarray, blocks: int
) -> np.ndarray:
    """float[blocks, blocks]: pairs (positive, negative) ranked rightly, ties a half."""
    sick = y > 0.5
    order = np.argsort(score[~sick], kind="stable")
    well, of = score[~sick][order], block[~sick][order]
    member = np.zeros((len(well) + 1, blocks))
    member[np.arange(len(well)) + 1, of] = 1.0
    below = np.cumsum(member, axis=0)
    first = np.searchsorted(well, score[sick], side="left")
    last = np.searchsorted(well, score[sick], side="right")
    mine = np.zeros((blocks, len(first)))
    mine[block[sick], np.arange(len(first))] = 0.5
    return mine @ below[first] + mine @ below[last]


def _auroc_of_rows(
    score: np.ndarray, y: np.ndarray, weights: np.ndarray, block: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same from prefix sums; rows are padded, so that few shapes are compiled."""
    count = score.shape[1]
    width = max(64, 1 << (max(count, 1) - 1).bit_length())
    pad = width - count
    score = np.pad(score, ((0, 0), (0, pad)))
    y, base = np.pad(y, (0, pad)), np.pad(np.ones(count), (0, pad))
    step = max(1, min(len(weights), CHUNK // width))
    with jax.enable_x64():
        point = np.asarray(_prefix_sums(score, y, base[None, :])[:, 0])
        draws = [
            _prefix_sums(score, y, np.pad(w[:, block], ((0, 0), (0, pad))))
            for w in np.split(weights, range(step, len(weights), step))
        ]
        return point, np.concatenate([np.asarray(d) for d in draws], axis=1)


@jax.jit
def _prefix_sums(score: jax.Array, y: jax.Array, weights: jax.Array) -> jax.Array:
    """float[s, n] scores, [n] labels, [R, n] weights -> [s, R]; one sort a system."""

    def one(scores: jax.Array) -> jax.Array:
        ranks = metrics.presort(scores)

        def moved(w: jax.Array) -> jax.Array:
            return metrics.auroc_presorted(ranks, y, w.astype(score.dtype))

        return jax.vmap(moved)(weights)

    return jax.lax.map(one, score)
