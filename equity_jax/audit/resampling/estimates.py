"""From questions to estimates: every number, in every part, in every replicate.

Each system's rows of a part are sorted and summed once (parts.py); then a replicate is
a vector of weights, and all numbers of it follow from prefix sums and one matrix
product. The point is the replicate in which every block counts once.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from equity_jax.audit.resampling.errors import errors, kind_of
from equity_jax.audit.resampling.measures import Given, Question, Scored
from equity_jax.audit.resampling.parts import Part, prepare
from equity_jax.audit.resampling.replicates import Replicates
from equity_jax.audit.subjects import Subjects


class Answer(NamedTuple):
    """One metric of a question, for systems S, parts P, replicates R.

    value, se, size, effective, threshold: float[S, P], NaN where there is none; draws:
    float[S, P, R]; kind: how its interval is made (see inference.Estimate).
    """

    metric: str
    source: str
    kind: str
    value: np.ndarray
    draws: np.ndarray
    se: np.ndarray
    size: np.ndarray
    effective: np.ndarray
    threshold: np.ndarray


def answer(
    question: Question,
    subjects: Subjects,
    replicates: Replicates,
    weight: np.ndarray | None = None,
    closed: bool = True,
    tick: Callable[[], object] = lambda: None,
) -> list[Answer]:
    """Everything that a question asks for, in the order of `question.asked`.

    Args:
        question: see measures.
        subjects: blocks and parts.
        replicates: of subjects.blocks blocks.
        weight: float[N], sample weights; None is all 1.
        closed: whether closed-form errors are wanted.
        tick: called after each system.
    """
    shape = (len(question.asked), _systems(question), len(subjects.parts))
    value, threshold = np.full(shape, np.nan), np.full(shape, np.nan)
    theory = np.full((3, *shape), np.nan)
    draws = np.full((*shape, replicates.count), np.nan)
    ones = np.ones((subjects.blocks, 1))
    for s in range(shape[1]):

        def ready(p: int, s: int = s) -> Part:
            rows = subjects.parts[p]
            part = prepare(question, s, p, rows[question.use[rows]], subjects, weight)
            threshold[:, s, p] = part.thresholds()
            if part.whole:
                value[:, s, p] = part.numbers(ones, None)[:, 0]
                theory[:, :, s, p] = errors(part, closed)
            return part

        parts = replicates.each(ready, range(shape[2]))

        def work(where: slice, drawn: np.ndarray, parts=parts, s=s) -> None:
            for p, part in enumerate(parts):
                if part.whole:
                    draws[:, s, p, where] = part.numbers(drawn, where)

        replicates.run(work)
        tick()
    kinds = [kind_of(question, metric) for metric, _ in question.asked]
    return [
        Answer(*asked, kinds[m], value[m], draws[m], *theory[:, m], threshold[m])
        for m, asked in enumerate(question.asked)
    ]


def _systems(question: Question) -> int:
    if isinstance(question, Given):
        return len(question.num)
    return len(question.score if isinstance(question, Scored) else question.decision)
