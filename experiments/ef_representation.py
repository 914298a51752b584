"""Sections of the embeddings page: is a group served worse because it is small?

First the plain fact: how a metric goes with the groups' training patients. A handful
of groups can show little of that, and nothing of why. So then the experiment
(ef_subsamples, ef_separate): patients are taken away until groups are alike.
"""

import pandas as pd

from equity_jax.audit import OK, view
from equity_jax.audit.pages.page import Figure, Section, Table, interval_text
from equity_jax.audit.pages.representation_figures import against_size
from equity_jax.audit.represented import represented
from equity_jax.audit.subjects import CROSS
from equity_jax.metrics import FACTS
from equity_jax.run import Result
from equity_jax.types import TRAIN
from experiments.ef_groups import THRESHOLD, people, plain_systems, select
from experiments.ef_thinning import thinning
from experiments.page_parts import picture

METRICS = ("auroc", "fnr", "brier")
TEXT = (
    "Each group is a point: its training patients, and how well the plain head does on"
    " its test patients. The rank correlation lies between -1 and 1; the slope is what"
    " ten times the patients go with. Both intervals are for these groups, had other"
    " patients been tested; that of the correlation is of all orders of the groups that"
    " their simultaneous intervals allow. The p-value is the share of all ways to hand"
    " the sizes out that look as extreme; so few groups cannot go below the smallest"
    " possible p beside it.",
    "Noise pulls a rank correlation toward 0: where the share of the spread that is not"
    " noise (reliability) is low, a correlation near 0 says little. And the smaller a"
    " group, the farther chance alone carries it: extreme values of small groups are"
    " expected. Nor is a correlation a cause; the experiment below changes the sizes.",
)


def sections(result: Result) -> list[Section]:
    """The correlation with representation, and the experiment that asks why.

    Writes representation.csv, representation_groups.csv and subsample.csv. The second
    is for binary labels; without them only the first comes back.

    Example:
        >>> [s.title for s in sections(result)]  # doctest: +SKIP
        ['Representation and performance', 'Size, prevalence, or the rows themselves']
    """
    found = [representation(result)]
    if result.dataset.spec.task == "binary":
        found.append(thinning(result))
    return found


def representation(result: Result) -> Section:
    """How the plain head's metrics go with the groups' training patients."""
    table, groups = correlations(result)
    result.store.write_csv("representation.csv", table)
    result.store.write_csv("representation_groups.csv", groups)
    known = table[table["status"] == OK]
    lost = table.loc[table["status"] != OK, ["attribute", "metric", "why"]]
    text = [*TEXT, *_sentences(known)]
    tables = []
    if len(known):
        caption = "Correlation of groups' performance and training patients"
        tables.append(Table(caption, _shown(known)))
    if len(lost):
        tables.append(Table("NOT_ESTIMABLE", lost.reset_index(drop=True)))
    drawn = _picture(result, groups)
    return Section("Representation and performance", text, tables, drawn)


def correlations(result: Result) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of `represented`: every attribute, and the first two crossed."""
    dataset, config = result.dataset, result.config
    plain = select(result.test, plain_systems(result))._replace(ratios={})
    if plain.valid is not None:
        plain = plain._replace(valid=plain.valid._replace(ratios={}))
    rows = (dataset.split == TRAIN) & (dataset.mask.max(1) > 0)
    names = people(dataset) or (dataset.spec.group,)
    trained = {name: dataset.attributes[name][rows] for name in names}
    options = {
        "metrics": METRICS if plain.valid is not None else ("auroc", "brier"),
        "threshold": THRESHOLD,
        "replicates": config.audit.replicates,
        "level": config.audit.level,
        "min_rows": config.audit.min_rows,
        "seed": config.seed,
        "unit": dataset.spec.unit,
    }
    patient = dataset.patient[rows]
    one = represented(
        plain, trained, patient, attributes=names, intersections=False, **options
    )
    if len(names) < 2:
        return one.table, one.groups
    two = represented(plain, trained, patient, attributes=names[:2], **options)
    joined = (_joined(a, b) for a, b in zip(one, two, strict=True))
    return tuple(joined)


def _joined(single: pd.DataFrame, crossed: pd.DataFrame) -> pd.DataFrame:
    """The attributes, then the crossing of two of them."""
    more = crossed[crossed["attribute"].str.contains(CROSS, regex=False)]
    return pd.concat([single, more], ignore_index=True)


def _sentences(table: pd.DataFrame) -> list[str]:
    """One sentence an attribute, of the AUROC."""
    said = []
    for r in view(table, metric="auroc").itertuples():
        steep = interval_text(r.slope, r.slope_low, r.slope_high)
        sure = (
            "groups with more training patients are ranked better"
            if r.slope_low > 0
            else "groups with more training patients are ranked worse"
            if r.slope_high < 0
            else "a slope cannot be told from 0"
        )
        said.append(
            f"**{r.attribute}**, {r.groups} groups: among these, {sure} ({steep} AUROC"
            f" for ten times the patients); p = {r.p:.3f} over permutations, the"
            f" smallest possible being {r.least:.3g}."
        )
    return said


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    rows = list(table.itertuples())
    return pd.DataFrame(
        {
            "attribute": table["attribute"].to_numpy(),
            "metric": [FACTS[m].title for m in table["metric"]],
            "groups": table["groups"].to_numpy(),
            "rank correlation": [interval_text(r.rho, r.low, r.high) for r in rows],
            "slope, ten times the patients": [
                interval_text(r.slope, r.slope_low, r.slope_high) for r in rows
            ],
            "p": [f"{r.p:.3f}" for r in rows],
            "smallest possible p": [f"{r.least:.2g}" for r in rows],
            "reliability": [f"{r.reliability:.2f}" for r in rows],
        }
    )


def _picture(result: Result, groups: pd.DataFrame) -> list[Figure]:
    rows = view(groups, metric="auroc", status=OK)
    several = rows.groupby("attribute")["group"].transform("size") > 2
    if not several.any():
        return []
    figure = against_size(
        rows[several],
        title="AUROC of each group against its training patients",
        xlabel="training patients of the group",
        ylabel="test AUROC",
        simulated=result.dataset.spec.simulated,
    )
    caption = "Test AUROC of the plain head by the groups' training patients"
    alt = caption + ", one dot with its interval a group, a panel an attribute"
    return [picture(result, "representation", figure, caption, alt)]
