"""Optima, likelihoods and covariances against statsmodels and scikit-learn."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression

from equity_jax.solvers import Rows, fit, glm, layout, path
from equity_jax.tasks import TASKS
from equity_jax.types import Counted, InputError

RNG = np.random.default_rng(0)
N, F = 1500, 5
X = RNG.normal(size=(N, F))
ETA = X @ RNG.normal(size=F) * 0.3
CLUSTER = np.arange(N) // 6
BINARY = (RNG.random(N) < 1 / (1 + np.exp(-ETA - 0.5))).astype(float)
COUNT = RNG.poisson(np.exp(ETA + 2) * RNG.gamma(2, 0.5, N)).astype(float)
CLASS = np.argmax(RNG.gumbel(size=(N, 3)) + np.stack([ETA, -ETA, 0 * ETA], 1), 1)
OFFSET = RNG.normal(size=N) * 0.5
DESIGN = sm.add_constant(X)


def reference(family):
    if family == "logistic":
        return sm.Logit(BINARY, DESIGN, offset=OFFSET)
    if family == "poisson":
        return sm.Poisson(COUNT, DESIGN, offset=OFFSET)
    return sm.NegativeBinomial(COUNT, DESIGN, offset=OFFSET)


def peer(model, **options):
    """statsmodels' optimum: BFGS, polished by Newton."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its overflows on the way, not ours
        near = model.fit(disp=0, maxiter=500, method="bfgs", gtol=1e-6)
        more = {"disp": 0, "method": "newton", "tol": 1e-12, "maxiter": 100}
        return model.fit(near.params, **more, **options)


@pytest.mark.parametrize("family", ["logistic", "poisson", "negbin"])
def test_glm_reaches_the_statsmodels_optimum(family):
    y = BINARY if family == "logistic" else COUNT
    got = glm(X, y, family=family, offset=OFFSET, cluster=CLUSTER)
    groups = {"groups": CLUSTER, "use_correction": False, "df_correction": False}
    plain = peer(reference(family))
    robust = peer(reference(family), cov_type="cluster", cov_kwds=groups)
    want = plain.params
    np.testing.assert_allclose(got.coef[0], want[1 : F + 1], atol=1e-6)
    np.testing.assert_allclose(got.intercept, want[:1], atol=1e-6)
    assert abs(got.log_likelihood - plain.llf) / N < 1e-8
    assert got.converged and got.gradient_norm < 1e-9
    order = [*range(1, F + 1), 0, *range(F + 1, len(want))]
    if family == "negbin":
        np.testing.assert_allclose(got.dispersion, want[F + 1 :], rtol=1e-5)
        order = order[: F + 1]  # statsmodels has alpha where we have log alpha
    k, c = len(order), CLUSTER[-1] + 1
    ours, theirs = got.covariance[:k, :k], plain.cov_params()
    np.testing.assert_allclose(ours, theirs[np.ix_(order, order)], rtol=1e-3, atol=1e-7)
    theirs = robust.cov_params()[np.ix_(order, order)] * c / (c - 1)
    np.testing.assert_allclose(got.robust[:k, :k], theirs, rtol=1e-3, atol=1e-7)


def test_counted_rows_give_the_same_fit():
    y = Counted(COUNT, COUNT, np.exp(OFFSET), np.zeros(N))
    want = glm(X, COUNT, family="negbin", offset=OFFSET, cluster=CLUSTER)
    got = glm(X, y, family="negbin", cluster=CLUSTER)
    for a, b in zip(got[:6], want[:6], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("how", ["interval", "truncated"])
def test_hidden_counts_are_recovered_and_the_hessian_is_right(how):
    hidden = (COUNT > 0) & (COUNT < 10)
    low, high = np.where(hidden, 1, COUNT), np.where(hidden, 9, COUNT)
    y = Counted(low, high, np.exp(OFFSET), np.zeros(N))
    keep = np.ones(N)
    if how == "truncated":  # left out by weight: the program that intervals compiled
        keep = 1.0 - hidden
        y = y._replace(low=COUNT, high=COUNT, truncated=np.ones(N))
    got = glm(X, y, family="negbin", weight=keep)
    full = glm(X, COUNT, family="negbin", offset=OFFSET)
    error = np.abs(got.coef - full.coef)[0] / np.sqrt(np.diag(got.covariance))[:F]
    assert hidden.mean() > 0.5 and got.converged
    assert (error < 3).all(), error
    task = TASKS.get("count")

    def loss(at):
        eta = X @ at[:F] + at[F]
        logits = jnp.stack([eta, jnp.full(N, at[F + 1])], 1)
        nll = task.nll(logits, Counted(*(a[:, None] for a in y)))
        return jnp.where(keep[:, None] > 0, nll, 0).sum()

    at = np.concatenate([got.coef[0], got.intercept, got.constants])
    moves = 1e-4 * np.eye(len(at))
    with jax.enable_x64(True):
        slope = jax.jit(jax.grad(loss))
        assert np.abs(slope(at)).max() < 1e-6
        rows = [(slope(at + m) - slope(at - m)) / 2e-4 for m in moves]
    inverse = np.linalg.inv(rows)
    np.testing.assert_allclose(got.covariance, inverse, rtol=1e-3, atol=1e-8)


def test_penalty_weights_and_classes_agree_with_scikit_learn():
    weight = RNG.integers(0, 3, N).astype(float)
    got = glm(X, BINARY, weight=weight, l2=2.0)
    options = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 200}
    want = LogisticRegression(C=0.5, **options).fit(X, BINARY, weight)
    np.testing.assert_allclose(got.coef, want.coef_, atol=1e-6)
    repeated = glm(
        np.repeat(X, weight.astype(int), 0), np.repeat(BINARY, weight.astype(int))
    )
    np.testing.assert_allclose(
        glm(X, BINARY, weight=weight).covariance, repeated.covariance, rtol=1e-8
    )
    got = glm(X, CLASS, family="multinomial", l2=2.0)
    want = LogisticRegression(C=0.5, solver="lbfgs", tol=1e-9, max_iter=2000)
    want.fit(X, CLASS)
    np.testing.assert_allclose(got.coef, want.coef_, atol=1e-6)
    np.testing.assert_allclose(
        np.diff(got.intercept), np.diff(want.intercept_), atol=1e-6
    )


def test_a_long_table_takes_the_chunked_road_to_the_same_place():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(75_001, 2))
    y = rng.poisson(np.exp(0.3 * x[:, 0] + 1) * rng.gamma(3, 1 / 3, 75_001))
    y = y.astype(float)
    got = glm(x, y, family="negbin")
    want = peer(sm.NegativeBinomial(y, sm.add_constant(x)))
    np.testing.assert_allclose(got.coef[0], want.params[1:3], atol=1e-6)
    assert abs(got.log_likelihood - want.llf) / len(x) < 1e-8
    assert got.gradient_norm < 1e-9


def test_a_category_without_rows_and_a_model_without_intercept():
    dummies = np.eye(4)[RNG.integers(0, 3, N)]
    got = glm(dummies, COUNT, family="poisson", intercept=False)
    means = [COUNT[dummies[:, i] == 1].mean() for i in range(3)]
    np.testing.assert_allclose(got.coef[0, :3], np.log(means), rtol=1e-9)
    assert (got.intercept == 0).all() and np.isfinite(got.coef).all()


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
@pytest.mark.parametrize("family", ["logistic", "multinomial"])
def test_path_equals_fits_one_by_one(solver, family):
    y = BINARY if family == "logistic" else CLASS
    l2s = [0.1, 30.0, 3.0]
    got = path(X, y, l2s, family=family, solver=solver, tolerance=1e-8)
    assert got.coef.shape == (3, 1 if family == "logistic" else 3, F)
    assert got.converged.all()
    for i, l2 in enumerate(l2s):
        want = glm(X, y, family=family, l2=l2)
        np.testing.assert_allclose(got.coef[i], want.coef, atol=2e-6)
        assert abs(got.log_likelihood[i] - want.log_likelihood) / N < 1e-8
    single = path(X, y, l2s, family=family, solver=solver, dtype=np.float32)
    assert single.coef.dtype == np.float32
    np.testing.assert_allclose(single.coef, got.coef, atol=2e-3)


def test_fits_vmap():
    lay = layout("poisson", F, 1, True)
    rows = Rows(*(np.stack([a, a]) for a in (X, COUNT, OFFSET)), np.ones((2, N)))
    rows.weight[1, : N // 2] = 0
    with jax.enable_x64(True):
        made, _ = jax.jit(jax.vmap(lambda r: fit(r, 0.0, lay)))(rows)
    for i, keep in enumerate([slice(None), slice(N // 2, None)]):
        want = glm(X[keep], COUNT[keep], family="poisson", offset=OFFSET[keep])
        np.testing.assert_allclose(made.coef[i], want.coef, atol=1e-8)


def test_collinear_columns_reach_the_same_likelihood():
    twice = np.concatenate([X, X[:, :1], np.ones((N, 1))], 1)
    for family in ("poisson", "negbin"):
        got = glm(twice, COUNT, family=family, offset=OFFSET)
        want = glm(X, COUNT, family=family, offset=OFFSET)
        assert got.converged
        np.testing.assert_allclose(got.log_likelihood, want.log_likelihood, rtol=1e-10)


def test_bad_rows_are_refused():
    cases = [
        ({"family": "probit"}, BINARY, "unknown family 'probit'"),
        ({"family": "poisson"}, COUNT + 0.5, "whole number"),
        ({"family": "logistic"}, COUNT, r"expected a number in \[0, 1\]"),
        ({}, BINARY[:-1], "y has shape"),
        ({"weight": np.full(N, np.nan)}, BINARY, "weight is not finite in row 0"),
        ({}, Counted(COUNT, COUNT, COUNT, COUNT), "cannot read intervals"),
    ]
    for options, y, message in cases:
        with pytest.raises(InputError, match=message):
            glm(X, y, **options)
    with pytest.raises(InputError, match="path solver"):
        path(X, BINARY, [1.0], solver="sgd")


def test_jackknife_is_what_leaving_a_cluster_out_does():
    part = CLUSTER // 25  # ten clusters, left out in earnest
    got = glm(X, COUNT, family="poisson", offset=OFFSET, cluster=part, jackknife=True)
    moves = []
    for c in range(10):
        keep = (part != c).astype(float)
        left = glm(X, COUNT, family="poisson", offset=OFFSET, weight=keep)
        moves.append(
            np.append(left.coef[0], left.intercept)
            - np.append(got.coef[0], got.intercept)
        )
    want = 0.9 * np.einsum("ci,cj->ij", moves, moves)
    np.testing.assert_allclose(np.diag(got.robust), np.diag(want), rtol=0.05)
    plain = glm(X, COUNT, family="poisson", offset=OFFSET, cluster=part)
    assert (np.diag(plain.robust) < np.diag(got.robust) * 1.05).all()


def test_poisson_counts_leave_the_dispersion_at_its_floor():
    y = np.random.default_rng(0).binomial(20, 0.3, N).astype(float)
    got = glm(X, y, family="negbin", offset=OFFSET * 0, cluster=CLUSTER)
    want = glm(X, y, family="poisson", offset=OFFSET * 0, cluster=CLUSTER)
    assert got.converged and got.dispersion < 1e-4
    np.testing.assert_allclose(got.coef, want.coef, atol=1e-4)
    for a, b in zip(got[3:5], want[3:5], strict=True):
        np.testing.assert_allclose(a[:6, :6], b, rtol=1e-3, atol=1e-8)
