"""The audit against what a user would write: the suite `audit` of scripts.benchmark.

Simulated rows: patients with several rows each, intersectional groups of unequal size,
scores with ties (three decimals). Every contender gives the same five metrics of every
group with 95 % intervals; ours starts from the DataFrame and ends with its whole table
(all rows together, differences, ratios, gaps and bands as well), the peers start from
arrays and end with their intervals.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.keys import generator
from equity_jax.types import InputError
from scripts.benchmark import peers
from scripts.benchmark.peers import METRICS, Answer, Problem
from scripts.benchmark.race import Contender, Suite

OURS = "equity_jax"


class Sizes(NamedTuple):
    """How much work: rows, subgroups, replicates, and replicates of the slow peers."""

    rows: int = 50_000
    subgroups: int = 30
    replicates: int = 1000
    peer_replicates: int = 20


LEAST = {"rows": 300, "subgroups": 2, "replicates": 2, "peer_replicates": 1}


class Ours(NamedTuple):
    """value, low, high float[M, G] as in Answer; kind str[M, G], of the intervals."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    kind: np.ndarray


def workload(sizes: Sizes) -> pd.DataFrame:
    """One row an image: group, patient, y, prob; SIMULATED.

    A patient has one row and a Poisson(2) of others. The share of the i-th group falls
    as i^-0.6: of 30 groups the largest holds 12 % of the patients, the smallest 1.6 %.

    Raises:
        InputError: fewer than 100 rows a subgroup.

    Example:
        >>> workload(Sizes(rows=600, subgroups=3)).columns.tolist()
        ['group', 'patient', 'y', 'prob']
    """
    if sizes.rows < 100 * sizes.subgroups:
        raise InputError(
            f"--rows={sizes.rows} is too few for --subgroups={sizes.subgroups}: "
            f"expected {100 * sizes.subgroups} or more"
        )
    rng = generator(0, "benchmark/audit")
    images = 1 + rng.poisson(2.0, sizes.rows)
    patient = np.repeat(np.arange(sizes.rows), images)[: sizes.rows]
    patients = patient[-1] + 1
    share = np.arange(1, sizes.subgroups + 1) ** -0.6
    group = rng.choice(sizes.subgroups, patients, p=share / share.sum())
    group[: sizes.subgroups] = np.arange(sizes.subgroups)  # none is empty
    sick = rng.normal(size=patients)[patient] - 1.2 + 0.5 * rng.normal(size=sizes.rows)
    y = (sick > 0).astype(int)
    seen = 1.3 * sick + rng.normal(size=patients)[patient] + rng.normal(size=sizes.rows)
    names = np.array([_name(i) for i in range(sizes.subgroups)])
    prob = (1 / (1 + np.exp(-seen))).round(3)
    columns = {"group": names[group][patient], "patient": patient, "y": y}
    return pd.DataFrame(columns | {"prob": prob})


def build(sizes: Sizes) -> Suite:
    """The suite: ours, scikit-learn, fairlearn, and numpy twice."""
    frame = workload(sizes)
    problem = _problem(frame)
    few, many = min(sizes.peer_replicates, sizes.replicates), sizes.replicates

    def against(run: Any, replicates: int, target: float | None, note: str) -> Any:
        return Contender(lambda r: run(problem, r), replicates, target, note)

    contenders = {
        OURS: Contender(
            lambda r: ours(frame, problem.names, r),
            many,
            note="whole table: also all rows, differences, ratios, gaps, bands",
        ),
        "scikit-learn loop": against(
            peers.sklearn_loop, few, 100.0, "resamples patients; one thread"
        ),
        "fairlearn n_boot": against(
            peers.fairlearn_frame, few, 1000.0, "resamples rows, not patients"
        ),
        "numpy weighted sort": against(
            peers.numpy_rows, many, 2.0, "resamples patients; one thread"
        ),
        "numpy, tuned": against(
            peers.numpy_tuned,
            many,
            None,
            "the same, transposed for the cache",
        ),
    }
    held = {"patients": int(frame.patient.nunique()), "metrics": METRICS}
    counts = frame.group.value_counts()
    held |= {"smallest_group": int(counts.min()), "largest_group": int(counts.max())}
    return Suite(contenders, many, sizes._asdict() | held, agreement, told)


def once(sizes: Sizes) -> dict[str, Any]:
    """Ours, once and cold, for the memory of a larger size; what it found."""
    frame = workload(sizes)
    found = ours(frame, _problem(frame).names, sizes.replicates)
    return {
        "frame_bytes": int(frame.memory_usage(deep=True).sum()),
        "estimates": int(np.isfinite(found.value).sum()),
        "intervals": int(np.isfinite(found.low).sum()),
    }


def ours(frame: pd.DataFrame, names: tuple[str, ...], replicates: int) -> Ours:
    """The audit of this repository, read back into [M, G]."""
    from equity_jax.audit import audit

    report = audit(
        frame,
        label="y",
        score="prob",
        attributes=("group",),
        patient="patient",
        metrics=METRICS,
        threshold=str(peers.CUT),
        replicates=replicates,
        seed=0,
        extras=False,
        quiet=True,
    )
    table = report.table
    table = table[(table["contrast"] == "group") & (table["attribute"] == "group")]
    table = table[table["group"].isin(names)].set_index(["metric", "group"])

    def grid(column: str) -> np.ndarray:
        wide = table[column].unstack("group")
        return wide.reindex(index=list(METRICS), columns=list(names)).to_numpy()

    ends = (grid(c).astype(float) for c in ("value", "low", "high"))
    return Ours(*ends, grid("interval"))


def agreement(answers: Mapping[str, Any]) -> dict[str, Any]:
    """How far each peer's numbers lie from ours: name -> metric -> figures.

    value: largest |ours - peer| of the point values. For peers that ran as many
    replicates of patients as ours, and where our interval is a bootstrap as well:
    low, high: largest |ours - peer| of the ends; width: median of our width over
    theirs. The draws differ, so ends agree up to Monte-Carlo error.
    """
    found: dict[str, Any] = {}
    mine: Ours = answers[OURS]
    boot = np.char.startswith(mine.kind.astype(str), "bootstrap")
    for name, peer in answers.items():
        if name == OURS:
            continue
        found[name] = {}
        for m, metric in enumerate(METRICS):
            one = {"value": _far(mine.value[m], peer.value[m])}
            if "numpy" in name and boot[m].any():
                one |= _ends(mine, peer, m, boot[m])
            found[name][metric] = one
    kinds = {m: sorted(set(mine.kind[i])) for i, m in enumerate(METRICS)}
    return {"our_intervals": kinds, "peers": found}


def told(found: Mapping[str, Any]) -> list[str]:
    """The agreement in words, one line a peer."""
    said = []
    for name, metrics in found["peers"].items():
        far = max(one["value"] for one in metrics.values())
        line = f"values: largest |ours - {name}| {far:.2g}"
        wide = [one["width"] for one in metrics.values() if "width" in one]
        if wide and math.isfinite(sum(wide)):
            line += f"; our intervals are {min(wide):.3f} to {max(wide):.3f} as wide"
        said.append(line)
    return said


def _ends(mine: Ours, peer: Answer, m: int, use: np.ndarray) -> dict[str, float]:
    low, high = (x[m][use] for x in (mine.low, mine.high))
    other_low, other_high = (x[m][use] for x in (peer.low, peer.high))
    width = np.median((high - low) / (other_high - other_low))
    ends = {"low": _far(low, other_low), "high": _far(high, other_high)}
    return ends | {"width": float(width)}


def _far(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.max(np.abs(a - b)))  # a NaN on either side shows


def _problem(frame: pd.DataFrame) -> Problem:
    names, group = np.unique(frame.group.to_numpy(str), return_inverse=True)
    columns = (frame[c].to_numpy() for c in ("y", "prob"))
    return Problem(*columns, group, frame.patient.to_numpy(), tuple(names.tolist()))


def _name(i: int) -> str:
    """The i-th cell of race (5), sex (2), insurance (3, then more)."""
    race, sex, insurance = i % 5, i // 5 % 2, i // 10
    return f"race {race + 1} × sex {sex + 1} × insurance {insurance + 1}"
