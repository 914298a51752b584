"""AUROC of many heads on every group's test rows, in all replicates of the patients."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from equity_jax.audit.resampling.estimates import answer
from equity_jax.audit.resampling.measures import Scored
from equity_jax.audit.resampling.replicates import resampled
from equity_jax.audit.statistics import inference
from equity_jax.audit.statistics.inference import Estimate
from equity_jax.audit.subjects import subjects_of
from equity_jax.types import Predictions


class Testing(NamedTuple):
    """The observed test rows: x float[N, F], y float[N], group int[N], patient int[N].

    names: of the groups; -1 is "not recorded".
    """

    __test__ = False  # not a test of pytest
    x: np.ndarray
    y: np.ndarray
    group: np.ndarray
    patient: np.ndarray
    names: tuple[str, ...]


class Marks(NamedTuple):
    """AUROC of R heads on G groups, and how it moves with the test patients.

    value, effective: float[R, G]; draws: float[R, G, B]; why: by group, why none may
    be shown ("": it may); share: float[B, D], weights of an arm's D draws, rows sum
    to 1.
    """

    value: np.ndarray
    effective: np.ndarray
    draws: np.ndarray
    why: tuple[str, ...]
    share: np.ndarray

    def of(
        self, runs: Sequence[int], code: int, halves: Sequence[int] = ()
    ) -> Estimate:
        """The mean over an arm's draws; a single one counts as D equal ones.

        halves: the runs of the same arm with half of the group's training patients. As
        much as these differ would the value, had the patients been others: each draw
        moves by their distance from their mean, so that the mean of D moves as one.
        """
        count = self.share.shape[1]
        runs = np.resize(runs, count)
        away = np.zeros(count)
        if len(halves):
            half = self.value[np.resize(halves, count), code]
            away = np.sqrt(count) * (half - half.mean())
        moved = self.draws[runs, code] + away[:, None]
        return Estimate(
            value=np.asarray(self.value[runs, code].mean()),
            seeds=self.value[runs, code] + away,
            draws=np.einsum("db,bd->b", moved, self.share),
            effective=np.asarray(self.effective[runs, code].mean()),
            ok=np.asarray(not self.why[code]),
            kind="logit",
        )


def marks(
    score: np.ndarray,
    test: Testing,
    draws: int,
    *,
    replicates: int = 1000,
    min_rows: int = 10,
    seed: int = 0,
) -> Marks:
    """Judges float[R, N] scores of the test rows.

    draws: D, the most that an arm has; replicates: B, the same for all heads and
    groups; min_rows: rows below which a group is not shown; seed: of both.
    """
    names, count = test.names, len(score)
    group = np.array([*names, ""])[test.group]
    y, mask = test.y[:, None], np.ones((len(test.y), 1))
    rows = Predictions(
        score[..., None], y, mask, {"group": group}, group, test.patient, [{}] * count
    )
    who = subjects_of(rows, ["group"], {})
    drawn = resampled(who.blocks, replicates, seed, "bootstrap")
    asked = Scored("", score, test.y, mask[:, 0] > 0, ("auroc",))
    found = answer(asked, who, drawn, closed=False)[0]
    value, effective = (
        np.full((count, len(names)), np.nan),
        np.zeros((count, len(names))),
    )
    moved = np.full((count, len(names), replicates), np.nan)
    for name, place in zip(
        who.groupings[0].groups, who.groupings[0].place, strict=True
    ):
        if name in names:
            code = names.index(name)
            value[:, code] = found.value[:, place]
            effective[:, code] = found.effective[:, place]
            moved[:, code] = found.draws[:, place]
    share = inference.resample(draws, replicates, seed, "subsample/draws") / draws
    made = Marks(value, effective, moved, (), share)
    codes = range(len(names))
    return made._replace(why=tuple(_refused(made, test, c, min_rows) for c in codes))


def _refused(made: Marks, test: Testing, code: int, least: int) -> str:
    """Why a group's AUROC is not shown, by the floors of the audit; "" if it is."""
    y = test.y[test.group == code]
    if len(y) < least:
        return f"fewer than {least} test rows"
    none = np.zeros(())
    one = Estimate(none, none, none, made.effective[0, code], none == 0)
    sizes = {"positives": int(np.sum(y == 1)), "negatives": int(np.sum(y == 0))}
    why = inference.estimable("auroc", one, (), sizes)
    if not why and np.isfinite(made.draws[0, code]).mean() < 0.9:
        return "undefined in more than a tenth of the replicates"
    return why
