"""Section of the embeddings page: size, prevalence, or the rows themselves?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from equity_jax.audit import OK, view
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Figure, Section, Table, interval_text
from equity_jax.run import Result
from equity_jax.solvers import subsets
from equity_jax.types import TEST, TRAIN, Array, Dataset
from experiments.ef_marks import Testing, marks
from experiments.ef_parts import truth
from experiments.ef_separate import separate
from experiments.ef_subsamples import DRAWS, Training, plan
from experiments.ef_words import CROSSED, EQUAL, GAP, LEFT, Row, rows_of, sentence
from experiments.page_parts import picture

# what the twin was made with, as cohort_truth names it -> in words
PLANTED = {
    "found": "planted: all rows",
    "balanced": "planted: groups weigh the same",
    "best": "planted: best possible scores",
}
TEXT = (
    "Logistic heads (L2 {l2}, chosen on validation rows) were fitted on thinned"
    " training patients and tested on the same test rows. A gap is the AUROC of {home}"
    " minus that of the group, by one and the same head. **Size** is what goes when"
    " {home} is thinned to as many patients as the group has, all other rows staying;"
    " **prevalence** what goes when its patients are then chosen to have the group's"
    " prevalence. What is left lies in the group's rows: noisy labels, fainter signs,"
    " another relation of image and label. Noise and faint signs look alike here.",
    "Every thinning was drawn {draws} times. Intervals resample the test patients, the"
    " same for all heads, and the draws; each holds by itself. Those of gaps and their"
    " parts also allow for other training patients of the group, as far as heads taught"
    " by one half of them differ.",
)


def thinning(result: Result) -> Section:
    """Learning curves, what equal size and prevalence change, and crosswise heads."""
    spec, config = result.dataset.spec, result.config
    l2 = strength(result)
    table = experiment(
        result.dataset,
        l2,
        replicates=config.audit.replicates,
        level=config.audit.level,
        min_rows=config.audit.min_rows,
        seed=config.seed,
    )
    result.store.write_csv("subsample.csv", table)
    home = spec.reference
    groups = list(dict.fromkeys(table["group"][table["quantity"] == GAP]))
    found = {g: rows_of(table, g) for g in groups}
    text = [part.format(home=home, l2=f"{l2:g}", draws=DRAWS) for part in TEXT]
    text += [f"**{g}**: {sentence(rows, home)}" for g, rows in found.items()]
    tables = [
        Table("The gap in AUROC and its parts", _parts(result, table, found)),
        Table(
            "Who changes at equal size, and what heads of one group alone show",
            _heads(found),
            "Harder: the group's images are ranked worse, averaged over both teachers;"
            " teacher: how much less its own rows teach, averaged over both groups"
            " tested; home: what each gains from its own teacher.",
        ),
        Table("AUROC by teacher and who is tested", _taught(table, home, groups)),
    ]
    title = "Size, prevalence, or the rows themselves"
    return Section(title, text, tables, _curves(result, table))


def strength(result: Result) -> float:
    """The penalty that validation chose for the logistic head of the grid.

    Without a grid, the middle one of config.heads.l2.
    """
    l2s = sorted(result.config.heads.l2)
    if result.tuned is None:
        return float(l2s[len(l2s) // 2])
    grid = result.tuned.table
    return float(
        grid.loc[(grid["family"] == "logistic") & grid["chosen"], "l2"].iloc[0]
    )


def experiment(
    dataset: Dataset,
    l2: float,
    *,
    draws: int = DRAWS,
    replicates: int = 1000,
    level: float = 0.95,
    min_rows: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """subsample.csv: plans, fits all heads in one program, judges and separates.

    Args:
        dataset: binary labels; its observed rows and recorded groups.
        l2: penalty of the logistic heads, on the sum of the loss.
        draws: of every thinning.
        replicates: of the test patients.
        level: of each interval.
        min_rows: test rows below which a group is not shown.
        seed: of draws and replicates.

    Example:
        >>> experiment(dataset, 100.0).quantity.unique()  # doctest: +SKIP
    """
    spec = dataset.spec
    x, y, *who = _rows(dataset, TRAIN)
    train = Training(y, *who, spec.groups, spec.groups.index(spec.reference))
    test = Testing(*_rows(dataset, TEST), spec.groups)
    planned = plan(train, draws, seed)
    score = scores(x, y, planned.rows, l2, test.x)
    drawn = max(map(len, planned.runs.values()))
    judged = marks(
        score, test, drawn, replicates=replicates, min_rows=min_rows, seed=seed
    )
    return separate(train, planned, judged, level)


def scores(x: Array, y: Array, rows: Array, l2: Any, held: Array) -> np.ndarray:
    """float[R, M]: logits on `held` float[M, F] of heads fitted on rows [R, N] of x."""
    made = subsets(x, y, rows, l2)
    return made.coef[:, 0] @ held.T + made.intercept


def _rows(dataset: Dataset, split: int) -> tuple[np.ndarray, ...]:
    """The observed rows of a split: x, y float[N], group and patient int[N]."""
    rows = (dataset.split == split) & (dataset.mask[:, 0] > 0)
    y = np.asarray(dataset.y)[rows, 0].astype(float)
    return dataset.x[rows], y, dataset.group[rows], dataset.patient[rows]


def _parts(
    result: Result, table: pd.DataFrame, found: Mapping[str, Mapping[str, Row]]
) -> pd.DataFrame:
    """A line a group: its gap, what size and prevalence change, what is left."""
    spec, planted = result.dataset.spec, truth(result.dataset).get("gap", {})
    size = view(table, quantity="auroc", trained="all rows").set_index("tested")
    columns = {GAP: GAP, "size": "size", EQUAL: EQUAL}
    columns |= {"prevalence": "prevalence", LEFT: "what is left"}
    lines = []
    for group, rows in found.items():
        line = {spec.group: group, "training patients": int(size.patients[group])}
        line |= {name: rows[key].text for key, name in columns.items()}
        for kind, words in PLANTED.items():
            if group in planted.get(kind, {}):
                line[words] = f"{planted[kind][group]:.3f}"
        lines.append(line)
    return pd.DataFrame(lines)


def _heads(found: Mapping[str, Mapping[str, Row]]) -> pd.DataFrame:
    names = ("change of the reference", "change of the group", *CROSSED)
    lines = [{"group": g} | {n: r[n].text for n in names} for g, r in found.items()]
    return pd.DataFrame(lines)


def _taught(table: pd.DataFrame, home: str, groups: Sequence[str]) -> pd.DataFrame:
    """A line a group: AUROC of the heads of one group alone, teacher → tested."""
    rows, lines = view(table, quantity="auroc"), []
    for group in groups:
        own = view(rows, trained=f"{group} alone", tested=group)
        if not len(own):
            continue
        size = own["patients"].iloc[0]
        line = {"group": group, "patients each": int(size)}
        for teacher in (home, group):
            for tested in (home, group):
                where = {"trained": f"{teacher} alone", "tested": tested}
                r = view(rows, patients=size, **where).iloc[0]
                ends = interval_text(r.value, r.low, r.high)
                names = ("itself" if n == group else n for n in (teacher, tested))
                line[" → ".join(names)] = ends
        lines.append(line)
    return pd.DataFrame(lines)


def _curves(result: Result, table: pd.DataFrame) -> list[Figure]:
    """AUROC by a group's own training patients, beside the reference's."""
    spec = result.dataset.spec
    home, parts = spec.reference, []
    rows = view(table, quantity="auroc", status=OK)
    for group in dict.fromkeys(table["group"][table["quantity"] == GAP]):
        kinds = {
            "the group, thinned": (group, [f"{group} thinned", "all rows"]),
            f"{home}, thinned": (home, [f"{home} thinned", "all rows"]),
            f"the group, with as few of {home}": (group, [f"{home} thinned"]),
        }
        for kind, (tested, trained) in kinds.items():
            mine = rows["trained"].isin(trained) & (rows["tested"] == tested)
            parts.append(rows[mine].assign(kind=kind, panel=group))
    drawn = pd.concat(parts)
    drawn = drawn[drawn["panel"].isin(drawn["group"])]
    if not len(drawn):
        return []
    figure = figures.curves(
        drawn,
        x="patients",
        title="What a group's own training patients are worth",
        xlabel="training patients of the group that was thinned, all others kept",
        ylabel="test AUROC",
        by="kind",
        panel="panel",
        nominal=None,
        simulated=spec.simulated,
    )
    caption = f"Test AUROC by a group's own training patients, {home} for comparison"
    alt = caption + ": lines with interval bands, a panel a group"
    return [picture(result, "subsample", figure, caption, alt)]
