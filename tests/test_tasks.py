"""Likelihoods against scipy in float64, extremes, classes, starts and forecasts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln

from equity_jax.counts import log_likelihood
from equity_jax.predictive import burden_probability, forecast, quantiles
from equity_jax.tasks import TASKS
from equity_jax.types import Counted, InputError, Mixed

LINES = [
    *("binary", "multilabel(3)", "multiclass(4)"),
    *("count(0.1)", "count(0.1, 'poisson')"),
]


likelihood = jax.jit(log_likelihood)


def law(mu, alpha):
    if alpha is None:
        return stats.poisson(mu)
    return stats.nbinom(1 / alpha, 1 / (1 + alpha * mu))


def counted(low, high=None, exposure=1.0, truncated=0.0):
    low = np.asarray(low, np.float64)
    high = low if high is None else np.asarray(high, np.float64)
    rows = (low, high, exposure, truncated)
    return Counted(*(np.broadcast_to(np.float64(a), low.shape) for a in rows))


def float64(y, log_rate, log_alpha):
    with jax.enable_x64(True):
        return np.asarray(likelihood(y, log_rate, log_alpha))


def labels(line, task):
    if line.startswith("count"):
        low = np.array([0, 1, 0, 37, 50_000, 12, 0, 3, 12], np.float32)[:, None]
        high = np.array([0, 9, 9, 37, 50_000, 12, 9, 3, 12], np.float32)[:, None]
        exposure = np.array([4, 9, 90, 50, 90_000, 13, 0, 3, 0], np.float32)[:, None]
        truncated = np.array([1, 0, 0, 1, 1, 0, 0, 0, 1], np.float32)[:, None]
        return Counted(low, high, exposure, truncated)
    if line.startswith("multiclass"):
        return np.array([0, 1, 2, 3, -1, 0, 1, 2, 3])[:, None]
    y = np.arange(9 * task.outputs).reshape(9, task.outputs) % 2.0
    y[4] = np.nan
    return y.astype(np.float32)


@pytest.mark.parametrize("line", LINES)
def test_value_and_gradient_are_finite(line):
    task = TASKS.get(line)
    y = labels(line, task)
    width = task.outputs + task.constants

    @jax.jit
    def look(logits):
        nll, pull = jax.vjp(lambda z: task.nll(z, y), logits)
        return nll, task.predict(logits, y), pull(jnp.ones_like(nll))[0]

    signs = np.stack([np.ones(width), -np.ones(width), (-1.0) ** np.arange(width)])
    for extreme in (-1e4, -88.0, -15.0, 0.0, 15.0, 88.0, 1e4):
        for sign in signs:
            logits = np.tile(np.float32(extreme * sign), (9, 1))
            nll, predicted, slope = look(logits)
            assert nll.shape == (9, 3 if line == "multilabel(3)" else 1)
            assert predicted.shape == (9, task.outputs)
            for array in (nll, predicted, slope):
                assert np.isfinite(array).all()
            assert (np.asarray(nll) >= -1e-5).all()


@pytest.mark.parametrize("line", LINES)
def test_jit_is_the_same_and_unknown_labels_are_silent(line):
    task = TASKS.get(line)
    y = labels(line, task)
    width = task.outputs + task.constants
    logits = np.random.default_rng(0).normal(size=(9, width)).astype(np.float32)
    nll = task.nll(logits, y)
    np.testing.assert_allclose(jax.jit(task.nll)(logits, y), nll, rtol=2e-5, atol=1e-6)
    assert nll.dtype == jnp.float32
    silent = [6, 8] if line.startswith("count") else [4]
    assert (np.asarray(nll)[silent] == 0).all()
    gradient = jax.grad(lambda z: task.nll(z, y).sum())(logits)
    assert (np.asarray(gradient)[silent] == 0).all()
    assert (np.asarray(task.class_of(y))[silent] == -1).all()
    assert task.class_of(y).dtype.kind == "i"


def test_binary_and_multiclass_values():
    y = np.array([[1.0], [0.0]])
    z = np.array([[0.3], [-1.2]])
    p = 1 / (1 + np.exp(-z))
    want = -np.log(np.where(y == 1, p, 1 - p))
    np.testing.assert_allclose(TASKS.get("binary").nll(z, y), want, rtol=1e-6)
    logits = np.array([[1.0, 2.0, -1.0]])
    want = -np.log(np.exp(2.0) / np.exp(logits).sum())
    got = TASKS.get("multiclass(3)").nll(logits, np.array([[1]]))
    np.testing.assert_allclose(got, [[want]], rtol=1e-6)


def log_pmf(y, mu, alpha):
    """Float64, written out: scipy's nbinom takes p = 1 / (1 + alpha mu), which is 1."""
    if alpha is None:
        return stats.poisson.logpmf(y, mu)
    r = 1 / alpha
    spread = np.log1p(alpha * mu)
    log_gammas = gammaln(y + r) - gammaln(r) - gammaln(y + 1)
    return log_gammas - r * spread + y * (np.log(alpha * mu) - spread)


@pytest.mark.parametrize("alpha", [None, (1e-6, 1e-3, 0.05, 1.0, 30.0)])
def test_published_counts_agree_with_scipy(alpha):
    y = [0, 1, 4, 9, 10, 11, 25, 300, 5_000, 50_000]
    mu = [1e-13, 1e-3, 0.7, 5.0, 80.0, 3e4, 3e6]
    grid = np.meshgrid(y, mu, alpha or [1.0], indexing="ij")
    y, mu, alphas = (np.array(a, float).ravel() for a in grid)
    own = None if alpha is None else alphas
    log_mu, log_alpha = np.log(mu), None if alpha is None else np.log(alphas)
    got = float64(counted(y), log_mu, log_alpha)
    want = log_pmf(y, mu, own)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8)
    plain = mu > 1e-2
    np.testing.assert_allclose(
        got[plain], law(mu, own).logpmf(y)[plain], rtol=1e-5, atol=1e-6
    )
    # float32 of the same float32 inputs
    rows = Counted(*(a.astype(np.float32) for a in counted(y)))
    small = [None if a is None else a.astype(np.float32) for a in (log_mu, log_alpha)]
    exact = float64(
        counted(y), *(None if a is None else a.astype(float) for a in small)
    )
    np.testing.assert_allclose(likelihood(rows, *small), exact, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("alpha", [None, (1e-6, 0.05, 2.0)])
def test_intervals_and_truncation_agree_with_scipy(alpha):
    low = np.array([1, 0, 0, 3, 9.0])
    high = np.array([9, 9, 3, 4, 9.0])
    far = np.array([0, 10, 11, 40, 90.0])
    mu, spread = np.meshgrid([1e-3, 0.7, 5.0, 80.0], alpha or [1.0], indexing="ij")
    for m, a in zip(mu.ravel(), spread.ravel(), strict=True):
        a = None if alpha is None else a
        log_mu, log_alpha = _like(5, m, a)
        mass = np.exp(log_pmf(np.arange(10), m, a))
        want = [mass[int(i) : int(j) + 1].sum() for i, j in zip(low, high, strict=True)]
        got = float64(counted(low, high), log_mu, log_alpha)
        np.testing.assert_allclose(got, np.log(want), rtol=1e-6, atol=1e-9)
        want = log_pmf(far, m, a) - np.log(1 - mass[1:].sum())
        got = float64(counted(far, truncated=1.0), log_mu, log_alpha)
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-9)
        total = float64(counted(np.arange(5000.0)), *_like(5000, m, a))
        np.testing.assert_allclose(np.exp(total).sum(), 1.0, rtol=1e-9)


def _like(n, mu, alpha):
    return np.full(n, np.log(mu)), None if alpha is None else np.full(n, np.log(alpha))


def test_gradients_agree_with_differences():
    y = counted([0, 3, 10, 40, 45_000, 1, 0, 12], [0, 3, 10, 40, 45_000, 9, 9, 12])
    y = y._replace(truncated=np.array([1, 0, 1, 0, 0, 0, 0, 1.0]))
    y = Counted(*(np.tile(a, 4) for a in y))
    z = np.tile(np.log([2.0, 2.0, 7.0, 30.0, 44_000, 3.0, 12.0, 6.0]), 4)
    a = np.repeat(np.log([1e-6, 1e-4, 0.05, 3.0]), 8)

    def total(z, a):
        return log_likelihood(y, z, a).sum()

    h = 1e-5
    with jax.enable_x64(True):
        got = jax.jit(jax.grad(total, (0, 1)))(z, a)
        for i, (up, down) in enumerate([((h, 0), (-h, 0)), ((0, h), (0, -h))]):
            high = likelihood(y, z + up[0], a + up[1])
            low = likelihood(y, z + down[0], a + down[1])
            np.testing.assert_allclose(got[i], (high - low) / (2 * h), 2e-4, 2e-4)
    rough = jax.grad(total, (0, 1))(z.astype(np.float32), a.astype(np.float32))
    for r, exact in zip(rough, got, strict=True):
        # the last digit of log mu, times mu = 44,000, is what float32 cannot know
        np.testing.assert_allclose(r, exact, rtol=2e-3, atol=0.05)


def test_burden_is_decided_by_intervals():
    y = counted(
        [3, 1, 1, 0, 0, 12, 4], [3, 9, 9, 9, 9, 12, 4], [30, 91, 9, 50, 0, 9, 41]
    )
    y = Counted(*(a[:, None].astype(np.float32) for a in y))
    got = TASKS.get("count(0.1)").class_of(y)
    assert np.asarray(got)[:, 0].tolist() == [1, 0, 1, -1, -1, 1, 0]


def test_start_is_the_best_constant():
    rng = np.random.default_rng(1)
    exposure = rng.integers(50, 400, 4000).astype(np.float32)
    draws = law(exposure * np.exp(-2.0), 0.2).rvs(random_state=rng).astype(np.float32)
    hidden = (draws > 0) & (draws < 10)
    low, high = np.where(hidden, 1, draws), np.where(hidden, 9, draws)
    y = Counted(
        *(a[:, None] for a in (low, high, exposure, np.zeros(4000, np.float32)))
    )
    task, mask = TASKS.get("count"), np.ones((4000, 1), np.float32)
    best = task.start(y, mask)
    np.testing.assert_allclose(best, [-2.0, np.log(0.2)], atol=0.08)
    slope = jax.grad(lambda b: task.nll(jnp.broadcast_to(b[None], (4000, 2)), y).mean())
    np.testing.assert_allclose(slope(best), 0.0, atol=2e-4)
    assert np.isfinite(task.start(y, 0 * mask)).all()
    assert TASKS.get("count(0.1, 'poisson')").start(y, mask).shape == (1,)
    ones = np.array([[1, 0], [1, 0], [0, 0]], np.float32)
    got = TASKS.get("multilabel(2)").start(ones, np.array([[1, 1], [1, 0], [1, 1]]))
    np.testing.assert_allclose(got, np.log([2.5 / 1.5, 0.5 / 2.5]), rtol=1e-6)
    start = TASKS.get("multiclass(2)").start(np.array([[0], [0], [1]]), np.ones((3, 1)))
    np.testing.assert_allclose(start[0] - start[1], np.log(2.5 / 1.5), rtol=1e-6)


@pytest.mark.parametrize("alpha", [None, 0.08])
def test_forecast_agrees_with_scipy_row_by_row(alpha):
    rng = np.random.default_rng(2)
    mu = np.exp(rng.uniform(-2, 7, 300))
    count = law(mu, alpha).rvs(random_state=rng)
    hidden = (count > 0) & (count < 10)
    y = counted(np.where(hidden, 1, count), np.where(hidden, 9, count), mu)
    logits = np.zeros((300, 1 if alpha is None else 2))
    logits[:, 1:] = np.log(alpha or 1)
    got = forecast(logits, y)
    low, high = quantiles(logits, y)
    inside = law(mu[:, None], alpha).pmf(np.arange(1, 10)[None])
    given = (mu - inside @ np.arange(1, 10)) / (1 - inside.sum(1))
    np.testing.assert_allclose(got.expected, given, rtol=1e-7, atol=1e-13)
    np.testing.assert_allclose(got.mu, mu, rtol=1e-12)
    assert (got.published == ~hidden).all()
    for i in range(300):
        k = np.setdiff1d(np.arange(20_000), np.arange(1, 10))
        mass = law(mu[i], alpha).pmf(k).cumsum() / (1 - inside[i].sum())
        ends = k[np.searchsorted(mass, 0.05)], k[np.searchsorted(mass, 0.95)]
        assert (low[i], high[i]) == ends
        if not hidden[i]:
            assert got.covered[i] == (ends[0] <= count[i] <= ends[1])
    plain = forecast(logits, counted(count, exposure=mu), suppressed=False)
    np.testing.assert_allclose(plain.expected, mu)
    ends = quantiles(logits, counted(count, exposure=mu), suppressed=False)
    np.testing.assert_array_equal(ends, law(mu, alpha).ppf([[0.05], [0.95]]))
    assert (plain.covered == ((count >= ends[0]) & (count <= ends[1]))).all()
    np.testing.assert_allclose(plain.nll, -law(mu, alpha).logpmf(count), rtol=1e-4)


def test_published_cells_of_a_true_model_are_covered_as_promised():
    rng = np.random.default_rng(3)
    mu = np.exp(rng.uniform(0, 6, 100_000))
    count = law(mu, 0.1).rvs(random_state=rng)
    hidden = (count > 0) & (count < 10)
    y = counted(np.where(hidden, 1, count), np.where(hidden, 9, count), mu)
    logits = np.stack([np.zeros(100_000), np.full(100_000, np.log(0.1))], 1)
    got = forecast(logits, y)
    assert 0.895 < got.covered[got.published].mean() < 0.96
    big = got.published & (mu > 100)
    assert 0.895 < got.covered[big].mean() < 0.92
    # observed over expected is 1 among the published cells only when conditioned
    ratio = count[got.published].sum() / got.expected[got.published].sum()
    assert abs(ratio - 1) < 0.01
    few = got.published & (mu < 12)
    assert abs(count[few].sum() / got.expected[few].sum() - 1) < 0.03
    assert count[few].sum() / got.mu[few].sum() > 1.15 or count[few].sum() < 0.85 * (
        got.mu[few].sum()
    )


def test_burden_probability():
    y = counted([1, 1, 1, 1.0], exposure=np.array([30, 31, 5000, 0.0]))
    logits = np.tile([np.log(0.12), np.log(0.3)], (4, 1))
    got = burden_probability(logits, y, 0.1)
    want = [law(0.12 * e, 0.3).sf(k - 1) for e, k in [(30, 3), (31, 4), (5000, 500)]]
    np.testing.assert_allclose(got[:3], want, rtol=1e-7)
    assert np.isnan(got[3])


@pytest.mark.parametrize("line", ["count(0)", "count(0.1, 'gamma')", "counts"])
def test_bad_tasks_are_refused(line):
    with pytest.raises(InputError):
        TASKS.get(line)


@pytest.mark.parametrize("line", LINES)
def test_two_labels_of_a_mixed_row(line):
    task = TASKS.get(line)
    y = labels(line, task)
    other = jax.tree.map(lambda a: np.roll(a, 1, 0), y)
    share = np.array([0, 0.2, 0.5, 1, 0.7, 0.3, 0.5, 0.9, 0.1], np.float32)[:, None]
    mixed = Mixed(y, other, share)
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(9, task.outputs + task.constants)).astype(np.float32)
    found = np.asarray(jax.jit(task.nll)(logits, mixed))
    both = [np.asarray(task.nll(logits, part)) for part in (y, other)]
    np.testing.assert_allclose(found, share * both[0] + (1 - share) * both[1], 1e-5)
    classes = [np.asarray(task.class_of(part)) for part in (y, other)]
    expected = np.where(share >= 0.5, *classes)
    np.testing.assert_array_equal(task.class_of(mixed), expected)
