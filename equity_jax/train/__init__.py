"""The machine that fits: one program for many runs."""

from equity_jax.train.checkpoint import Checkpoint, Journal, pack, unpack
from equity_jax.train.lanes import Weights
from equity_jax.train.loop import Fitted, fit
from equity_jax.train.plan import Run
from equity_jax.train.score import score

__all__ = [
    "Checkpoint",
    "Fitted",
    "Journal",
    "Run",
    "Weights",
    "fit",
    "pack",
    "score",
    "unpack",
]
