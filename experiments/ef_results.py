"""Section of the embeddings page: the leaderboard of heads."""

import numpy as np
import pandas as pd

from equity_jax import calibration
from equity_jax.audit import OK, audit, view
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Section, Table, interval_text
from equity_jax.grid import Grid
from equity_jax.run import Result
from equity_jax.tasks import TASKS
from equity_jax.types import TEST, VALID, Dataset, Predictions
from equity_jax.verdict import labels_of
from experiments.cxr_parts import texts
from experiments.ef_parts import label_of, method_name
from experiments.page_parts import picture

METRICS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "calibration_slope": "calibration slope",
}
PATH = "logistic"  # the family that is solved to its optimum
SHOWN = 10  # heads in the figure


def title(result: Result) -> str:
    """What the page is called: by its label and where the rows come from."""
    return f"{label_of(result.dataset)}, from embeddings of chest X-rays"


def chosen(made: Grid, use: str = "") -> pd.Series:
    """The head of the sweep by groups: of gradient-trained plain heads, the best.

    use: a shape that is taken instead; then its best rate and penalty.
    """
    table = made.table[made.table["family"] != PATH]
    plain = table[table["method"] == "erm"]
    table = plain if len(plain) else table
    table = table[table["shape"] == use] if use else table
    return table.loc[table["valid"].idxmin()]


def leaderboard(result: Result) -> Section:
    """The best head of each shape and method on the test rows; leaderboard.csv."""
    made, spec = result.tuned, result.dataset.spec
    best = contenders(made)
    table = judged(result, best)
    result.store.write_csv("heads.csv", made.table)
    result.store.write_csv("leaderboard.csv", table)
    shown = view(table, contrast="group")
    drawn = view(shown, metric="auroc")
    drawn = drawn[drawn["head"].isin(best["head"].head(SHOWN))]
    figure = figures.dots(
        drawn.assign(group=drawn["head"], by="AUROC"),
        title="Test AUROC of the best heads",
        xlabel="AUROC",
        by="by",
        simulated=spec.simulated,
    )
    caption = "Test AUROC, the best heads as validation ranks them"
    return Section(
        "Leaderboard of heads",
        [_how(result), *_chosen(result), *_told(table)],
        [_numbers(table, best), _path(made)],
        [picture(result, "leaderboard", figure, caption, caption)],
    )


def contenders(made: Grid) -> pd.DataFrame:
    """Of each family, shape and method the head that validation likes best, ranked."""
    by = ["family", "shape", "method"]
    at = made.table.groupby(by, sort=False)["valid"].idxmin()
    best = made.table.loc[at].sort_values("valid", kind="stable")
    names = [_name(r) for r in best.itertuples()]
    return best.assign(head=names).reset_index(drop=True)


def _name(row) -> str:
    if row.family == PATH:
        return "logistic, to its optimum"
    return f"{row.shape}, {method_name(row.method)}"


def judged(result: Result, best: pd.DataFrame) -> pd.DataFrame:
    """leaderboard.csv: the audit of the heads over all test rows, each recalibrated.

    Differences are to the best logistic regression, paired.
    """
    dataset, config = result.dataset, result.config
    p = predicted(result.tuned, best, dataset)
    first = best.loc[best["family"] == PATH, "head"]
    report = audit(
        p,
        attributes="everybody",
        metrics=tuple(METRICS),
        extras=False,
        compare=[({}, {"method": first.iloc[0]})] if len(first) else (),
        replicates=config.audit.replicates,
        level=config.audit.level,
        min_rows=config.audit.min_rows,
        seed=config.seed,
        target=dataset.spec.targets[0],
        labels=labels_of(dataset.spec),
        unit=dataset.spec.unit,
        simulated=dataset.spec.simulated,
    )
    table = view(report.table, group="all", label="".join(labels_of(dataset.spec)[:1]))
    return table.assign(head=table["method"]).drop(columns=["attribute", "group"])


def predicted(made: Grid, best: pd.DataFrame, dataset: Dataset) -> Predictions:
    """Recalibrated probabilities of the heads on the known test rows."""
    task, seen = TASKS.get(dataset.spec.task), dataset.mask[:, 0] > 0
    test, valid = (np.flatnonzero(seen & (dataset.split == s)) for s in (TEST, VALID))
    y, prob = np.asarray(dataset.y)[:, 0].astype(int), []
    for run in best["run"]:
        z = [np.asarray(made.logits(dataset.x[rows], run)) for rows in (valid, test)]
        found = calibration.recalibrate(_pairs(z[0]), y[valid], "bcts")
        prob.append(np.asarray(calibration.apply(_pairs(z[1]), found)))
    prob = np.stack(prob)
    everybody = np.full(len(test), "everybody")
    return Predictions(
        prob[..., 1:] if task.classes == 2 else prob,
        np.asarray(dataset.y, float)[test],
        dataset.mask[test],
        {"everybody": everybody},
        dataset.id[test],
        dataset.patient[test],
        [{"seed": 0, "method": name, "scheme": ""} for name in best["head"]],
    )


def _pairs(z: np.ndarray) -> np.ndarray:
    """The logit z of a sigmoid is the pair (0, z)."""
    z = z.reshape(len(z), -1)
    return np.concatenate([0 * z, z], 1) if z.shape[1] == 1 else z


def _how(result: Result) -> str:
    heads, made = result.config.heads, result.tuned.table
    families = made["family"].value_counts()
    listed = ", ".join(f"{n} {name}" for name, n in families.items())
    return (
        f"{len(made)} heads were tried ({listed}): {len(heads.shapes)} shapes,"
        f" {len(heads.methods)} methods, {len(heads.lr)} learning rates,"
        f" {len(heads.weight_decay)} weight decays, {heads.seeds} seed(s); and logistic"
        f" regression to its optimum at {len(heads.l2)} penalties. Validation chose, by"
        " log loss after recalibration; the test images had no say. Every head is"
        " recalibrated on the validation images (Alexandari et al. 2020), which is what"
        " gives the hinge loss probabilities at all."
    )


def _chosen(result: Result) -> list[str]:
    row = chosen(result.tuned, result.config.heads.use)
    why = "named by --config.heads.use" if result.config.heads.use else "the best plain"
    return [
        f"The head of the audit by groups is **{row['shape']}** ({why} head that is"
        f" trained by gradient; learning rate {row['lr']:g}, weight decay"
        f" {row['weight_decay']:g}, validation log loss {row['valid']:.4f})."
    ]


def _told(table: pd.DataFrame) -> list[str]:
    """Which heads can be told from the best logistic regression, in AUROC."""
    rows = view(table, contrast="difference", metric="auroc", status=OK)
    if not len(rows):
        return []

    def names(mask: pd.Series) -> str:
        some = rows[mask]
        told = (
            f"{r.head} ({interval_text(r.value, r.low, r.high)})"
            for r in some.itertuples()
        )
        return ", ".join(told) or "no head"

    return [
        "Against logistic regression at its optimum, in AUROC on the same images:"
        f" better {names(rows['low'] > 0)}; worse {names(rows['high'] < 0)}; the rest"
        " cannot be told from it."
    ]


def _numbers(table: pd.DataFrame, best: pd.DataFrame) -> Table:
    rows = view(table, contrast="group")
    rows = rows.assign(text=texts(rows), metric=rows["metric"].map(METRICS))
    wide = rows.pivot_table("text", "head", "metric", "first", sort=False)
    wide = wide[list(METRICS.values())]
    gained = view(table, contrast="difference", metric="auroc")
    gained = pd.Series(texts(gained), gained["head"], dtype=object)
    wide.insert(1, "AUROC minus logistic", gained)
    how = best.set_index("head")
    wide.insert(0, "validation log loss", how["valid"].round(4))
    frame = wide.loc[how.index].fillna("–").reset_index().rename_axis(columns=None)
    note = "Ranked by validation log loss. Calibration slope 1 is right."
    return Table("Test results of the best heads, with intervals", frame, note, True)


def _path(made: Grid) -> Table:
    """The logistic path: what each penalty does on validation."""
    rows = made.table[made.table["family"] == PATH]
    frame = pd.DataFrame(
        {
            "penalty (1 / C of scikit-learn)": [f"{x:g}" for x in rows["l2"]],
            "validation log loss": rows["valid"].round(4),
            "validation AUROC": rows["auroc"].round(4),
            "chosen": np.where(rows["chosen"], "yes", ""),
        }
    )
    return Table("Logistic regression along its penalties, to the optimum", frame)
