"""SAM against a step written out in float64; averages of weights against numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from equity_jax.methods import METHODS, switch
from equity_jax.models import MODELS
from equity_jax.tasks import TASKS
from equity_jax.train.step import make_step, standing
from equity_jax.types import Batch, Counts, Hyper, InputError, Output

MODEL, TASK = MODELS.get("linear", 1, 0), TASKS.get("binary")
COUNTS, KEY = Counts(np.ones((1, 3, 4))), jax.random.key(0)
LR, STEPS = 0.3, 8
PLAIN = optax.identity()  # the direction is the gradient itself


def rows(seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    y, group = (rng.random((20, 1)) < 0.4) * 1.0, rng.integers(-1, 3, 20)
    weight = (rng.random(20) < 0.8) * 1.0
    return Batch(rng.normal(size=(20, 3)), y, np.ones((20, 1)), group, weight, None)


def knobs(params, spent=0.0, rates=None) -> Hyper:
    rates = jax.tree.map(lambda p: 1.0, params) if rates is None else rates
    return Hyper(LR, 0.0, 0, 1.0, 0, rates, spent)


def sloped(kernel, bias, batch):
    """The gradient of the weighted logistic loss."""
    z = batch.x @ kernel + bias[None]
    share = batch.weight[:, None] / batch.weight.sum()
    off = share * (1 / (1 + np.exp(-z)) - batch.y)
    return batch.x.T @ off, off.sum(0)


@pytest.mark.parametrize("frozen", [False, True], ids=["all", "frozen"])
@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_sam_takes_the_slope_at_the_top(rho, frozen):
    batch = rows()
    with jax.enable_x64(True):
        kernel, bias = np.array([[0.3], [-1.2], [0.7]]), np.array([0.4])
        params = {"head": {"dense": {"kernel": kernel, "bias": bias}}}
        rates = {"head": {"dense": {"kernel": 1.0, "bias": 0.0 if frozen else 1.0}}}
        init, step = make_step(MODEL, METHODS.get(f"sam({rho})"), TASK, PLAIN)
        state = init(KEY, params, {}, COUNTS)
        new, info = step(state, batch, knobs(params, rates=rates))
    g = sloped(kernel, bias, batch)
    g = (g[0], 0 * g[1]) if frozen else g  # what lies still is not climbed either
    far = rho / np.sqrt(sum((part**2).sum() for part in g))
    top = sloped(kernel + far * g[0], bias + far * g[1], batch)
    moved = new.params["head"]["dense"]
    np.testing.assert_allclose(moved["kernel"], kernel - LR * top[0], atol=1e-7)
    np.testing.assert_allclose(
        moved["bias"], bias - LR * top[1] * (not frozen), atol=1e-7
    )
    z = batch.x @ kernel + bias[None]
    nll = np.logaddexp(0, z) - batch.y * z
    here = (nll[:, 0] * batch.weight).sum() / batch.weight.sum()
    assert float(info["loss"]) == pytest.approx(here, rel=1e-6)


@pytest.fixture(scope="module")
def walk():
    """All weights of a run of each, and their averages, in one program."""
    names = ("swa(0.5)", "ema(0.75)", "ema(0.0)", "swa(0.0)")
    methods = switch(*map(METHODS.get, names))
    init, step = make_step(MODEL, methods[0], TASK, PLAIN)
    once, found = jax.jit(step), {}
    for name, method in zip(names, methods, strict=True):
        begin, _ = make_step(MODEL, method, TASK, PLAIN)
        params = {"head": {"dense": {"kernel": jnp.ones((3, 1)), "bias": jnp.ones(1)}}}
        state, path, mean = begin(KEY, params, {}, COUNTS), [], []
        for i in range(STEPS):
            state, _ = once(state, rows(i), knobs(params, i / STEPS))
            path.append(state.params["head"]["dense"]["kernel"][:, 0])
            mean.append(standing(state)[0]["head"]["dense"]["kernel"][:, 0])
        found[name] = np.array(path, np.float64), np.array(mean, np.float64)
    return found


def test_swa_is_the_mean_of_the_weights_since_its_start(walk):
    for name, first in (("swa(0.5)", STEPS // 2), ("swa(0.0)", 0)):
        path, mean = walk[name]
        np.testing.assert_allclose(mean[:first], path[:first], atol=1e-6)
        for n in range(first, STEPS):
            expected = path[first : n + 1].mean(0)
            np.testing.assert_allclose(mean[n], expected, atol=1e-6)


def test_ema_starts_as_a_plain_mean_and_goes_on_as_a_running_one(walk):
    path, mean = walk["ema(0.75)"]
    expected = path[0]
    for n in range(1, STEPS):
        keep = min(0.75, 1 - 1 / (n + 1))
        expected = keep * expected + (1 - keep) * path[n]
        np.testing.assert_allclose(mean[n], expected, atol=1e-6)
    np.testing.assert_allclose(mean[3], path[:4].mean(0), atol=1e-6)
    np.testing.assert_allclose(*walk["ema(0.0)"], atol=1e-6)


@pytest.mark.parametrize("text", ["sam(-1)", "swa(1)", "swa(-0.1)", "ema(1)"])
def test_numbers_out_of_range_are_refused(text):
    with pytest.raises(InputError, match="expected"):
        METHODS.get(text)


@pytest.mark.parametrize("text", ["sam", "swa", "ema", "lff"])
def test_who_needs_no_attribute_does_not_look_at_it(text):
    """Neither beforehand nor in the loss."""
    method, batch = METHODS.get(text), rows()
    rng = np.random.default_rng(0)
    table = rng.integers(1, 9, (1, 3, 4)) * 1.0

    def seen(group, table):
        aux, x = method.init(Counts(table)), jnp.asarray(batch.x)
        out = Output(x[:, :1], x, {"rival": x[:, 1:2]})
        found = method.loss(aux, TASK, out, batch._replace(group=group), 1.0)
        return method.sample(Counts(table)), aux, found

    one = seen(batch.group, table)
    two = seen(rng.permutation(batch.group), rng.permutation(table, axis=2))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_array_equal(a, b)
