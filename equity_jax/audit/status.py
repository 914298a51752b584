"""Which numbers may be shown: a cell's seeds joined, and why one is refused."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from equity_jax.audit.resampling.estimates import Answer
from equity_jax.audit.statistics import inference, intervals
from equity_jax.audit.statistics.inference import Estimate
from equity_jax.audit.subjects import Cell, Sizes

OK, NOT_ESTIMABLE, SUPPRESSED = "OK", "NOT_ESTIMABLE", "SUPPRESSED"
SMALL = "fewer rows than may be shown"
SURE = (*inference.CLOSED, "edged")  # kinds that know more than their draws


class Rules(NamedTuple):
    """Floors and settings of an audit; see report.audit."""

    level: float
    min_rows: int
    min_blocks: int
    seed: int
    resample_seeds: bool
    unit: str


def join(
    answer: Answer, cells: Sequence[Cell], sizes: Sizes, rules: Rules
) -> tuple[Estimate, np.ndarray]:
    """One estimate a cell, the mean over its seeds, and why some are refused.

    Returns:
        Estimate of value float[M, P], and object[M, P]: "" where it may be shown, else
        the reason. With several seeds there is no closed form: blocks and seeds are
        drawn together.
    """
    most = max(len(c.seeds) for c in cells)
    shape = (len(cells), answer.value.shape[1])
    value, effective = np.full(shape, np.nan), np.zeros(shape)
    se, size = np.full(shape, np.nan), np.full(shape, np.nan)
    seeds = np.full((*shape, most), np.nan)
    draws = np.full((*shape, answer.draws.shape[-1]), np.nan)
    for m, cell in enumerate(cells):
        mine = cell.systems
        value[m] = answer.value[mine].mean(axis=0)
        effective[m] = answer.effective[mine].mean(axis=0)
        share = _seed_weights(cell, rules, draws.shape[-1])
        draws[m] = np.einsum("spr,sr->pr", answer.draws[mine], share)
        if rules.resample_seeds:
            seeds[m, :, : len(mine)] = answer.value[mine].T
        if most == 1:
            se[m], size[m] = answer.se[mine[0]], answer.size[mine[0]]
    value, draws = (np.where(np.isfinite(x), x, np.nan) for x in (value, draws))
    if answer.kind == "bounded":  # theory gives the bias, the bootstrap the spread
        se = np.where(np.isfinite(size), np.sqrt(intervals.spread(draws)), np.nan)
    formula = answer.kind in inference.CLOSED and answer.kind != "bounded"
    known = most == 1 and np.isfinite(se).any()
    kind = "bootstrap" if formula and not known else answer.kind
    if kind == "wilson":  # a sum over no rows has no share
        se = np.where(np.isfinite(size), se, np.nan)
    found = Estimate(value, seeds, draws, effective, np.isfinite(value), se, size, kind)
    why = reasons(found, answer, sizes, rules)
    return found._replace(ok=why == ""), why


def reasons(found: Estimate, answer: Answer, sizes: Sizes, rules: Rules) -> np.ndarray:
    """object[M, P]: "" or why this number is not shown."""
    steady = np.isfinite(found.draws).mean(axis=-1) >= 0.9
    low = np.min(found.draws, axis=-1, initial=np.inf, where=~np.isnan(found.draws))
    high = np.max(found.draws, axis=-1, initial=-np.inf, where=~np.isnan(found.draws))
    why = np.full(found.value.shape, "", object)
    for p in range(why.shape[1]):
        counted = {k: int(v[p]) for k, v in sizes._asdict().items()}
        for m in range(why.shape[0]):
            if counted["n"] < rules.min_rows:
                why[m, p] = SMALL
            elif counted["patients"] < rules.min_blocks:
                why[m, p] = f"fewer than {rules.min_blocks} {rules.unit}s"
            elif not np.isfinite(found.value[m, p]):
                why[m, p] = "not defined for these rows"
            elif not steady[m, p]:
                why[m, p] = "undefined in more than a tenth of the replicates"
            elif found.kind == "bounded" and not np.isfinite(found.se[m, p]):
                why[m, p] = "its bias is not known for weighted rows or several seeds"
            elif found.kind not in SURE and not high[m, p] > low[m, p]:
                why[m, p] = "the same in every replicate"
            else:
                why[m, p] = inference.estimable(
                    answer.metric, found, (m, p), counted, rules.unit
                )
    return why


def _seed_weights(cell: Cell, rules: Rules, replicates: int) -> np.ndarray:
    """float[s, R], columns sum to 1; the same for all cells of the same seeds."""
    count = len(cell.seeds)
    if count == 1 or not rules.resample_seeds:
        return np.full((count, replicates), 1 / count)
    purpose = "bootstrap/seeds/" + ",".join(map(str, cell.seeds))
    drawn = inference.resample(count, replicates, rules.seed, purpose)
    return drawn.T / count
