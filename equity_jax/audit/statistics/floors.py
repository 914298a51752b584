"""Below which sizes a number has no honest interval: then it is NOT_ESTIMABLE.

Found by simulation. With 2 positives among 50 rows the 95 % intervals of Brier score
and log loss covered 86 and 82 %; with 10 positive rows of 2 or 3 patients, 78 and 76 %:
so that a floor on rows alone is not enough. AUROC with Student's degrees of freedom
covered 95.6 to 98.6 % down to 5 patients of the scarcer class, and 99.9 % below.
Proportions with 5 to 8 patients of six rows each covered 89 to 99 %.
"""

from collections.abc import Mapping

from equity_jax.audit.statistics.draws import Estimate

CLASS = 10  # rows of each class that the metric depends on
PATIENTS = 10  # effective patients behind the denominator, or of the scarcer class
# The same for an AUROC, whose interval knows its degrees of freedom, and for numbers
# that know no classes.
OTHERS = 5

# Metrics that move with positives alone, with negatives alone, or with neither by name;
# all others that know the classes need both.
POSITIVES = {"recall", "fnr"}
NEGATIVES = {"specificity", "fpr"}
NEITHER = {"accuracy", "selection_rate", "prevalence", "precision", "npv"}


def estimable(
    metric: str,
    estimate: Estimate,
    at: tuple[int, ...],
    sizes: Mapping[str, int],
    unit: str = "patient",
) -> str:
    """Why the number at `at` has no honest interval, or "".

    Args:
        metric: key of metrics.FACTS.
        estimate: value float[...]; `effective` counts the blocks behind its own
            denominator, or of the scarcer class.
        at: which of them.
        sizes: n, patients, positives, negatives behind it; -1: does not apply.
        unit: what a block is.

    Example:
        >>> import numpy as np
        >>> x = np.array([0.8])
        >>> found = Estimate(x, x[:, None], x[:, None], x * 50, x > 0)
        >>> sizes = {"n": 90, "patients": 90, "positives": 4, "negatives": 86}
        >>> estimable("auroc", found, (0,), sizes)
        'fewer than 10 positives'
    """
    needs = {
        "positives": metric not in NEGATIVES | NEITHER,
        "negatives": metric not in POSITIVES | NEITHER,
    }
    for name, matters in needs.items():
        if matters and 0 <= sizes[name] < CLASS:
            return f"fewer than {CLASS} {name}"
    labeled = sizes["positives"] >= 0 and estimate.kind != "delong"
    least = PATIENTS if labeled or estimate.kind == "wilson" else OTHERS
    # Kish's number of equal blocks is a whole one but for rounding.
    if estimate.effective[at] < least - 1e-6:
        return f"fewer than {least} effective {unit}s"
    return ""
