"""What became of every leaf and every array when a checkpoint was loaded."""

import math
from collections.abc import Sequence
from typing import NamedTuple

SHOWN = 4


class Leaf(NamedTuple):
    """A leaf or an array: its name, its shape, and what there is to say of it."""

    name: str
    shape: tuple[int, ...]
    note: str = ""


class Diff(NamedTuple):
    """Loading, as a list of what happened; `str` of it is for people.

    matched: leaves taken from the file; fresh: leaves that keep the model's own
    initial values, with the reason; left_over: the file's arrays that nothing uses,
    under the file's names; adapted: those of `matched` that were changed to fit.
    """

    file: str
    arch: str
    matched: tuple[Leaf, ...]
    fresh: tuple[Leaf, ...]
    left_over: tuple[Leaf, ...]
    adapted: tuple[Leaf, ...]

    @property
    def complete(self) -> bool:
        """Every leaf but the head's came from the file."""
        return all(leaf.name.startswith("params/head/") for leaf in self.fresh)

    def __str__(self) -> str:
        total = (*self.matched, *self.fresh)
        lines = [
            f"{self.file} -> {self.arch}",
            f"  matched    {len(self.matched):,} of {len(total):,} leaves, "
            f"{_numbers(self.matched):,} of {_numbers(total):,} numbers",
        ]
        for title, leaves in (
            ("adapted", self.adapted),
            ("fresh", self.fresh),
            ("left over", self.left_over),
        ):
            lines.append(f"  {title:<9}  {_listed(leaves)}")
        return "\n".join(lines)


def _numbers(leaves: Sequence[Leaf]) -> int:
    return sum(math.prod(leaf.shape) for leaf in leaves)


def _listed(leaves: Sequence[Leaf]) -> str:
    if not leaves:
        return "none"
    # A reason that many leaves share is said once.
    reasons: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        reasons.setdefault(leaf.note, []).append(leaf)
    parts = []
    for note, several in reasons.items():
        names = [f"{leaf.name} {leaf.shape}" for leaf in several[:SHOWN]]
        more = len(several) - SHOWN
        names += [f"and {more:,} more"] if more > 0 else []
        parts.append(", ".join(names) + (f" ({note})" if note else ""))
    return "; ".join(parts)
