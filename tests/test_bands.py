import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multicomp import pairwise_tukeyhsd
from statsmodels.stats.proportion import confint_proportions_2indep

from equity_jax.audit.statistics import bands, inference, intervals
from equity_jax.audit.statistics.inference import Estimate


def shares(hits, n):
    hits, n = np.asarray(hits, float), np.asarray(n, float)
    p = hits / n
    empty = np.full((*p.shape, 1), np.nan)
    ok, se = np.ones(p.shape, bool), np.sqrt(p * (1 - p) / n)
    return Estimate(p, empty, empty, n, ok, se, n, "wilson")


def summed(num, den, replicates=400, seed=0):
    """Ratios of sums over blocks [..., B] that all groups share, bootstrapped."""
    blocks = num.shape[-1]
    w = inference.resample(blocks, replicates, seed, "bootstrap").T.astype(float)
    value = num.sum(-1) / den.sum(-1)
    empty, ok = np.full((*value.shape, 1), np.nan), np.ones(value.shape, bool)
    effective = inference.effective_number(den)
    return Estimate(value, empty, (num @ w) / (den @ w), effective, ok)


def covered(low, high, truth):
    return float(np.mean((low <= truth) & (truth <= high)))


def one(estimate, i):
    return inference.groups(estimate, np.array([i]))


def test_a_difference_of_shares_is_newcombe_s_interval():
    both = shares([12, 30], [40, 60])
    value, low, high = bands.contrast(one(both, 0), one(both, 1))
    said = confint_proportions_2indep(12, 40, 30, 60, method="newcomb")
    assert value[0] == pytest.approx(12 / 40 - 0.5)
    assert (low[0], high[0]) == pytest.approx(said, abs=1e-9)


def test_a_ratio_of_certain_to_uncertain_is_the_interval_turned_over():
    a, b = shares([500_000_000], [10**9]), shares([30], [60])
    value, low, high = bands.contrast_ratio(a, b)
    ends = inference.interval(b)
    assert value[0] == pytest.approx(1)
    assert (low[0], high[0]) == pytest.approx(
        (0.5 / ends[1][0], 0.5 / ends[0][0]), 1e-3
    )


def test_a_ratio_says_which_ratios_mover_does_not_tell_apart():
    both = shares([12, 30], [40, 60])
    a, b = one(both, 0), one(both, 1)
    _, low, high = bands.contrast_ratio(a, b)
    of_a, of_b = inference.interval(a), inference.interval(b)
    for ratio, end in ((low, 1), (high, 2)):
        scaled = ratio * of_b[0], ratio * of_b[1]
        ends = intervals.mover(a.value, of_a, ratio * b.value, scaled)
        assert ends[end][0] == pytest.approx(0, abs=1e-9)


def test_ratios_with_zeros():
    none, some = shares([0], [40]), shares([10], [40])
    value, low, high = bands.contrast_ratio(none, some)
    assert value[0] == 0 == low[0] and 0 < high[0] < 1
    assert all(np.isnan(x[0]) for x in bands.contrast_ratio(some, none))
    few = shares([1], [20])
    few = few._replace(size=np.array([2.0]))  # the interval does not reach 0
    assert np.isfinite(bands.contrast_ratio(some, few)[2][0])


def test_correlation_is_used_only_where_blocks_are_shared():
    rng = np.random.default_rng(0)
    draws = 0.05 * rng.normal(size=500) + np.array([[[0.3], [0.5]]])
    both = shares([[12, 30]], [[40, 60]])._replace(draws=draws)
    apart = bands.contrast(one(both, 0), one(both, 1))
    together = bands.contrast(one(both, 0), one(both, 1), shared=True)
    assert together[2] - together[1] < 0.4 * (apart[2] - apart[1])
    plain = shares([[12, 30]], [[40, 60]])
    assert apart == bands.contrast(one(plain, 0), one(plain, 1))


def test_what_is_shared_cancels_exactly():
    shared = np.random.default_rng(3).normal(size=(1, 1, 50))
    both = summed(np.array([[[5.0], [4.0]]]) + shared, np.ones((1, 2, 50)))
    _, low, high = bands.contrast(one(both, 0), one(both, 1), shared=True)
    assert high[0, 0] - low[0, 0] < 1e-9
    _, low, high = bands.contrast(one(both, 0), one(both, 1), shared=False)
    assert high[0, 0] - low[0, 0] > 0.5


def test_bands_and_pairs_are_sidak_and_tukey():
    n = np.full(5, 400_000.0)
    five = shares(n * [0.5, 0.5, 0.4, 0.3, 0.2], n)
    low, high = bands.bands(five)
    c = stats.norm.ppf((1 + 0.95 ** (1 / 5)) / 2)
    assert (high - low) / 2 == pytest.approx(c * five.se, rel=1e-3)
    first, second, value, low, high = bands.pairs(five)
    q = stats.studentized_range.ppf(0.95, 5, np.inf)
    se = np.hypot(five.se[first], five.se[second])
    assert (high - low) / 2 == pytest.approx(q / np.sqrt(2) * se, rel=1e-3)
    assert value == pytest.approx(five.value[first] - five.value[second])
    rng = np.random.default_rng(0)  # and of whole rows, as statsmodels has it
    groups, rows = np.repeat(np.arange(3), 3000), rng.normal(size=9000)
    said = pairwise_tukeyhsd(rows, groups).confint
    half = (said[:, 1] - said[:, 0]) / 2
    c = stats.norm.ppf((1 + bands.tukey(3, 0.95)) / 2)
    assert half == pytest.approx(c * np.std(rows, ddof=1) * np.sqrt(2 / 3000), rel=0.01)


@pytest.mark.parametrize("kind", ["wilson", "bootstrap"])
@pytest.mark.parametrize("groups", [2, 3, 8])
def test_gap_pairs_and_bands_hold_together(kind, groups):
    rng = np.random.default_rng(groups)
    truth = np.where(np.arange(groups) == 0, 0.4, 0.2)
    count = 800
    if kind == "wilson":
        n = np.broadcast_to(rng.integers(40, 300, groups), (count, groups))
        found = shares(rng.binomial(n, truth), n)
    else:
        x = rng.gamma(4.0, 0.25, (count, groups, 60)) * truth[:, None]
        found = summed(x, np.ones_like(x))
    low, high = bands.bands(found)
    held = np.mean(np.all((low <= truth) & (truth <= high), axis=-1))
    first, second, _, low, high = bands.pairs(found, shared=kind == "bootstrap")
    away = truth[first] - truth[second]
    paired = np.mean(np.all((low <= away) & (away <= high), axis=-1))
    _, low, high, _ = bands.gap(found, shared=kind == "bootstrap")
    gap = covered(low, high, 0.2)
    print(f"{kind} {groups}: bands {held:.3f}, pairs {paired:.3f}, gap {gap:.3f}")
    enough = 0.94 - 3 * np.sqrt(0.95 * 0.05 / count)
    assert min(held, paired, gap) >= enough


def test_the_gap_of_equal_groups_contains_zero_and_the_percentile_does_not():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(600, 4, 50))
    found = summed(x, np.ones_like(x))
    _, low, _, corrected = bands.gap(found)
    spread = found.draws.max(axis=1) - found.draws.min(axis=1)
    naive = covered(*np.quantile(spread, [0.025, 0.975], axis=-1), 0.0)
    ours = np.mean(low == 0)
    print(f"ours {ours:.3f}, percentile {naive:.3f}")
    assert ours >= 0.94 - 3 * np.sqrt(0.05 * 0.95 / 600) and naive < 0.05
    assert np.mean(corrected == 0) > 0.3


def test_the_corrected_gap_has_the_spread_of_the_true_values():
    value, n = np.array([0.30, 0.36, 0.45]), np.full(3, 200.0)
    three = shares(value * n, n)._replace(se=np.full(3, 0.03))
    between = np.var(value, ddof=1)
    share = np.sqrt(1 - 0.03**2 / between)
    assert bands.gap(three)[3] == pytest.approx(share * 0.15)
    assert bands.gap(three._replace(se=np.full(3, 0.2)))[3] == 0
    noisy = three._replace(se=np.array([0.03, 0.03, 0.2]))
    assert bands.gap(noisy)[3] < 0.05 < bands.gap(three)[3]


@pytest.mark.parametrize("planted", [0.0, 0.3])
def test_the_corrected_gap_is_nearer_than_the_gap(planted):
    rng = np.random.default_rng(6)
    truth = 0.4 + planted * np.arange(8) / 7
    n = np.tile([40.0, 400.0], 4)
    found = shares(rng.binomial(n.astype(int), truth, (400, 8)), n)
    value, _, _, corrected = bands.gap(found)
    assert abs(np.mean(corrected) - planted) < 0.5 * abs(np.mean(value) - planted)
    assert np.mean((corrected - planted) ** 2) < 0.7 * np.mean((value - planted) ** 2)


def test_groups_that_are_not_ok_are_left_out():
    three = shares([[8, 30, 65], [8, 30, 65]], [[50, 90, 70], [50, 90, 70]])
    three = three._replace(ok=np.array([[True, True, False], [True, False, False]]))
    two = inference.groups(three, np.array([0, 1]))
    for function in (bands.gap, bands.ratio_gap):
        found, alone = function(three), function(two)
        for x, y in zip(found, alone, strict=True):
            assert x[0] == pytest.approx(y[0]) and np.isnan(x[1])
    low, _ = bands.bands(three)
    assert np.isnan(low).tolist() == [[False, False, True], [False, True, True]]
    assert low[1, 0] == inference.interval(one(three, 0))[0][1, 0]
    single = inference.groups(three, np.array([0]))
    assert all(np.isnan(x).all() for x in bands.gap(single))
    assert all(np.isnan(x).all() for x in bands.ratio_gap(single))


def test_ratio_gap_is_smallest_over_largest():
    three = shares([8, 30, 65], [50, 90, 70])
    value, low, high = bands.ratio_gap(three)
    assert value == pytest.approx((8 / 50) / (65 / 70))
    assert 0 < low < value < high < 1
    same = shares([30, 30, 30], [90, 90, 90])
    value, low, high = bands.ratio_gap(same)
    assert (value, high) == (1, 1) and low < 1
    assert all(np.isnan(x) for x in bands.ratio_gap(shares([0, 0], [30, 40])))
    value, low, high = bands.ratio_gap(shares([0, 20], [30, 40]))
    assert value == low == 0 and 0 < high < 1


def test_draws_of_pairs_are_taken_some_at_a_time(monkeypatch):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3, 6, 40))
    found = summed(x, np.ones_like(x), replicates=200)
    whole = bands.pairs(found, shared=True)
    monkeypatch.setattr(bands, "CHUNK", 2000)
    for x, y in zip(whole, bands.pairs(found, shared=True), strict=True):
        np.testing.assert_array_equal(x, y)


def test_seeds_join_groups_though_no_block_does():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(1, 2, 40))
    apart = summed(x, np.ones_like(x))
    moved = apart._replace(seeds=apart.value[..., None] + [[[-0.1, 0.0, 0.1]]])
    first = bands.contrast(one(moved, 0), one(moved, 1))
    shared = bands.contrast(one(moved, 0), one(moved, 1), shared=True)
    assert [x[0] for x in first] == [x[0] for x in shared]
