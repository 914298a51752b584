"""Data shelf: tables and images as rows with attributes."""

from equity_jax.data import cxr, cxr_twins, deaths, embeddings, spurious
from equity_jax.registry import Registry

DATASETS = Registry(
    "dataset",
    {
        "cxr": cxr.load,
        "deaths": deaths.load,
        "embeddings": embeddings.load,
        cxr_twins.MIMIC: cxr.load,
        "spurious": spurious.load,
    },
)
