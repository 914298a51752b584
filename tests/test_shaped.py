"""Several shapes in one program: each lane is the plain model of its shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from shapes import trim
from toy import toy

from equity_jax.config import Train
from equity_jax.methods import METHODS, switch
from equity_jax.models import MODELS
from equity_jax.models.shaped import shaped
from equity_jax.schemes import SCHEMES
from equity_jax.tasks import TASKS
from equity_jax.train import Run, fit
from equity_jax.types import InputError

SHAPES = ("mlp(4)", "mlp(7)", "mlp(6, 3)", "mlp(7, dropout=0.5)")
TRAIN = Train(steps=20, batch=16, eval_every=10, segment=10, chunk=8)


def fitted(model, runs):
    return fit(
        model,
        toy(features=5),
        runs,
        task=TASKS.get("binary"),
        reconstruct=TASKS.get("reconstruct"),
        train=TRAIN,
        methods={"erm": switch(METHODS.get("erm"))[0]},
        schemes={"mixture": SCHEMES.get("mixture")},
    )


def run(shape="", lr=1e-2, decay=None):
    return Run(0, "erm", "mixture", -1, lr, 1.0, decay, shape)


def same(a, b, tolerance=1e-5):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def test_a_lane_of_several_shapes_is_the_plain_model():
    done = fitted(shaped(1, 0, SHAPES), [run(s, decay=0.1) for s in SHAPES])
    for number, shape in enumerate(SHAPES[:3]):
        plain = fitted(MODELS.get(shape, 1, 0), [run(decay=0.1)])
        found = done.of(number).params
        same(trim(found, shape), plain.of(0).params)
        assert done.value[done.plan.final[number]] == pytest.approx(
            plain.value[0], 1e-5
        )
        rest = sum(np.count_nonzero(a) for a in jax.tree.leaves(found))
        mine = sum(np.count_nonzero(a) for a in jax.tree.leaves(plain.of(0).params))
        assert rest == mine  # the others are zeros still


def test_decay_and_rate_are_those_of_the_run():
    decays = (0.0, 0.3, None)
    runs = [run("mlp(4)", decay=d) for d in decays]
    done = fitted(shaped(1, 0, SHAPES), runs)
    sizes = [float(np.abs(done.of(i).params["layer0"]["kernel"]).sum()) for i in (0, 1)]
    assert sizes[1] < sizes[0]
    usual = fitted(shaped(1, 0, SHAPES), [run("mlp(4)", decay=TRAIN.weight_decay)])
    same(usual.of(0), done.of(2))


def test_dropout_is_a_number():
    model = shaped(1, 0, ("mlp(400, dropout=0.5)", "mlp(400)"))
    x = jnp.ones((3, 5))
    for shape, share in (("mlp(400, dropout=0.5)", 0.5), ("mlp(400)", 0.0)):
        params, stats = model.at(shape).init(jax.random.key(0), x)
        plain, _ = model.apply(params, stats, x, False, None)
        out, after = model.apply(params, stats, x, True, jax.random.key(1))
        same(stats, after)
        dropped = np.asarray((out.features == 0) & (plain.features > 0))
        alive = np.asarray(plain.features > 0)
        assert dropped[alive].mean() == pytest.approx(share, abs=0.06)
        kept = np.asarray(out.features > 0)
        grown = np.asarray(out.features)[kept] / np.asarray(plain.features)[kept]
        np.testing.assert_allclose(grown, 1 / (1 - share), rtol=1e-5)


def test_free_logits_and_other_tasks():
    model = shaped(2, 1, ("mlp(4)", "mlp(3, 2)"))
    params, stats = model.at("mlp(3, 2)").init(jax.random.key(0), jnp.ones((1, 5)))
    plain = MODELS.get("mlp(3, 2)", 2, 1)
    expected, _ = plain.init(jax.random.key(0), jnp.ones((1, 5)))
    same(trim(params, "mlp(3, 2)"), expected, 0)
    x = jax.random.normal(jax.random.key(1), (6, 5))
    out, _ = model.apply(params, stats, x, False, None)
    np.testing.assert_allclose(
        out.logits, plain.apply(expected, {}, x, False, None)[0].logits, atol=1e-6
    )


@pytest.mark.parametrize("shape", ["mlp", "mlp(4, dropout=1.0)", "linear"])
def test_shapes_that_cannot_be(shape):
    with pytest.raises(InputError, match="expected|unknown shape"):
        shaped(1, 0, (shape,))
