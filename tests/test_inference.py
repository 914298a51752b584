import numpy as np
import pytest
from scipy import stats

from equity_jax.audit import inference
from equity_jax.audit.inference import Estimate

REPLICATES = 600


def summed(num, den, seed=0):
    """Estimates of sum(num) / sum(den), float[..., B] each: blocks only, no seeds."""
    blocks = num.shape[-1]
    w = inference.resample(blocks, REPLICATES, seed, "bootstrap").T.astype(float)
    value = num.sum(-1) / den.sum(-1)
    return Estimate(
        value,
        np.full((*value.shape, 1), np.nan),
        (num @ w) / (den @ w),
        inference.effective_number(den),
        np.ones(value.shape, bool),
    )


def covered(low, high, truth):
    return float(np.mean((low <= truth) & (truth <= high)))


def unequal(rng, shape):
    """Block sizes: the largest of 60 has about ten times the rows of the median."""
    return np.maximum(1, rng.poisson(8 * np.exp(rng.normal(0, 1.0, shape)))) * 1.0


def test_resample_is_a_multinomial_that_depends_on_seed_and_purpose():
    a = inference.resample(60, 2000, 0, "bootstrap")
    assert a.dtype == np.uint8 and (a.sum(axis=1) == 60).all()
    assert a.mean() == 1 and a.var() == pytest.approx(1 - 1 / 60, abs=0.03)
    assert np.array_equal(a, inference.resample(60, 2000, 0, "bootstrap"))
    assert not np.array_equal(a, inference.resample(60, 2000, 1, "bootstrap"))
    assert not np.array_equal(a, inference.resample(60, 2000, 0, "other"))


def test_effective_number():
    assert inference.effective_number(np.ones(7)) == pytest.approx(7)
    assert inference.effective_number(np.array([1e9, 1.0, 1.0])) == pytest.approx(1)
    assert inference.effective_number(np.zeros(3)) == 0


def test_stretch_is_student_s_factor_for_equal_blocks():
    rng = np.random.default_rng(0)
    one = summed(rng.normal(size=(1, 20)), np.ones((1, 20)))
    expected = np.sqrt(20 / 19) * stats.t.ppf(0.975, 19) / stats.norm.ppf(0.975)
    assert inference.stretch(one)[0] == pytest.approx(expected, rel=1e-9)
    seeds = one._replace(seeds=rng.normal(size=(1, 3)) * 100, draws=one.draws * 0)
    seeds = seeds._replace(
        draws=rng.normal(size=(1, 5000)) * seeds.seeds.std() / 3**0.5
    )
    expected = np.sqrt(3 / 2) * stats.t.ppf(0.975, 2) / stats.norm.ppf(0.975)
    assert inference.stretch(seeds)[0] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("blocks", [60, 100])
@pytest.mark.parametrize("kind", ["plain", "size matters", "skewed"])
def test_paired_difference_of_unequal_blocks_is_covered(blocks, kind):
    rng = np.random.default_rng(7)

    def draw(count, units):
        size = unequal(rng, (count, units))
        if kind == "skewed":  # Gamma(2): skewness 1.4
            size = np.maximum(1, rng.poisson(8, size.shape)) * 1.0
            effect = rng.gamma(2.0, 0.5, size.shape) - 1
        else:
            slope = 0.2 if kind == "size matters" else 0.0
            effect = slope * np.log(size / 8) + rng.normal(size=size.shape)
        noise = rng.normal(size=size.shape) * np.sqrt(size)
        return size * effect + noise, size  # transfer minus mixture, summed by block

    num, den = draw(1, 1_000_000)
    truth = num.sum() / den.sum()
    estimate = summed(*draw(1500, blocks))
    plain = np.quantile(estimate.draws, [0.025, 0.975], axis=-1)
    ours = covered(*inference.interval(estimate), truth)
    print(f"{kind}, {blocks}: {ours:.3f}, percentile {covered(*plain, truth):.3f}")
    assert 0.90 <= ours <= 0.98
    assert ours > covered(*plain, truth)


@pytest.mark.parametrize("seeds", [3, 20])
@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_crossed_seeds_and_blocks_are_covered(seeds, spread):
    rng = np.random.default_rng(11)
    count, blocks = 800, 60
    block = rng.normal(size=(count, 1, blocks))
    seed = spread * rng.normal(size=(count, seeds, 1))
    both = block + seed + 0.3 * rng.normal(size=(count, seeds, blocks))
    w = inference.resample(blocks, REPLICATES, 0, "bootstrap").T / blocks
    v = inference.resample(seeds, REPLICATES, 0, "bootstrap/seeds").T / seeds
    estimate = Estimate(
        both.mean(axis=(1, 2)),
        both.mean(axis=2),
        np.einsum("csr,sr->cr", both @ w, v),
        np.full(count, float(blocks)),
        np.ones(count, bool),
    )
    ours = covered(*inference.interval(estimate), 0.0)
    print(f"{seeds} seeds, spread {spread}: {ours:.3f}")
    assert 0.93 <= ours <= 0.985


@pytest.mark.parametrize("planted", [0.0, 0.4])
def test_gap_and_bands_cover_and_the_percentile_bootstrap_does_not(planted):
    rng = np.random.default_rng(5)
    groups, blocks, count = 4, 60, 600
    truth = np.array([0.0, 0.0, 0.0, planted])
    den = unequal(rng, (count, groups, blocks))
    shared = 0.5 * rng.normal(size=(count, 1, blocks))  # a block's groups move together
    num = den * (truth[:, None] + shared + 0.5 * rng.normal(size=den.shape))
    estimate = summed(num, den)
    value, low, high = inference.gap(estimate)
    ours = covered(low, high, planted)
    spread = estimate.draws.max(axis=1) - estimate.draws.min(axis=1)
    naive = covered(*np.quantile(spread, [0.025, 0.975], axis=-1), planted)
    ends = inference.bands(estimate)
    band = np.mean(np.all((ends[0] <= truth) & (truth <= ends[1]), axis=1))
    print(f"gap {planted}: {ours:.3f}, percentile {naive:.3f}, bands {band:.3f}")
    assert ours >= 0.94 and band >= 0.92
    assert np.all(low >= 0) and np.all((low <= value) & (value <= high))
    if planted == 0:
        assert naive < 0.5 and np.mean(low == 0) >= 0.94


def test_gap_leaves_out_what_cannot_be_estimated():
    rng = np.random.default_rng(0)
    estimate = summed(
        rng.normal(size=(1, 3, 30)) + [[[0], [1], [9]]], np.ones((1, 3, 30))
    )
    estimate = estimate._replace(ok=np.array([[True, True, False]]))
    value, _, high = inference.gap(estimate)
    assert value[0] == pytest.approx(abs(estimate.value[0, 1] - estimate.value[0, 0]))
    assert high[0] < 3
    alone = estimate._replace(ok=np.array([[True, False, False]]))
    assert all(np.isnan(x[0]) for x in inference.gap(alone))
    one = inference.groups(estimate, np.array([0]))
    assert all(np.isnan(x[0]) for x in inference.gap(one))


def test_quotient_and_difference_are_paired():
    rng = np.random.default_rng(3)
    shared = rng.normal(size=(1, 50))
    a = summed(5 + shared, np.ones((1, 50)))
    b = summed(4 + shared, np.ones((1, 50)))
    low, high = inference.interval(inference.difference(a, b))
    assert high[0] - low[0] < 1e-12  # what is shared cancels exactly
    ratio = inference.quotient(a, b)
    assert ratio.value[0] == pytest.approx(a.value[0] / b.value[0])
    np.testing.assert_allclose(ratio.draws, a.draws / b.draws)


def test_quotient_by_zero_is_not_ok():
    zero = summed(np.zeros((1, 10)), np.ones((1, 10)))
    one = summed(np.ones((1, 10)), np.ones((1, 10)))
    assert not inference.quotient(one, zero).ok[0]


def test_quantiles_ignore_undefined_replicates():
    draws = np.array([[3.0, np.nan, 1.0, 2.0, np.nan]])
    got = inference._quantile(np.sort(draws, axis=-1), 0.25)
    assert got[0] == pytest.approx(np.nanquantile(draws, 0.25))
