"""Methods that minimize the loss of the worst: of groups, or of any rows at all."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
from jax import lax, nn

from equity_jax.methods.resample import balanced_rates
from equity_jax.nouns import Method, Task
from equity_jax.types import Array, Batch, Counts, InputError, Output, PyTree

ABSENT = -1e9
TINY = 1e-12
HALVINGS = 40  # of the interval in which eta lies

Response = Callable[[PyTree, Array, Array], Array]


def group_dro(
    eta: float = 0.01,
    adjustment: float = 0.0,
    by: str = "group",
    balanced: bool = False,
) -> Method:
    """Online group DRO: q_g <- q_g exp(eta l'_g), L = sum_g q_g l_g.

    l_g is the batch mean of group g, l'_g = l_g + adjustment / sqrt(n_g). log q lives
    in aux (training state: saved with the checkpoint, never touched by evaluation), in
    float32. A group that the batch lacks has l_g = 0, so its q only rescales; a group
    without training rows has q = 0. Rows whose group is not recorded join no group:
    they add their plain mean at their share of the batch. `strength` multiplies eta.
    by "both": a group is a class within a group of the data, of one label, and rows of
    undecided class join none. balanced: all groups are drawn alike often. The paper has
    both.

    Sagawa et al., "Distributionally robust neural networks for group shifts", ICLR
    2020, algorithm 1.

    Example: with one group it is erm.

    Raises:
        InputError: an unknown `by`, or "both" with several labels.
    """
    if by not in ("group", "both"):
        raise InputError(f"group_dro: by is {by!r}; expected 'group' or 'both'")

    def init(counts: Counts) -> PyTree:
        cells = by == "both"
        if cells and counts.n.shape[0] > 1:
            raise InputError("group_dro by 'both' is for one label; use by 'group'")
        n = counts.n[0].ravel() if cells else counts.by_group.mean(0)
        log_q = jnp.where(n > 0, -jnp.log(jnp.maximum(jnp.sum(n > 0), 1)), ABSENT)
        knobs = {"eta": jnp.float32(eta), "adjustment": jnp.float32(adjustment)}
        return {"log_q": jnp.float32(log_q), "n": jnp.float32(n), **knobs}

    def sample(counts: Counts) -> Any:
        return balanced_rates(counts, by, down=False) if balanced else None

    return Method(sample, init, _group_dro(by == "both"))


def cvar(alpha: float = 0.1) -> Method:
    """The mean loss of the worst share alpha of the batch's rows.

    Of losses in descending order, m rows in all, the first k = floor(alpha m) weigh
    1 / (alpha m), the next one the remainder 1 - k / (alpha m), the others 0: the
    maximum over all q with q_i <= 1 / (alpha m). Dual: min over eta of
    eta + E[(l - eta)_+] / alpha. A row's loss is the mean over its observed labels.
    Looks at no group.

    Levy et al., "Large-scale methods for distributionally robust optimization", NeurIPS
    2020, section 2; Rockafellar & Uryasev, "Optimization of conditional value-at-risk",
    2000.

    Example: cvar(1.0) is erm.

    Raises:
        InputError: alpha outside (0, 1].
    """
    if not 0 < alpha <= 1:
        raise InputError(f"cvar: alpha is {alpha}; expected 0 < alpha <= 1")

    def init(counts: Counts) -> PyTree:
        return {"alpha": jnp.float32(alpha)}

    return Method(lambda counts: None, init, _worst_rows(_tail))


def chi2(rho: float = 1.0) -> Method:
    """The worst mean loss over all weights within a chi-square ball about even ones.

    max over q of sum q_i l_i with D = sum (m q_i - 1)^2 / (2 m) <= rho. The best q is
    in proportion to (l_i - eta)_+, with eta from the dual, min over eta of
    eta + sqrt(1 + 2 rho) E[(l - eta)_+^2]^(1/2), found by bisection on the batch. A
    group of share a is covered by rho = (1/a - 1) / 2. Where the ball holds a single
    row's weight, m <= 1 + 2 rho, it is the largest loss. A row's loss is the mean over
    its observed labels. Looks at no group.

    Hashimoto et al., "Fairness without demographics in repeated loss minimization",
    ICML 2018; Levy et al. 2020 (as `cvar`), with its rho = 1; Duchi & Namkoong,
    "Learning models with uniform performance via distributionally robust optimization",
    2018.

    Example: chi2(1e-4) is close to the mean plus sqrt(2 rho) standard deviations.

    Raises:
        InputError: rho that is not positive.
    """
    if not rho > 0:
        raise InputError(f"chi2: rho is {rho}; expected a number above 0")

    def init(counts: Counts) -> PyTree:
        return {"rho": jnp.float32(rho)}

    return Method(lambda counts: None, init, _worst_rows(_ball))


@lru_cache
def _group_dro(cells: bool) -> Callable[..., tuple[Array, PyTree]]:
    """cells: groups are classes within groups."""

    def loss(
        aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
    ) -> tuple[Array, PyTree]:
        values = task.nll(output.logits, batch.y)
        weight, code = batch.mask * batch.weight[:, None], batch.group
        slots = aux["log_q"].shape[0] + 1  # the last: not recorded
        if cells:
            own = task.class_of(batch.y)[:, 0]
            cell = own * ((slots - 1) // task.classes) + code
            code = jnp.where((own < 0) | (code < 0), -1, cell)
        member = nn.one_hot(code % slots, slots)
        total = member.T @ jnp.sum(values * weight, 1)
        rows = member.T @ jnp.sum(weight, 1)
        mean = total / jnp.maximum(rows, TINY)
        shifted = mean[:-1] + aux["adjustment"] / jnp.sqrt(jnp.maximum(aux["n"], 1.0))
        log_q = aux["log_q"] + aux["eta"] * strength * lax.stop_gradient(shifted)
        log_q = nn.log_softmax(jnp.where(aux["n"] > 0, log_q, ABSENT))
        robust = jnp.sum(jnp.exp(log_q) * mean[:-1])
        share = rows[-1] / jnp.maximum(rows.sum(), TINY)
        value = (1 - share) * robust + share * mean[-1]
        return value, {**aux, "log_q": jnp.maximum(log_q, ABSENT)}

    return loss


@lru_cache
def _worst_rows(respond: Response) -> Callable[..., tuple[Array, PyTree]]:
    """The mean loss under the weights that `respond` answers the rows' losses with."""

    def loss(
        aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
    ) -> tuple[Array, PyTree]:
        labels = batch.mask.sum(1)
        values = jnp.sum(task.nll(output.logits, batch.y) * batch.mask, 1)
        values = values / jnp.maximum(labels, 1.0)
        rows = batch.weight * (labels > 0)
        rows = rows / jnp.maximum(rows.sum(), TINY)
        # the maximum's gradient is that of the mean under the best weights
        worst = respond(aux, lax.stop_gradient(values), rows)
        return jnp.sum(worst * values), aux

    return loss


def _tail(aux: PyTree, values: Array, rows: Array) -> Array:
    """Weights float[B] of the worst share of rows float[B], which sum to 1."""
    order = jnp.argsort(jnp.where(rows > 0, -values, jnp.inf))
    alpha, mine = aux["alpha"], rows[order]
    before = jnp.cumsum(mine) - mine
    taken = jnp.clip(alpha - before, 0.0, mine) / alpha
    return jnp.zeros_like(taken).at[order].set(taken)


def _ball(aux: PyTree, values: Array, rows: Array) -> Array:
    """Weights float[B] in proportion to (loss - eta)_+, at the distance rho."""
    seen, room = rows > 0, 1 + 2 * aux["rho"]
    top = jnp.max(jnp.where(seen, values, -jnp.inf))
    below = jnp.where(seen, values - top, 0.0)
    below = below / jnp.maximum(-below.min(), TINY)  # from -1 to 0
    mean = jnp.sum(rows * below)
    spread = jnp.sum(rows * (below - mean) ** 2)
    first = mean - jnp.sqrt(spread / (2 * aux["rho"]))  # here nobody is left out

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        over = jnp.maximum(below - middle, 0.0)
        inside = jnp.sum(rows * over**2) <= room * jnp.sum(rows * over) ** 2
        return jnp.where(inside, middle, low), jnp.where(inside, high, middle)

    eta, _ = lax.fori_loop(0, HALVINGS, halve, (first, jnp.zeros_like(first)))
    # where all lose the same nobody is above eta: even weights
    over = jnp.where(eta < 0, jnp.maximum(below - eta, 0.0), 1.0) * rows
    return over / jnp.maximum(over.sum(), 1e-30)
