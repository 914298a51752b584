from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as peers

from equity_jax.audit.decisions import thresholds
from equity_jax.audit.decisions.thresholds import (
    Rule,
    of_groups,
    parse,
    pick,
    replicate,
)
from equity_jax.types import InputError

RULES = ["youden", "f1", "cost@5", "cost@0.25", "sens@0.9", "spec@0.9", "sens@1"]
RULES += ["spec@1", "sens@0.3", "spec@0.7"]


def rows(seed, n=400, decimals=2):
    rng = np.random.default_rng(seed)
    score = rng.random(n).round(decimals)
    y = (rng.random(n) < 0.1 + 0.6 * score).astype(float)
    return score, y, rng


def by_hand(text, score, y, weight):
    """The rule in exact fractions, candidate by candidate."""
    use = [i for i in range(len(y)) if weight[i] > 0]
    total = [sum(int(weight[i]) for i in use if y[i] == c) for c in (0, 1)]
    if min(total) == 0:
        return np.nan
    name, _, number = text.partition("@")
    q = Fraction(number) if number else None
    best = []
    for t in sorted({float(score[i]) for i in use} | {np.inf}):
        called = [i for i in use if score[i] >= t]
        fp, tp = (sum(int(weight[i]) for i in called if y[i] == c) for c in (0, 1))
        tpr, fpr = Fraction(tp, total[1]), Fraction(fp, total[0])
        worth = {
            "youden": lambda: tpr - fpr,  # noqa: B023
            "f1": lambda: Fraction(2 * tp, tp + fp + total[1]),  # noqa: B023
            "cost": lambda: -(fp + q * (total[1] - tp)),  # noqa: B023
            "sens": lambda: (tpr >= q, t),  # noqa: B023
            "spec": lambda: (1 - fpr >= q, -t),  # noqa: B023
        }[name]()
        best.append((worth, -t))  # among equals the smallest threshold
    return -max(best)[1]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("youden", Rule("youden")),
        (" f1 ", Rule("f1")),
        ("sens@0.9", Rule("sens", 0.9)),
        ("spec@1", Rule("spec", 1.0)),
        ("cost@5", Rule("cost", 5.0)),
        ("0.27", Rule("fixed", 0.27)),
        ("-1.5", Rule("fixed", -1.5)),
    ],
)
def test_parses(text, rule):
    assert parse(text).name == rule.name
    assert np.array_equal(parse(text).value, rule.value, equal_nan=True)


@pytest.mark.parametrize(
    "text",
    "sens@0 sens@1.1 spec@x cost@-1 cost@inf youden@1 f1@ best @0.5 nan inf sens "
    "sens@nan 0.5@0.5".split()
    + [""],
)
def test_other_words_are_refused_with_the_forms(text):
    with pytest.raises(InputError, match=r"expected youden, f1, sens@0.9, spec@0.9"):
        parse(text)


@pytest.mark.parametrize("text", RULES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_equals_the_rule_by_hand(text, data):
    n = data.draw(st.integers(1, 12))
    small = st.lists(st.integers(0, 4), min_size=n, max_size=n)
    score = np.array(data.draw(small)) / 4
    y = np.array(data.draw(small)) % 2
    weight = np.array(data.draw(small)) % 4
    ours = pick(parse(text), score, y, weight)
    assert np.array_equal(ours, by_hand(text, score, y, weight), equal_nan=True)


@pytest.mark.parametrize("weighted", [False, True])
def test_equals_scikit_learn(weighted):
    score, y, rng = rows(0)
    weight = rng.integers(0, 4, len(y)) if weighted else np.ones(len(y), int)
    fpr, tpr, at = peers.roc_curve(
        y, score, sample_weight=weight, drop_intermediate=False
    )
    counted = np.isin(at, score[weight > 0])

    def f1(t):
        return peers.f1_score(y, score >= t, sample_weight=weight)

    youden = pick(parse("youden"), score, y, weight)
    assert (tpr - fpr)[at == youden][0] == pytest.approx((tpr - fpr).max(), abs=1e-12)
    f = pick(parse("f1"), score, y, weight)
    assert f1(f) == pytest.approx(max(map(f1, np.unique(score))), abs=1e-12)
    if not weighted:  # these rows tell the two rules apart
        assert f1(f) > f1(youden)
    high = pick(parse("sens@0.85"), score, y, weight)
    assert high == at[(tpr >= 0.85) & counted].max()
    low = pick(parse("spec@0.85"), score, y, weight)
    assert low == at[(1 - fpr >= 0.85) & counted].min()


def test_cost_minimizes_fp_plus_five_fn():
    score, y, _ = rows(1)

    def cost(t):
        _, fp, fn, _ = peers.confusion_matrix(y, score >= t).ravel()
        return fp + 5 * fn

    ours = pick(parse("cost@5"), score, y)
    assert cost(ours) == min(map(cost, np.unique(score)))
    assert ours < pick(parse("cost@1"), score, y)


@pytest.mark.parametrize("text", RULES)
@pytest.mark.parametrize("kind", ["drawn", "real"])
def test_replicates_equal_single_picks(text, kind, monkeypatch):
    score, y, rng = rows(2, n=150)
    weights = rng.poisson(1, (40, 150)).astype(np.uint8)
    if kind == "real":
        weights = weights * rng.exponential(size=(40, 150))
    monkeypatch.setattr(thresholds, "CHUNK_BYTES", 8 * 150 * 7)  # seven at a time
    ours = replicate(parse(text), score, y, weights)
    alone = [pick(parse(text), score, y, w) for w in weights]
    assert ours.tolist() == alone
    assert len(set(alone)) > 3


@pytest.mark.parametrize("text", RULES)
def test_weights_count_rows(text):
    score, y, rng = rows(3, n=120)
    weight = rng.integers(0, 3, 120).astype(np.uint8)
    again = np.repeat(np.arange(120), weight)
    assert pick(parse(text), score, y, weight) == pick(
        parse(text), score[again], y[again]
    )


def test_counts_do_not_wrap_in_small_integers():
    score, y = np.repeat([0.2, 0.6, 0.7], 300), np.repeat([0, 1, 0], 300)
    weights = np.full((1, 900), 200, np.uint8)
    assert replicate(parse("youden"), score, y, weights).tolist() == [0.6]


@pytest.mark.parametrize("text", RULES)
@pytest.mark.parametrize("y", [[0, 0, 0], [1, 1, 1]])
def test_one_class_has_no_threshold(text, y):
    assert np.isnan(pick(parse(text), np.arange(3), np.array(y)))
    assert np.isnan(pick(parse(text), np.empty(0), np.empty(0)))


def test_a_number_needs_no_rows():
    assert pick(parse("0.27"), np.empty(0), np.empty(0)) == 0.27
    assert replicate(parse("0.27"), np.empty(0), np.empty(0), np.ones((3, 0))).tolist()


def test_what_a_weight_of_zero_hides_may_be_anything():
    score, y = np.array([0.1, np.nan, 0.8, np.inf]), np.array([0, 1, 1, np.nan])
    assert pick(parse("youden"), score, y, np.array([1, 0, 1, 0])) == 0.8
    weights = np.array([[1, 0, 1, 0], [1, 1, 1, 0]])
    found = replicate(parse("youden"), score, np.nan_to_num(y), weights)
    assert found[0] == 0.8 and np.isnan(found[1])


def test_nobody_is_called_positive_where_a_negative_is_on_top():
    score, y = np.array([0.1, 0.5, 0.9]), np.array([1, 1, 0])
    assert pick(parse("spec@1"), score, y) == np.inf
    assert pick(parse("cost@0.1"), score, y) == np.inf


@pytest.mark.parametrize(
    ("y", "weights"), [([0, 2], [[1, 1]]), ([0], [[1, 1]]), ([0, 1], [[1, 1, 1]])]
)
def test_bad_rows_are_refused(y, weights):
    with pytest.raises(InputError):
        replicate(parse("f1"), np.array([0.1, 0.2]), np.array(y), np.array(weights))


def test_groups_have_their_own_thresholds_or_fall_back():
    score, y, rng = rows(4, n=600)
    code = rng.integers(-1, 3, 600)
    few = np.flatnonzero((code == 2) & (y == 1))[9:]
    code[few] = -1  # group 2 keeps nine positives
    weights = rng.poisson(1, (20, 600)).astype(np.uint8)
    rule = parse("sens@0.9")
    found = of_groups(rule, score, y, code, 3, weights=weights)
    blind = pick(rule, score, y)
    assert found.own.tolist() == [True, True, False]
    assert found.value[2] == found.value[-1] == blind
    for g in (0, 1):
        mine = code == g
        assert found.value[g] == pick(rule, score[mine], y[mine])
        alone = replicate(rule, score[mine], y[mine], weights[:, mine])
        assert found.draws[g].tolist() == alone.tolist()
    everyone = replicate(rule, score, y, weights).tolist()
    assert found.draws[2].tolist() == found.draws[3].tolist() == everyone
    assert of_groups(rule, score, y, code, 3, least=9).own.all()


def test_a_number_is_the_threshold_of_all_groups():
    score, y, rng = rows(5)
    found = of_groups(parse("0.4"), score, y, rng.integers(0, 2, len(y)), 2)
    assert found.value.tolist() == [0.4] * 3 and not found.own.any()
    assert found.draws.shape == (3, 0)
