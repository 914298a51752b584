r"""What could have been seen: detectable differences and the rows that they need.

A two-sided test at 1 - level detects a true difference d with the wanted power when
$d = (z_{(1+level)/2} + z_{power})\,se$, where se is the standard error of the
difference of two independent groups. Rows of a group shrink its variance as 1/n; the
reference stays as it is, so that some differences no number of rows can show.
"""

import numpy as np
from scipy import stats

from equity_jax.audit.statistics import inference
from equity_jax.audit.statistics.inference import Estimate


def detectable(
    group: Estimate, reference: Estimate, level: float = 0.95, power: float = 0.8
) -> np.ndarray:
    """float[...]: the smallest true difference that would be detected; NaN if not ok.

    Args:
        group: value float[...].
        reference: of the same shape.
        level: 1 minus the size of the two-sided test.
        power: chance to detect it.
    """
    spread = inference.sampling_variance(group) + inference.sampling_variance(reference)
    found = _both(level, power) * np.sqrt(spread)
    return np.where(group.ok & reference.ok, found, np.nan)


def rows_needed(
    group: Estimate,
    reference: Estimate,
    n_group: np.ndarray | int,
    wanted: float,
    level: float = 0.95,
    power: float = 0.8,
) -> np.ndarray:
    """float[...]: rows that the group would need to detect a true difference.

    Args:
        group: value float[...], from n_group rows; more are taken to be like these.
        reference: of the same shape; it gets no rows more.
        n_group: rows of the group now.
        wanted: the difference to detect, above 0.
        level: 1 minus the size of the two-sided test.
        power: chance to detect it.

    Returns:
        Infinite where the reference alone is too uncertain; NaN where one is not ok.
    """
    left = (wanted / _both(level, power)) ** 2 - inference.sampling_variance(reference)
    one = n_group * inference.sampling_variance(group)
    rows = np.divide(one, left, out=np.full_like(one, np.inf), where=left > 0)
    return np.where(group.ok & reference.ok, np.ceil(rows), np.nan)


def _both(level: float, power: float) -> float:
    return float(stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(power))
