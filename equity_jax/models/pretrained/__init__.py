"""Pretrained weights of other makers, read without running anything, as a diff.

readers (torch_files, torch_pickle, keras_files, zips) give named arrays; names_torch
and names_keras say where each belongs; fit puts them into a model's tree; expect says
how that model must be built.
"""

from equity_jax.models.pretrained.diff import Diff, Leaf
from equity_jax.models.pretrained.expect import Expected, expects
from equity_jax.models.pretrained.fit import load
from equity_jax.models.pretrained.readers import Checkpoint, from_tree, read

__all__ = [
    "Checkpoint",
    "Diff",
    "Expected",
    "Leaf",
    "expects",
    "from_tree",
    "load",
    "read",
]
