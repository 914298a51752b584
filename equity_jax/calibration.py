"""Recalibration on validation rows: temperature, and bias-corrected temperature.

Guo et al., "On calibration of modern neural networks", ICML 2017: softmax(z / T).
Alexandari, Kundaje & Shrikumar, "Maximum likelihood with bias-corrected calibration is
hard to beat at label shift adaptation", ICML 2020 ("bcts"): softmax(z / T + b), which
also undoes the prior that resampling or weighting put into the logits. And a
temperature for each group, drawn to that of all rows (`by_group`).
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from equity_jax.minimize import Solution, newton
from equity_jax.types import Array, InputError

KINDS = ("temperature", "bcts")


class Calibration(NamedTuple):
    """softmax(scale z + bias): scale = 1 / T; bias: C numbers; why: "", or in words why
    nothing was fitted (then scale 1 and bias 0: the logits as they are). JSON-able.
    """

    scale: float
    bias: Sequence[float]
    why: str = ""


def temperature(logits: Array, y: Array, weight: Array | None = None) -> float:
    """The T of softmax(z / T) that maximises the likelihood of the labels.

    logits: float[N, C], y: int[N] in 0..C-1; weight: float[N], None = all 1. The
    logit z of a sigmoid is the pair (0, z).

    Raises:
        InputError: the labels settle no temperature (see `recalibrate`).

    Example:
        >>> temperature(np.array([[0, 1.0], [0, 1], [0, 1]]), np.array([0, 1, 1]))
        1.4426950408889634
    """
    found = recalibrate(logits, y, weight=weight)
    if found.why:
        raise InputError(f"no temperature: {found.why}")
    return 1 / found.scale


def recalibrate(
    logits: Array, y: Array, kind: str = "temperature", weight: Array | None = None
) -> Calibration:
    """Fits 1 / T ("temperature"), or 1 / T and a bias per class ("bcts"), by Newton.

    Arguments as in `temperature`. Nothing is fitted, and `why` says so, where the
    likelihood has no finite maximum or none that keeps the order of the classes: rows
    of one class only, a class without rows (bcts), rows that are told apart without
    error, logits that point the wrong way.

    Raises:
        InputError: an unknown kind, shapes that do not fit, a label that is no class.

    Example:
        >>> recalibrate(valid_logits, valid_y, "bcts")  # doctest: +SKIP
        Calibration(scale=0.61, bias=(0.0, -0.42, 0.1), why='')
    """
    z, y = np.asarray(logits, np.float64), np.asarray(y)
    w = np.ones(len(z)) if weight is None else np.asarray(weight, np.float64)
    _refuse(z, y, kind, w)
    z, y, w = z[w > 0], y[w > 0], w[w > 0]
    biases = z.shape[1] - 1 if kind == "bcts" else 0
    seen = np.bincount(y, minlength=z.shape[1]) > 0
    flat = Calibration(1.0, (0.0,) * z.shape[1])
    if seen.sum() < 2:
        return flat._replace(why="all rows are of one class")
    if biases and not seen.all():
        return flat._replace(why=f"no row of class {int(np.argmin(seen))}")
    spread = float(np.std(z - z.mean(1, keepdims=True)))
    if spread == 0:
        return flat._replace(why="every logit is the same")
    # in units of the spread, so that damping means the same for all logits
    with jax.enable_x64(True):
        last = _fit(z / spread, y, w / w.sum(), biases)
        scale, bias = float(last.params["scale"]), np.asarray(last.params["bias"])
    bias = np.pad(bias, (z.shape[1] - biases, 0))
    why = _doubt(scale * (z / spread) + bias[None], y, scale, bool(last.converged))
    return (
        flat._replace(why=why)
        if why
        else Calibration(scale / spread, tuple(bias.tolist()))
    )


class Temperatures(NamedTuple):
    """softmax(z / T_g). scale: float[G + 1], 1 / T of each group, the last that of all
    rows, for code -1; spread: SD of log T between groups; why: as in Calibration.
    """

    scale: np.ndarray
    spread: float
    why: str = ""


def by_group(
    logits: Array, y: Array, group: Array, groups: int, weight: Array | None = None
) -> Temperatures:
    r"""A temperature for every group, shrunk to that of all rows (empirical Bayes).

    With b = log T of all rows, log T_g ~ N(b, s^2) and

        log T_g = argmax_t  loglik_g(t) - (t - b)^2 / (2 s^2).

    s^2 comes from the scores U_g and the Fisher informations I_g at b, which exist even
    for a group of one class: Var(U_g) = I_g + s^2 I_g^2, but for what the fit of b took
    (DerSimonian & Laird 1986, in their form for scores). Groups that differ no more
    than chance would have it have s = 0 and share one temperature; a group without rows
    has that one too.

    group: int[N] in 0..groups-1, -1 = not recorded: in the fit of all rows alone.
    Others as in `temperature`.

    Raises:
        InputError: as `recalibrate`; groups that do not fit.

    Example:
        >>> by_group(logits, y, race, 5).scale  # doctest: +SKIP
        array([0.61, 0.58, 0.66, 0.61, 0.61, 0.61])
    """
    z, y, group = np.asarray(logits, np.float64), np.asarray(y), np.asarray(group)
    w = np.ones(len(z)) if weight is None else np.asarray(weight, np.float64)
    whole = recalibrate(z, y, weight=w)
    scale = np.full(groups + 1, whole.scale)
    if group.shape != y.shape or not ((group >= -1) & (group < groups)).all():
        raise InputError(f"calibration: groups [N] are not all in -1..{groups - 1}")
    if whole.why:
        return Temperatures(scale, 0.0, whole.why)
    spread = _spread(z * whole.scale, y, group, groups, w)
    for g in np.unique(group[(group >= 0) & (w > 0)]) if spread > 0 else ():
        mine = group == g
        rows = z[mine] * whole.scale, y[mine], w[mine]
        # a loss that the prior holds finite; eight SD are as good as all the line
        best = minimize_scalar(
            _shrunk,
            args=(*rows, spread),
            bounds=(-8 * spread, 8 * spread),
            method="bounded",
            options={"xatol": 1e-9},
        )
        scale[g] = whole.scale * np.exp(-best.x)
    return Temperatures(scale, spread)


def _shrunk(
    t: float, z: np.ndarray, y: np.ndarray, w: np.ndarray, spread: float
) -> float:
    told = log_softmax(z * np.exp(-t), 1)[np.arange(len(y)), y]
    return 0.5 * (t / spread) ** 2 - w @ told


def _spread(
    z: np.ndarray, y: np.ndarray, group: np.ndarray, groups: int, w: np.ndarray
) -> float:
    """SD of log T_g, by the moments of the scores at T = 1; z: float[N, C]."""
    p = np.exp(log_softmax(z, 1))
    mean = (p * z).sum(1)
    variance = (p * (z - mean[:, None]) ** 2).sum(1)
    code = np.where(group < 0, groups, group)
    rows = w * (mean - z[np.arange(len(y)), y]), w * variance, w**2 * variance
    score, info, noise = (np.bincount(code, r, groups + 1) for r in rows)
    part, own = info[:-1] / info.sum(), info[:-1] ** 2
    # what chance alone gives, less what the fit of all rows has taken
    chance = noise[:-1] * (1 - 2 * part) + part**2 * noise.sum()
    slope = np.sum(own * (1 - 2 * part) + part**2 * own.sum())
    excess = np.sum(score[:-1] ** 2 - chance)
    return float(np.sqrt(max(excess / slope, 0))) if slope > 1e-12 * own.sum() else 0.0


def apply(logits: Array, calibration: Calibration) -> Array:
    """Probabilities float[N, C] of logits float[N, C]; pure, traced by jax.jit.

    Example:
        >>> apply(jnp.zeros((1, 2)), Calibration(0.5, (0, 0)))
        Array([[0.5, 0.5]], dtype=float32)
    """
    return jax.nn.softmax(recalibrated(logits, calibration), 1)


def recalibrated(logits: Array, calibration: Calibration) -> Array:
    """Logits float[N, C] on the calibrated scale, or float[N, 1] of a sigmoid.

    Example:
        >>> recalibrated(jnp.ones((1, 1)), Calibration(0.5, (0.0, 0.25)))
        Array([[0.75]], dtype=float32)
    """
    z = jnp.asarray(logits)
    bias = jnp.asarray(calibration.bias, z.dtype)
    bias = bias[1:] - bias[:1] if z.shape[1] == 1 else bias
    return z * calibration.scale + bias[None]


@partial(jax.jit, static_argnums=3)
def _fit(z: Array, y: Array, share: Array, biases: int) -> Solution:
    """Class 0, and without bcts every class, has bias 0."""

    def loss(p: dict[str, Array]) -> Array:
        bias = jnp.pad(p["bias"], (z.shape[1] - biases, 0))
        log_prob = jax.nn.log_softmax(p["scale"] * z + bias[None], 1)
        return -jnp.sum(share[:, None] * jnp.take_along_axis(log_prob, y[:, None], 1))

    return newton(loss, {"bias": jnp.zeros(biases), "scale": jnp.ones(())})


def _doubt(fitted: np.ndarray, y: np.ndarray, scale: float, done: bool) -> str:
    """Why a fit that gives these logits is no answer; "" if it is one."""
    own = np.take_along_axis(fitted, y[:, None], 1)[:, 0]
    others = np.where(np.arange(fitted.shape[1])[None] == y[:, None], -np.inf, fitted)
    if (own > others.max(1)).all():
        return "every row is told right: no finite scale is the best"
    if not done:
        return "the fit did not converge"
    return "" if scale > 1e-6 else "the logits point the wrong way, or no way"


def _refuse(z: np.ndarray, y: np.ndarray, kind: str, w: np.ndarray) -> None:
    if kind not in KINDS:
        raise InputError(f"unknown calibration {kind!r}; known: {', '.join(KINDS)}")
    if z.ndim != 2 or z.shape[1] < 2 or y.shape != z.shape[:1] or w.shape != y.shape:
        raise InputError(
            f"calibration needs logits [N, C], labels [N] and weights [N], C >= 2;"
            f" found {z.shape}, {y.shape}, {w.shape}"
        )
    if not np.isfinite(z).all() or not (np.isfinite(w) & (w >= 0)).all():
        raise InputError("calibration: a logit or a weight is not finite, or negative")
    if not ((y >= 0) & (y < z.shape[1])).all():
        raise InputError(f"calibration: a label is not in 0..{z.shape[1] - 1}")
