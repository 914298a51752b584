"""Images too many for memory: read when they are asked for, in the order asked.

A Stream looks like uint8[N, S, S, 1] (length, shape, dtype, rows by index), but holds
only a function that reads one image. Batches are read ahead by Grain's threads; which
image stands where depends on the index alone, never on the threads, so a run that
resumes at some step reads on as if it had never stopped. Threads suffice: decoding,
resizing and reading files all leave Python's lock.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from equity_jax.data import pixels

AHEAD = 128  # images read ahead of the batch in use
CHUNK = 256  # images a batch where all are wanted at once


class Stream:
    """The images of `rows`, as `get` reads them; the same face as an array.

    get: row -> uint8[S, S], called from several threads at once; rows: int[N];
    size: S, pixels of a side; threads: that read ahead (None: one a core).

    Example:
        >>> stream = files(["a.png", "b.png", "c.png"], size=96)  # doctest: +SKIP
        >>> stream.shape, stream[np.array([2, 0])].shape  # doctest: +SKIP
        ((3, 96, 96, 1), (2, 96, 96, 1))
        >>> np.asarray(stream).dtype  # reads all of it  # doctest: +SKIP
        dtype('uint8')
    """

    ndim, dtype = 4, np.dtype(np.uint8)

    def __init__(
        self,
        get: Callable[[int], np.ndarray],
        rows: np.ndarray,
        size: int,
        threads: int | None = None,
    ):
        self.get, self.rows, self.size = get, np.asarray(rows), size
        self.threads = threads or os.cpu_count() or 1

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, S, S, 1)."""
        return (len(self), self.size, self.size, 1)

    def __getitem__(self, rows: np.ndarray | slice) -> "Stream":
        """Some of the rows, int[n], bool[N] or a slice; nothing is read."""
        return Stream(self.get, self.rows[rows], self.size, self.threads)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All images: uint8[N, S, S, 1]."""
        everything = np.empty(self.shape, np.uint8)
        for at, image in enumerate(self._read(np.arange(len(self)))):
            everything[at] = image
        return everything if dtype is None else everything.astype(dtype)

    def batches(self, index: np.ndarray) -> Iterator[np.ndarray]:
        """Batch after batch, read ahead: uint8[B, S, S, 1] for each of int[S, B].

        index: positions in this stream. To resume at step s, pass index[s:].

        Raises:
            Unreadable: a file of the next batch cannot be read; it is named.

        Example:
            >>> for x in stream.batches(index):  # doctest: +SKIP
            ...     state = step(state, x)
        """
        images = self._read(np.asarray(index).reshape(-1))
        for _ in range(len(index)):
            batch = [next(images) for _ in range(index.shape[1])]
            yield np.stack(batch) if batch else np.empty((0, *self.shape[1:]), np.uint8)

    def _read(self, index: np.ndarray) -> Iterator[np.ndarray]:
        """uint8[S, S, 1] of each position, in order, by threads that read ahead."""
        import grain

        source = grain.MapDataset.source(_Images(self, index))
        options = grain.ReadOptions(self.threads, max(AHEAD, self.threads))
        return iter(source.to_iter_dataset(options))


class _Images:
    """What Grain asks: a length, and one element at a time."""

    def __init__(self, stream: Stream, index: np.ndarray):
        self.stream, self.index = stream, index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, at: int) -> np.ndarray:
        row = int(self.stream.rows[self.index[at]])
        return self.stream.get(row)[..., None]


def files(paths: Sequence[Path | str], size: int, equalize: str = "") -> Stream:
    """A Stream over image files, prepared as `pixels.read` does.

    Example:
        >>> files(sorted(Path("COVID").glob("*.png")), 224).shape  # doctest: +SKIP
        (3616, 224, 224, 1)
    """

    def get(row: int) -> np.ndarray:
        path = Path(paths[row])
        return pixels.read(path.read_bytes(), str(path), size, equalize)

    return Stream(get, np.arange(len(paths)), size)
