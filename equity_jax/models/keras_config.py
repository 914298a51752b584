"""The JSON of a Keras model (Functional or Sequential) as layers of our `cnn`.

Only a row of simple layers is read: each takes what the one before it gives. The last
dense layer becomes the head, and the activation after it is left to the task, which
works on logits. Nothing of the JSON is ever executed.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from equity_jax.models.cnn import (
    ACTS,
    Act,
    AvgPool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalMax,
    GlobalMean,
    MaxPool,
    Norm,
    cnn,
)
from equity_jax.nouns import Model
from equity_jax.types import InputError


class Plan(NamedTuple):
    """A Keras model as data.

    layers: without the head; head: the last dense layer's name; outputs: its width;
    activation: what Keras did to the logits; shape: (height, width, channels) of the
    input; normalize: as the model's own Rescaling layer says, else "share" (x / 255).
    """

    layers: tuple[Any, ...]
    head: str
    outputs: int
    activation: str
    shape: tuple[int, int, int]
    normalize: str


# What a layer may say; another value changes the numbers and is refused.
FIXED: Mapping[str, tuple[Any, ...]] = {
    "data_format": ("channels_last", None),
    "dilation_rate": ([1, 1], 1, (1, 1)),
    "groups": (1,),
    "axis": (-1, 3, [-1], [3]),
    "scale": (True,),
    "center": (True,),
    "keepdims": (False,),
    "max_value": (None,),
    "negative_slope": (0, None),
    "threshold": (0, None),
    "go_backwards": (False,),
}


def plan(config: Mapping[str, Any], file: str = "config.json") -> Plan:
    """The layers of a Keras model's JSON (model.to_json(), config.json, model_config).

    Raises:
        InputError: a model with branches, a layer or an option that is not known, no
            dense layer at the end; each names the layer.

    Example:
        >>> plan(json.loads(keras_model.to_json())).outputs  # doctest: +SKIP
        1
    """
    layers, shape = _row(config, file)
    specs: list[Any] = []
    normalize = "share"
    for kind, options in layers:
        if kind == "Rescaling":
            normalize = _rescaling(options, file)
            continue
        specs += _translated(kind, options, file)
    last = max((i for i, s in enumerate(specs) if isinstance(s, Dense)), default=-1)
    after = specs[last + 1 :]
    if last < 0 or not all(isinstance(s, Act) for s in after):
        raise InputError(f"{file}: the model does not end with a dense layer")
    head = specs[last]
    act = after[0].kind if after else "linear"
    return Plan(tuple(specs[:last]), head.name, head.features, act, shape, normalize)


def model(found: Plan, *, normalize: str = "") -> Model:
    """The plan as a model with its own head; normalize: another than the plan's.

    Example:
        >>> model(plan(config)).blocks  # doctest: +SKIP
        ('conv_layer1', 'conv_layer2', 'head')
    """
    return cnn(
        found.outputs,
        layers=found.layers,
        normalize=normalize or found.normalize,
        channels=found.shape[2],
    )


def _row(config: Mapping[str, Any], file: str) -> tuple[list, tuple[int, int, int]]:
    """(class, options) of every layer in order, and the shape of one image."""
    try:
        layers = config["config"]["layers"]
        inside = [(str(n["class_name"]), dict(n["config"])) for n in layers]
        before = [_inputs(node.get("inbound_nodes", [])) for node in layers]
        names = [options.get("name", "") for _, options in inside]
    except (
        LookupError,
        TypeError,
        AttributeError,
        ValueError,
        RecursionError,
    ) as error:
        raise InputError(f"{file} is not the JSON of a Keras model") from error
    for i, found in enumerate(before):
        if found and found != {names[i - 1]}:
            given = " and ".join(sorted(found))
            raise InputError(
                f"{file}: layer {names[i]} takes {given}; only layers in a row are read"
            )
    size = next((s for s in map(_shape, inside) if s), None)
    if size is None or not size[2]:
        raise InputError(f"{file} does not say the shape of its input")
    return [layer for layer in inside if layer[0] != "InputLayer"], size


def _inputs(node: Any) -> set[str]:
    """Names of the layers that a layer takes, in the words of Keras 2 or 3."""
    if isinstance(node, Mapping):
        history = node.get("keras_history")
        if history:
            return {history[0]}
        return set().union(*map(_inputs, node.values()))
    if isinstance(node, list):
        if len(node) > 2 and isinstance(node[0], str) and isinstance(node[1], int):
            return {node[0]}
        return set().union(*map(_inputs, node))
    return set()


def _shape(layer: tuple[str, dict]) -> tuple[int, int, int] | None:
    options = layer[1]
    size = options.get("batch_input_shape") or options.get("batch_shape")
    if not isinstance(size, list | tuple) or len(size) != 4:
        return None
    return tuple(n or 0 for n in size[1:])


def _rescaling(options: Mapping[str, Any], file: str) -> str:
    scale, offset = options.get("scale"), options.get("offset", 0)
    for name, value in (("share", (1 / 255, 0)), ("unit", (1 / 127.5, -1))):
        if all(
            isinstance(a, int | float) and abs(a - b) < 1e-6
            for a, b in zip((scale, offset), value, strict=True)
        ):
            return name
    raise InputError(f"{file}: Rescaling by {scale} and {offset} is not known")


def _translated(kind: str, options: dict[str, Any], file: str) -> list[Any]:
    """One Keras layer as one of ours, and its activation as another."""
    name = options.get("name", "")
    if kind not in LAYERS:
        known = ", ".join(LAYERS)
        raise InputError(f"{file}: layer {name} is a {kind}; known are {known}")
    for option, fine in FIXED.items():
        if option in options and options[option] not in fine:
            value = options[option]
            raise InputError(
                f"{file}: layer {name} has {option}={value}, not {fine[0]}"
            )
    try:
        spec = LAYERS[kind](options)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file}: layer {name} lacks or garbles {error}") from error
    specs = [] if spec is None else [spec._replace(name=name)]
    act = options.get("activation")
    if kind in ("Conv2D", "Dense") and act not in (None, "linear"):
        specs.append(Act(_act(act, name, file), f"{name}_{act}"))
    elif kind == "Activation":
        specs = [Act(_act(act, name, file), name)]
    return specs


def _act(kind: Any, name: str, file: str) -> str:
    if kind not in (*ACTS, "softmax"):
        raise InputError(f"{file}: layer {name} has the activation {kind!r}")
    return kind


def _window(kind: type, options: Mapping[str, Any]) -> Any:
    size = tuple(options["pool_size"])
    strides = options.get("strides")
    return kind(size, size if strides is None else tuple(strides), _padding(options))


def _padding(options: Mapping[str, Any]) -> str:
    return {"valid": "VALID", "same": "SAME"}[options.get("padding", "valid")]


def _conv(options: Mapping[str, Any]) -> Conv:
    size, strides = tuple(options["kernel_size"]), tuple(options["strides"])
    bias = bool(options.get("use_bias", True))
    return Conv(int(options["filters"]), size, strides, _padding(options), bias)


LAYERS: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "Conv2D": _conv,
    "BatchNormalization": lambda o: Norm(float(o["epsilon"])),
    "MaxPooling2D": lambda o: _window(MaxPool, o),
    "AveragePooling2D": lambda o: _window(AvgPool, o),
    "GlobalAveragePooling2D": lambda o: GlobalMean(),
    "GlobalMaxPooling2D": lambda o: GlobalMax(),
    "Flatten": lambda o: Flatten(),
    "Dropout": lambda o: Dropout(float(o["rate"])),
    "Dense": lambda o: Dense(int(o["units"]), bool(o.get("use_bias", True))),
    "Activation": lambda o: None,
    "ReLU": lambda o: Act("relu"),
    "Softmax": lambda o: Act("softmax"),
}
