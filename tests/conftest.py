"""Strict numerics, one shared compilation cache, and the door to real data."""

import ctypes
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

if version("jaxlib").startswith("0.10."):  # other versions may not know the flag
    # The suite's many small programs compile in half the time; their numbers agree.
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

# Two workers on two cores: more threads of BLAS and torch would spin and wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# As launch.py has it for users; the studies that tests start inherit it too.
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update(
    "jax_compilation_cache_dir",
    os.environ.get("EQUITY_JAX_CACHE", str(Path(__file__).parents[1] / ".jax_cache")),
)

ROOM = 2.5 * 2**30  # bytes, beyond which a worker forgets compiled programs
WHY = "EQUITY_JAX_DATA is not set: real data are read only from a path the user gives"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "realdata" in item.keywords and not os.environ.get("EQUITY_JAX_DATA"):
            item.add_marker(pytest.mark.skip(reason=WHY))


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real data; ask for it only in tests marked `realdata`."""
    return Path(os.environ["EQUITY_JAX_DATA"])


@pytest.fixture(scope="module", autouse=True)
def forget() -> Iterator[None]:
    """Programs that earlier files compiled, once they fill a worker's memory."""
    yield
    pages = Path("/proc/self/statm")
    if pages.exists():
        size = int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        if size > ROOM:
            jax.clear_caches()
            ctypes.CDLL(None).malloc_trim(0)  # what is free goes back to the machine
