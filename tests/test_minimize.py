"""Minimizers on a curved valley: alone, side by side, in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equity_jax.minimize import lbfgs, newton


def rosenbrock(p):
    return (1 - p["a"]) ** 2 + 100 * (p["b"] - p["a"] ** 2) ** 2


@pytest.mark.parametrize("minimize", [newton, lbfgs])
def test_minimizers_on_a_curved_valley(minimize):
    starts = {"a": jnp.array([-1.2, 2.0, 1.0]), "b": jnp.array([1.0, -3.0, 1.0])}
    found = jax.jit(jax.vmap(lambda p: minimize(rosenbrock, p)))(starts)
    assert found.converged.all()
    np.testing.assert_allclose(found.params["a"], 1.0, atol=2e-3)
    with jax.enable_x64(True):
        start = {"a": jnp.array(-1.2), "b": jnp.array(1.0)}
        exact = minimize(rosenbrock, start)
        np.testing.assert_allclose(exact.params["b"], 1.0, atol=1e-8)
        short = minimize(rosenbrock, start, steps=3)
        assert not short.converged and short.iterations == 3
