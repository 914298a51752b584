r"""Post hoc: a finished model's logits, changed by what validation rows say of them.

Nothing is trained again. Temperatures and priors move probabilities and keep the order
of rows (of a group); thresholds and equalized odds are decisions. One label is one
problem of C classes; the logit z of a sigmoid is the pair (0, z). What needs the group
of new rows says so (`uses`), and a row of group -1 gets what all rows together got.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import logit, softmax

from equity_jax import calibration
from equity_jax.audit.decisions import equalized_odds as odds
from equity_jax.audit.decisions import thresholds
from equity_jax.data.sampler import tabulate
from equity_jax.last_layers import held, labels
from equity_jax.registry import Registry
from equity_jax.types import TRAIN, VALID, Array, Dataset, InputError

Applied = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(logits float[n, C], group int[n]) -> probabilities float[n, C]."""
SURE = 1e-7  # float32 tells no probability nearer to 0 or 1


class Learned(NamedTuple):
    """What one label's post-processor is fitted on.

    logits: float[V, C], y: int[V] in 0..C-1, group: int[V], -1 = not recorded: the
    validation rows; counts: float[C, G + 1], training rows per class and group, the
    last slot for those whose group is not recorded.
    """

    logits: np.ndarray
    y: np.ndarray
    group: np.ndarray
    counts: np.ndarray


class PostHoc(NamedTuple):
    """A post-processor.

    fit: Learned -> Applied; uses: where it needs the attribute, "none", "training" or
    "test" (of every new row); decides: what comes out is the chance of being called
    positive, not a risk: its expected accuracy is the mean chance of the true class.
    """

    fit: Callable[[Learned], Applied]
    uses: str
    decides: bool = False


def temperature() -> PostHoc:
    """softmax(z / T), one T for all (Guo et al. 2017; equity_jax.calibration)."""

    def fit(learned: Learned) -> Applied:
        found = calibration.recalibrate(learned.logits, learned.y)
        return lambda z, group: softmax(z * found.scale, 1)

    return PostHoc(fit, "none")


def group_temperature() -> PostHoc:
    """softmax(z / T_g), each group's T drawn to that of all rows by empirical Bayes.

    See `calibration.by_group`; unrecorded groups have the T of all rows. Pleiss et al.,
    "On fairness and calibration", NeurIPS 2017, on why groups may need their own.
    """

    def fit(learned: Learned) -> Applied:
        groups = _groups(learned, "group_temperature")
        known = learned.logits, learned.y, learned.group, groups
        scale = calibration.by_group(*known).scale
        return lambda z, group: softmax(z * scale[group][:, None], 1)

    return PostHoc(fit, "test")


def logit_adjustment(tau: float = 1.0, by: str = "class") -> PostHoc:
    r"""softmax(z - tau log pi): a model trained plainly, as if classes were balanced.

    Menon et al., "Long-tail learning via logit adjustment", ICLR 2021. pi_y is the
    class's share of training rows; by="group": pi_{y|a}, its share within the row's
    group. A cell without rows counts as half a row; a group without rows, and a row
    without a group, have the shares of all.

    Raises:
        InputError: another `by`.

    Example: `POSTHOC.get("logit_adjustment(0.5)")`.
    """
    return _moved(-float(tau), by)


def prior_correction(tau: float = 1.0, by: str = "class") -> PostHoc:
    r"""softmax(z + tau log pi): the prior back into a model that never saw it.

    For models trained with weights or draws that balance the classes: the weights of
    methods.class_weighted shift the optimum by log(f_neg / f_pos), and sigmoid(z + log
    (f_pos / f_neg)) is calibrated (methods.md 1). by="group" for those that balance the
    classes within each group. As `logit_adjustment` otherwise, with the other sign
    (Saerens, Latinne & Decaestecker, Neural Computation 2002).
    """
    return _moved(float(tau), by)


def _moved(tau: float, by: str) -> PostHoc:
    if by not in ("class", "group"):
        raise InputError(f"prior by {by!r}; expected 'class' or 'group'")

    def fit(learned: Learned) -> Applied:
        if by == "group":
            _groups(learned, "a prior by group")
        shift = tau * _log_prior(learned.counts, by)
        return lambda z, group: softmax(z + shift[group], 1)

    return PostHoc(fit, "test" if by == "group" else "none")


def _log_prior(counts: np.ndarray, by: str) -> np.ndarray:
    """float[G + 1, C]: log share of each class, in a group's rows or in all."""
    own, table = counts.T[:-1], np.tile(counts.sum(1), (counts.shape[1], 1))
    if by == "group":
        table[:-1][own.any(1)] = own[own.any(1)]
    table = np.maximum(table, 0.5)
    return np.log(table / table.sum(1, keepdims=True))


def group_thresholds(rule: str = "youden") -> PostHoc:
    """A threshold of its own for every group, moved to 0.5: sigmoid(z - logit(t_g)).

    rule: of audit.decisions.thresholds ("sens@0.9": the same sensitivity for all). A
    group with fewer than ten validation rows of a class, and rows without a group, have
    the threshold of all rows. Binary labels. The order within a group stays.

    Raises:
        InputError: an unknown rule; more than two classes; fewer than two groups.

    Example: `POSTHOC.get("group_thresholds('sens@0.9')")`.
    """
    wanted = thresholds.parse(rule)

    def fit(learned: Learned) -> Applied:
        known = _binary(learned, "group_thresholds")
        cut = thresholds.of_groups(wanted, *known).value
        if wanted.name == "fixed":  # a probability; all others are scores
            cut = logit(np.clip(cut, SURE, 1 - SURE))
        # nobody of a group called positive: beyond all that can be said
        cut = np.minimum(cut, -2 * logit(SURE))
        return lambda z, group: softmax(_pair(z[:, 1] - z[:, 0] - cut[group]), 1)

    return PostHoc(fit, "test")


def equalized_odds(objective: str = "balanced_accuracy") -> PostHoc:
    """Chance of being called positive, with equal rates for all groups (Hardt 2016).

    See audit.decisions.equalized_odds: two thresholds a group, mixed by chance. Groups
    with fewer than ten rows of a class are not part of the promise, nor is -1.

    Raises:
        InputError: more than two classes; fewer than two groups; at its fit, an
            objective that is not one of equalized_odds.OBJECTIVES.
    """

    def fit(learned: Learned) -> Applied:
        rule = odds.fit(*_binary(learned, "equalized_odds"), objective=objective)

        def apply(z: np.ndarray, group: np.ndarray) -> np.ndarray:
            chance = odds.positive_probability(rule, z[:, 1] - z[:, 0], group)
            return np.stack([1 - chance, chance], 1)

        return apply

    return PostHoc(fit, "test", True)


POSTHOC = Registry(
    "post-processor",
    {
        "temperature": temperature,
        "group_temperature": group_temperature,
        "logit_adjustment": logit_adjustment,
        "prior_correction": prior_correction,
        "group_thresholds": group_thresholds,
        "equalized_odds": equalized_odds,
    },
)


def processed(post: PostHoc, prob: Array, dataset: Dataset) -> np.ndarray:
    """A run's probabilities, post-processed: float32[n, C].

    Args:
        post: of POSTHOC.
        prob: float[n, C] of the rows that `last_layers.held` names, as Task.predict
            gives them: of every class, or of every label's second class.
        dataset: where their labels and groups are.

    Returns:
        As prob. NaN for a label that a rule cannot be fitted to, for want of validation
        rows of both classes.

    Raises:
        InputError: a count task; what the post-processor refuses.

    Example: `processed(POSTHOC.get("temperature"), prob, dataset).shape`.
    """
    if dataset.spec.task.startswith("count"):
        raise InputError(f"post hoc methods need classes; this is {dataset.spec.task}")
    rows, prob = held(dataset), np.asarray(prob, float)
    group, groups = dataset.group, len(dataset.spec.groups)
    several = dataset.spec.task.startswith("multiclass")
    many = prob.shape[1] if several else 2
    safe = np.clip(prob, SURE, 1 - SURE)
    found = np.full(prob.shape, np.nan, np.float32)
    for k, code in enumerate(labels(dataset)):
        z = np.log(safe) if several else _pair(logit(safe[:, k]))
        if code is None or not np.isfinite(z).all():
            continue
        use = (dataset.split[rows] == VALID) & (code[rows] >= 0)
        known, trained = (code >= 0)[:, None], dataset.split == TRAIN
        table = tabulate(code[:, None], known, group, trained, (many, groups)).table
        learned = Learned(z[use], code[rows][use], group[rows][use], table[0, :-1])
        if len(np.unique(learned.y)) < 2:
            continue
        made = post.fit(learned)(z, group[rows])
        found[:, slice(None) if several else k] = made if several else made[:, 1]
    return found


def _pair(z: np.ndarray) -> np.ndarray:
    return np.stack([np.zeros_like(z), z], 1)


def _groups(learned: Learned, name: str) -> int:
    groups = learned.counts.shape[1] - 1
    if groups < 2:
        raise InputError(f"{name} needs two groups or more; found {groups}")
    return groups


def _binary(learned: Learned, name: str) -> tuple:
    """(score, y, group, groups), as the rules of audit.decisions take them."""
    z = learned.logits
    if z.shape[1] != 2:
        raise InputError(f"{name} needs labels of two classes; this has {z.shape[1]}")
    return z[:, 1] - z[:, 0], learned.y, learned.group, _groups(learned, name)
