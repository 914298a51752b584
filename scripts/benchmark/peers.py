"""What a user would write instead of the audit: three peers, each as good as it goes.

All take the same rows and give AUROC, average precision, TPR, FPR and the calibration
error of every group, with percentile intervals of a bootstrap. scikit-learn and numpy
draw patients with replacement; fairlearn's own bootstrap draws rows, and cannot do
otherwise. All groups share the replicates. Nothing but these numbers is computed: no
differences, no gaps, no tests.

numpy's BLAS is held to one thread: for these products a second one gains nothing, and
on a busy machine it waits, spinning, and made numpy up to ten times slower.
"""

from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from equity_jax.keys import generator
from equity_jax.types import Array

METRICS = ("auroc", "auprc", "recall", "fpr", "ece_width")
BINS, CUT = 15, 0.5
EDGES = np.arange(1, BINS) / BINS  # bins are (low, high]
TAILS = (0.025, 0.975)
DRAWS = "benchmark/peers"


class Problem(NamedTuple):
    """y int[N], score float[N], group int[N] in 0..G-1, patient int[N], names [G]."""

    y: Array
    score: Array
    group: Array
    patient: Array
    names: tuple[str, ...]


class Answer(NamedTuple):
    """value, low, high: float[M, G], in the order of METRICS and of the names."""

    value: Array
    low: Array
    high: Array


def drawn(patients: int, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """uint8[R, P]: how often each patient was drawn; rows sum to P."""
    counts = np.empty((replicates, patients), np.uint8)
    for row in counts:
        row[:] = np.bincount(rng.integers(0, patients, patients), minlength=patients)
    return counts


def calibration_error(y: Array, score: Array) -> float:
    """Binned |mean score - observed share|, weighted by the bins' rows."""
    bins = np.searchsorted(EDGES, score)
    return np.abs(np.bincount(bins, y - score)).sum() / len(y)


def sklearn_loop(p: Problem, replicates: int) -> Answer:
    """A loop over replicates and groups that calls scikit-learn on resampled rows."""
    from sklearn import metrics

    def five(y: Array, score: Array) -> list[float]:
        tn, fp, fn, tp = metrics.confusion_matrix(y, score >= CUT).ravel()
        return [
            metrics.roc_auc_score(y, score),
            metrics.average_precision_score(y, score),
            tp / (tp + fn),
            fp / (fp + tn),
            calibration_error(y, score),
        ]

    order = np.argsort(p.group, kind="stable")  # groups are slices, drawn or not
    y, score, group, patient = (x[order] for x in p[:4])
    codes = np.arange(1, len(p.names))

    def once(rows: Array) -> Array:
        ends = np.searchsorted(group[rows], codes)
        parts = zip(np.split(y[rows], ends), np.split(score[rows], ends), strict=True)
        return np.array([five(*part) for part in parts]).T

    rows = np.arange(len(y))
    counts = drawn(p.patient.max() + 1, replicates, generator(0, DRAWS))
    draws = [once(np.repeat(rows, count[patient])) for count in counts]
    return _answer(once(rows), np.array(draws))


def fairlearn_frame(p: Problem, replicates: int) -> Answer:
    """MetricFrame of fairlearn with its bootstrap, which draws rows, not patients."""
    import fairlearn.metrics as fair
    from sklearn import metrics

    functions = {
        "auroc": metrics.roc_auc_score,
        "auprc": metrics.average_precision_score,
        "recall": lambda y, score: fair.true_positive_rate(y, score >= CUT),
        "fpr": lambda y, score: fair.false_positive_rate(y, score >= CUT),
        "ece_width": lambda y, s: calibration_error(np.asarray(y), np.asarray(s)),
    }
    boot = {"n_boot": replicates, "ci_quantiles": list(TAILS), "random_state": 0}
    frame = fair.MetricFrame(
        metrics=functions,
        y_true=p.y,
        y_pred=p.score,
        sensitive_features=p.group,
        **boot if replicates else {},
    )
    tables = [frame.by_group, *(frame.by_group_ci if replicates else ())]
    found = [t[list(METRICS)].to_numpy(float).T for t in tables]
    return Answer(*(found if replicates else found * 3))


@threadpool_limits.wrap(limits=1, user_api="blas")
def numpy_rows(p: Problem, replicates: int, chunk: int = 100) -> Answer:
    """One sort a group, replicate weights [R, n], prefix sums read where ties end."""
    counts = _with_ones(p, replicates)
    found = np.empty((len(counts), len(METRICS), len(p.names)))
    for g in range(len(p.names)):
        rows = np.flatnonzero(p.group == g)
        rows = rows[np.argsort(-p.score[rows], kind="stable")]
        y, score, patient = p.y[rows].astype(float), p.score[rows], p.patient[rows]
        ends = np.flatnonzero(np.append(np.diff(score) != 0, True))
        cut = np.searchsorted(-score[ends], -CUT, side="right") - 1
        bins = np.eye(BINS)[np.searchsorted(EDGES, score)] * (y - score)[:, None]
        for i in range(0, len(counts), chunk):
            w = counts[i : i + chunk][:, patient].astype(float)
            tp = np.cumsum(w * y, axis=1)[:, ends]
            fp = np.cumsum(w, axis=1)[:, ends] - tp
            found[i : i + chunk, :, g] = _five(tp.T, fp.T, (w @ bins).T, cut)
    return _answer(found[0], found[1:])


@threadpool_limits.wrap(limits=1, user_api="blas")
def numpy_tuned(p: Problem, replicates: int, chunk: int = 100) -> Answer:
    """The same for one who knows the cache: replicates lie along the last axis."""
    counts = np.ascontiguousarray(_with_ones(p, replicates).T)
    found = np.empty((counts.shape[1], len(METRICS), len(p.names)))
    for g in range(len(p.names)):
        rows = np.flatnonzero(p.group == g)
        y, score, patient = p.y[rows], p.score[rows], p.patient[rows]
        bins = np.zeros((BINS, len(rows)))
        bins[np.searchsorted(EDGES, score), np.arange(len(rows))] = y - score
        for i in range(0, counts.shape[1], chunk):
            w = counts[:, i : i + chunk][patient].astype(float)
            values, tp, fp = cumulated(w, y, score)
            cut = np.searchsorted(-values, -CUT, side="right") - 1
            found[i : i + chunk, :, g] = _five(tp, fp, bins @ w, cut)
    return _answer(found[0], found[1:])


def cumulated(w: Array, y: Array, score: Array) -> tuple[Array, Array, Array]:
    """True and false positives at every distinct score, from the highest down.

    Args:
        w: float[n, R], weights of the rows.
        y: int[n], 0 or 1.
        score: float[n].

    Returns:
        (values float[U], tp float[U, R], fp float[U, R]).
    """
    values = np.unique(-score)
    found = []
    for label in (1, 0):
        rows = np.flatnonzero(y == label)
        rows = rows[np.argsort(-score[rows], kind="stable")]
        sums = np.zeros((len(rows) + 1, w.shape[1]))
        np.cumsum(w[rows], axis=0, out=sums[1:])
        found.append(sums[np.searchsorted(-score[rows], values, side="right")])
    return -values, *found


def area(tp: Array, fp: Array) -> Array:
    """AUROC float[R] by the trapezoids between distinct scores; NaN for one class."""
    before = np.concatenate([np.zeros_like(fp[:1]), fp[:-1]])
    gained = np.diff(tp, axis=0, prepend=0)
    lost = np.einsum("ur,ur->r", gained, fp + before)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - lost / (2 * tp[-1] * fp[-1])


def _five(tp: Array, fp: Array, bins: Array, cut: int) -> Array:
    """float[R, M] from float[U, R] of a group, bins float[BINS, R]."""
    gained = np.diff(tp, axis=0, prepend=0)
    precision = tp / np.maximum(tp + fp, 1)
    at = (tp[cut], fp[cut]) if cut >= 0 else (0 * tp[0], 0 * fp[0])
    found = [
        area(tp, fp),
        np.einsum("ur,ur->r", gained, precision) / tp[-1],
        at[0] / tp[-1],
        at[1] / fp[-1],
        np.abs(bins).sum(axis=0) / (tp[-1] + fp[-1]),
    ]
    return np.stack(found, axis=1)


def _with_ones(p: Problem, replicates: int) -> np.ndarray:
    """uint8[1 + R, P]: the rows as they are, then the replicates."""
    patients = p.patient.max() + 1
    ones = np.ones((1, patients), np.uint8)
    return np.concatenate([ones, drawn(patients, replicates, generator(0, DRAWS))])


def _answer(value: Array, draws: Array) -> Answer:
    """Percentile intervals of draws float[R, M, G]; none without replicates."""
    ends = np.quantile(draws, TAILS, axis=0) if len(draws) else (value, value)
    return Answer(value, *ends)
