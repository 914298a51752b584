"""One audit from rows to numbers: questions, answers, estimates, rows of the table."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from equity_jax.audit import asking, status, subjects
from equity_jax.audit.asking import Validation, Wish
from equity_jax.audit.companions import Judged
from equity_jax.audit.contrasts import Maker
from equity_jax.audit.options import Options
from equity_jax.audit.reading import conflicts
from equity_jax.audit.resampling import estimates
from equity_jax.audit.resampling.estimates import Answer
from equity_jax.audit.resampling.measures import Question
from equity_jax.audit.resampling.replicates import Replicates, resampled
from equity_jax.audit.statistics import inference
from equity_jax.audit.status import Rules
from equity_jax.audit.subjects import Cell, Grouping, Pair, Sizes, Subjects
from equity_jax.types import Predictions


class Court(NamedTuple):
    """All that an audit needs, prepared once."""

    predictions: Predictions
    wish: Wish
    options: Options
    rules: Rules
    subjects: Subjects
    cells: list[Cell]
    replicates: Replicates
    valid: Validation | None


def court_of(
    p: Predictions, options: Options, labels: tuple[str, ...], unit: str
) -> Court:
    """Groups, systems and replicates of predictions under options."""
    rules = Rules(
        options.level,
        options.min_rows,
        options.min_blocks,
        options.seed,
        options.resample_seeds,
        unit,
    )
    who = subjects.subjects_of(
        p, options.names, options.references, options.intersections
    )
    drawn = resampled(who.blocks, options.replicates, options.seed, "bootstrap")
    wish = Wish(options.metrics, labels, options.threshold, tuple(options.net_benefit))
    valid = asking.validation(p, options.replicates, options.seed)
    cells = subjects.cells_of(p.runs)
    return Court(p, wish, options, rules, who, cells, drawn, valid)


def judge(
    court: Court, pairs: list[Pair], tick: Callable[[], object]
) -> tuple[list[Judged], list[dict]]:
    """Every metric of every grouping, and the rows of the table."""
    asked = asking.questions(court.predictions, court.wish, court.subjects, court.valid)
    judged, records = [], []
    for question in asked:
        for one in answered(court, question, tick):
            judged.append(one)
            records += one.maker.records(one.estimate, pairs)
    return judged, records


def answered(
    court: Court,
    question: Question,
    tick: Callable[[], object] = lambda: None,
    only: Grouping | None = None,
) -> Iterable[Judged]:
    """The answers to a question under every grouping, or only one."""
    p, who = court.predictions, court.subjects
    alone = all(len(cell.seeds) == 1 for cell in court.cells)
    answers = estimates.answer(
        question, who, court.replicates, p.weight, closed=alone, tick=tick
    )
    sizes = subjects.sizes_of(question.use, question.y, who)
    for answer in answers:
        yield from ruled(court, answer, question.label, sizes, only=only)


def ruled(
    court: Court,
    answer: Answer,
    label: str,
    sizes: Sizes,
    known: np.ndarray | None = None,
    only: Grouping | None = None,
) -> Iterator[Judged]:
    """One answer about `label` under every grouping, or only one.

    known: object[M, P], reasons to refuse a number that the answer cannot tell by
    itself ("": none).
    """
    estimate, why = status.join(answer, court.cells, sizes, court.rules)
    if known is not None:
        why = np.where((known != "") & (why != status.SMALL), known, why)
        estimate = estimate._replace(ok=why == "")
    first = [cell.systems[0] for cell in court.cells]
    threshold = answer.threshold[first]
    base = {"target": court.options.target, "split": court.options.part}
    named = base | {"label": label, "threshold_source": answer.source}
    for grouping in court.subjects.groupings if only is None else [only]:
        at = np.concatenate([[0], grouping.place]).astype(int)
        yield Judged(
            Maker(
                named,
                answer.metric,
                grouping,
                court.cells,
                Sizes(*(x[at] for x in sizes)),
                court.rules,
                why[:, at],
                threshold[:, at],
            ),
            inference.groups(estimate, at),
        )


def settle(
    p: Predictions, options: Options, unit: str = "patient"
) -> tuple[Predictions, list[str]]:
    """Applies the policy for patients whose attribute records disagree; notes.

    The validation rows follow the same policy. A unit that is not a patient (a region ×
    month) may have rows of many groups by nature: nothing is said of it unless a policy
    is asked for.
    """
    if unit != "patient" and options.conflicts == Options.conflicts:
        return p, []
    notes, attributes, keep = [], dict(p.attributes), np.ones(len(p.id), bool)
    for name in options.names:
        if name not in attributes:
            continue
        values = np.asarray(attributes[name]).astype(str)
        patient = np.asarray(p.patient)
        attributes[name], found = conflicts.resolve(values, patient, options.conflicts)
        keep &= found.keep
        if found.patients:
            notes.append(
                f"{name}: the records of {found.patients:,} patients"
                f" ({found.rows:,} rows) disagree; policy {options.conflicts}."
            )
    valid = None if p.valid is None else settle(p.valid, options, unit)[0]
    p = p._replace(attributes=attributes, valid=valid)
    return (p if keep.all() else rows_of(p, keep)), notes


def rows_of(p: Predictions, keep: np.ndarray) -> Predictions:
    """The rows bool[N] of predictions; `valid` stays as it is."""
    ratios = {k: type(r)(r.num[:, keep], r.den[:, keep]) for k, r in p.ratios.items()}
    return p._replace(
        prob=np.asarray(p.prob)[:, keep],
        y=np.asarray(p.y)[keep],
        mask=np.asarray(p.mask)[keep],
        attributes={k: np.asarray(v)[keep] for k, v in p.attributes.items()},
        id=np.asarray(p.id)[keep],
        patient=np.asarray(p.patient)[keep],
        ratios=ratios,
        weight=None if p.weight is None else p.weight[keep],
    )
