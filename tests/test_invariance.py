"""MMD, CORAL and MinDiff against their formulas, pair by pair in float64 numpy."""

from itertools import combinations

import numpy as np
import pytest
from cells import GROUPS, ROWS, answer, class_of, plain, rows, slope

from equity_jax.methods import METHODS
from equity_jax.methods.invariance import GAMMAS, LENGTH
from equity_jax.types import InputError


def members(world, label, wanted):
    """Rows of each group whose class of a label is wanted (None: any label seen)."""
    batch, found = world[1], []
    for g in range(GROUPS):
        mine = []
        for i in range(ROWS):
            seen = batch.weight[i] > 0 and batch.group[i] == g
            if label is None:
                seen = seen and batch.mask[i].max() > 0
            else:
                seen = seen and batch.mask[i, label] > 0
                seen = seen and wanted(class_of(world, i, label))
            if seen:
                mine.append(i)
        found.append(mine)
    return found


def groups_of_cells(world, given):
    """For each cell of label and class the rows of every group."""
    if not given:
        return [members(world, None, None)]
    labels, classes = np.asarray(world[1].y).shape[1], world[0].classes
    return [
        members(world, k, lambda found, c=c: found == c)
        for k in range(labels)
        for c in range(classes)
    ]


def distance(p, q, kernel):
    """The V-statistic of MMD^2."""

    def mean(a, b):
        return np.mean([[kernel(x, y) for y in b] for x in a])

    return mean(p, p) + mean(q, q) - 2 * mean(p, q)


def over_pairs(sets, least, apart):
    """The mean of `apart` over all pairs of groups of all cells."""
    found = [
        apart(one[a], one[b])
        for one in sets
        for a, b in combinations(range(GROUPS), 2)
        if min(len(one[a]), len(one[b])) >= least
    ]
    assert found
    return np.mean(found)


def mmd(world, features, logits, given):
    def kernel(x, y):
        return sum(np.exp(-gamma * np.sum((x - y) ** 2)) for gamma in GAMMAS)

    def apart(a, b):
        return distance(features[a], features[b], kernel)

    return over_pairs(groups_of_cells(world, given), 1, apart)


def coral(world, features, logits, given):
    def apart(a, b):
        means = np.mean((features[a].mean(0) - features[b].mean(0)) ** 2)
        spread = np.cov(features[a].T) - np.cov(features[b].T)
        return means + np.mean(spread**2)

    return over_pairs(groups_of_cells(world, given), 2, apart)


def mindiff(world, features, logits, slice):
    exclusive = world[0].name.startswith("multiclass")
    score = 1 / (1 + np.exp(-logits))
    if exclusive:
        score = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = []
    for k in range(score.shape[1]):
        label, yes = (0, k) if exclusive else (k, 1)
        if slice == "positives":
            sets = members(world, label, lambda c, y=yes: c == y)
        else:
            sets = members(world, label, lambda c, y=yes: c >= 0 and c != y)
        for a, b in combinations(range(GROUPS), 2):
            if sets[a] and sets[b]:
                p, q = score[sets[a], k], score[sets[b], k]
                found.append(
                    distance(p, q, lambda x, y: np.exp(-((x - y) ** 2) / LENGTH**2))
                )
    return np.mean(found)


@pytest.mark.parametrize(
    ("penalty", "choice", "task"),
    [
        (mmd, "label", "multilabel(2)"),
        (mmd, "", "multilabel(2)"),
        (coral, "label", "multiclass(3)"),
        (coral, "", "binary"),
        (mindiff, "negatives", "multilabel(2)"),
        (mindiff, "positives", "multiclass(3)"),
    ],
)
def test_penalties_follow_their_formulas(penalty, choice, task):
    world, strength = rows(task, seed=2), 1.7
    *_, features, logits = world

    def loss(features, logits):
        apart = penalty(world, features, logits, choice)
        return plain(world, logits) + strength * apart

    text = f"{penalty.__name__}({strength}, {choice!r})"
    value, (in_features, in_logits), _ = answer(text, world)
    assert value == pytest.approx(loss(features, logits), rel=1e-6)
    slopes = slope(lambda a: loss(a, logits), features, 1e-6)
    np.testing.assert_allclose(in_features, slopes, atol=1e-6)
    slopes = slope(lambda a: loss(features, a), logits, 1e-6)
    np.testing.assert_allclose(in_logits, slopes, atol=1e-6)


def test_the_three_are_zero_for_groups_that_are_alike():
    task, batch, counts, features, logits = rows("binary")
    twice = [np.concatenate([a[:12], a[:12]]) for a in (features, logits)]
    alike = batch._replace(
        y=np.concatenate([batch.y[:12], batch.y[:12]]),
        mask=np.ones((24, 1)),
        weight=np.ones(24),
        group=np.repeat([0, 1], 12).astype(np.int32),
    )
    world = task, alike, counts, *twice
    erm = plain(world, twice[1])
    for text in ("mmd(100.0)", "coral(100.0)", "mindiff(100.0)"):
        assert answer(text, world)[0] == pytest.approx(erm, abs=1e-9)


def test_a_batch_of_one_group_has_no_pair():
    task, batch, *rest = rows("binary")
    world = task, batch._replace(group=np.zeros(ROWS, np.int32)), *rest
    for text in ("mmd", "coral", "mindiff"):
        value, slopes, _ = answer(text, world)
        assert value == pytest.approx(plain(world, rest[2]))
        np.testing.assert_allclose(slopes[0], 0.0)


def test_bad_penalties_are_refused():
    for text, said in (
        ("mmd(-1.0)", "of strength -1.0; expected at least 0"),
        ("coral(given='race')", "given is 'race'; expected '' or 'label'"),
        ("mindiff(1.0, 'all')", "slice is 'all'; expected 'negatives' or 'positives'"),
    ):
        with pytest.raises(InputError, match=said):
            METHODS.get(text)
