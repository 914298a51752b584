import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from equity_jax.audit.statistics import inference
from equity_jax.audit.statistics.inference import Estimate

REPLICATES = 600


def summed(num, den, seed=0):
    """Estimates of sum(num) / sum(den), float[..., B] each: blocks only, no seeds."""
    blocks, den = num.shape[-1], np.broadcast_to(den, num.shape)
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
    count, blocks = 400, 60
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


def closed(value, se, effective, kind, size=None, draws=None):
    value = np.asarray(value, float)
    empty = np.full((*value.shape, 1), np.nan)
    se, size, effective = (
        None if x is None else np.broadcast_to(np.asarray(x, float), value.shape)
        for x in (se, size, effective)
    )
    ok = np.ones(value.shape, bool)
    draws = empty if draws is None else draws
    return Estimate(value, empty, draws, effective, ok, se, size, kind)


def test_single_rows_have_plain_wilson_intervals():
    hits, n = np.array([0, 3, 17, 40]), np.array([40, 12, 60, 40])
    p = hits / n
    ends = inference.interval(closed(p, np.sqrt(p * (1 - p) / n), n, "wilson", n))
    said = proportion_confint(hits, n, method="wilson")
    np.testing.assert_allclose(ends, said, atol=1e-12)
    # a denominator that only some blocks have: precision
    ends = inference.interval(closed(p, np.sqrt(p * (1 - p) / n), 2 * n, "wilson", n))
    np.testing.assert_allclose(ends, said, atol=1e-12)


def test_few_blocks_of_many_rows_widen_wilson_as_korn_and_graubard_do():
    n = 0.21 / 0.03**2
    low, high = inference.interval(closed([0.3], [0.03], [8], "wilson", [n]))
    ratio = stats.t.ppf(0.975, n - 1) / stats.t.ppf(0.975, 7)
    rows = n * ratio**2 * (7 / 8) / ((n - 1) / n)
    said = proportion_confint(0.3 * rows, rows, method="wilson")
    assert (low[0], high[0]) == pytest.approx(said)


@pytest.mark.parametrize("kind", ["logit", "log"])
def test_scales_take_the_bootstrap_s_variance_and_student_s_t(kind):
    rng = np.random.default_rng(5)
    one = summed(0.3 + 0.1 * rng.normal(size=(1, 20)), np.ones((1, 20)))
    there = {"logit": lambda p: np.log(p / (1 - p)), "log": np.log}[kind]
    back = {"logit": lambda x: 1 / (1 + np.exp(-x)), "log": np.exp}[kind]
    p = one.value[0]
    slope = 1 / (p * (1 - p)) if kind == "logit" else 1 / p
    half = stats.t.ppf(0.975, 19) * slope * one.draws.std() * np.sqrt(20 / 19)
    low, high = inference.interval(one._replace(kind=kind))
    assert low[0] == pytest.approx(back(there(p) - half))
    assert high[0] == pytest.approx(back(there(p) + half))


def test_outside_of_its_scale_a_number_has_the_percentile_interval():
    rng = np.random.default_rng(6)
    two = summed(np.array([[[-0.3], [0.4]]]) + 0.1 * rng.normal(size=(1, 2, 20)), 1.0)
    scaled = inference.interval(two._replace(kind="logit"))
    plain = inference.interval(two)
    assert scaled[0][0, 0] == plain[0][0, 0] and scaled[0][0, 1] != plain[0][0, 1]


def test_delong_is_student_s_on_the_logit_scale_and_stays_inside():
    found = closed([0.9, 0.98], [0.05, 0.03], [20, 20], "delong")
    low, high = inference.interval(found)
    t = stats.t.ppf(0.975, 19)
    for a, se, ends in zip(
        found.value, found.se, np.stack([low, high], -1), strict=True
    ):
        center, half = np.log(a / (1 - a)), t * se / (a * (1 - a))
        said = 1 / (1 + np.exp(-center + half)), 1 / (1 + np.exp(-center - half))
        assert ends == pytest.approx(said)
    assert np.all(high < 1)


def test_a_perfect_auroc_of_few_is_wilson_s():
    low, high = inference.interval(closed([1.0], [0.0], [12], "delong"))
    t = stats.t.ppf(0.975, 11)
    assert low[0] == pytest.approx(12 / (12 + t**2)) and high[0] == 1


def test_without_a_closed_form_the_draws_speak():
    rng = np.random.default_rng(0)
    draws = 0.5 + 0.05 * rng.normal(size=(2, 500))
    both = closed([0.5, 0.5], [0.05, np.nan], [40, 40], "delong", draws=draws)
    plain = both._replace(kind="bootstrap")
    mixed, drawn = inference.interval(both), inference.interval(plain)
    assert mixed[0][1] == drawn[0][1] and mixed[0][0] != drawn[0][0]
    seeds = both._replace(seeds=np.full((2, 3), 0.5) + [[-0.1, 0, 0.1]])
    expected = inference.interval(seeds._replace(kind="bootstrap"))
    np.testing.assert_array_equal(inference.interval(seeds), expected)
    assert inference.closed(both).tolist() == [True, False]
    assert not inference.closed(seeds).any()


def test_closed_forms_need_no_draws():
    none = np.zeros((1, 0))
    found = closed([0.4], [0.05], [96], "wilson", [96], draws=none)
    low, high = inference.interval(found)
    assert 0 < low[0] < 0.4 < high[0] < 1


def test_estimable_asks_the_floors():
    sizes = {"n": 90, "patients": 90, "positives": 4, "negatives": 86}
    found = closed([0.8], [0.1], [4], "delong")
    assert inference.estimable("auroc", found, (0,), sizes) != ""
    sizes = {"n": 900, "patients": 900, "positives": 400, "negatives": 500}
    found = closed([0.8], [0.01], [400], "delong")
    assert inference.estimable("auroc", found, (0,), sizes) == ""


def test_a_students_interval_and_its_p_value_say_the_same():
    rng = np.random.default_rng(0)
    value = np.array([0.02, 0.05, -0.08, 0.0])
    draws = value[:, None] + 0.02 * rng.normal(size=(4, 400))
    draws[3] = 0.0
    found = closed(value, [np.nan] * 4, [30.0] * 4, "student", draws=draws)
    low, high = inference.interval(found)
    p = inference.p_value(found)
    assert ((low > 0) | (high < 0)).tolist() == (
        np.nan_to_num(p, nan=1) < 0.05
    ).tolist()
    sd = np.sqrt(draws[0].var() * 30 / 29)
    assert high[0] - low[0] == pytest.approx(2 * stats.t.ppf(0.975, 29) * sd)
    assert p[1] == pytest.approx(
        2 * stats.t.sf(0.05 / np.sqrt(draws[1].var() * 30 / 29), 29)
    )
    assert p[3] == 1.0, "nothing varies about 0"
    assert np.isnan(inference.p_value(found._replace(value=value + 1.0))[3])
    assert np.isnan(inference.p_value(found._replace(ok=value > 1))).all()
