"""Few rows of several groups and labels, and what their tests share, in float64."""

import jax
import jax.numpy as jnp
import numpy as np

from equity_jax.data.sampler import tabulate
from equity_jax.methods import METHODS, begin
from equity_jax.tasks import TASKS
from equity_jax.types import Batch, Counts, Output

GROUPS, ROWS, WIDTH = 3, 24, 3


def rows(name: str, seed: int = 0) -> tuple:
    """(task, batch, counts, features float[B, F], logits float[B, O])."""
    rng, task = np.random.default_rng(seed), TASKS.get(name)
    if name.startswith("multiclass"):
        y = rng.integers(0, task.classes, (ROWS, 1))
        y[3] = -1
    else:
        y = rng.integers(0, 2, (ROWS, task.outputs)).astype(float)
        y[3, 0] = np.nan
    mask = (rng.random(y.shape) < 0.9).astype(float)
    group = rng.choice([-1, 0, 1, 2], ROWS, p=[0.2, 0.4, 0.3, 0.1]).astype(np.int32)
    weight = (rng.random(ROWS) < 0.9).astype(float)
    batch = Batch(None, y, mask, group, weight, None)
    classes = np.asarray(task.class_of(y))
    shape = task.classes, GROUPS
    counts = tabulate(classes, mask, group, np.ones(ROWS, bool), shape)
    features = rng.normal(size=(ROWS, WIDTH))
    return task, batch, counts, features, rng.normal(size=(ROWS, task.outputs))


def start(text: str, counts: Counts) -> tuple:
    """A method and its aux, everything in float64."""
    method = METHODS.get(text)
    aux = begin(method, jax.random.key(0), WIDTH, counts)
    is_float = lambda a: jnp.issubdtype(jnp.asarray(a).dtype, jnp.floating)  # noqa: E731
    wide = lambda a: jnp.asarray(a, jnp.float64) if is_float(a) else a  # noqa: E731
    return method, jax.tree.map(wide, aux)


def answer(text: str, world: tuple, aux: dict | None = None) -> tuple:
    """Value, its gradients in features and logits, and the new aux."""
    task, batch, counts, features, logits = world
    with jax.enable_x64(True):
        method, fresh = start(text, counts)

        def loss(features, logits):
            out = Output(logits, features)
            mine = fresh if aux is None else aux
            return method.loss(mine, task, out, batch, jnp.float64(1.0))

        both = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
        (value, new), slopes = both(jnp.asarray(features), jnp.asarray(logits))
        return float(value), [np.asarray(s) for s in slopes], new


def slope(function, at: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences of a scalar function of a float64 array."""
    found = np.zeros_like(at)
    for i in np.ndindex(at.shape):
        for sign in (1, -1):
            moved = at.copy()
            moved[i] += sign * step
            found[i] += sign * function(moved) / (2 * step)
    return found


def plain(world: tuple, logits: np.ndarray) -> float:
    """The masked mean nll, of numpy alone."""
    task, batch, *_ = world
    y, total = np.asarray(batch.y), []
    for k in range(y.shape[1]):
        costs, weights = [], []
        for i in range(ROWS):
            if task.name.startswith("multiclass"):
                known = y[i, k] >= 0
                lead = np.log(np.exp(logits[i]).sum()) - logits[i]
                cost = lead[int(y[i, k])] if known else 0.0
            else:
                known = np.isfinite(y[i, k])
                z = logits[i, k]
                cost = np.log1p(np.exp(z)) - y[i, k] * z if known else 0.0
            costs.append(cost)
            weights.append(batch.mask[i, k] * batch.weight[i])
        total.append(np.dot(costs, weights) / sum(weights))
    return float(np.mean(total))


def class_of(world: tuple, i: int, k: int) -> int:
    """The class of one row's label; -1 where it is unknown."""
    return int(np.asarray(world[0].class_of(world[1].y))[i, k])


def cost(world, z, i, k):
    """One row's cross-entropy of one label."""
    c = class_of(world, i, k)
    if c < 0:
        return 0.0
    if world[0].classes > 2:
        return np.log(np.exp(z[i]).sum()) - z[i, c]
    return np.log1p(np.exp(z[i, k])) - c * z[i, k]
