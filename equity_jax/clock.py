"""Where the seconds go: phases of a run, and what of them was compilation."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax


@contextmanager
def phase(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Adds the seconds of a block to `seconds[name]`."""
    start = time.perf_counter()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start


@contextmanager
def compile_clock(seconds: dict[str, float]) -> Iterator[None]:
    """Adds what jax spends tracing and compiling to `seconds["compile"]`."""

    def listen(event: str, duration: float, **_: Any) -> None:
        if event.startswith("/jax/core/compile/"):
            seconds["compile"] = seconds.get("compile", 0.0) + duration

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
