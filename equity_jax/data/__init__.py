"""Data shelf: tables and images as rows with attributes."""

from equity_jax.data import deaths
from equity_jax.registry import Registry

DATASETS = Registry("dataset", {"deaths": deaths.load})
