"""DenseNet as others train it: torch, eager or compiled, and Keras on JAX.

Both start from the same weights as ours, take the same batches and the same plain SGD.
Torch runs channels_last; on a GPU, in bfloat16, through torch.compile. Keras runs
without its trainer: `stateless_call` inside one jitted step, as fast as it goes.
"""

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from equity_jax.types import Array, PyTree

Path = tuple[str, ...]
Batches = Sequence[tuple[np.ndarray, np.ndarray]]  # x float[B, S, S, 3], y int[B]


def torch_net(layers: tuple[int, ...], weights: tuple[PyTree, PyTree]) -> Any:
    """Torch's network with our weights (params, stats); channels_last."""
    import torch

    from scripts.benchmark.torch_densenet import DenseNet

    params, stats = weights
    net = DenseNet(layers, outputs=params["head"]["dense"]["bias"].shape[0])
    modules = {name: m for name, m in net.named_modules() if hasattr(m, "weight")}
    with torch.no_grad():
        for name, module in modules.items():
            leaves = _at(params, torch_path(name))
            if "scale" in leaves:
                running = _at(stats["batch_stats"], torch_path(name))
                module.weight.copy_(_tensor(leaves["scale"]))
                module.running_mean.copy_(_tensor(running["mean"]))
                module.running_var.copy_(_tensor(running["var"]))
            else:
                kernel = np.asarray(leaves["kernel"])
                order = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
                module.weight.copy_(_tensor(kernel.transpose(order)))
            if "bias" in leaves:
                module.bias.copy_(_tensor(leaves["bias"]))
    return net.to(memory_format=torch.channels_last)


def torch_train(net: Any, batches: Batches, rate: float, half: bool) -> Callable:
    """Steps -> their losses; every call goes on where the last one ended."""
    import torch

    net, device, cast = _placed(net.train(), half)
    held = [(_image(x).to(device), torch.as_tensor(y).to(device)) for x, y in batches]
    sgd, count = torch.optim.SGD(net.parameters(), rate), 0

    def run(steps: int) -> list[float]:
        nonlocal count
        losses = []
        for _ in range(steps):
            x, y = held[count % len(held)]
            sgd.zero_grad(set_to_none=True)
            with cast():
                loss = torch.nn.functional.cross_entropy(net(x), y.long())
            loss.backward()
            sgd.step()
            losses.append(loss.detach())
            count += 1
        return [value.item() for value in losses]

    return run


def torch_infer(net: Any, batches: Batches, half: bool) -> Callable:
    """Batches -> logits of the last one."""
    import torch

    net, device, cast = _placed(net.eval(), half)
    x = _image(batches[0][0]).to(device)

    def run(times: int) -> np.ndarray:
        with torch.inference_mode(), cast():
            for _ in range(times):
                logits = net(x)
        return logits.float().cpu().numpy()

    return run


def keras_net(
    layers: tuple[int, ...], size: int, weights: tuple[PyTree, PyTree]
) -> Any:
    """Keras Applications' network with our weights; logits, no softmax."""
    os.environ["KERAS_BACKEND"] = "jax"
    from keras.src.applications.densenet import DenseNet

    params, stats = weights
    net = DenseNet(
        list(layers),
        weights=None,
        input_shape=(size, size, 3),
        classes=params["head"]["dense"]["bias"].shape[0],
        classifier_activation=None,
    )
    for layer in net.layers:
        if not layer.weights:
            continue
        path = keras_path(layer.name)
        leaves = _at(params, path)
        if "scale" in leaves:
            leaves = leaves | _at(stats["batch_stats"], path)
        order = ("kernel", "scale", "bias", "mean", "var")
        layer.set_weights([np.asarray(leaves[k]) for k in order if k in leaves])
    return net


def keras_train(net: Any, batches: Batches, rate: float) -> Callable:
    """Steps -> their losses; every call goes on where the last one ended."""
    import jax

    def loss(learned: Any, rest: Any, x: Array, y: Array):
        logits, rest = net.stateless_call(learned, rest, x, training=True)
        return cross_entropy(logits, y), rest

    def step(state: Any, x: Array, y: Array):
        learned, rest = state
        (value, rest), g = jax.value_and_grad(loss, has_aux=True)(learned, rest, x, y)
        return ([p - rate * d for p, d in zip(learned, g, strict=True)], rest), value

    def values(variables: Any) -> list[Array]:
        return [jax.numpy.array(v.value) for v in variables]

    start = values(net.trainable_variables), values(net.non_trainable_variables)
    return stepper(step, start, batches)


def keras_infer(net: Any, batches: Batches) -> Callable:
    """Batches -> logits of the last one."""
    import jax

    learned = [v.value for v in net.trainable_variables]
    rest = [v.value for v in net.non_trainable_variables]
    call = jax.jit(lambda p, s, x: net.stateless_call(p, s, x, training=False)[0])
    x = jax.numpy.asarray(batches[0][0])

    def run(times: int) -> np.ndarray:
        for _ in range(times):
            logits = call(learned, rest, x).block_until_ready()
        return np.asarray(logits)

    return run


def stepper(step: Callable, state: PyTree, batches: Batches) -> Callable:
    """Drives a pure step(state, x, y) -> (state, loss), compiled once."""
    import jax

    held, count = jax.device_put(list(batches)), 0
    compiled = jax.jit(step, donate_argnums=0)

    def run(steps: int) -> list[float]:
        nonlocal state, count
        losses = []
        for _ in range(steps):
            state, loss = compiled(state, *held[count % len(held)])
            losses.append(loss)
            count += 1
        return [float(value) for value in losses]

    return run


def cross_entropy(logits: Array, y: Array) -> Array:
    """Mean over the batch; logits float[B, C], y int[B]."""
    import jax
    import jax.numpy as jnp

    chances = jax.nn.log_softmax(logits.astype(jnp.float32))
    return -jnp.take_along_axis(chances, y[:, None], 1).mean()


def torch_path(name: str) -> Path:
    """Where a module of torch's network lies in our parameters.

    Example:
        >>> torch_path("features.denseblock2.denselayer3.norm1")
        ('dense2', 'layer3', 'norm1')
    """
    name = name.removeprefix("features.")
    if name in ("conv0", "norm0"):
        return "stem", name[:-1]
    if re.fullmatch(r"norm\d", name):
        return ("norm",)
    if name == "classifier":
        return "head", "dense"
    return tuple(re.sub(r"denseblock|denselayer", _short, name).split("."))


def keras_path(name: str) -> Path:
    """Where a layer of Keras' network lies in our parameters.

    Example:
        >>> keras_path("conv3_block3_0_bn")
        ('dense2', 'layer3', 'norm1')
    """
    fixed = {"conv1_conv": ("stem", "conv"), "conv1_bn": ("stem", "norm")}
    fixed |= {"bn": ("norm",), "predictions": ("head", "dense")}
    if name in fixed:
        return fixed[name]
    inside = {"0_bn": "norm1", "1_conv": "conv1", "1_bn": "norm2", "2_conv": "conv2"}
    if found := re.fullmatch(r"conv(\d)_block(\d+)_(\w+)", name):
        return f"dense{int(found[1]) - 1}", f"layer{found[2]}", inside[found[3]]
    found = re.fullmatch(r"pool(\d)_(bn|conv)", name)
    return f"transition{int(found[1]) - 1}", {"bn": "norm"}.get(found[2], "conv")


def _short(found: re.Match) -> str:
    return {"denseblock": "dense", "denselayer": "layer"}[found[0]]


def _at(tree: PyTree, path: Path) -> dict[str, Array]:
    for name in path:
        tree = tree[name]
    return dict(tree)


def _tensor(value: Array) -> Any:
    import torch

    return torch.tensor(np.asarray(value))


def _image(x: np.ndarray) -> Any:
    return _tensor(x).permute(0, 3, 1, 2)  # NHWC in memory: channels_last


def _placed(net: Any, half: bool) -> tuple[Any, str, Callable]:
    """The network on the device where it runs, and the context of its precision."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = torch.compile(net.to(device)) if device == "cuda" else net
    kind = {"dtype": torch.bfloat16, "enabled": half}
    return net, device, lambda: torch.autocast(device, **kind)
