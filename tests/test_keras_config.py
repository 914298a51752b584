"""A Keras model's JSON as our layers: what is read, and what is refused by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equity_jax.keys import generator
from equity_jax.models import keras_config
from equity_jax.models.cnn import Act, Conv, GlobalMean, Norm
from equity_jax.models.pretrained import load, read
from equity_jax.types import InputError

CHECKPOINT = "checkpoints/covidcxnet_v1.0_eps-099_valAcc-0.9672.safetensors"
RELATIVE = 1e-4


def layer(kind, name, **options):
    return {"class_name": kind, "config": {"name": name, **options}}


def conv(name="c1", **options):
    usual = {"filters": 4, "kernel_size": [3, 3], "strides": [1, 1], "padding": "same"}
    return layer("Conv2D", name, **{**usual, "activation": "relu", **options})


INPUT = layer("InputLayer", "in", batch_input_shape=[None, 8, 8, 1])
POOL = layer("GlobalAveragePooling2D", "pool")
OUT = layer("Dense", "out", units=2, activation="softmax")


def sequential(*layers):
    return {"class_name": "Sequential", "config": {"layers": list(layers)}}


def test_a_row_of_layers():
    norm = layer("BatchNormalization", "n1", epsilon=0.001, axis=[3])
    plan = keras_config.plan(sequential(INPUT, conv(), norm, POOL, OUT))
    assert plan.layers == (
        Conv(4, (3, 3), (1, 1), "SAME", True, "c1"),
        Act("relu", "c1_relu"),
        Norm(0.001, "n1"),
        GlobalMean("pool"),
    )
    assert (plan.head, plan.outputs, plan.activation) == ("out", 2, "softmax")
    assert (plan.shape, plan.normalize) == ((8, 8, 1), "share")
    assert keras_config.model(plan).blocks == ("c1", "n1", "head")


@pytest.mark.parametrize(
    ("scale", "offset", "normalize"), [(1 / 255, 0, "share"), (1 / 127.5, -1, "unit")]
)
def test_rescaling_becomes_the_models_own(scale, offset, normalize):
    rescale = layer("Rescaling", "r", scale=scale, offset=offset)
    plan = keras_config.plan(sequential(INPUT, rescale, conv(), POOL, OUT))
    assert plan.normalize == normalize


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ((INPUT, layer("Lambda", "evil", function="x"), OUT), "layer evil is a Lambda"),
        ((INPUT, conv(dilation_rate=[2, 2]), OUT), "c1 has dilation_rate=[2, 2]"),
        ((INPUT, conv(groups=2), OUT), "c1 has groups=2"),
        ((INPUT, conv(activation="swoosh"), OUT), "c1 has the activation 'swoosh'"),
        ((INPUT, conv(activation={"class_name": "x"}), OUT), "has the activation"),
        ((INPUT, conv(padding="causal"), OUT), "c1 lacks or garbles 'causal'"),
        ((INPUT, layer("Conv2D", "c1"), OUT), "layer c1 lacks or garbles"),
        ((INPUT, conv(), POOL), "does not end with a dense layer"),
        ((INPUT, OUT, layer("Dropout", "d", rate=0.1)), "does not end with a dense"),
        ((conv(), POOL, OUT), "does not say the shape of its input"),
        ((INPUT, layer("Rescaling", "r", scale=2), OUT), "Rescaling by 2 and 0"),
    ],
)
def test_what_is_not_known_is_refused_by_name(layers, why):
    with pytest.raises(InputError) as error:
        keras_config.plan(sequential(*layers))
    assert why in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "config",
    [{}, {"config": 3}, {"config": {"layers": 3}}, {"config": {"layers": [1]}}],
)
def test_json_of_something_else_is_refused(config):
    with pytest.raises(InputError, match="not the JSON of a Keras model"):
        keras_config.plan(config)


def test_branches_are_refused():
    two = {
        **layer("Add", "sum"),
        "inbound_nodes": [[["in", 0, 0, {}], ["c1", 0, 0, {}]]],
    }
    first = {**conv(), "inbound_nodes": [[["in", 0, 0, {}]]]}
    with pytest.raises(InputError, match="layer sum takes c1 and in; only layers in a"):
        keras_config.plan(sequential(INPUT, first, two, OUT))


@pytest.fixture
def keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    return pytest.importorskip("keras", reason="the extra bench brings keras")


def randomized(keras, model):
    rng = generator(0, "keras")
    model.set_weights(
        [rng.uniform(0.1, 0.5, w.shape) - 0.25 * (w.ndim > 1) for w in model.weights]
    )
    return model


def predicted(model, x):
    with jax.numpy_rank_promotion("allow"):  # Keras' own sums broadcast
        return model.predict(x, verbose=0)


def ours(path, x):
    found = read(path)
    plan = keras_config.plan(found.facts["config"])
    model = keras_config.model(plan, normalize="none")
    start = jax.jit(model.init)(jax.random.key(0), x[:1])
    params, stats, diff = load(found, "cnn", model, *start, head=True)
    assert not diff.fresh and not diff.left_over, str(diff)
    output, _ = jax.jit(model.apply, static_argnums=3)(
        params, stats, x, False, jax.random.key(0)
    )
    return {"softmax": jax.nn.softmax, "sigmoid": jax.nn.sigmoid}[plan.activation](
        output.logits
    )


FILES = pytest.mark.parametrize("name", ["net.h5", "net.keras"])


@FILES
@pytest.mark.filterwarnings("ignore")  # Keras on its own formats
def test_every_layer_that_is_known_gives_what_keras_gives(name, keras, tmp_path):
    k = keras.layers
    first = k.Conv2D(4, 3, strides=2, padding="same", use_bias=False)
    model = keras.Sequential(
        [
            k.Input((17, 15, 3)),
            first,
            k.BatchNormalization(epsilon=0.01),
            k.ReLU(),
            k.MaxPooling2D(2, padding="same"),
            k.Conv2D(5, (3, 1), padding="valid", activation="tanh"),
            k.AveragePooling2D(2, strides=1, padding="same"),
            k.Dropout(0.5),
            k.Conv2D(3, 1),
            k.Activation("elu"),
            k.Flatten(),
            k.Dense(6, activation="sigmoid"),
            k.Dense(3, activation="softmax"),
        ]
    )
    randomized(keras, model).save(tmp_path / name)
    x = generator(0, "x").normal(size=(4, 17, 15, 3)).astype(np.float32)
    wanted = predicted(model, x)
    np.testing.assert_allclose(ours(tmp_path / name, x), wanted, rtol=RELATIVE)


@FILES
@pytest.mark.filterwarnings("ignore")
def test_a_functional_model_gives_what_keras_gives(name, keras, tmp_path):
    k = keras.layers
    inputs = k.Input((12, 12, 1))
    hidden = k.GlobalMaxPooling2D()(k.Conv2D(4, 3, activation="relu")(inputs))
    model = keras.Model(inputs, k.Dense(1, activation="sigmoid")(hidden))
    randomized(keras, model).save(tmp_path / name)
    x = generator(0, "x").normal(size=(4, 12, 12, 1)).astype(np.float32)
    wanted = predicted(model, x)
    np.testing.assert_allclose(ours(tmp_path / name, x), wanted, rtol=RELATIVE)


@pytest.mark.realdata
def test_the_real_covid_net_gives_what_keras_gives(real, keras):
    found = read(real / CHECKPOINT)
    config = found.facts["config"]
    model = keras.Sequential([keras.layers.Input((400, 400, 1))])
    for node in config["config"]["layers"][1:]:  # the config is of an older Keras
        kind = getattr(keras.layers, node["class_name"])
        options = {
            key: node["config"][key]
            for key in ("filters", "kernel_size", "strides", "padding", "units", "name")
            if key in node["config"]
        }
        if "activation" in node["config"]:
            options["activation"] = node["config"]["activation"]
        model.add(kind(**options))
    for own in model.layers:
        if own.weights:
            names = (f"{own.name}/kernel", f"{own.name}/bias")
            own.set_weights([found.arrays[name] for name in names])
    x = generator(0, "x").uniform(size=(3, 400, 400, 1)).astype(np.float32)
    wanted = predicted(model, x)
    got = ours(real / CHECKPOINT, jnp.asarray(x))
    np.testing.assert_allclose(got, wanted, rtol=RELATIVE)
    assert 0 < wanted.min() and wanted.max() < 1
