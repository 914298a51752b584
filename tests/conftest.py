"""Strict numerics, one shared compilation cache, and the door to real data."""

import os
from pathlib import Path

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update(
    "jax_compilation_cache_dir",
    os.environ.get("EQUITY_JAX_CACHE", str(Path(__file__).parents[1] / ".jax_cache")),
)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)

WHY = "EQUITY_JAX_DATA is not set: real data are read only from a path the user gives"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "realdata" in item.keywords and not os.environ.get("EQUITY_JAX_DATA"):
            item.add_marker(pytest.mark.skip(reason=WHY))


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real data; ask for it only in tests marked `realdata`."""
    return Path(os.environ["EQUITY_JAX_DATA"])
