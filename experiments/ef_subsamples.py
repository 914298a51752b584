"""Why is a group served worse: too few patients, its prevalence, or other rows?

Logistic heads on frozen embeddings are cheap, so the question can be asked by
experiment. Training patients are thinned, validation chose the penalty before, the test
rows stay as they are:

- *size*: each smaller group is thinned to nested shares of its patients, and the
  reference to those too and to the size of every smaller group; all other rows stay.
- *prevalence*: the reference is thinned to a group's number of patients and, by
  choosing among those who ever were positive and who never were, to its prevalence.
- *crosswise*: one head from the group's rows alone, one from as many patients of the
  reference alone; each is tested on both.

Every thinning is drawn several times; a draw's patients of a smaller share are among
those of a larger one. What the group's own training patients are worth, had they been
others, is told by heads that saw one half of them: given all n, the mean of n / 2 drawn
without replacement varies as the mean of n does (Shao & Wu 1989).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from equity_jax.keys import generator

SHARES = (0.05, 0.1, 0.25, 0.5)
DRAWS = 6
FEWEST = 10  # training patients below which nothing is fitted


class Training(NamedTuple):
    """The observed training rows.

    y: float[N], 0 or 1; group: int[N], -1 = not recorded; patient: int[N]; names: of
    the groups; reference: the code of the one that is thinned to the others' size.
    """

    y: np.ndarray
    group: np.ndarray
    patient: np.ndarray
    names: tuple[str, ...]
    reference: int

    def patients(self, code: int) -> int:
        """How many patients a group has."""
        return len(np.unique(self.patient[self.group == code]))

    @property
    def smaller(self) -> list[int]:
        """The codes of all groups but the reference, the largest first."""
        rest = [g for g in range(len(self.names)) if g != self.reference]
        return sorted(rest, key=self.patients, reverse=True)


class Arm(NamedTuple):
    """A kind of training set.

    kind: "all" rows; "thin": `code` has `patients` patients, the others all; "match":
    as "thin" of the reference, with the prevalence of group `code`; "only": `patients`
    patients of `code`, and nobody else. halved: a group that has half its patients
    besides; -1: none.
    """

    kind: str
    code: int = -1
    patients: int = 0
    halved: int = -1


class Plan(NamedTuple):
    """rows: bool[R, N], whom each run is fitted on; runs: the runs of each arm, a draw
    each, or one where there is nothing to draw.
    """

    rows: np.ndarray
    runs: dict[Arm, list[int]]


def plan(train: Training, draws: int = DRAWS, seed: int = 0) -> Plan:
    """Every training set of the experiment, each once.

    Example:
        >>> two = Training(np.tile([0, 1], 40), np.arange(80) // 60, np.arange(80),
        ...                ("A", "B"), 0)
        >>> sorted({arm.kind for arm in plan(two).runs})
        ['all', 'match', 'only', 'thin']
    """
    rows: list[np.ndarray] = []
    runs: dict[Arm, list[int]] = {}
    orders = [_order(train, draw, seed) for draw in range(draws)]
    for arm in arms(train):
        made = [_rows(train, arm, order) for order in orders]
        if made[0] is None:
            continue
        if all((m == made[0]).all() for m in made):
            made = made[:1]  # nothing was drawn
        runs[arm] = list(range(len(rows), len(rows) + len(made)))
        rows += made
    return Plan(np.stack(rows), runs)


def arms(train: Training) -> list[Arm]:
    """The arms, for all groups with FEWEST training patients or more."""
    sizes = {g: train.patients(g) for g in range(len(train.names))}
    home, most = train.reference, sizes[train.reference]
    small = [g for g in train.smaller if FEWEST <= sizes[g] <= most]
    found = [Arm("all")]
    for g in [home, *small]:
        found += [Arm("thin", g, k) for k in shares_of(sizes[g])]
    for g in small:
        found += [*roles_of(train, g).values(), *halves_of(train, g).values()]
    return list(dict.fromkeys(found))


def roles_of(train: Training, g: int) -> dict[str, Arm]:
    """The arms that a group's gap is told by."""
    size, home = train.patients(g), train.reference
    return {
        "all": Arm("all"),
        "equal": Arm("thin", home, size),
        "match": Arm("match", g, size),
        "from r": Arm("only", home, size),
        "from g": Arm("only", g, size),
    }


def halves_of(train: Training, g: int) -> dict[str, Arm]:
    """The same arms with half of the group's patients, where it has a part in them."""
    size = train.patients(g)
    roles, half = roles_of(train, g), round(size / 2)
    both = {role: roles[role]._replace(halved=g) for role in ("equal", "match")}
    return both | {"all": Arm("thin", g, half), "from g": Arm("only", g, half)}


def shares_of(patients: int) -> list[int]:
    """The nested numbers of patients of a group, without all of them.

    Example:
        >>> shares_of(100)
        [10, 25, 50]
    """
    counts = [round(patients * share) for share in SHARES]
    return [k for k in counts if k >= FEWEST]


class _Order(NamedTuple):
    """Places int[N] of each row's patient: in its group, and among those of its group
    who ever were positive, or who never were (`ever` bool[N]).
    """

    place: np.ndarray
    inner: np.ndarray
    ever: np.ndarray


def _order(train: Training, draw: int, seed: int) -> _Order:
    """A random order of the patients of every group."""
    n = len(train.y)
    place, inner, ever = np.zeros(n, int), np.zeros(n, int), np.zeros(n, bool)
    for code, name in enumerate(train.names):
        rows = np.flatnonzero(train.group == code)
        _, who = np.unique(train.patient[rows], return_inverse=True)
        count = who.max(initial=-1) + 1
        rng = generator(seed, "subsample", f"{name}/{draw}")
        rank = rng.permutation(count)
        sick = np.bincount(who, train.y[rows], count) > 0
        among = np.zeros(count, int)
        for kind in (False, True):
            mine = np.flatnonzero(sick == kind)
            among[mine] = np.argsort(np.argsort(rank[mine]))
        place[rows], inner[rows], ever[rows] = rank[who], among[who], sick[who]
    return _Order(place, inner, ever)


def _rows(train: Training, arm: Arm, order: _Order) -> np.ndarray | None:
    """bool[N]: whom the arm is fitted on; None where the reference cannot match."""
    home = train.group == train.reference
    if arm.kind == "all":
        return np.ones(len(home), bool)
    if arm.kind == "match":
        quota = matched(train, order.ever, arm)
        if quota is None:
            return None
        kept = ~home | (order.inner < np.where(order.ever, *quota))
    else:
        mine = train.group == arm.code
        kept = mine & (order.place < arm.patients)
        kept = kept if arm.kind == "only" else kept | ~mine
    if arm.halved < 0:
        return kept
    half = round(train.patients(arm.halved) / 2)
    return kept & ((train.group != arm.halved) | (order.place < half))


def matched(train: Training, ever: np.ndarray, arm: Arm) -> tuple[int, int] | None:
    """Patients of the reference who ever were positive, and who never were.

    So many that `arm.patients` of them have, on average, the prevalence of group
    `arm.code`; None where the reference has too few of either.

    Args:
        train: the rows.
        ever: bool[N], whether the row's patient ever was positive.
        arm: of kind "match".
    """
    wanted = float(train.y[train.group == arm.code].mean())
    home = train.group == train.reference
    there = [len(np.unique(train.patient[home & (ever == e)])) for e in (True, False)]
    if min(there) == 0:
        return None
    images = [
        np.sum(home & (ever == e)) / k
        for e, k in zip((True, False), there, strict=True)
    ]
    sick = float(train.y[home & ever].sum()) / there[0]
    share = wanted * images[1] / (sick - wanted * (images[0] - images[1]))
    first = round(share * arm.patients)
    quota = first, arm.patients - first
    fits = all(0 <= q <= k for q, k in zip(quota, there, strict=True))
    return quota if fits else None


def composition(train: Training, rows: Sequence[np.ndarray], code: int) -> dict:
    """patients, images and prevalence of a group in training sets, means over draws."""
    mine = [r & (train.group == code) for r in rows]
    return {
        "patients": np.mean([len(np.unique(train.patient[m])) for m in mine]),
        "images": np.mean([m.sum() for m in mine]),
        "prevalence": np.mean([train.y[m].mean() if m.any() else np.nan for m in mine]),
    }
