"""Batch norm against flax's: values, gradients, running statistics, in every mode."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equity_jax.models.norms import Norm, moments, scaled, total

SHAPES = {"maps": (4, 6, 5, 3), "prime": (1, 7, 11, 2), "rows": (9, 4)}


def data(shape, mean=2.0):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(mean, 3, shape), jnp.float32)
    weight = jnp.asarray(rng.normal(size=shape), jnp.float32)
    c = shape[-1]
    params = {"scale": jnp.linspace(-0.7, 2, c), "bias": jnp.linspace(-1, 1, c)}
    return x, weight, params


def ours(relu=True, **kw):
    @partial(jax.jit, static_argnums=3)
    def run(params, x, stats, train=True):
        variables = {"params": params, "batch_stats": stats}
        return Norm(1e-5, relu, **kw).apply(
            variables, x, train, mutable=["batch_stats"]
        )

    return run


def reference(relu=True):
    @partial(jax.jit, static_argnums=3)
    def run(params, x, stats, train=True):
        norm = nn.BatchNorm(not train, momentum=0.9, use_fast_variance=False)
        variables = {"params": params, "batch_stats": stats}
        y, new = norm.apply(variables, x, mutable=["batch_stats"])
        return (nn.relu(y) if relu else y), new

    return run


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_value_gradient_and_statistics_are_flax_s(shape, relu, train):
    x, weight, params = data(shape)
    c = shape[-1]
    stats = {"mean": jnp.linspace(-1, 1, c), "var": jnp.linspace(0.5, 2, c)}

    def loss(run, params, x):
        y, new = run(params, x, stats, train)
        return (y * weight).sum(), (y, new)

    found = [
        jax.value_and_grad(lambda p, x, r=r: loss(r, p, x), (0, 1), has_aux=True)(
            params, x
        )
        for r in (ours(relu), reference(relu))
    ]
    ((_, (y, new)), grads), ((_, (y2, new2)), grads2) = found
    np.testing.assert_allclose(y, y2, rtol=1e-5, atol=1e-5)
    for mine, theirs in zip(*map(jax.tree.leaves, (grads, grads2)), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=2e-5)
    new, new2 = new["batch_stats"], new2["batch_stats"]
    np.testing.assert_allclose(new["mean"], new2["mean"], rtol=1e-5)
    if train:  # torch's running variance is the unbiased one
        n = x.size // c
        biased = 0.9 * stats["var"] + (new["var"] - 0.9 * stats["var"]) * (n - 1) / n
        np.testing.assert_allclose(biased, new2["var"], rtol=1e-5)
    else:
        np.testing.assert_array_equal(new["var"], stats["var"])


def test_moments_are_exact_far_from_zero():
    x, _, _ = data((4, 8, 8, 3), mean=1e4)
    mean, var = moments(x)
    exact = np.asarray(x, np.float64).reshape(-1, 3)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(var, exact.var(0), rtol=1e-5)


def test_moments_may_be_given():
    x, _, params = data((4, 6, 5, 3))
    stats = {"mean": jnp.zeros(3), "var": jnp.ones(3)}
    norm = Norm()
    variables = {"params": params, "batch_stats": stats}
    once, _ = norm.apply(variables, x, True, mutable=["batch_stats"])
    again, _ = norm.apply(variables, x, True, moments(x), mutable=["batch_stats"])
    np.testing.assert_array_equal(once, again)


def test_side_by_side_equals_alone():
    x, weight, params = data((2, 4, 4, 4, 3))

    def loss(x, weight):
        mean, var = moments(x)
        return (scaled(x, mean, 1 / jnp.sqrt(var), params["bias"], True) * weight).sum()

    many = jax.jit(jax.vmap(jax.grad(loss)))(x, weight)
    for i in range(2):
        alone = jax.jit(jax.grad(loss))(x[i], weight[i])
        np.testing.assert_allclose(many[i], alone, rtol=1e-4, atol=1e-5)


def test_half_precision_keeps_its_type_and_float32_statistics():
    x, weight, params = data((4, 8, 8, 3))
    stats = {"mean": jnp.zeros(3), "var": jnp.ones(3)}
    half = x.astype(jnp.bfloat16)
    y, new = ours()(params, half, stats)
    full, new2 = ours()(params, half.astype(jnp.float32), stats)
    assert y.dtype == jnp.bfloat16 and new["batch_stats"]["mean"].dtype == jnp.float32
    np.testing.assert_allclose(y.astype(jnp.float32), full, rtol=0.01, atol=0.01)
    np.testing.assert_allclose(
        new["batch_stats"]["var"], new2["batch_stats"]["var"], rtol=0.01
    )
    grad = jax.grad(lambda x: ours()(params, x, stats)[0].astype(jnp.float32).sum())
    assert grad(half).dtype == jnp.bfloat16


@pytest.mark.parametrize("n", [1, 5, 8, 24])
def test_totals_of_any_number_of_rows(n):
    x = jnp.arange(n * 3.0).reshape(n, 3)
    np.testing.assert_allclose(
        total(lambda a, b: a * b, x, x), (x * x).sum(0), rtol=1e-6
    )
