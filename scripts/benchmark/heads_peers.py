"""Heads as others train them: torch in turn and by hand at once, Keras, scikit-learn.

Each minimizes the mean cross-entropy with Adam (decoupled decay, half a cosine) over
the same number of batches drawn without replacement; scikit-learn has its own
optimizers. All return the nll on the held-out rows, head by head. Torch holds the rows
as tensors over the same memory, and picks a batch by its row numbers, which is faster
than a DataLoader; its Adam is the fused one where it gains.
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from equity_jax.types import Array


class Plan(NamedTuple):
    """What is trained: rates and decays float[R] of the heads, units of the hidden
    layer (0: none), rows a batch, steps.
    """

    rates: Array
    decays: Array
    units: int
    batch: int
    steps: int


class Problem(NamedTuple):
    """x float32[N, F], y float32[N] to learn from; held_x, held_y to be judged by."""

    x: Array
    y: Array
    held_x: Array
    held_y: Array
    plan: Plan


def torch_turns(problem: Problem) -> Callable[[int], np.ndarray]:
    """Heads -> the nll of the first so many, trained one after the other."""
    import torch
    from torch import nn

    x, y, held_x, held_y = map(torch.from_numpy, problem[:4])
    plan = problem.plan
    cost = nn.BCEWithLogitsLoss()

    def one(rate: float, decay: float) -> float:
        width = x.shape[1]
        hidden = [nn.Linear(width, plan.units), nn.ReLU()] if plan.units else []
        net = nn.Sequential(*hidden, nn.Linear(plan.units or width, 1))
        nn.init.normal_(net[-1].weight, std=0.01)
        adam = torch.optim.AdamW(net.parameters(), rate, weight_decay=decay, fused=True)
        paces = torch.optim.lr_scheduler.CosineAnnealingLR(adam, plan.steps)
        for rows in _batches(len(x), plan):
            adam.zero_grad(set_to_none=True)
            cost(net(x[rows])[:, 0], y[rows]).backward()
            adam.step()
            paces.step()
        with torch.inference_mode():
            return float(cost(net(held_x)[:, 0], held_y))

    def run(heads: int) -> np.ndarray:
        torch.manual_seed(0)
        pairs = zip(plan.rates[:heads], plan.decays[:heads], strict=True)
        return np.array([one(float(rate), float(decay)) for rate, decay in pairs])

    return run


def torch_batched(problem: Problem) -> Callable[[int], np.ndarray]:
    """All heads at once: the first layers are one product, Adam is written out."""
    import torch
    from torch.nn import functional

    x, y, held_x, held_y = map(torch.from_numpy, problem[:4])
    plan, heads = problem.plan, len(problem.plan.rates)
    rates, decays = (torch.tensor(a, dtype=torch.float32) for a in plan[:2])

    def cost(params: list[Any], x: Any, y: Any) -> Any:
        """The nll of each head, float[R]."""
        logits = _logits(params, x, heads, plan.units)
        wanted = y[:, None].expand(-1, heads)
        cross = functional.binary_cross_entropy_with_logits
        return cross(logits, wanted, reduction="none").mean(0)

    def run(_: int) -> np.ndarray:
        torch.manual_seed(0)
        params, shapes = _start(x.shape[1], heads, plan.units)
        means, squares = ([torch.zeros_like(p) for p in params] for _ in range(2))
        for step, rows in enumerate(_batches(len(x), plan)):
            grads = torch.autograd.grad(cost(params, x[rows], y[rows]).sum(), params)
            rate = rates * (0.5 + 0.5 * np.cos(np.pi * step / plan.steps))
            with torch.no_grad():
                _adam(params, grads, means, squares, step + 1, (rate, decays), shapes)
        with torch.inference_mode():
            return cost(params, held_x, held_y).numpy()

    return run


def _start(width: int, heads: int, units: int) -> tuple[list[Any], list[tuple]]:
    """Parameters, and the shape that one number a head takes beside them."""
    import torch

    if not units:
        params = [0.01 * torch.randn(width, heads), torch.zeros(heads)]
        shapes: list[tuple] = [(1, -1), (-1,)]
    else:
        first = (2 * torch.rand(width, heads, units) - 1) / width**0.5
        last = 0.01 * torch.randn(heads, units, 1)
        params = [first, torch.zeros(heads, units), last, torch.zeros(heads, 1, 1)]
        shapes = [(1, -1, 1), (-1, 1), (-1, 1, 1), (-1, 1, 1)]
    return [p.requires_grad_() for p in params], shapes


def _logits(params: list[Any], x: Any, heads: int, units: int) -> Any:
    """float[B, R]."""
    import torch

    if not units:
        return torch.addmm(params[1], x, params[0])
    first, bias, last, free = params
    hidden = torch.addmm(bias.view(-1), x, first.view(x.shape[1], -1)).relu()
    hidden = hidden.view(len(x), heads, units).transpose(0, 1)
    return (torch.bmm(hidden, last) + free)[:, :, 0].T


def _adam(
    params: list[Any],
    grads: Any,
    means: list[Any],
    squares: list[Any],
    step: int,
    knobs: tuple[Any, Any],
    shapes: list[tuple],
) -> None:
    """In place; rate and decay differ from head to head."""
    rate, decay = knobs
    corrected = (1 - 0.999**step) ** 0.5
    for p, g, m, v, shape in zip(params, grads, means, squares, shapes, strict=True):
        m.lerp_(g, 0.1)
        v.mul_(0.999).addcmul_(g, g, value=0.001)
        p.mul_(1 - (rate * decay).view(shape))
        move = m / (v.sqrt().div_(corrected).add_(1e-8))
        p.sub_(move.mul_((rate / (1 - 0.9**step)).view(shape)))


def keras_fit(problem: Problem) -> Callable[[int], np.ndarray]:
    """`model.fit` of one head; what comes after the first call goes on from it."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    plan = problem.plan
    hidden = [keras.layers.Dense(plan.units, "relu")] if plan.units else []
    small = keras.initializers.RandomNormal(stddev=0.01, seed=0)
    last = keras.layers.Dense(1, kernel_initializer=small)
    net = keras.Sequential([keras.Input((problem.x.shape[1],)), *hidden, last])
    pace = keras.optimizers.schedules.CosineDecay(float(plan.rates[0]), plan.steps)
    cost = keras.losses.BinaryCrossentropy(from_logits=True)
    net.compile(keras.optimizers.AdamW(pace, float(plan.decays[0])), cost)
    rows = len(problem.x) // plan.batch * plan.batch
    epochs = plan.steps * plan.batch // rows

    def run(_: int) -> np.ndarray:
        x, y = problem.x[:rows], problem.y[:rows, None]
        net.fit(x, y, batch_size=plan.batch, epochs=epochs, verbose=0)
        held = problem.held_x, problem.held_y[:, None]
        return np.array([net.evaluate(*held, batch_size=len(held[0]), verbose=0)])

    return run


def sklearn_sgd(problem: Problem) -> Callable[[int], np.ndarray]:
    """SGDClassifier over the same number of epochs, one row at a time."""
    from sklearn.linear_model import SGDClassifier

    plan = problem.plan
    epochs = max(1, plan.steps * plan.batch // len(problem.x))
    rate = {"learning_rate": "invscaling", "eta0": 1e-3}
    options = {"max_iter": epochs, "tol": None, "random_state": 0}
    net = SGDClassifier(loss="log_loss", alpha=1e-4, **rate, **options)
    return _judged(net, problem)


def sklearn_lbfgs(problem: Problem) -> Callable[[int], np.ndarray]:
    """LogisticRegression to its optimum, penalized a little."""
    from sklearn.linear_model import LogisticRegression

    return _judged(LogisticRegression(C=0.01, max_iter=200), problem)


def _judged(net: Any, problem: Problem) -> Callable[[int], np.ndarray]:
    def run(_: int) -> np.ndarray:
        net.fit(problem.x, problem.y)
        z, y = net.decision_function(problem.held_x), problem.held_y
        return np.array([np.mean(np.logaddexp(0, z) - y * z)])

    return run


def _batches(n: int, plan: Plan) -> Any:
    """Row numbers of every step: each epoch in an order of its own."""
    import torch

    each = n // plan.batch
    for step in range(plan.steps):
        if step % each == 0:
            order = torch.randperm(n)
        first = step % each * plan.batch
        yield order[first : first + plan.batch]
