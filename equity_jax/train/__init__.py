"""The machine that fits: one program for many runs, or one large run at a time."""

from equity_jax.train.checkpoint import Checkpoint, Journal, pack, unpack
from equity_jax.train.drive import Fitted
from equity_jax.train.harvest import Harvest, harvest
from equity_jax.train.leaves import Weights
from equity_jax.train.loop import fit
from equity_jax.train.plan import Run
from equity_jax.train.score import features, score, seen

__all__ = [
    "Checkpoint",
    "Fitted",
    "Harvest",
    "Journal",
    "Run",
    "Weights",
    "features",
    "fit",
    "harvest",
    "pack",
    "score",
    "seen",
    "unpack",
]
