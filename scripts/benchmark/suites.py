"""The suites by name, and how much memory ours takes, alone in a process of its own."""

import multiprocessing
import pathlib
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from equity_jax.files import env
from scripts.benchmark import audit, densenet, embeddings, heads, input, probes, race

LIMIT = 4 * 2**30  # bytes that --memory may take


class Entry(NamedTuple):
    """One suite.

    sizes: its usual sizes, a NamedTuple of integers and words; each field is a flag.
    least: the smallest integer of each field that makes sense, by name (others: 1).
    build: sizes -> the race. once: sizes -> what ours found, run alone and cold, for
    its memory; None: `--memory` is not offered.
    """

    sizes: Any
    least: Mapping[str, int]
    build: Callable[[Any], race.Suite]
    once: Callable[[Any], dict[str, Any]] | None = None


SUITES: dict[str, Entry] = {
    "audit": Entry(audit.Sizes(), audit.LEAST, audit.build, audit.once),
    "densenet": Entry(densenet.Sizes(), densenet.LEAST, densenet.build),
    "embeddings": Entry(
        embeddings.Sizes(), embeddings.LEAST, embeddings.build, embeddings.once
    ),
    "heads": Entry(heads.Sizes(), heads.LEAST, heads.build),
    "input": Entry(input.Sizes(), input.LEAST, input.build),
    "probes": Entry(probes.Sizes(), probes.LEAST, probes.build, probes.once),
}
"""What can be measured. A suite arrives with the study that needs it."""


def memory(name: str, sizes: Any) -> dict[str, Any]:
    """Peak resident memory of ours, run once in a fresh process.

    The peak counts everything of that process: the interpreter, the libraries, the
    simulated rows and the audit.

    Example:
        >>> memory("audit", audit.Sizes(rows=10**6))["peak_bytes"]  # doctest: +SKIP
        2500000000
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(_peak, (name, sizes))
    found["met"] = found["peak_bytes"] < LIMIT
    held = {"environment": env({}), "sizes": sizes._asdict()}
    return held | {"memory": found | {"limit_bytes": LIMIT}}


def verdict(found: Mapping[str, Any]) -> str:
    """One line: the peak against the limit, a miss said as a miss."""
    word = "MET   " if found["met"] else "MISSED"
    peak, limit = (found[k] / 2**30 for k in ("peak_bytes", "limit_bytes"))
    return (
        f"{word} peak resident memory {peak:.2f} GiB, target under {limit:.0f} GiB; "
        f"{found['seconds_cold']:.1f} s with compilation"
    )


def _peak(name: str, sizes: Any) -> dict[str, Any]:
    """What `once` found, its seconds (cold) and the peak of this process."""
    began = time.perf_counter()
    found = SUITES[name].once(sizes)
    seconds = time.perf_counter() - began
    return found | {"seconds_cold": seconds, "peak_bytes": peak_bytes()}


def peak_bytes() -> int:
    """Peak resident memory of this process, in bytes.

    Linux carries `ru_maxrss` over from the process that started this one, so that a
    small job started by a large one would look large: its own mark is `VmHWM`.
    """
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        line = next(r for r in status.read_text().splitlines() if "VmHWM" in r)
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
