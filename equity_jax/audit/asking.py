"""From predictions and settings to questions: which metrics, at which thresholds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from equity_jax.audit.decisions import equalized_odds, thresholds
from equity_jax.audit.resampling.measures import (
    BINARY,
    RANKED,
    Cut,
    Decided,
    Question,
    Scored,
    check_metrics,
    given_of,
    labels_of,
)
from equity_jax.audit.resampling.moments import MOMENTS
from equity_jax.audit.resampling.replicates import Replicates, resampled
from equity_jax.audit.subjects import CROSS, Grouping, Subjects
from equity_jax.metrics import CONFUSION
from equity_jax.types import InputError, Predictions

POLICY_METRICS = ("selection_rate", "recall", "fpr", "precision", "accuracy")
BLIND, AWARE, ODDS = "group-blind", "group-aware", "equalized odds"


class Wish(NamedTuple):
    """What is asked for. metrics: of binary labels, None = all; labels: their names;
    threshold: a rule of thresholds.parse; net_benefit: threshold probabilities.
    """

    metrics: Sequence[str] | None
    labels: Sequence[str]
    threshold: str
    net_benefit: Sequence[float]


class Label(NamedTuple):
    """One label: score float[S, N], y float[N], use bool[N], on test and validation."""

    name: str
    test: tuple[np.ndarray, np.ndarray, np.ndarray]
    valid: tuple[np.ndarray, np.ndarray, np.ndarray] | None


class Validation(NamedTuple):
    """The rows that thresholds come from, and their replicates, drawn once for all.

    block: int[Nv], the patient of each row.
    """

    rows: Predictions
    block: np.ndarray
    replicates: Replicates


def validation(p: Predictions, replicates: int, seed: int) -> Validation | None:
    """The validation rows of predictions, if there are any."""
    if p.valid is None:
        return None
    _, block = np.unique(np.asarray(p.valid.patient), return_inverse=True)
    blocks = int(block.max()) + 1
    drawn = resampled(blocks, replicates, seed, "bootstrap/validation")
    return Validation(p.valid, block, drawn)


def labels(p: Predictions, wish: Wish) -> list[Label]:
    """The binary labels that metrics can be asked of; none where only counts came."""
    asked = wish.metrics is None or len(wish.metrics) > 0
    if not asked or not np.isfinite(np.asarray(p.y, float)).any():
        return []
    test = list(labels_of(p, wish.labels))
    valid = list(labels_of(p.valid, wish.labels)) if p.valid is not None else None
    return [
        Label(name, rest, None if valid is None else valid[k][1:])
        for k, (name, *rest) in enumerate(test)
    ]


def questions(
    p: Predictions, wish: Wish, subjects: Subjects, valid: Validation | None
) -> list[Question]:
    """Every question of an audit, label by label, then the ratios given row by row.

    Raises:
        InputError: an unknown metric or rule, or a rule that needs validation rows
            where there are none.
    """
    names = BINARY if wish.metrics is None else tuple(dict.fromkeys(wish.metrics))
    check_metrics(names)
    rule = thresholds.parse(wish.threshold)
    found: list[Question] = []
    for label in labels(p, wish):
        decided = tuple(n for n in names if n in CONFUSION)
        shape = (len(label.test[0]), len(subjects.parts))
        cuts = [_cut(valid, label, rule, wish, decided, shape)]
        cuts = cuts if decided else []
        at = [f"{t:g}" for t in wish.net_benefit]
        at += [n.partition("@")[2] for n in names if n.startswith("net_benefit@")]
        for t in dict.fromkeys(at):
            value = np.full(shape, float(t))
            cuts.append(Cut(f"given: {t}", (f"net_benefit@{t}",), value))
        ranked = tuple(n for n in names if n in RANKED)
        sums = tuple(n for n in names if n in MOMENTS)
        found.append(Scored(label.name, *label.test, ranked, sums, tuple(cuts)))
    return found + list(given_of(p))


def _cut(
    valid: Validation | None,
    label: Label,
    rule: thresholds.Rule,
    wish: Wish,
    metrics: tuple[str, ...],
    shape: tuple[int, int],
) -> Cut:
    if rule.name == "fixed":
        return Cut("fixed", metrics, np.full(shape, rule.value))
    if valid is None:
        raise InputError(
            f"threshold {wish.threshold!r} comes from validation rows, and there are"
            " none: name the split column, or give the threshold as a number"
        )
    score, y, use = label.valid
    many = range(len(score))
    drawn = [moved(valid, label, rule, use, s) for s in many]
    value = [
        thresholds.pick(rule, s[use], y[use], _weight(valid.rows, use)) for s in score
    ]
    if np.isnan(value).any():
        raise InputError(
            f"threshold {wish.threshold!r}: the validation rows of label"
            f" {label.name!r} have one class only"
        )
    every = np.broadcast_to(np.array(value)[:, None], shape)
    draws = np.broadcast_to(np.array(drawn)[:, None], (*shape, len(drawn[0])))
    return Cut(f"validation: {wish.threshold}", metrics, every, draws)


def moved(
    valid: Validation,
    label: Label,
    rule: thresholds.Rule,
    rows: np.ndarray,
    system: int,
) -> np.ndarray:
    """float[R]: a system's threshold when the validation patients are drawn again.

    rows: bool[N], the validation rows that decide.
    """
    score, y = label.valid[0][system][rows], label.valid[1][rows]
    found, mine = np.full(valid.replicates.count, np.nan), valid.block[rows]
    weight = _weight(valid.rows, rows)

    def work(where: slice, drawn: np.ndarray) -> None:
        w = drawn[mine].T if weight is None else drawn[mine].T * weight
        found[where] = thresholds.replicate(rule, score, y, w)

    valid.replicates.run(work)
    return found


def _weight(p: Predictions, use: np.ndarray) -> np.ndarray | None:
    return None if p.weight is None else p.weight[use]


def policies(
    valid: Validation,
    label: Label,
    wish: Wish,
    subjects: Subjects,
    grouping: Grouping,
) -> list[Question]:
    """Group-aware thresholds and equalized odds of one attribute, from validation.

    The group-aware cut has its own threshold, and its own uncertainty, in each group;
    over all rows together both policies are decisions that are taken as they are.
    """
    rule = thresholds.parse(wish.threshold)
    code, groups = codes(valid.rows, grouping), len(grouping.groups)
    score, y, use = label.valid
    if len(np.unique(y[use])) < 2:
        return []
    own = np.full((len(score), len(subjects.parts)), np.nan)
    draws = np.full((*own.shape, valid.replicates.count), np.nan)
    decisions: dict[str, list[np.ndarray]] = {AWARE: [], ODDS: []}
    test_code = np.where(np.isin(grouping.code, grouping.named), grouping.code, -1)
    weight = _weight(valid.rows, use)
    for s, scores in enumerate(score):
        args = scores[use], y[use], code[use], groups
        cuts = thresholds.of_groups(rule, *args, weight=weight)
        own[s, grouping.place] = cuts.value[:-1]
        rows = [
            use if not alone else use & (code == g) for g, alone in enumerate(cuts.own)
        ]
        for place, mine in zip(grouping.place, rows, strict=True):
            draws[s, place] = moved(valid, label, rule, mine, s)
        tested = label.test[0][s]
        decisions[AWARE].append(tested >= cuts.value[test_code])
        odds = equalized_odds.fit(*args, weight=weight)
        chance = equalized_odds.positive_probability(odds, tested, test_code)
        decisions[ODDS].append(chance)
    cut = Cut(AWARE, POLICY_METRICS, own, None if rule.name == "fixed" else draws)
    rest = *label.test[1:], POLICY_METRICS
    return [Scored(label.name, *label.test, cuts=(cut,))] + [
        Decided(label.name, source, np.array(taken, float), *rest)
        for source, taken in decisions.items()
    ]


def codes(valid: Predictions, grouping: Grouping) -> np.ndarray:
    """int[Nv]: the group of each validation row; -1 for groups that test lacks."""
    values = [np.asarray(valid.attributes[n]).astype(str) for n in grouping.names]
    index = {group: g for g, group in enumerate(grouping.groups)}
    joint = [CROSS.join(row) if all(row) else "" for row in zip(*values, strict=True)]
    return np.array([index.get(name, -1) for name in joint], int)
