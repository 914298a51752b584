"""The bootstrap's weights: how often each block is drawn in each replicate.

Every batch of BATCH replicates has its own key, so that neither the number of threads
nor the memory changes what is drawn, and all groups, metrics and systems share it.
"""

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from equity_jax.keys import generator

CHUNK = 2**23  # weights in a chunk of replicates
BATCH = 8  # replicates drawn from one key
MANY = 4096  # blocks from which threads repay their making
KEPT = 2**28  # bytes up to which all weights are kept instead of drawn again


class Replicates(NamedTuple):
    """`count` replicates of `blocks` blocks, in chunks; see `resampled`."""

    count: int
    blocks: int
    seed: int
    purpose: str
    step: int
    kept: dict[int, np.ndarray]

    def chunk(self, start: int) -> np.ndarray:
        """float32[blocks, <= step]: replicates start, start + 1, ..."""
        return self.drawn(start).T.astype(np.float32, order="C")

    def drawn(self, start: int) -> np.ndarray:
        """uint8[<= step, blocks]: how often each block is drawn in each of them."""
        if start in self.kept:
            return self.kept[start]
        last = min(start + self.step, self.count)
        drawn = np.empty((last - start, self.blocks), np.uint8)
        for first in range(start, last, BATCH):
            rng = generator(self.seed, self.purpose, str(first // BATCH))
            picks = rng.integers(0, self.blocks, (BATCH, self.blocks))
            picks += self.blocks * np.arange(BATCH)[:, None]
            counts = np.bincount(picks.ravel(), minlength=picks.size)
            rows = drawn[first - start : first - start + BATCH]
            rows[:] = counts.reshape(picks.shape)[: len(rows)]
        if self.count * self.blocks <= KEPT:
            self.kept[start] = drawn
        return drawn

    def each(self, work: Callable[[int], Any], items: Sequence[int]) -> list[Any]:
        """`work(item)` of every item, on all cores if there is work enough."""
        if self.blocks < MANY:
            return [work(item) for item in items]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(work, items))

    def run(self, work: Callable[[slice, np.ndarray], None]) -> None:
        """`work(replicates, float32[blocks, r])` of every chunk, on all cores."""
        starts = range(0, self.count, self.step)

        def one(start: int) -> None:
            drawn = self.chunk(start)
            work(slice(start, start + drawn.shape[1]), drawn)

        # Chunks are the threads; BLAS threads inside each would wait for each other.
        with _libraries().limit(limits=1, user_api="blas"):
            if len(starts) == 1:
                return one(0)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for done in [pool.submit(one, start) for start in starts]:
                    done.result()


@functools.cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def resampled(blocks: int, count: int, seed: int, purpose: str) -> Replicates:
    """Replicates that draw `blocks` blocks with replacement, `count` times.

    Example:
        >>> resampled(4, 2, 0, "bootstrap").drawn(0).sum(axis=1).tolist()
        [4, 4]
    """
    even = -(-count // (os.cpu_count() or 1))  # a chunk for every core, if they fit
    step = -(-max(1, min(even, CHUNK // max(blocks, 1))) // BATCH) * BATCH
    return Replicates(count, blocks, seed, purpose, step, {})
