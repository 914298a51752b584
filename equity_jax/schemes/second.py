"""Second looks: a first model tells what the second must attend to, or lends its trunk.

The steps of both stages add up to those of a run of one stage. The first is plain erm;
the second is the run's own method, except where the scheme says.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from equity_jax.nouns import Lesson, Scheme, Stage, Task
from equity_jax.schemes.base import everyone, everything, nothing, trunk
from equity_jax.schemes.finetune import FINE
from equity_jax.schemes.freeze import LastBlocks, Uniform
from equity_jax.types import Array, Batch, InputError

FULL = Uniform(1.0)


def jtt(share: float = 0.5, extra: float = 20.0) -> Scheme:
    """Just train twice: what was got wrong is drawn 1 + extra times as often.

    After `share` of the steps the errors {i: argmax f(x_i) != y_i} on the training rows
    are fixed; a fresh model then takes the other steps on all rows and `extra` further
    copies of each error. Of several labels a row has 1 + extra times the share of its
    observed labels that are wrong. No attribute is looked at.

    Liu et al., "Just train twice: improving group robustness without training group
    information", ICML 2021 (weight 1 + lambda, as in the authors' code).

    Raises:
        InputError: a share outside (0, 1), a negative extra; counts.

    Example:
        >>> [s.steps for s in jtt(share=0.25).stages]
        [0.25, 0.75]
    """
    if not extra >= 0:
        raise InputError(f"jtt: extra is {extra}; expected at least 0")
    return _taught("jtt", share, Errors(extra))


def eiil(share: float = 0.5) -> Scheme:
    """Environments inferred from a first model take the groups' place in the second.

    They are the two parts of the training rows between which the first model's IRMv1
    penalty is largest (see `Environments`), so the run's method needs groups and no
    attribute: group_dro, irm, vrex. Rows of the recorded groups are not looked at.

    Creager et al., "Environment inference for invariant learning", ICML 2021.

    Raises:
        InputError: a share outside (0, 1); counts; data of a single group.

    Example: Run(0, "group_dro(0.01)", "eiil(0.5)", -1, 3e-3) is EIIL with group DRO.
    """
    return _taught("eiil", share, Environments())


def crt(share: float = 0.8) -> Scheme:
    """Classifier re-training: the trunk from rows as found, a fresh head from balance.

    After `share` of the steps the trunk is frozen, and a fresh head learns from draws
    under which all classes are equally likely. The task must have one label.

    Kang et al., "Decoupling representation and classifier for long-tailed recognition",
    ICLR 2020.

    Raises:
        InputError: a share outside (0, 1); when it is fitted, several labels.

    Example:
        >>> crt().stages[1].method
        "oversample('class')"
    """
    return _reheaded("crt", share, "oversample('class')")


def last_layer(by: str = "group", share: float = 0.8) -> Scheme:
    """A fresh head from a subset of the training rows in which all cells are as large.

    As `crt`, but what is common is left out, down to the rarest cell: groups, classes,
    or "both", as in undersample(by). Several labels: groups only.

    Kirichenko et al., "Last layer re-training is sufficient for robustness to spurious
    correlations", ICLR 2023, on training rows, by gradient steps; dfr.py has the
    closed form.

    Raises:
        InputError: an unknown `by`, a share outside (0, 1).

    Example: last_layer('both') has as many sick as healthy rows of every group.
    """
    if by not in ("class", "group", "both"):
        raise InputError(f"last_layer: by is {by!r}; expected 'class', 'group', 'both'")
    return _reheaded("last_layer", share, f"undersample({by!r})")


def lp_ft(share: float = 0.4, scale: float = FINE) -> Scheme:
    """Linear probing, then fine-tuning, where no pretrained weights are at hand.

    `share` of the steps restore the training rows from noise, without labels (tables
    only); half of the others move a fresh head alone, by erm; the last half all leaves
    at `scale` times the rate, by the run's method. From weights that are given:
    finetune('probe_then_full').

    Kumar et al., "Fine-tuning can distort pretrained features and underperform
    out-of-distribution", ICLR 2022.

    Raises:
        InputError: a share outside (0, 1); when it is fitted, images.

    Example:
        >>> [s.steps for s in lp_ft(0.4).stages]
        [0.4, 0.3, 0.3]
    """
    _between("lp_ft", share)
    restore = Stage(everyone, nothing, FULL, share, objective="autoencode")
    rest = (1 - share) / 2
    probe = Stage(everyone, trunk, LastBlocks(1), rest, method="erm")
    tune = Stage(everyone, everything, Uniform(scale), rest)
    return Scheme((restore, probe, tune), pooled=True)


@dataclass(frozen=True)
class Errors:
    """1 + extra where the stage before was wrong, 1 elsewhere."""

    extra: float

    def __call__(
        self,
        key: Array,
        task: Task,
        logits: Array,
        rows: Batch,
        mine: Array,
        groups: int,
    ) -> Lesson:
        """See the class; undecided and unobserved labels are never wrong."""
        _classes("jtt", task)
        truth = np.asarray(task.class_of(rows.y))
        seen = (truth >= 0) & (np.asarray(rows.mask) > 0)
        logits = np.asarray(logits)
        guess = logits[:, : truth.shape[1]] > 0
        if logits.shape[1] > truth.shape[1]:
            guess = logits.argmax(1)[:, None]
        wrong = seen & (guess != truth)
        share = wrong.sum(1) / np.maximum(seen.sum(1), 1)
        return Lesson((1 + self.extra * share).astype(np.float32))


@dataclass(frozen=True)
class Environments:
    """Two environments that a scaled copy of the stage before would fit most unlike.

    With d_i the slope of nll(s z_i) in s at 1, the soft assignment w in [0, 1]^N that
    maximizes (mean w d)^2 + (mean (1 - w) d)^2, Creager et al.'s objective, is known:
    the two means have a fixed sum, so their squares are largest where one of them is,
    which is w_i = 1 where d_i > 0 and 0 where d_i < 0. No descent is needed, and
    nothing is random. Environment 1 holds the rows whose loss falls when the logits
    shrink: of a binary task what was got wrong. Rows without a label are in neither.
    """

    def __call__(
        self,
        key: Array,
        task: Task,
        logits: Array,
        rows: Batch,
        mine: Array,
        groups: int,
    ) -> Lesson:
        """See the class."""
        _classes("eiil", task)
        if groups < 2:
            raise InputError("eiil needs room for two groups; the data have only one")
        slope = steepness(task, jnp.asarray(logits), rows)
        seen = np.asarray(rows.mask).max(1) > 0
        group = np.where(seen, slope > 0, -1).astype(np.int32)
        return Lesson(np.ones(len(group), np.float32), group)


def steepness(task: Task, logits: Array, rows: Batch) -> np.ndarray:
    """Slopes d nll(s z) / ds at s = 1, the sum over observed labels: float[N].

    Example: of one binary label it is z (sigmoid(z) - y).
    """
    one = jnp.ones((), logits.dtype)
    _, slope = jax.jvp(lambda s: task.nll(s * logits, rows.y), (one,), (one,))
    return np.asarray(jnp.sum(slope * rows.mask, 1))


def _taught(name: str, share: float, lesson: object) -> Scheme:
    _between(name, share)
    first = Stage(everyone, nothing, FULL, share, method="erm")
    second = Stage(everyone, nothing, FULL, 1 - share, lesson=lesson)
    return Scheme((first, second), pooled=True)


def _reheaded(name: str, share: float, method: str) -> Scheme:
    _between(name, share)
    first = Stage(everyone, nothing, FULL, share, method="erm")
    second = Stage(everyone, trunk, LastBlocks(1), 1 - share, method=method)
    return Scheme((first, second), pooled=True)


def _between(name: str, share: float) -> None:
    if not 0 < share < 1:
        raise InputError(f"{name}: share is {share}; expected 0 < share < 1")


def _classes(name: str, task: Task) -> None:
    if task.name.startswith("count"):
        raise InputError(f"scheme {name} needs classes; {task.name} is about a rate")
