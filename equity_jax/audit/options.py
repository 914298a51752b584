"""What a user may choose: the options of an audit, checked before anything is read."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equity_jax.types import InputError


@dataclass(frozen=True)
class Options:
    """Every option of `audit`, with its default.

    attributes: the columns that define groups; rows without a value appear as the
        group "not recorded", which joins no contrast.
    reference: the group that differences and ratios are taken to (a name, or attribute
        -> name); the largest one by default.
    metrics: of labels of 0 and 1 (measures.BINARY); None asks for all.
    threshold: "youden", "f1", "sens@0.9", "spec@0.9", "cost@5", or a number; all but
        numbers come from the validation rows.
    net_benefit: threshold probabilities to give the net benefit at.
    intersections: whether several attributes are also crossed.
    conflicts: what to do with a patient whose attribute records disagree: as_recorded,
        first, most_frequent, exclude.
    replicates, level: of the bootstrap, and of all intervals.
    min_rows: a group with fewer rows is SUPPRESSED, and so is a count below it.
    min_blocks: a group with fewer patients is NOT_ESTIMABLE.
    seed: of the bootstrap and of randomized decisions.
    adjustment: of p-values over metrics, "holm" or "bh".
    wanted: the difference for which the rows needed are given.
    extras: whether to make all companions of the table (power, curves, policies, ...).
    compare: pairs (which, other) of systems, see report.against; several models of a
        table are compared with the first by themselves.
    labels: names of the labels or classes, for predictions that do not bring them.
    target, part: texts for the columns `target` and `split`.
    unit: what a block is, if not a patient.
    resample_seeds: False asks how these very models do on other patients.
    simulated: marks every page and picture SIMULATED.
    quiet: no progress bar.
    """

    attributes: str | Sequence[str] = ()
    reference: str | Mapping[str, str] = ""
    metrics: Sequence[str] | None = None
    threshold: str = "0.5"
    net_benefit: Sequence[float] = ()
    intersections: bool = True
    conflicts: str = "as_recorded"
    replicates: int = 1000
    level: float = 0.95
    min_rows: int = 10
    min_blocks: int = 5
    seed: int = 0
    adjustment: str = "holm"
    wanted: float = 0.05
    extras: bool = True
    compare: Iterable[tuple[Mapping[str, str], Mapping[str, str]]] = ()
    labels: Sequence[str] = ()
    target: str = ""
    part: str = "test"
    unit: str = ""
    resample_seeds: bool = True
    simulated: bool = False
    quiet: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes, as a tuple."""
        one = isinstance(self.attributes, str)
        return (self.attributes,) if one else tuple(self.attributes)

    @property
    def references(self) -> dict[str, str]:
        """The reference group of each attribute that names one."""
        if not isinstance(self.reference, str):
            return {k: v for k, v in self.reference.items() if v}
        return {self.names[0]: self.reference} if self.reference and self.names else {}

    def check(self) -> "Options":
        """These options.

        Raises:
            InputError: a number out of its range, an unknown word.
        """
        if not self.names:
            raise InputError("audit needs attributes=, the columns that define groups")
        if self.replicates < 2 or not 0 < self.level < 1:
            raise InputError(
                f"replicates={self.replicates}, level={self.level}: expected 2 or"
                " more, and 0..1"
            )
        if self.min_rows < 1 or self.min_blocks < 2:
            raise InputError(
                f"min_rows={self.min_rows}, min_blocks={self.min_blocks}: expected at"
                " least 1 and 2"
            )
        if not self.wanted > 0 or any(not 0 < t < 1 for t in self.net_benefit):
            raise InputError(
                f"wanted={self.wanted}, net_benefit={tuple(self.net_benefit)}:"
                " expected above 0, and thresholds inside 0..1"
            )
        for name, known in WORDS.items():
            if getattr(self, name) not in known:
                words = ", ".join(known)
                raise InputError(f"{name}={getattr(self, name)!r}: expected {words}")
        return self


WORDS = {
    "adjustment": ("holm", "bh"),
    "conflicts": ("as_recorded", "first", "most_frequent", "exclude"),
}


def split_options(named: Mapping[str, Any]) -> tuple[Options, dict[str, Any]]:
    """Options of `audit`, and the rest, which says what the columns are.

    Example:
        >>> split_options({"attributes": "race", "label": "y"})[1]
        {'label': 'y'}
    """
    known = {field.name for field in dataclasses.fields(Options)}
    options = {k: v for k, v in named.items() if k in known}
    return Options(**options).check(), {
        k: v for k, v in named.items() if k not in known
    }


def refuse(names: Iterable[str], known: Iterable[str]) -> None:
    """InputError for a name that no option has, with the close ones.

    Raises:
        InputError: if there is any name.
    """
    for name in names:
        close = difflib.get_close_matches(name, list(known), 3, 0.6)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise InputError(f"audit has no option {name!r}{hint}")
