"""What all image models share: pixels in, named blocks in a row, a head, a cut."""

import math
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from equity_jax.models.base import Head, functional, training
from equity_jax.nouns import Model
from equity_jax.types import Array, InputError, Output, Path

MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet, RGB, of x / 255
CAFFE = (103.939, 116.779, 123.68)  # ImageNet means, BGR, of x
XRV = 1024.0  # torchxrayvision: pixels become -1024..1024
NORMALIZE = ("unit", "share", "imagenet", "caffe", "xrv", "none")
Step = tuple[str, Callable[..., nn.Module]]


def prepare(x: Array, normalize: str, channels: int) -> Array:
    """Pixels 0..255 (uint8 or float)[B, H, W, 1 or 3] as a checkpoint expects them.

    "unit": -1..1; "share": 0..1; "imagenet": torch's mean and SD of x / 255; "caffe":
    BGR minus means; "xrv": -1024..1024; "none": x as it is. A gray image is repeated
    for a stem of 3 channels; a stem of 1 takes the mean of the normalized channels.

    Example:
        >>> float(prepare(jnp.full((1, 1, 1, 1), 255), "unit", 1)[0, 0, 0, 0])
        1.0
    """
    x = x.astype(jnp.float32)
    if normalize in ("imagenet", "caffe"):
        x = jnp.broadcast_to(x, (*x.shape[:-1], 3))
        if normalize == "imagenet":
            x = (x / 255 - _row(MEAN)) / _row(SD)
        else:
            x = x[..., ::-1] - _row(CAFFE)
        return x if channels == 3 else x.mean(-1, keepdims=True)
    if normalize == "unit":
        x = x / 127.5 - 1
    elif normalize == "share":
        x = x / 255
    elif normalize == "xrv":
        x = (x / 127.5 - 1) * XRV
    return x if channels == 1 else jnp.broadcast_to(x, (*x.shape[:-1], channels))


class Network(nn.Module):
    """Blocks in a row, global average pooling where maps are left, and the head.

    steps: (name, module factory); a factory takes name= and gives a module called as
    (x, train) -> x; finish: what becomes of the last maps before they are averaged;
    taps: steps whose maps are shown (None: all).
    """

    steps: tuple[Step, ...]
    outputs: int
    constants: int = 0
    normalize: str = "unit"
    channels: int = 1
    dtype: str = "float32"
    finish: Callable[[Array], Array] | None = None
    taps: tuple[str, ...] | None = None

    @nn.compact
    def __call__(
        self, x: Array, train: bool | Collection[str], after: str = ""
    ) -> Output:
        """Take uint8 or float[B, H, W, 1 or 3], or what left the step `after`."""
        names, taps = [name for name, _ in self.steps], {}
        if not after:
            x = prepare(x, self.normalize, self.channels)
        x = x.astype(self.dtype)
        for name, make in self.steps[names.index(after) + 1 if after else 0 :]:
            x = make(name=name)(x, training(train, name))
            if x.ndim == 4 and (self.taps is None or name in self.taps):
                taps[name] = x
        if x.ndim == 4:
            x = (self.finish(x) if self.finish else x).mean((1, 2), dtype=jnp.float32)
        features = x.astype(jnp.float32)
        logits = Head(self.outputs, self.constants, name="head")(features)
        return Output(logits, features, taps)


def image_model(network: Network) -> Model:
    """The network as pure functions, with its tail.

    Raises:
        InputError: normalize or dtype is unknown.

    Example:
        >>> image_model(Network(steps, outputs=3)).blocks  # doctest: +SKIP
        ('stem', 'stage1', 'head')
    """
    if network.normalize not in NORMALIZE:
        known = ", ".join(NORMALIZE)
        raise InputError(f"normalize={network.normalize!r}: expected one of {known}")
    if network.dtype not in ("float32", "bfloat16"):
        raise InputError(f"dtype={network.dtype!r}: expected float32 or bfloat16")
    names = tuple(name for name, _ in network.steps)
    model = functional(network, (*names, "head"))

    def init(key: Array, x: Array) -> tuple[Any, Any]:
        return fresh(key, jax.eval_shape(model.init, key, x))

    def tail(params: Any, stats: Any, name: str, tap: Array) -> Array:
        return network.apply({"params": params, **stats}, tap, False, name).logits

    return model._replace(init=init, tail=tail)


def fresh(key: Array, shapes: Any) -> Any:
    """Starting values for a tree of shapes, from one draw: quick to compile.

    Kernels: He et al. 2015 (ReLU; fan-out of convolutions, as torchvision, fan-in of
    dense layers), the head's SD 0.01; scales and variances 1; all else 0.

    Example:
        >>> params, stats = fresh(key, jax.eval_shape(init, key, x))  # doctest: +SKIP
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(shapes)
    names = [
        (tuple(str(getattr(k, "key", k)) for k in path), leaf.shape)
        for path, leaf in leaves
    ]
    kernels = iter(_kernels(key, tuple(n for n in names if n[0][-1] == "kernel")))
    constants = {"scale": 1.0, "var": 1.0}
    values = [
        next(kernels)
        if path[-1] == "kernel"
        else jnp.full(shape, constants.get(path[-1], 0.0))
        for path, shape in names
    ]
    return jax.tree.unflatten(tree, values)


@partial(jax.jit, static_argnums=1)
def _kernels(key: Array, names: tuple[tuple[Path, tuple[int, ...]], ...]) -> list:
    sizes = [math.prod(shape) for _, shape in names]
    # the barrier: else the draw would be compiled again into every kernel
    drawn = jax.lax.optimization_barrier(jax.random.normal(key, (sum(sizes),)))
    values, at = [], 0
    for (path, shape), size in zip(names, sizes, strict=True):
        fan = shape[0] * shape[1] * shape[3] if len(shape) == 4 else shape[0]
        sd = 0.01 if "head" in path else math.sqrt(2 / fan)
        values.append(sd * drawn[at : at + size].reshape(shape))
        at += size
    return values


def _row(values: tuple[float, ...]) -> Array:
    return jnp.asarray(values)[None, None, None]
