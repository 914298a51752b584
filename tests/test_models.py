"""Image models: inputs, convolutions, blocks in training, cuts, layers as data."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equity_jax.models import cnn, convs, densenet, resnet, vgg
from equity_jax.models.cnn import (
    Act,
    AvgPool,
    Block,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalMax,
    MaxPool,
    Norm,
)
from equity_jax.models.images import NORMALIZE, fresh, prepare
from equity_jax.types import InputError

LAYERS = (
    Block((Conv(4, padding=1), Norm(), Act("relu"))),
    Block((MaxPool(), Conv(6), Norm(), Act("relu"))),
)
SMALL = {
    "cnn": lambda **k: cnn(2, layers=LAYERS, **k),
    "vgg": lambda **k: vgg(2, convs=(1, 2), width=4, norm=True, **k),
    "vgg top": lambda **k: vgg(2, convs=(1, 1), width=4, top=True, hidden=5, **k),
    "resnet": lambda **k: resnet(2, stages=(1, 2), width=4, **k),
    "keras": lambda **k: resnet(2, stages=(2, 1), width=4, style="keras", **k),
    "basic": lambda **k: resnet(
        2, stages=(1, 1), width=4, block="basic", shortcut="A", stem="small", **k
    ),
    "densenet": lambda **k: densenet(2, layers=(2, 2), growth=4, **k),
}
KEY = jax.random.key(0)


def images(n=4, size=32):
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 1), np.uint8)


@partial(jax.jit, static_argnums=(0, 4))
def run(model, params, stats, x, train):
    return model.apply(params, stats, x, train, KEY)


def loss(model, params, stats, x, train=True):
    out, new = run(model, params, stats, x, train)
    return jnp.square(out.logits - 1).sum(), (out, new)


@pytest.fixture(scope="module", params=SMALL)
def small(request):
    """A small net of each family with its weights, and its output in evaluation."""
    model = SMALL[request.param]()
    params, stats = model.init(KEY, images())
    out, _ = run(model, params, stats, images(), False)
    return SMALL[request.param], model, params, stats, out


def test_floats_are_pixels_too(small):
    _, model, params, stats, out = small
    again, _ = run(model, params, stats, images().astype(np.float32), False)
    np.testing.assert_allclose(again.logits, out.logits, rtol=1e-4, atol=1e-6)


def test_the_tail_goes_on_where_a_tap_was_cut(small):
    _, model, params, stats, out = small
    tail = jax.jit(model.tail, static_argnums=2)
    for name, tap in out.taps.items():
        logits = tail(params, stats, name, tap)
        np.testing.assert_allclose(logits, out.logits, rtol=1e-4, atol=1e-6)
    last = [b for b in model.blocks if b in out.taps][-1]
    slope = jax.grad(lambda a: tail(params, stats, last, a).sum())(out.taps[last])
    assert slope.shape == out.taps[last].shape and np.abs(slope).max() > 0


def test_only_the_named_blocks_train(small):
    _, model, params, stats, _ = small
    first, *_, last = model.blocks[:-1]
    _, (_, new) = loss(model, params, stats, images(), frozenset({last, "head"}))
    before, after = stats.get("batch_stats", {}), new.get("batch_stats", {})
    same = {b: jax.tree.map(np.array_equal, before[b], after[b]) for b in before}
    assert first == last or all(jax.tree.leaves(same.get(first, {})))
    if last in same:
        assert not any(jax.tree.leaves(same[last]))
    _, (none, new) = loss(model, params, stats, images(), frozenset())
    assert jax.tree.all(jax.tree.map(np.array_equal, new, stats))
    _, (all_of_them, _) = loss(model, params, stats, images(), frozenset(model.blocks))
    _, (trained, _) = loss(model, params, stats, images(), True)
    np.testing.assert_array_equal(all_of_them.logits, trained.logits)


def test_every_leaf_learns_and_memory_saved_changes_nothing(small):
    make, model, params, stats, _ = small
    grad = jax.jit(
        lambda m, p: jax.grad(lambda p: loss(m, p, stats, images()), has_aux=True)(p),
        static_argnums=0,
    )
    g, (out, _) = grad(model, params)
    assert out.logits.dtype == jnp.float32
    for path, leaf in jax.tree_util.tree_leaves_with_path(g):
        moved = np.abs(leaf).max() > 0
        # a bias before batch norm is taken out by the mean
        assert np.isfinite(leaf).all() and (moved or path[-1].key == "bias"), path
    again, _ = grad(make(remat=True), params)
    for one, other in zip(*map(jax.tree.leaves, (g, again)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_half_precision_keeps_float32_leaves(small):
    make, _, params, stats, out = small
    model = make(dtype="bfloat16")
    half, new = run(model, params, stats, images(), True)
    assert {a.dtype for a in jax.tree.leaves(new)} <= {np.dtype("float32")}
    assert half.logits.dtype == jnp.float32
    assert {t.dtype for t in half.taps.values()} == {np.dtype("bfloat16")}
    rough, _ = run(model, params, stats, images(), False)
    np.testing.assert_allclose(rough.logits, out.logits, rtol=0.1, atol=0.05)


def test_pixels_become_what_a_checkpoint_expects():
    x = np.array([0, 51, 255], np.uint8).reshape(1, 1, 3, 1)
    gray = lambda how: np.asarray(prepare(x, how, 1)).ravel()  # noqa: E731
    np.testing.assert_allclose(gray("unit"), [-1, -0.6, 1], atol=1e-6)
    np.testing.assert_allclose(gray("share"), [0, 0.2, 1], atol=1e-6)
    np.testing.assert_allclose(gray("xrv"), [-1024, -614.4, 1024], rtol=1e-6)
    np.testing.assert_allclose(gray("none"), [0, 51, 255])
    color = np.asarray(prepare(x, "imagenet", 3))
    np.testing.assert_allclose(color[0, 0, 2], [2.2489, 2.4286, 2.64], atol=1e-4)
    blue_first = np.asarray(prepare(x, "caffe", 3))[0, 0, 0]
    np.testing.assert_allclose(blue_first, [-103.939, -116.779, -123.68])
    for how in NORMALIZE:
        assert prepare(x, how, 3).shape == (1, 1, 3, 3)
        assert prepare(x, how, 1).shape == x.shape


@pytest.mark.parametrize(
    ("options", "said"),
    [({"normalize": "caffee"}, "one of unit"), ({"dtype": "float16"}, "bfloat16")],
)
def test_unknown_options_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        densenet(1, layers=(1,), **options)
    with pytest.raises(InputError, match="one of torch, keras"):
        resnet(1, style="caffe")
    with pytest.raises(InputError, match="one of torch, keras"):
        vgg(1, style="caffe")


@pytest.mark.parametrize("side", [8, 9, 13])
def test_poolings_and_their_gradients(side):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, side, side, 3)))
    pairs = [
        (lambda x: convs.max_pool(x, 3, 2, 1), lambda x: nn.max_pool(x, *OVERLAP)),
        (lambda x: convs.max_pool(x, 2, 2), lambda x: nn.max_pool(x, *APART)),
        (lambda x: convs.average_pool(x, 2, 2), lambda x: nn.avg_pool(x, *APART)),
    ]
    for mine, theirs in pairs:
        np.testing.assert_allclose(mine(x), theirs(x), rtol=1e-5, atol=1e-6)
        slopes = [
            jax.jit(jax.grad(lambda x, f=f: (f(x) ** 3).sum()))(x)
            for f in (mine, theirs)
        ]
        np.testing.assert_allclose(*slopes, rtol=1e-4, atol=1e-6)


OVERLAP = (3, 3), (2, 2), [(1, 1), (1, 1)]
APART = (2, 2), (2, 2)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_1x1_convolution_is_a_product(stride):
    rng = np.random.default_rng(0)
    x, k = (jnp.asarray(rng.normal(size=s)) for s in ((2, 7, 6, 5), (1, 1, 5, 4)))
    theirs = jax.lax.conv_general_dilated(
        x, k, (stride, stride), "VALID", dimension_numbers=convs.LAYOUT
    )
    mine = convs.conv(x, k, (stride, stride), 0)
    np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_starting_kernels_have_the_right_spread():
    shapes = {
        "conv": {"kernel": jax.ShapeDtypeStruct((3, 3, 64, 128), "float32")},
        "head": {"dense": {"kernel": jax.ShapeDtypeStruct((400, 50), "float32")}},
        "norm": {"scale": jax.ShapeDtypeStruct((7,), "float32")},
    }
    values = fresh(KEY, shapes)
    spread = np.std(values["conv"]["kernel"])
    np.testing.assert_allclose(spread, np.sqrt(2 / (9 * 128)), rtol=0.02)
    np.testing.assert_allclose(values["head"]["dense"]["kernel"].std(), 0.01, rtol=0.05)
    np.testing.assert_array_equal(values["norm"]["scale"], 1.0)


def test_layers_as_data_say_what_they_do():
    layers = (
        Conv(3, (5, 3), (2, 1), "VALID", name="first"),
        Act("tanh"),
        AvgPool(3, 2, "SAME"),
        Conv(4, bias=False),
        Norm(1e-3),
        Dropout(0.5),
        Flatten(),
        Dense(6),
        Act("elu"),
    )
    model = cnn(2, layers=layers, normalize="none")
    x = np.random.default_rng(0).normal(size=(3, 13, 12, 1)).astype(np.float32)
    params, stats = model.init(KEY, x)
    assert model.blocks == ("first", "conv2", "norm1", "dense1", "head")
    assert set(params["conv2"]) == {"kernel"} and set(params["first"]) == {
        "kernel",
        "bias",
    }
    out, _ = model.apply(params, stats, x, False, KEY)
    assert [out.taps[t].shape[1:] for t in ("first", "conv2")] == [
        (5, 10, 3),
        (3, 5, 4),
    ]
    y = jnp.tanh(
        nn.Conv(3, (5, 3), (2, 1), "VALID").apply({"params": params["first"]}, x)
    )
    y = nn.avg_pool(y, (3, 3), (2, 2), "SAME", count_include_pad=False)
    y = nn.Conv(4, (3, 3), use_bias=False).apply({"params": params["conv2"]}, y)
    y = (y / np.sqrt(1 + 1e-3)).reshape(3, -1)
    y = nn.elu(y @ params["dense1"]["kernel"] + params["dense1"]["bias"][None])
    np.testing.assert_allclose(out.features, y, rtol=1e-4, atol=1e-5)
    most = cnn(1, layers=(Conv(2), GlobalMax()))
    assert most.init(KEY, x)[0]["head"]["dense"]["kernel"].shape == (2, 1)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ((Conv(1, name="a"), Conv(1, name="a")), "two layers have the name 'a'"),
        ((Conv(1, name="head"),), "two layers have the name 'head'"),
        ((Act("swosh"),), "'swosh': expected one of linear, relu"),
    ],
)
def test_layers_that_cannot_be_are_refused(layers, said):
    with pytest.raises(InputError, match=said):
        cnn(1, layers=layers)
