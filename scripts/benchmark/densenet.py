"""DenseNet121 beside torch and Keras: the suite `densenet`.

work="train": forward, backward and a step of plain SGD; work="infer": logits. Every
contender has the same weights at the start, the same batches of SIMULATED pixels, and
float32 (dtype="bfloat16": arithmetic in half precision, for a GPU). Losses are compared
step by step over all rounds: the curves must lie over each other.
"""

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from equity_jax.keys import generator, key
from equity_jax.types import Array, InputError, PyTree
from scripts.benchmark import densenet_peers as peers
from scripts.benchmark.race import Contender, Suite

OURS, TORCH, KERAS = "equity_jax", "torch", "Keras on JAX"
CLASSES, BATCHES, RATE = 3, 4, 0.01
# how many times faster ours should be: on a CPU; on a GPU against torch.compile
TARGETS = {
    "train": {TORCH: 0.75, KERAS: 1.5},
    "infer": {TORCH: 1.0, KERAS: None},
}
GPU_TARGET = 1.3


class Sizes(NamedTuple):
    """How much work: "train" or "infer", steps a turn, images a batch, pixels of a
    side, dense layers of the four blocks, and the arithmetic.
    """

    work: str = "train"
    steps: int = 3
    batch: int = 8
    size: int = 224
    layers: str = "6,12,24,16"
    dtype: str = "float32"


LEAST = {"size": 32, "batch": 2}


def build(sizes: Sizes) -> Suite:
    """The suite: ours, torch channels_last (eager; compiled on a GPU), Keras on JAX.

    Raises:
        InputError: torch or keras is missing; a size cannot be.
    """
    from equity_jax.models import densenet  # heavy: not for the other suites

    _check(sizes)
    layers = tuple(int(n) for n in sizes.layers.split(","))
    model = densenet(
        CLASSES, layers=layers, channels=3, normalize="none", dtype=sizes.dtype
    )
    batches = pixels(sizes)
    weights = model.init(key(0, "benchmark/densenet"), batches[0][0])
    runs = _contenders(sizes, layers, model, weights, batches)
    gpu = jax.default_backend() == "gpu"
    targets = TARGETS[sizes.work] | ({TORCH: GPU_TARGET} if gpu else {})
    notes = {TORCH: "channels_last, " + ("compiled" if gpu else "eager")}
    notes |= {KERAS: "float32; no trainer: stateless_call in one jitted step"}
    kept: dict[str, list] = {name: [] for name in runs}
    contenders = {}
    for name, run in runs.items():
        asked = sizes.steps, targets.get(name), notes.get(name, "")
        contenders[name] = Contender(_keeping(run, kept[name]), *asked)
    held, unit = sizes._asdict(), "steps" if sizes.work == "train" else "batches"

    def agree(answers: Mapping[str, Any]) -> dict[str, Any]:
        return agreement(kept)

    return Suite(contenders, sizes.steps, held, agree, told, unit)


def _contenders(
    sizes: Sizes, layers: tuple[int, ...], model: Any, weights: PyTree, batches: Any
) -> dict[str, Callable]:
    half = sizes.dtype == "bfloat16"
    theirs = peers.torch_net(layers, weights)
    keras = peers.keras_net(layers, sizes.size, weights)
    if sizes.work == "train":
        return {
            OURS: ours_train(model, weights, batches),
            TORCH: peers.torch_train(theirs, batches, RATE, half),
            KERAS: peers.keras_train(keras, batches, RATE),
        }
    return {
        OURS: ours_infer(model, weights, batches),
        TORCH: peers.torch_infer(theirs, batches, half),
        KERAS: peers.keras_infer(keras, batches),
    }


def pixels(sizes: Sizes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Batches x float32[B, S, S, 3], y int32[B]: noise, brighter for higher classes."""
    rng = generator(0, "benchmark/densenet")
    batches = []
    for _ in range(BATCHES):
        y = rng.integers(0, CLASSES, sizes.batch).astype(np.int32)
        x = rng.normal(size=(sizes.batch, sizes.size, sizes.size, 3))
        batches.append(((x + y[:, None, None, None]).astype(np.float32), y))
    return batches


def ours_train(model: Any, weights: PyTree, batches: peers.Batches) -> Callable:
    """Steps -> their losses; every call goes on where the last one ended."""

    def loss(params: Any, stats: Any, x: Array, y: Array):
        out, stats = model.apply(params, stats, x, True, jax.random.key(0))
        return peers.cross_entropy(out.logits, y), stats

    def step(state: Any, x: Array, y: Array):
        (value, stats), g = jax.value_and_grad(loss, has_aux=True)(*state, x, y)
        return (jax.tree.map(lambda p, d: p - RATE * d, state[0], g), stats), value

    return peers.stepper(step, jax.tree.map(jnp.array, weights), batches)


def ours_infer(model: Any, weights: PyTree, batches: peers.Batches) -> Callable:
    """Batches -> logits of the last one."""

    def logits(params: Any, stats: Any, x: Array) -> Array:
        return model.apply(params, stats, x, False, jax.random.key(0))[0].logits

    call, x = jax.jit(logits), jnp.asarray(batches[0][0])

    def run(times: int) -> np.ndarray:
        for _ in range(times):
            out = call(*weights, x).block_until_ready()
        return np.asarray(out)

    return run


def agreement(kept: Mapping[str, list]) -> dict[str, Any]:
    """values: what each contender gave, in order; apart: largest |ours - theirs|."""
    values = {name: np.concatenate([np.ravel(v) for v in kept[name]]) for name in kept}
    mine = values[OURS]
    apart = {n: float(np.abs(v - mine).max()) for n, v in values.items() if n != OURS}
    return {"values": {n: v.tolist() for n, v in values.items()}, "apart": apart}


def told(found: Mapping[str, Any]) -> list[str]:
    """How far losses (or logits) lie apart, and where they began and ended."""
    mine = found["values"][OURS]
    said = [f"values: ours from {mine[0]:.4f} to {mine[-1]:.4f}"]
    return said + [
        f"values: largest |ours - {name}| {far:.2g} over {len(mine)}"
        for name, far in found["apart"].items()
    ]


def _keeping(run: Callable, kept: list) -> Callable:
    def keep(replicates: int) -> Any:
        kept.append(run(replicates))
        return kept[-1]

    return keep


def _check(sizes: Sizes) -> None:
    if sizes.work not in TARGETS:
        raise InputError(f"--work={sizes.work}: expected train or infer")
    if not all(n.isdigit() and int(n) for n in sizes.layers.split(",")):
        raise InputError(
            f"--layers={sizes.layers}: expected numbers such as 6,12,24,16"
        )
    if sizes.layers.count(",") != 3:
        raise InputError(f"--layers={sizes.layers}: Keras' network has four blocks")
    for name in ("torch", "keras"):
        if importlib.util.find_spec(name) is None:
            how = "pip install 'equity_jax[bench]'"
            raise InputError(
                f"--suite=densenet compares with {name}; install it: {how}"
            )
