r"""Linear erasure: features from which no straight line reads an attribute any more.

LEACE (Belrose, Schneider-Joseph, Ravfogel, Cotterell, Raff & Biderman, "LEACE: Perfect
linear concept erasure in closed form", NeurIPS 2023, theorem 4.2) is the least change,
in every norm at once, after which x and the classes are uncorrelated, so that no linear
reader has a smaller loss on the rows used than a constant has:
$$x \mapsto x - W^+ P\, W (x-\bar x),\qquad W=(\Sigma_{xx}^{1/2})^+,$$
P the orthogonal projection onto the columns of $W\Sigma_{xz}$. INLP (Ravfogel, Elazar,
Gonen, Twiton & Goldberg, "Null it out", ACL 2020) takes away what a logistic probe
leans on, again and again, until it finds nothing on validation rows beyond chance.

Both promise something about straight lines only: a reader that bends may still read the
attribute, and new rows are only as erased as the training rows tell their covariances.
"""

from typing import NamedTuple

import numpy as np
from scipy import linalg

from equity_jax import probes
from equity_jax.least_squares import CHUNK, moments
from equity_jax.probe import Probe, scaling
from equity_jax.types import TRAIN, VALID, Array, InputError

ROUNDING = 1e-10  # of the largest variance: what is below it is no direction of x
SURE = 1.64  # standard errors by which a probe must beat the shares of the classes


class Eraser(NamedTuple):
    """x -> x - ((x - mean) @ left) @ right, which takes K directions out of F features.

    mean: float64[F]; left: float64[F, K]; right: float64[K, F].
    """

    mean: np.ndarray
    left: np.ndarray
    right: np.ndarray

    def apply(self, x: Array) -> np.ndarray:
        """float32[N, F]: rows float[N, F] without the directions."""
        made = np.empty(x.shape, np.float32)
        for first in range(0, len(x), CHUNK):
            part = np.asarray(x[first : first + CHUNK], np.float64)
            there = (part - self.mean[None]) @ self.left
            made[first : first + CHUNK] = part - there @ self.right
        return made


def leace(x: Array, target: Array, split: Array) -> Eraser:
    """Least-squares concept erasure, of the training rows.

    Args:
        x: float[N, F].
        target: int[N], a class 0..C-1 or -1 = not used.
        split: int[N]; the eraser knows TRAIN alone.

    Raises:
        InputError: shapes that do not fit, or fewer than two classes in training.

    Example:
        >>> eraser = leace(x, race, split)
        >>> eraser.apply(x).shape, eraser.left.shape[1]  # 4 classes: 3 directions
        ((3490, 1024), 3)
    """
    target = np.asarray(target).astype(int)
    if not len(x) == len(target) == len(split):
        raise InputError(f"{len(x)} rows, target {len(target)}, split {len(split)}")
    rows = np.flatnonzero((np.asarray(split) == TRAIN) & (target >= 0))
    if len(np.unique(target[rows])) < 2:
        raise InputError("nothing to erase: training rows of fewer than two classes")
    m = moments(x, np.eye(target.max() + 1)[target], rows)
    values, axes = linalg.eigh(m.xx / m.n)
    real = values > ROUNDING * values[-1]
    axes, root = axes[:, real], np.sqrt(values[real])
    seen = (axes.T @ m.xy / m.n) / root[:, None]
    turn, size, _ = linalg.svd(seen, full_matrices=False)
    turn = turn[:, size > np.sqrt(ROUNDING) * max(size[0], ROUNDING)]
    return Eraser(m.x, axes @ (turn / root[:, None]), (turn.T * root) @ axes.T)


def inlp(x: Array, target: Array, split: Array, rounds: int = 20) -> Eraser:
    """Iterative nullspace projection, arguments as `leace`, in standardized features.

    A round fits a logistic probe (its penalty chosen on validation rows) to what is
    left and takes its directions away; it ends early when the probe is no better on
    validation rows than the shares of the classes.

    rounds: at most.

    Raises:
        InputError: a target without training or validation rows of two classes.

    Example: `inlp(x, race, split).left.shape[1]` is how many directions it took.
    """
    x, split, target = np.asarray(x), np.asarray(split), np.asarray(target)
    mean, scale = scaling(x, split)
    left = (x - mean) * scale
    taken = np.zeros((x.shape[1], 0))
    for _ in range(rounds):
        probe = probes.logistic(left, [target], split)[0]
        if not _finds(probe, target, split):
            break
        turn = probe.coef * scaling(left, split)[1]
        turn = turn.T - taken @ (taken.T @ turn.T)
        new, size, _ = linalg.svd(turn, full_matrices=False)
        new = new[:, size > np.sqrt(ROUNDING) * size[0]]
        left = left - ((left @ new) @ new.T).astype(np.float32)
        taken = np.concatenate([taken, new], axis=1)
    spread = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1), 0)
    return Eraser(mean.astype(float), taken * scale[:, None], taken.T * spread)


def _finds(probe: Probe, target: np.ndarray, split: np.ndarray) -> bool:
    """Whether a probe beats the classes' shares by more than chance would let it."""
    valid, learn = ((split == part) & (target >= 0) for part in (VALID, TRAIN))
    share = np.bincount(target[learn], minlength=probe.scores.shape[1]) / learn.sum()
    y = target[valid]
    tiny = np.finfo(np.float32).tiny
    told = np.log(np.maximum(probe.scores[valid, y], tiny))
    gain = told - np.log(np.maximum(share[y], tiny))
    return bool(gain.mean() > SURE * gain.std() / np.sqrt(len(gain)))
