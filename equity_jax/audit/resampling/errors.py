"""What theory knows of a part's numbers: standard errors, effective sizes."""

from typing import NamedTuple

import numpy as np

from equity_jax.audit.decisions import curves
from equity_jax.audit.resampling import moments, ranked
from equity_jax.audit.resampling.measures import Given, Question, Scored
from equity_jax.audit.resampling.parts import Part
from equity_jax.audit.statistics import inference, intervals
from equity_jax.audit.statistics.delong import Delong, delong
from equity_jax.audit.statistics.proportions import ratio_error
from equity_jax.metrics import CONFUSION, PROPORTIONS, Confusion

BINNED = {"ece_width": moments.equal_width, "ece_mass": moments.equal_mass}
LOGIT = ("auprc", "f1", "balanced_accuracy", "brier")
LOG = ("log_loss", "observed_expected")


def kind_of(question: Question, metric: str) -> str:
    """How a metric's interval is made, as inference.interval names it."""
    if metric == "auroc":
        return "delong"
    if metric in BINNED:
        return "bounded"
    whole = isinstance(question, Given) and metric.startswith("coverage")
    if metric in PROPORTIONS or whole:
        return "wilson"
    return "logit" if metric in LOGIT else "log" if metric in LOG else "bootstrap"


class Errors(NamedTuple):
    """float[M] each: standard error, Wilson's size (NaN = none), effective blocks."""

    se: np.ndarray
    size: np.ndarray
    effective: np.ndarray


def errors(part: Part, closed: bool) -> Errors:
    """The closed forms behind every number of a part; without `closed`, blocks only."""
    rank = None
    if closed and part.weight is None and ("auroc", "") in part.question.asked:
        rank = delong(part.score, part.y, part.block)
    cuts: dict[str, tuple[Confusion, Confusion | None]] = {}
    found = []
    for metric, source in part.question.asked:
        if kind_of(part.question, metric) == "wilson" and source not in cuts:
            cuts[source] = _called(part, source), _moved(part, source, closed)
        found.append(_one(part, metric, cuts.get(source), rank, closed))
    return Errors(*np.array(found, float).reshape(-1, 3).T)


def _one(
    part: Part,
    metric: str,
    cut: tuple[Confusion, Confusion | None] | None,
    rank: Delong | None,
    closed: bool,
) -> tuple[float, float, float]:
    """(se, size, effective) of one metric.

    The effective blocks of a proportion are those of its denominator; of other metrics
    of labels, those of the scarcer class, which decides how much there is to learn.
    """
    if metric == "auroc" and rank is not None:
        return rank.se, np.nan, rank.effective
    if kind_of(part.question, metric) != "wilson":
        given = isinstance(part.question, Given)
        counts = [np.nan_to_num(part.y)] if given else [part.y == 1, part.y == 0]
        size = _debiased(part, metric) if closed and metric in BINNED else np.nan
        return np.nan, size, min(_blocks(part, x) for x in counts)
    terms = (part.score, part.y) if cut[0] is None else PROPORTIONS[metric](cut[0])
    effective = _blocks(part, np.nan_to_num(terms[1]))
    if not closed:
        return np.nan, np.nan, effective
    _, error, size = (float(x) for x in ratio_error(*terms, part.block, part.weight))
    if cut[1] is None:
        return error, size, effective
    with np.errstate(divide="ignore", invalid="ignore"):
        total = error**2 + float(intervals.spread(CONFUSION[metric](cut[1])))
    shrink = error**2 / total if error > 0 else 1.0
    return float(np.sqrt(total)), size * shrink, effective


def _blocks(part: Part, counts: np.ndarray) -> float:
    return float(inference.effective_number(np.bincount(part.block, counts)))


def _debiased(part: Part, metric: str) -> float:
    if part.weight is not None:
        return np.nan
    bins = BINNED[metric](part.score, np.ones(len(part.y)))
    return curves.ece_debiased(part.score, part.y, bins, part.block)


def _called(part: Part, source: str) -> Confusion | None:
    """Row by row: the four indicators at the threshold; None for a metric given."""
    if isinstance(part.question, Given):
        return None
    called = part.score
    if isinstance(part.question, Scored):
        cut = next(c for c in part.question.cuts if c.source == source)
        called = (part.score >= cut.value[part.system, part.place]).astype(float)
    return Confusion(*moments.decided(called, part.y).columns.T)


def _moved(part: Part, source: str, closed: bool) -> Confusion | None:
    """The counts at the threshold of each replicate of the validation rows."""
    if not closed or not isinstance(part.question, Scored):
        return None
    cuts = part.question.cuts
    k = next(k for k, cut in enumerate(cuts) if cut.source == source)
    if cuts[k].draws is None:
        return None
    ones = np.ones((part.order.sick.shape[1], 1))
    return ranked.tally(part.order, ones, [part.order.at[len(cuts) + k]]).at[0]
