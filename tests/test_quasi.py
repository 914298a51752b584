"""The parts of the side-by-side L-BFGS, on quadratics whose answers are known."""

import jax
import jax.numpy as jnp
import numpy as np

from equity_jax.quasi import PAIRS, downhill, nothing, remember, search

RNG = np.random.default_rng(0)


def test_an_empty_memory_goes_straight_down():
    gradient = jnp.asarray(RNG.normal(size=(3, 2, 4)), jnp.float32)
    np.testing.assert_array_equal(downhill(nothing(gradient), gradient), -gradient)


def test_pairs_along_every_axis_are_the_inverse_hessian():
    scale = np.linspace(1, 9, 5)
    hessian = np.stack([np.diag(scale), np.diag(scale[::-1])])
    with jax.enable_x64(True):
        memory = nothing(jnp.zeros((2, 5)))
        for axis in np.eye(5):
            move = jnp.asarray(np.stack([axis, axis]))
            memory = remember(memory, move, jnp.einsum("rij,rj->ri", hessian, move))
        gradient = jnp.asarray(RNG.normal(size=(2, 5)))
        got = downhill(memory, gradient)
        want = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
    np.testing.assert_allclose(got, want, rtol=1e-10)


def test_a_pair_that_curves_the_wrong_way_counts_as_none():
    memory = nothing(jnp.zeros((2, 3)))
    move = jnp.ones((2, 3))
    memory = remember(memory, move, jnp.stack([move[0], -move[1]]))
    assert memory.rho.shape == (PAIRS, 2)
    assert memory.rho[-1, 0] > 0 and memory.rho[-1, 1] == 0


def test_the_line_search_ends_where_the_slope_is_small():
    best = jnp.array([1.0, 40.0, 0.01, 3.0])

    def along(t):
        return (t - best) ** 2, 2 * (t - best), t

    value, slope = best**2, -2 * best
    resting = jnp.array([False, False, False, True])
    found = search(along, value, slope, value, resting)
    assert found.good.all() and found.t[3] == 1  # a lane that rests is left at 1
    assert (jnp.abs(2 * (found.t - best))[:3] <= -0.5 * slope[:3]).all()
    np.testing.assert_allclose(found.value[:3], ((found.t - best) ** 2)[:3])
