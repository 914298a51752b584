"""Grad-CAM against formulas by hand; the sanity check; shares on a planted lesion."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equity_jax.audit.images.saliency import grad_cam
from equity_jax.models.densenet import densenet
from equity_jax.nouns import Model
from equity_jax.types import InputError, Output

X = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype(np.uint8)
CLASSES = np.array([0, 1, 2, 1, 0])


def tiny(features=4, outputs=3) -> Model:
    """Two convolutions, the second's maps to the power 2 before they are averaged."""
    first, second = (nn.Conv(features, (3, 3), (2, 2)) for _ in range(2))

    def init(key, x):
        keys = jax.random.split(key, 3)
        maps = jnp.ones((1, *x.shape[1:]))
        block1 = first.init(keys[0], maps)["params"]
        block2 = second.init(keys[1], first.apply({"params": block1}, maps))["params"]
        kernel = jax.random.normal(keys[2], (features, outputs))
        return {"block1": block1, "block2": block2, "head": {"kernel": kernel}}, {}

    def tail(params, stats, name, tap):
        if name == "block1":
            tap = nn.relu(second.apply({"params": params["block2"]}, tap))
        return (tap**2).mean((1, 2)) @ params["head"]["kernel"]

    def apply(params, stats, x, train, key):
        assert train is False
        x = x.astype(jnp.float32) / 255
        one = nn.relu(first.apply({"params": params["block1"]}, x))
        two = nn.relu(second.apply({"params": params["block2"]}, one))
        features = (two**2).mean((1, 2))
        taps = {"block1": one, "block2": two, "flat": features}
        return Output(features @ params["head"]["kernel"], features, taps), stats

    return Model(init, apply, ("block1", "block2", "head"), tail)


MODEL = tiny()
PARAMS, STATS = MODEL.init(jax.random.key(0), X)


def by_hand(plus_plus):
    """Grad-CAM of block2 in float64; dS/dA = 2 A w / hw by hand."""
    output, _ = MODEL.apply(PARAMS, STATS, jnp.asarray(X), False, None)
    a = np.asarray(output.taps["block2"], float)
    weights = np.asarray(PARAMS["head"]["kernel"], float)[:, CLASSES].T
    g = 2 * a * weights[:, None, None, :] / (a.shape[1] * a.shape[2])
    alpha = g.mean((1, 2))
    if plus_plus:
        below = 2 * g**2 + a.sum((1, 2), keepdims=True) * g**3
        share = np.divide(g**2, below, out=np.zeros_like(g), where=below != 0)
        alpha = (share * np.maximum(g, 0)).sum((1, 2))
    cam = np.maximum((a * alpha[:, None, None, :]).sum(-1), 0)
    cam = np.asarray(jax.image.resize(cam, (len(cam), 8, 8), "bilinear"), float)
    top = cam.max((1, 2), keepdims=True)
    return cam / np.where(top > 0, top, 1)


@pytest.mark.parametrize("plus_plus", [False, True])
def test_maps_equal_the_formula(plus_plus):
    found = grad_cam(MODEL, PARAMS, STATS, X, CLASSES, plus_plus=plus_plus)
    assert found.shape == X.shape[:3] and found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(plus_plus), atol=1e-5)
    named = grad_cam(MODEL, PARAMS, STATS, X, CLASSES, "block2", plus_plus=plus_plus)
    np.testing.assert_array_equal(named, found)  # the deepest tap is the default
    top = found.max((1, 2))
    np.testing.assert_allclose(top, (top > 0) * 1.0, atol=1e-6)


def test_another_tap_gives_another_map_and_batches_do_not_matter():
    one = grad_cam(MODEL, PARAMS, STATS, X, CLASSES, "block1")
    two = grad_cam(MODEL, PARAMS, STATS, X, CLASSES, "block2")
    assert np.abs(one - two).max() > 0.1
    batched = grad_cam(MODEL, PARAMS, STATS, X, CLASSES, "block1", batch=2)
    np.testing.assert_allclose(batched, one, atol=1e-6)


def test_a_map_of_nothing_stays_zero():
    params = PARAMS | {"head": {"kernel": -jnp.ones((4, 3))}}
    for plus_plus in (False, True):
        found = grad_cam(MODEL, params, STATS, X, CLASSES, plus_plus=plus_plus)
        assert found.max() == 0 and np.isfinite(found).all()


def test_a_map_is_the_same_for_pixels_as_numbers():
    floats = grad_cam(MODEL, PARAMS, STATS, X.astype(np.float32), CLASSES)
    np.testing.assert_array_equal(floats, grad_cam(MODEL, PARAMS, STATS, X, CLASSES))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": MODEL._replace(tail=None)}, "Model.tail"),
        ({"tap": "flat"}, "no tap 'flat'; the model has: block1, block2"),
        ({"classes": np.full(5, 3)}, "expected 0..2"),
        ({"classes": np.zeros(4, int)}, r"expected \(5,\)"),
    ],
)
def test_what_does_not_fit_is_refused(change, said):
    args = {"model": MODEL, "params": PARAMS, "stats": STATS, "x": X}
    with pytest.raises(InputError, match=said):
        grad_cam(**(args | {"classes": CLASSES} | change))


def test_a_real_family_has_maps():
    model = densenet(3, layers=(1, 1), growth=4)
    x = np.repeat(np.repeat(X, 4, axis=1), 4, axis=2)
    params, stats = jax.jit(model.init)(jax.random.key(0), x[:1])
    for tap in ("", "dense1"):
        found = grad_cam(model, params, stats, x, CLASSES, tap)
        assert found.shape == (5, 32, 32) and np.isfinite(found).all()
        top = found.max((1, 2))
        assert found.min() >= 0
        np.testing.assert_allclose(top, (top > 0) * 1.0, atol=1e-6)
