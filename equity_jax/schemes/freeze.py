"""Which leaves move: a rate per leaf that multiplies the learning rate.

0 freezes. Every leaf is covered because a leaf's rate is its block's. Rates are
traced data, so all of these run in one compiled program.
"""

from dataclasses import dataclass

from equity_jax.types import Path


@dataclass(frozen=True)
class Uniform:
    """Every leaf at `scale` times the learning rate."""

    scale: float = 1.0

    def __call__(self, path: Path, blocks: tuple[str, ...]) -> float:
        """See the class."""
        return self.scale


@dataclass(frozen=True)
class LastBlocks:
    """The last `n` blocks at `scale`, all before them frozen (1: the head only).

    A norm that stands alone (DenseNet's last) belongs to the block before it.
    """

    n: int
    scale: float = 1.0

    def __call__(self, path: Path, blocks: tuple[str, ...]) -> float:
        """See the class."""
        first = [name for name in blocks if name != "norm"][-self.n :][0]
        moving = blocks[blocks.index(first) :]
        return self.scale if path[0] in moving else 0.0


@dataclass(frozen=True)
class Discriminative:
    """scale * decay^d, d = blocks between the leaf and the head.

    Howard & Ruder, "Universal language model fine-tuning", ACL 2018 (decay 1/2.6).
    """

    decay: float
    scale: float = 1.0

    def __call__(self, path: Path, blocks: tuple[str, ...]) -> float:
        """See the class."""
        return self.scale * self.decay ** (len(blocks) - 1 - blocks.index(path[0]))
