r"""Speed beside the peers, in one process run, and memory in a process of its own.

    python -m scripts.benchmark --suite=audit --out=FILE.json [--repeats=5] \
        [--rows=50000] [--subgroups=30] [--replicates=1000] [--peer_replicates=20]
    python -m scripts.benchmark --suite=audit --out=FILE.json --memory --rows=1000000

The contenders take turns within each repeat, after one warm-up each; slow peers run
few replicates and are extrapolated, which the table says. A target that is missed is
printed as missed. `--memory` runs ours alone, cold, and reports the peak of resident
memory against 4 GiB. The JSON holds the environment, every time and the agreement of
the numbers.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from equity_jax.files import atomic, json_text
from equity_jax.types import InputError
from experiments.launch import exit_codes, parse
from scripts.benchmark import race
from scripts.benchmark.audit import Sizes
from scripts.benchmark.suites import SUITES, memory, verdict


def main(argv: Sequence[str]) -> None:
    """Reads the command line, measures, writes the JSON, prints the table."""
    values = _flags()
    rest = parse(values, argv, __doc__, ("suite", "out"))
    if rest:
        raise InputError(f"unexpected argument {rest[0]!r}; flags are --name=value")
    if values.suite not in SUITES:
        known = ", ".join(sorted(SUITES))
        raise InputError(f"--suite={values.suite} is unknown; known: {known}")
    out = Path(values.out)
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise InputError(f"--out={out} must be a file in a folder that exists")
    sizes = Sizes(*(values[name].value for name in Sizes._fields))
    if sizes.rows < 100 * sizes.subgroups:
        raise InputError(
            f"--rows={sizes.rows} is too few for --subgroups={sizes.subgroups}: "
            f"expected {100 * sizes.subgroups} or more"
        )
    if values.memory:
        result = memory(values.suite, sizes)
        said = [verdict(result["memory"])]
    else:
        suite = SUITES[values.suite].build(sizes)
        result = race.race(suite, values.repeats, values.quiet)
        said = race.lines(result) + _agreed(result["agreement"])
    with atomic(out) as path:
        path.write_text(json_text({"suite": values.suite} | result), "utf-8")
    held = ", ".join(f"{k} {v:,}" for k, v in sizes._asdict().items())
    print(f"Suite {values.suite}, SIMULATED: {held}", *said, sep="\n")


def _flags() -> flags.FlagValues:
    values = flags.FlagValues()
    to = {"flag_values": values}
    flags.DEFINE_string("suite", None, f"one of {', '.join(SUITES)}", **to)
    flags.DEFINE_string("out", None, "the JSON to write", **to)
    flags.DEFINE_integer("repeats", 5, "rounds after the warm-up", 1, **to)
    usual, least = Sizes(), Sizes(300, 2, 2, 1)
    for name in Sizes._fields:
        text = "of the workload" if name != "peer_replicates" else "of slow peers"
        bounds = getattr(usual, name), text, getattr(least, name)
        flags.DEFINE_integer(name, *bounds, **to)
    flags.DEFINE_bool("memory", False, "ours once, its peak memory", **to)
    flags.DEFINE_bool("quiet", False, "no progress bar", **to)
    return values


def _agreed(found: Mapping[str, Any]) -> list[str]:
    said = []
    for name, metrics in found["peers"].items():
        far = max(one["value"] for one in metrics.values())
        line = f"values: largest |ours - {name}| {far:.2g}"
        wide = [one["width"] for one in metrics.values() if "width" in one]
        if wide and math.isfinite(sum(wide)):
            line += f"; our intervals are {min(wide):.3f} to {max(wide):.3f} as wide"
        said.append(line)
    return said


if __name__ == "__main__":
    sys.exit(exit_codes(main))
