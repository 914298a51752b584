"""Tables and pictures of the protocol's page, from what was judged."""

import numpy as np
import pandas as pd

from equity_jax.audit import NOT_ESTIMABLE, OK, view
from equity_jax.audit.pages.page import Table, interval_text
from equity_jax.audit.pages.words import fixed, p_text
from equity_jax.audit.subjects import CROSS, UNRECORDED
from equity_jax.types import TEST, VALID
from experiments.cxr_parts import texts
from experiments.protocol.criteria import CRITERIA, ENCODING, PARETO, classes_of
from experiments.protocol.entries import BALANCED
from experiments.protocol.judge import Judged
from experiments.protocol.played import Played
from experiments.protocol.scores import METRICS

USES = {
    "none": "never",
    "training": "in training",
    "validation": "on validation",
    "test": "at test",
}
RULES = {
    PARETO: "distance to the best overall and worst-group AUROC",
    ENCODING: "how badly the group is read from the features",
}
NUMBERS = ("valid", "test", "optimism")
TITLES = {name: metric.title for name, metric in METRICS.items()}


def rule(criterion: str) -> str:
    """What a criterion looks at, in words.

    Example:
        >>> rule("overall")
        'AUROC'
    """
    return RULES.get(criterion) or TITLES[CRITERIA[criterion]]


def ordered(judged: Judged) -> pd.DataFrame:
    """The rows of the ranking metric, the best mean rank first, then the unranked."""
    rows = view(judged.methods, metric=judged.metric)
    return rows.sort_values("rank", kind="stable").reset_index(drop=True)


def methods(judged: Judged) -> Table:
    """Every method, every metric, and the difference to balanced erm."""
    first = ordered(judged)
    table = judged.methods.assign(text=texts(judged.methods))
    wide = table.pivot_table("text", "entry", "metric", "first", sort=False)
    names = [judged.metric, *(m for m in METRICS if m != judged.metric)]
    wide = wide.loc[first["entry"], names].rename(columns=TITLES).reset_index(drop=True)
    wide.insert(0, "method", first["entry"])
    wide.insert(1, "group known", first["uses"].map(USES))
    wide.insert(3, "minus balanced erm", _gained(first))
    wide.insert(4, "p, Holm", first["difference_p_holm"].map(p_text))
    wide["trial"] = first["trial"]
    note = (
        f"Sorted by mean rank of {TITLES[judged.metric]}, which the difference and p"
        f" are of. Balanced erm is {BALANCED}."
    )
    return Table("Every method on the test rows", wide, note, interactive=True)


def _gained(rows: pd.DataFrame) -> list[str]:
    return [
        interval_text(r.difference, r.difference_low, r.difference_high)
        if np.isfinite(r.difference)
        else "–"
        if r.status == OK
        else NOT_ESTIMABLE
        for r in rows.itertuples()
    ]


def criteria(judged: Judged, criterion: str) -> Table:
    """What each criterion gives, on average over methods."""
    table, own = judged.optimism, _own(judged)
    used = view(table, criterion=criterion).groupby("entry")["trial"].first()
    rows = []
    for name, mine in table.groupby("criterion", sort=False):
        trial = mine.groupby("entry")["trial"].first()
        told = own[own["criterion"] == name]
        row = {"criterion": name, "looks at": rule(name)}
        row["other trials"] = int((trial != used[trial.index]).sum())
        row |= {word: _three(told[word].mean()) for word in NUMBERS}
        test = mine.groupby("metric")["test"].mean()
        for metric in dict.fromkeys((judged.metric, "auroc", "worst_group_auroc")):
            row[f"test {TITLES[metric]}"] = _three(test[metric])
        rows.append(row)
    note = (
        f"Means over methods. Other trials: methods of which {criterion}, by which the"
        f" results above were chosen, takes another. {_numbers(judged)}"
    )
    return Table("What each criterion gives", pd.DataFrame(rows), note)


def choices(judged: Judged, criterion: str) -> Table:
    """The trial of every method by every criterion."""
    own = _own(judged).rename(columns={"entry": "method"})
    frame = own[["method", "criterion", "trial"]].reset_index(drop=True)
    frame = frame.assign(**{word: [*map(_three, own[word])] for word in NUMBERS})
    args = {"interactive": True, "choose": {"criterion": criterion}}
    return Table("Every choice", frame, _numbers(judged), **args)


def _own(judged: Judged) -> pd.DataFrame:
    """Rows of the number that each criterion looks at, or of the ranking metric."""
    wanted = {name: metric or judged.metric for name, metric in CRITERIA.items()}
    table = judged.optimism
    return table[table["metric"] == table["criterion"].map(wanted)]


def _numbers(judged: Judged) -> str:
    return (
        "Valid, test, and optimism, their difference: of the number that the criterion"
        f" looks at, mean over seeds; of pareto and encoding, {TITLES[judged.metric]}."
    )


def _three(value: float) -> str:
    return fixed(value, 3) if np.isfinite(value) else NOT_ESTIMABLE


def trials(played: Played, judged: Judged) -> Table:
    """The hyper-parameters of the chosen trials."""
    table = played.table.drop_duplicates(["entry", "trial"])
    mine = table[table["trial"] == table["entry"].map(judged.chosen)]
    frame = mine[["entry", "trial", "lr", "weight_decay", "values"]]
    frame = frame.rename(columns={"entry": "method"}).reset_index(drop=True)
    note = "Trial 0 has the settings of the method's paper."
    return Table("Settings of the chosen trials", frame, note, interactive=True)


def cells(played: Played, least: int) -> Table:
    """Validation and test rows of every (class, group); small numbers are hidden."""
    d, spec = played.dataset, played.dataset.spec
    y, seen = np.asarray(d.y)[played.rows], np.asarray(d.mask)[played.rows] > 0
    group, split = d.group[played.rows], d.split[played.rows]
    names = [*enumerate(spec.groups), (-1, UNRECORDED)]

    def held(c: int, g: int, part: int) -> str:
        mine = (group == g) & (split == part)
        n = int(np.sum(((y == c) & seen)[mine]))
        return f"<{least}" if 0 < n < least else f"{n:,}"

    rows = [
        (f"{word}{CROSS}{name}", held(c, g, VALID), held(c, g, TEST))
        for c, word in enumerate(classes_of(played))
        for g, name in names
    ]
    frame = pd.DataFrame(rows, columns=["cell", "validation", "test"])
    frame = frame[frame["validation"].ne("0") | frame["test"].ne("0")]
    what = "labels of rows" if y.shape[1] > 1 else "rows"
    return Table(f"Held-out {what} of every (class, group)", frame)
