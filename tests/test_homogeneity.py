import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from equity_jax.audit.statistics.homogeneity import adjust, homogeneity
from equity_jax.audit.statistics.inference import Estimate


def closed(value, se, effective, kind, size=None):
    value, se, effective = (np.asarray(x, float) for x in (value, se, effective))
    empty = np.full((*value.shape, 1), np.nan)
    ok = np.ones(value.shape, bool)
    return Estimate(value, empty, empty, effective, ok, se, size, kind)


def shares(hits, n):
    hits, n = np.asarray(hits, float), np.asarray(n, float)
    p = hits / n
    return closed(p, np.sqrt(p * (1 - p) / n), n, "wilson", n)


def drawn(num, replicates=800, seed=0):
    """Means of num float[..., B] over blocks that all groups share."""
    rng = np.random.default_rng(seed)
    blocks = num.shape[-1]
    w = rng.multinomial(blocks, np.full(blocks, 1 / blocks), replicates).T / blocks
    value = num.mean(axis=-1)
    empty = np.full((*value.shape, 1), np.nan)
    effective = np.full(value.shape, float(blocks))
    return Estimate(value, empty, num @ w, effective, np.ones(value.shape, bool))


@pytest.mark.parametrize("hits", [[8, 30, 41], [0, 12, 9], [20, 20, 20]])
def test_shares_of_single_rows_are_pearson_s_chi_square(hits):
    n = np.array([50, 90, 70])
    found = homogeneity(shares(hits, n))
    table = np.stack([hits, n - hits])
    expected = stats.chi2_contingency(table, correction=False)
    assert found.statistic == pytest.approx(expected.statistic)
    assert (found.df, found.groups) == (2, 3)
    assert found.p == pytest.approx(expected.pvalue)


def test_clustered_shares_are_compared_on_the_logit_scale():
    value, size = np.array([0.2, 0.35]), np.array([400.0, 300.0])
    se = np.sqrt(value * (1 - value) / size)
    found = homogeneity(closed(value, se, [200, 200], "wilson", size))
    x, v = np.log(value / (1 - value)), 1 / (size * value * (1 - value))
    assert found.statistic == pytest.approx((x[0] - x[1]) ** 2 / v.sum(), rel=0.03)


def test_many_rows_give_cochran_s_q():
    value, se = np.array([0.1, 0.12, 0.15]), np.array([0.01, 0.02, 0.015])
    plain = closed(value, se, np.full(3, 1e9), "delong")
    theta, v = stats.logistic.ppf(value), (se / (value * (1 - value))) ** 2
    q = np.sum((theta - np.average(theta, weights=1 / v)) ** 2 / v)
    assert homogeneity(plain).statistic == pytest.approx(q, rel=1e-6)


@pytest.mark.parametrize("kind", ["logit", "log"])
def test_two_bootstrapped_groups_are_compared_on_their_scale(kind):
    rng = np.random.default_rng(2)
    num = np.array([[0.4], [0.5]]) + 0.3 * rng.normal(size=(2, 200))
    apart = drawn(num)._replace(kind=kind)
    p, v = apart.value, apart.draws.var(axis=-1) * 200 / 199
    x, slope = (np.log(p), 1 / p) if kind == "log" else (np.log(p / (1 - p)), None)
    slope = 1 / (p * (1 - p)) if slope is None else slope
    q = (x[0] - x[1]) ** 2 / np.sum(v * slope**2)
    assert homogeneity(apart).statistic == pytest.approx(q, rel=0.03)


def test_two_groups_that_share_blocks_are_the_paired_t_test():
    rng = np.random.default_rng(0)
    num = rng.normal(size=(2, 25)) + 3 * rng.normal(size=25)
    num[1] += 0.3
    found = homogeneity(drawn(num, 20_000), shared=True)
    assert found.p == pytest.approx(stats.ttest_rel(*num).pvalue, rel=0.05)
    alone = homogeneity(drawn(num, 2000), shared=False)
    assert alone.p > 2 * found.p


def test_groups_left_out_and_cells_side_by_side():
    three = shares([[8, 30, 41], [10, 30, 99]], [[50, 90, 70], [50, 90, 99]])
    ok = np.array([[True, True, True], [True, True, False]])
    found = homogeneity(three._replace(ok=ok))
    assert found.df.tolist() == [2, 1] and found.groups.tolist() == [3, 2]
    pair = homogeneity(shares([10, 30], [50, 90]))
    assert found.p[1] == pytest.approx(pair.p)
    none = homogeneity(three._replace(ok=np.zeros((2, 3), bool)))
    assert np.isnan(none.p).all() and np.isnan(none.statistic).all()


def test_groups_that_cannot_differ_and_groups_that_are_certain():
    assert homogeneity(shares([0, 0], [40, 50])).p == 1
    assert homogeneity(shares([0, 50], [40, 50])).p < 1e-6


def p_values(kind, groups, rows, rng, count=1500):
    """Under the null: one p-value for each of `count` worlds."""
    if kind == "wilson":
        n = np.full((count, groups), rows)
        return homogeneity(shares(rng.binomial(n, 0.2), n)).p
    num = rng.normal(size=(count, groups, rows)) + rng.normal(size=(count, 1, rows))
    return homogeneity(drawn(num, 300), shared=True).p


@pytest.mark.parametrize("kind", ["wilson", "shared"])
@pytest.mark.parametrize("groups", [2, 3, 8])
def test_the_size_is_five_percent(kind, groups):
    rng = np.random.default_rng(1)
    p = p_values(kind, groups, 60, rng)
    size = np.mean(p < 0.05)
    print(f"{kind}, {groups} groups: {size:.3f}")
    assert abs(size - 0.05) < 3 * np.sqrt(0.05 * 0.95 / len(p))


@pytest.mark.parametrize("ours,theirs", [("holm", "holm"), ("bh", "fdr_bh")])
def test_adjust_is_statsmodels_and_leaves_out_what_is_unknown(ours, theirs):
    rng = np.random.default_rng(0)
    p = rng.random(30) ** 3
    p[4] = p[7]
    expected = multipletests(p, method=theirs)[1]
    np.testing.assert_allclose(adjust(p, ours), expected)
    holes = np.insert(p, [0, 9, 30], np.nan)
    found = adjust(holes, ours)
    np.testing.assert_allclose(found[~np.isnan(holes)], expected)
    assert np.isnan(found[np.isnan(holes)]).all()


def test_adjust_of_nothing_and_of_an_unknown_name():
    assert np.isnan(adjust(np.array([np.nan]), "holm")).all()
    with pytest.raises(ValueError, match="expected holm or bh"):
        adjust(np.array([0.1]), "bonferroni")


def test_a_group_of_few_shared_blocks_is_left_out_not_the_test():
    rng = np.random.default_rng(0)
    value = np.array([0.5, 0.6, 0.7, 0.9])
    draws = value[:, None] + 0.05 * rng.normal(size=(4, 400))
    effective = np.array([60.0, 50.0, 40.0, 4.0])
    none = np.full((4, 1), np.nan)
    found = homogeneity(
        Estimate(value, none, draws, effective, np.ones(4, bool)), shared=True
    )
    assert found.groups == 3 and found.df == 2 and np.isfinite(found.p)
