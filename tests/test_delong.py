import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from equity_jax.audit.statistics.delong import delong, delong_between


def rows(rng, n=60, ties=False):
    y = rng.integers(0, 2, n)
    score = rng.normal(size=n) + y
    return (np.round(score) if ties else score), y


def sun_xu(score, y):
    """DeLong's variance from midranks, as Sun & Xu 2014 write it."""
    x, z = score[y == 1], score[y == 0]
    m, n = len(x), len(z)
    both = stats.rankdata(np.concatenate([x, z]))
    v = (both[:m] - stats.rankdata(x)) / n
    u = 1 - (both[m:] - stats.rankdata(z)) / m
    area = both[:m].sum() / (m * n) - (m + 1) / (2 * n)
    return area, np.var(v, ddof=1) / m + np.var(u, ddof=1) / n


def obuchowski(score, y, block):
    """Obuchowski 1997, pair by pair and cluster by cluster."""
    x, z = score[y == 1], score[y == 0]
    m, n = len(x), len(z)
    wins = (x[:, None] > z) + 0.5 * (x[:, None] == z)
    area = wins.mean()
    v, u = wins.mean(axis=1), wins.mean(axis=0)
    names = np.unique(block)
    s10 = s01 = s11 = 0.0
    i10 = i01 = 0
    for name in names:
        a = np.sum(v[block[y == 1] == name] - area)
        c = np.sum(u[block[y == 0] == name] - area)
        i10 += np.any(block[y == 1] == name)
        i01 += np.any(block[y == 0] == name)
        s10, s01, s11 = s10 + a * a, s01 + c * c, s11 + a * c
    s10 *= i10 / ((i10 - 1) * m)
    s01 *= i01 / ((i01 - 1) * n)
    s11 *= len(names) / (len(names) - 1)
    return area, s10 / m + s01 / n + 2 * s11 / (m * n)


@pytest.mark.parametrize("ties", [False, True])
def test_one_row_a_block_is_delong_exactly(ties):
    rng = np.random.default_rng(0)
    score, y = rows(rng, ties=ties)
    found = delong(score, y, rng.permutation(len(y)))
    area, variance = sun_xu(score, y)
    assert found.auroc == pytest.approx(roc_auc_score(y, score), abs=1e-14)
    assert found.auroc == pytest.approx(area, abs=1e-14)
    assert found.se**2 == pytest.approx(variance, rel=1e-12)


def test_se_is_the_jackknife_of_the_rows():
    # Leaving out rows of one class at a time gives the placements exactly
    # (DeLong et al. 1988): the two jackknife variances add up to DeLong's.
    score, y = rows(np.random.default_rng(1), ties=True)
    total = 0.0
    for label in (0, 1):
        places = np.flatnonzero(y == label)
        left = [
            roc_auc_score(np.delete(y, i), np.delete(score, i)) for i in places.tolist()
        ]
        total += (len(places) - 1) / len(places) * np.sum((left - np.mean(left)) ** 2)
    assert delong(score, y, np.arange(len(y))).se ** 2 == pytest.approx(total, rel=1e-9)


@given(st.integers(0, 10**6), st.integers(2, 30), st.booleans())
@settings(max_examples=40, deadline=None)
def test_clusters_are_obuchowski_s(seed, blocks, ties):
    rng = np.random.default_rng(seed)
    score, y = rows(rng, n=80, ties=ties)
    block = rng.integers(0, blocks, len(y)) * 7
    found = delong(score, y, block)
    area, variance = obuchowski(score, y, block)
    assert found.auroc == pytest.approx(area, abs=1e-12)
    assert found.se == pytest.approx(np.sqrt(variance), rel=1e-9)


def test_every_row_twice_says_no_more_than_once():
    score, y = rows(np.random.default_rng(2))
    once = delong(score, y, np.arange(len(y)))
    twice = delong(np.tile(score, 2), np.tile(y, 2), np.tile(np.arange(len(y)), 2))
    assert twice.auroc == pytest.approx(once.auroc)
    assert twice.se == pytest.approx(once.se, rel=1e-9)
    naive = delong(np.tile(score, 2), np.tile(y, 2), np.arange(2 * len(y)))
    assert naive.se < 0.8 * twice.se


def test_between_groups_with_patients_on_both_sides():
    rng = np.random.default_rng(3)
    positive, negative = rng.normal(1, 1, 40), rng.normal(0, 1, 50)
    of_pos, of_neg = rng.integers(0, 20, 40), rng.integers(0, 20, 50)
    found = delong_between(positive, of_pos, negative, of_neg)
    score = np.concatenate([positive, negative])
    y = np.repeat([1, 0], [40, 50])
    area, variance = obuchowski(score, y, np.concatenate([of_pos, of_neg]))
    assert found.auroc == pytest.approx(area)
    assert found.se == pytest.approx(np.sqrt(variance))
    apart = delong_between(positive, of_pos, negative, of_neg + 100)
    assert apart.se != pytest.approx(found.se, rel=1e-3)


def test_effective_is_welch_s_for_rows_and_kish_s_for_clusters():
    rng = np.random.default_rng(5)
    y = np.repeat([1, 0], [12, 40])
    found = delong(rng.normal(size=52), y, np.arange(52))
    variances = 1 / 12, 1 / 40  # of two means of equal spread
    nu = sum(variances) ** 2 / (variances[0] ** 2 / 11 + variances[1] ** 2 / 39)
    assert found.effective == pytest.approx(1 + nu)
    block = np.concatenate([np.repeat(np.arange(4), 3), np.arange(40) + 10])
    assert delong(rng.normal(size=52), y, block).effective == pytest.approx(4)


def test_too_few_of_a_class_have_no_error():
    score, y = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 0, 0, 1])
    found = delong(score, y, np.arange(4))
    assert found.auroc == 1 and np.isnan(found.se)
    none = delong(score, np.zeros(4), np.arange(4))
    assert np.isnan(none.auroc) and np.isnan(none.se)
    one_patient = delong(score, np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2]))
    assert np.isnan(one_patient.se)
