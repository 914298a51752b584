r"""Speed beside the peers, in one process run, and memory in a process of its own.

    python -m scripts.benchmark --suite=NAME --out=FILE.json [--repeats=5] [--quiet]
    python -m scripts.benchmark --suite=audit --out=FILE.json [--rows=50000] \
        [--subgroups=30] [--replicates=1000] [--peer_replicates=20] [--memory]

Each suite has sizes of its own, as flags: `--suite=NAME --help` lists them.

The contenders take turns within each repeat, after one warm-up each; slow peers run
few replicates and are extrapolated, which the table says. A target that is missed is
printed as missed. `--memory` runs ours alone, cold, and reports the peak of resident
memory against 4 GiB. The JSON holds the environment, every time and the agreement of
the numbers.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from equity_jax.files import atomic, json_text
from equity_jax.types import InputError
from experiments.launch import exit_codes, parse
from scripts.benchmark import race
from scripts.benchmark.suites import SUITES, Entry, memory, verdict


def main(argv: Sequence[str]) -> None:
    """Reads the command line, measures, writes the JSON, prints the table."""
    values, entry = _flags(argv)
    rest = parse(values, argv, __doc__, ("suite", "out"))
    if rest:
        raise InputError(f"unexpected argument {rest[0]!r}; flags are --name=value")
    if entry is None:
        known = ", ".join(sorted(SUITES))
        raise InputError(f"--suite={values.suite} is unknown; known: {known}")
    out = Path(values.out)
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise InputError(f"--out={out} must be a file in a folder that exists")
    fields = entry.sizes._fields
    sizes = entry.sizes._replace(**{name: values[name].value for name in fields})
    if "memory" in values and values.memory:
        result = memory(values.suite, sizes)
        said = [verdict(result["memory"])]
    else:
        suite = entry.build(sizes)
        result = race.race(suite, values.repeats, values.quiet)
        said = race.lines(result) + suite.tell(result["agreement"])
    with atomic(out) as path:
        path.write_text(json_text({"suite": values.suite} | result), "utf-8")
    held = ", ".join(
        f"{name} {_said(value)}" for name, value in sizes._asdict().items()
    )
    print(f"Suite {values.suite}, SIMULATED: {held}", *said, sep="\n")


def _flags(argv: Sequence[str]) -> tuple[flags.FlagValues, Entry | None]:
    """The flags, with the sizes of the suite that the command line names."""
    values = flags.FlagValues()
    to = {"flag_values": values}
    flags.DEFINE_string("suite", None, f"one of {', '.join(SUITES)}", **to)
    named = re.findall(r"(?<!\S)--?suite[= ](\S+)", " ".join(argv))
    entry = SUITES.get(named[-1]) if named else None
    flags.DEFINE_string("out", None, "the JSON to write", **to)
    flags.DEFINE_integer("repeats", 5, "rounds after the warm-up", 1, **to)
    flags.DEFINE_bool("quiet", False, "no progress bar", **to)
    if entry is not None:
        for name, usual in entry.sizes._asdict().items():
            if isinstance(usual, str):
                flags.DEFINE_string(name, usual, "of the suite", **to)
            else:
                least = entry.least.get(name, 1)
                flags.DEFINE_integer(name, usual, "of the suite", least, **to)
        if entry.once is not None:
            flags.DEFINE_bool("memory", False, "ours once, its peak memory", **to)
    return values, entry


def _said(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    sys.exit(exit_codes(main))
