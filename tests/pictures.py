"""Small pictures, a small network and a stream in memory, for tests of the machines."""

from collections.abc import Iterator

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from toy import toy

from equity_jax.models.base import Head, functional
from equity_jax.nouns import Model
from equity_jax.types import Dataset, Output


def pictures(n: int = 96, size: int = 8, classes: int = 3, seed: int = 0) -> Dataset:
    """Rows of `toy` with uint8 pictures: a bright stripe tells the class."""
    table = toy(n)
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    x = rng.integers(0, 120, (n, size, size, 1))
    for c in range(classes):
        x[y == c, c : c + 2] += 60
    spec = table.spec._replace(task=f"multiclass({classes})")
    y = y.astype(np.int32)[:, None]
    return table._replace(spec=spec, x=x.astype(np.uint8), y=y)


class Stream:
    """The face of data.stream.Stream over an array; counts the batches that it gave."""

    def __init__(self, x: np.ndarray, counter: list | None = None):
        self.x, self.shape, self.ndim, self.dtype = x, x.shape, x.ndim, x.dtype
        self.counter = [] if counter is None else counter

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: np.ndarray) -> "Stream":
        return Stream(self.x[rows], self.counter)

    def batches(self, index: np.ndarray) -> Iterator[np.ndarray]:
        for one in index:
            self.counter.append(len(one))
            yield self.x[one]


def training(train: bool | frozenset, block: str) -> bool:
    return block in train if isinstance(train, frozenset) else train


class Block(nn.Module):
    """Convolution, batch norm, ReLU, dropout."""

    width: int
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, train):
        x = nn.Conv(self.width, (3, 3), use_bias=False, name="conv")(x)
        norm = nn.BatchNorm(use_running_average=not train, momentum=0.9, name="norm")
        return nn.Dropout(self.dropout, deterministic=not train)(nn.relu(norm(x)))


class Net(nn.Module):
    """Two blocks, then the mean over places."""

    outputs: int
    dropout: float

    @nn.compact
    def __call__(self, x, train):
        x = jnp.asarray(x, jnp.float32) / 127.5 - 1
        for i in (1, 2):
            name = f"block{i}"
            x = Block(4 * i, self.dropout, name=name)(x, training(train, name))
        x = x.mean((1, 2))
        return Output(Head(self.outputs, name="head")(x), x)


def net(outputs: int = 3, dropout: float = 0.1) -> Model:
    """Blocks block1, block2, head, with statistics and dropout."""
    return functional(Net(outputs, dropout), ("block1", "block2", "head"))
