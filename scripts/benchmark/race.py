"""Times contenders side by side: interleaved, in one process, warm.

Machines drift by a factor of two within hours, so only ratios of one run mean
anything, and a ratio is taken within one round, where the contenders met the same
machine. A contender that is too slow for all replicates runs a few of them: what it
does without any (its point values) is timed by itself, and the rest is multiplied. CPU
seconds, of all threads together, say more than the clock where others use the machine.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from equity_jax.files import env

PAUSE = 0.1  # seconds between two contenders


class Contender(NamedTuple):
    """One way to do the work.

    run: replicates -> its answer (0: point values only); replicates: how many it
    really runs; target: how many times faster ours should be, None = no target;
    note: what a reader must know to judge the comparison.
    """

    run: Callable[[int], Any]
    replicates: int
    target: float | None = None
    note: str = ""


class Suite(NamedTuple):
    """contenders: by name, ours first; replicates: of the whole work; sizes:
    JSON-able; agree: answers by name -> how far they lie apart, JSON-able; tell: what
    `agree` found -> lines to print; unit: what a replicate is called (images, steps).
    """

    contenders: Mapping[str, Contender]
    replicates: int
    sizes: Mapping[str, Any]
    agree: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    tell: Callable[[Mapping[str, Any]], list[str]] = lambda found: []
    unit: str = "replicates"


class Spent(NamedTuple):
    """Seconds on the clock, and of all threads together."""

    wall: float
    cpu: float


class Run(NamedTuple):
    """One turn of a contender: all replicates (extrapolated), and what was measured."""

    whole: Spent
    measured: Spent


def race(suite: Suite, repeats: int, quiet: bool = True) -> dict[str, Any]:
    """Every contender once to warm up, then `repeats` rounds of all of them.

    Returns:
        dict, JSON-able: environment, sizes, unit, contenders (seconds, measured and for
        all replicates), ratios to ours with their verdicts, agreement.

    Example:
        >>> result = race(suite, repeats=5)  # doctest: +SKIP
        >>> result["ratios"]["numpy"]["median"]  # doctest: +SKIP
        2.4
    """
    began, busy = time.perf_counter(), os.getloadavg()[0]
    ran, answers = _turns(suite, repeats, quiet)
    whole = {name: [r.whole.wall for r in runs[1:]] for name, runs in ran.items()}
    ours = next(iter(whole))
    return {
        "environment": env({"benchmark": time.perf_counter() - began}),
        "threads": threads(),
        "load_before": busy,
        "sizes": dict(suite.sizes),
        "unit": suite.unit,
        "contenders": {
            name: {
                "note": one.note,
                "replicates_run": one.replicates,
                "extrapolated_by": suite.replicates / one.replicates,
                "first_call_seconds": ran[name][0].measured.wall,
                "measured_seconds": [r.measured.wall for r in ran[name][1:]],
                "seconds": whole[name],
                "cpu_seconds": [r.whole.cpu for r in ran[name][1:]],
                **_spread(whole[name]),
            }
            for name, one in suite.contenders.items()
        },
        "ratios": {
            name: _ratio(whole[name], whole[ours], one.target)
            for name, one in suite.contenders.items()
            if name != ours
        },
        "agreement": suite.agree(answers),
    }


def threads() -> dict[str, Any]:
    """What the contenders may use: cores, and the threads of each library loaded."""
    from threadpoolctl import threadpool_info

    known = hasattr(os, "sched_getaffinity")  # not on every system
    pools = {p["prefix"]: p["num_threads"] for p in threadpool_info()}
    cores = len(os.sched_getaffinity(0)) if known else os.cpu_count()
    return {"processes": 1, "cores": cores, "pools": pools}


def lines(result: Mapping[str, Any]) -> list[str]:
    r"""The result as a small table and one verdict a target.

    Example:
        >>> print(*lines(result), sep="\n")  # doctest: +SKIP
    """
    text = "{:<20}{:>11}{:>9}{:>20}{:>9}{:>38}"
    unit = result["unit"]
    titles = ("contender", unit, "seconds", "(min, max)", "CPU", "ours is")
    said = [text.format(*titles)]
    for name, one in result["contenders"].items():
        spread = f"({_short(one['min'])}, {_short(one['max'])})"
        ratio = result["ratios"].get(name)
        middle, low, high = (
            _short((ratio or one)[k]) for k in ("median", "min", "max")
        )
        times = f"{middle}x ({low}x to {high}x) faster" if ratio else ""
        row = (name, one["replicates_run"], _short(one["median"]), spread)
        said.append(text.format(*row, _short(np.median(one["cpu_seconds"])), times))
    said += [
        f"{name}: seconds are for all {unit}, extrapolated from "
        f"{one['replicates_run']} by {one['extrapolated_by']:.4g}"
        for name, one in result["contenders"].items()
        if one["extrapolated_by"] != 1
    ]
    said += [
        f"{'MET   ' if ratio['met'] else 'MISSED'} {name}: {_short(ratio['median'])}x "
        f"faster, target {ratio['target']:g}x"
        for name, ratio in result["ratios"].items()
        if ratio["target"] is not None
    ]
    load, cores = result["load_before"], result["threads"]["cores"]
    if load > 0.25 * cores:
        said.append(
            f"The machine was busy (load {load:.1f}, {cores} cores): run again."
        )
    return said


def _turns(
    suite: Suite, repeats: int, quiet: bool
) -> tuple[dict[str, list[Run]], dict[str, Any]]:
    """Runs by name, the warm-up first, and the answers."""
    answers, ran = {}, {name: [] for name in suite.contenders}
    rounds = len(suite.contenders) * (repeats + 1)
    with tqdm(total=rounds, desc="benchmark", disable=quiet) as bar:
        for name, one in suite.contenders.items():
            bar.set_postfix_str(f"{name}, warm-up")
            first, answers[name] = _timed(one.run, one.replicates)
            ran[name].append(Run(first, first))
            bar.update()
        for _ in range(repeats):
            for name, one in suite.contenders.items():
                bar.set_postfix_str(name)
                ran[name].append(_whole(one, suite.replicates))
                bar.update()
    return ran, answers


def _whole(one: Contender, replicates: int) -> Run:
    if one.replicates >= replicates:
        spent, _ = _timed(one.run, one.replicates)
        return Run(spent, spent)
    fixed, _ = _timed(one.run, 0)
    measured, _ = _timed(one.run, one.replicates)
    times = replicates / one.replicates
    pairs = zip(fixed, measured, strict=True)
    return Run(Spent(*(f + max(m - f, 0.0) * times for f, m in pairs)), measured)


def _timed(run: Callable[[int], Any], replicates: int) -> tuple[Spent, Any]:
    time.sleep(PAUSE)  # threads of the contender before spin on for a while
    wall, cpu = time.perf_counter(), time.process_time()
    answer = run(replicates)
    return Spent(time.perf_counter() - wall, time.process_time() - cpu), answer


def _short(x: float) -> str:
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def _spread(x: list[float]) -> dict[str, float]:
    return {"median": float(np.median(x)), "min": min(x), "max": max(x)}


def _ratio(peer: list[float], ours: list[float], target: float | None) -> dict:
    ratios = [p / o for p, o in zip(peer, ours, strict=True)]
    spread = _spread(ratios)
    met = None if target is None else spread["median"] >= target
    return {"by_round": ratios, **spread, "target": target, "met": met}
