"""What a training costs: seconds, floating-point operations, memory, parameters."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from equity_jax.clock import compile_clock, phase
from equity_jax.config import Config
from equity_jax.methods import METHODS, switch
from equity_jax.models import MODELS
from equity_jax.nouns import Model, Scheme, Stage
from equity_jax.schemes import SCHEMES
from equity_jax.schemes.base import everyone, everything
from equity_jax.schemes.finetune import FINE
from equity_jax.schemes.freeze import Uniform
from equity_jax.tasks import TASKS
from equity_jax.train import Run, Weights, features, fit, score
from equity_jax.train.leaves import shapes_of
from equity_jax.types import Array, Dataset, PyTree

FRESH, TUNED, CONTINUED = "mixture", "finetune('full')", "continued"
HALF = Stage(everyone, everything, Uniform(FINE), steps=0.5)
SHELF = {
    FRESH: SCHEMES.get(FRESH),  # from random numbers
    TUNED: SCHEMES.get(TUNED),  # all but the head from given weights
    CONTINUED: Scheme((HALF,), pooled=True),  # the head too
}
LOOKS = 6  # evaluations of a fit


class Size(NamedTuple):
    """Of one batch: floating-point operations, and bytes that XLA plans to hold."""

    flops: float
    memory: int


class Spent(NamedTuple):
    """What a training took, and what it left.

    running, compiling: seconds; flops: of all its steps, forward and backward; memory:
    bytes of one step; numbers: that were trained.
    """

    weights: Weights
    running: float
    compiling: float
    flops: float
    memory: int
    numbers: int
    steps: int


class Bench:
    """Fits networks and heads in the same way; each program is compiled once.

    Example:
        >>> bench = Bench(Config(), "multiclass(2)")
        >>> bench.fit("cnn_small", dataset, FRESH).steps  # doctest: +SKIP
        150
    """

    def __init__(self, config: Config, task: str):
        self.config, self.task = config, TASKS.get(task)
        self.methods = dict(zip(["erm"], switch(METHODS.get("erm")), strict=True))
        self.models: dict[str, Model] = {}
        self.programs: dict[Any, Any] = {}
        self.sizes: dict[str, Size] = {}
        self.compiling: dict[str, float] = {}

    def model(self, name: str) -> Model:
        """One object for one name: jax compiles a function once an object."""
        if name not in self.models:
            shape = self.task.outputs, self.task.constants
            self.models[name] = MODELS.get(name, *shape)
        return self.models[name]

    def fit(
        self, name: str, dataset: Dataset, scheme: str, start: Weights | None = None
    ) -> Spent:
        """Trains the model `name` on a data set's images or embeddings.

        scheme: a key of SHELF; start: the weights that all but FRESH begin with. Not
        journaled: a killed study fits again, so that the seconds are of one go.
        """
        cost, images = self.config.cost, dataset.x.ndim > 2
        lr = cost.lr if images else cost.head_lr
        run, model = Run(self.config.seed, "erm", scheme, -1, lr), self.model(name)
        every = cost.steps // LOOKS
        train = dataclasses.replace(
            self.config.train,
            **{"steps": cost.steps, "batch": cost.batch, "chunk": 1},
            **{"eval_every": every, "segment": every, "patience": LOOKS},
        )
        fixed = {"task": self.task, "reconstruct": TASKS.get("reconstruct")}
        fixed |= {"methods": self.methods, "schemes": SHELF, "train": train}
        with stopwatch() as seconds:
            fitted = fit(
                model, dataset, [run], programs=self.programs, start=start, **fixed
            )
        size = self.size(name, dataset)
        steps = int(fitted.looks[0].step[fitted.looks[0].active].max())
        numbers = sum(np.size(leaf) for leaf in jax.tree.leaves(fitted.of(0).params))
        how = size.flops * steps, size.memory, numbers, steps
        return Spent(fitted.of(0), *self.clock(name, seconds), *how)

    def size(self, name: str, dataset: Dataset) -> Size:
        """One step of training, as XLA compiles it: loss, gradient and statistics."""
        if name in self.sizes:
            return self.sizes[name]
        model, batch = self.model(name), self.config.cost.batch
        x, y = (
            jax.ShapeDtypeStruct((batch, *a.shape[1:]), a.dtype)
            for a in (dataset.x, dataset.y)
        )

        def loss(params: PyTree, stats: PyTree, x: Array, y: Array) -> Any:
            out, new = model.apply(params, stats, x, True, jax.random.key(0))
            return jnp.mean(self.task.nll(out.logits, y)), new

        step = jax.value_and_grad(loss, has_aux=True)
        self.sizes[name] = size_of(step, *shapes_of(model, x), x, y)
        return self.sizes[name]

    def embed(
        self, name: str, weights: Weights, x: np.ndarray
    ) -> tuple[np.ndarray, Spent]:
        """Frozen features float32[N, F] of images, and what they took."""
        model, batch = self.model(name), self.config.cost.batch
        with stopwatch() as seconds:
            _, found = features(model, weights, x, batch)

        def forward(params: PyTree, stats: PyTree, x: Array) -> Array:
            return model.apply(params, stats, x, False, jax.random.key(0))[0].features

        part = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
        size = size_of(forward, *shapes_of(model, part), part)
        passes = -(-len(x) // batch)
        spent = self.clock(f"{name} embedding", seconds)
        return found, Spent(weights, *spent, size.flops * passes, size.memory, 0, 0)

    def clock(self, name: str, seconds: dict[str, float]) -> tuple[float, float]:
        """Seconds of running, and those that `name` took to compile the first time."""
        compiling = seconds.get("compile", 0.0)
        return seconds["all"] - compiling, self.compiling.setdefault(name, compiling)

    def prob(self, name: str, weights: Weights, x: np.ndarray) -> np.ndarray:
        """float[N, C], C >= 2, of images or embeddings."""
        [logits] = score(self.model(name), [weights], x)
        found = np.asarray(self.task.predict(logits, None), float)
        return found if found.shape[1] > 1 else np.hstack([1 - found, found])


def size_of(function: Callable[..., Any], *like: Any) -> Size:
    """What XLA counts and plans for a function of arrays like these.

    memory: arguments, results and what is held between, at their largest.

    Example:
        >>> size_of(lambda x: x @ x, jax.ShapeDtypeStruct((8, 8), np.float32)).flops
        1024.0
    """
    made = jax.jit(function).lower(*like).compile()
    plan, counted = made.memory_analysis(), made.cost_analysis()
    held = plan.argument_size_in_bytes + plan.output_size_in_bytes
    held += plan.temp_size_in_bytes - plan.alias_size_in_bytes
    return Size(float(counted.get("flops", 0.0)), int(held))


@contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Seconds of a block: "all", and "compile" where something was compiled."""
    seconds: dict[str, float] = {}
    with phase(seconds, "all"), compile_clock(seconds):
        yield seconds
