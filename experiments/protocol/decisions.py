"""How scores become decisions: one way for all methods that do not bring their own.

The class of the largest probability where there are more than two, else score >= a
threshold of the validation rows (Youden 1950), one for all groups. A method that
decides at random has the expected accuracy of its decisions.
"""

from collections.abc import Sequence

import numpy as np

from equity_jax.audit.decisions import thresholds
from equity_jax.audit.resampling.measures import labels_of
from equity_jax.types import Predictions

RANDOM = "random"  # an entry's cut: its scores are chances of being called positive


def cuts(valid: Predictions, rules: Sequence[str]) -> np.ndarray:
    """float[R, K]: the threshold of every run and label; NaN where there is none.

    Args:
        valid: predictions of the validation rows.
        rules: of each run: RANDOM (NaN), or a rule of audit.decisions.thresholds, such
            as "youden" or "0.5".
    """
    if _several(valid):
        return np.full((len(rules), 1), np.nan)
    found = [
        [
            np.nan
            if rule == RANDOM
            else thresholds.pick(thresholds.parse(rule), score[r, use], y[use])
            for r, rule in enumerate(rules)
        ]
        for _, score, y, use in labels_of(valid)
    ]
    return np.array(found).T


def decided(p: Predictions, cut: np.ndarray, random: np.ndarray) -> np.ndarray:
    """float[R, n, K]: the chance that each row is decided rightly.

    Args:
        p: of any rows.
        cut: float[R, K], of `cuts`.
        random: bool[R], runs whose probabilities are chances of being called so.

    Example:
        >>> decided(test, cuts(valid, ["youden"]), np.array([False]))  # doctest: +SKIP
    """
    prob = np.asarray(p.prob, float)
    if _several(p):
        y = np.nan_to_num(p.y[:, 0]).astype(int)
        chance = np.take_along_axis(prob, y[None, :, None], 2)
        right = (prob.argmax(2) == y[None])[:, :, None] * 1.0
        made = np.where(random[:, None, None], chance, right)
        return np.where(np.isfinite(prob).all(2, keepdims=True), made, np.nan)
    made = []
    for k, (_, score, y, _) in enumerate(labels_of(p)):
        at = cut[:, k : k + 1]
        called = np.where(np.isnan(at + score), np.nan, score >= at)
        called = np.where(random[:, None], score, called)
        made.append(np.where(y[None] == 1, called, 1 - called))
    return np.stack(made, axis=2)


def _several(p: Predictions) -> bool:
    """Whether one label has more than two classes: then the largest is called."""
    return p.y.shape[1] == 1 and p.prob.shape[2] > 2
