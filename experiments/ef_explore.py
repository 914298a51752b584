"""Sections of the embeddings page about the rows: who is there, and how they lie."""

import numpy as np
import pandas as pd

from equity_jax import pca
from equity_jax.audit.pages import embedding_figures, figures
from equity_jax.audit.pages.page import Figure, Section, Table, number_text
from equity_jax.keys import generator
from equity_jax.run import Result
from equity_jax.types import TEST, TRAIN, Dataset
from experiments.ef_parts import label_of
from experiments.page_parts import picture

COMPONENTS = 20  # that are computed and drawn
DRAWN = 1500  # points of a scatter plot


def exploration(result: Result) -> Section:
    """Images, patients, labels and what is missing, by group; exploration.csv."""
    dataset, spec = result.dataset, result.dataset.spec
    table = by_attribute(dataset)
    result.store.write_csv("exploration.csv", table)
    tables = [
        Table(
            "Images by attribute",
            table,
            f"Share: of the images with a known label, those of {spec.classes[-1]!r}.",
            True,
            {"attribute": spec.group},
        ),
        *left_out(dataset),
    ]
    figure = figures.stack(
        _classes(dataset),
        title=f"{label_of(dataset)} by {spec.group}",
        xlabel="share of images with a known label",
        simulated=spec.simulated,
    )
    caption = f"Classes by {spec.group}; in brackets how many images"
    shown = picture(result, "classes", figure, caption, caption)
    said = [" ".join(spec.notes), *confounded(dataset)]
    return Section("The rows, before any model", said, tables, [shown])


def confounded(dataset: Dataset) -> list[str]:
    """A sentence for each attribute that gives the label away: one class a group.

    Example: COVID images from one hospital, all others from another.
    """
    seen, said = dataset.mask[:, 0] > 0, []
    y, label = np.asarray(dataset.y)[seen, 0], label_of(dataset)
    for name, values in dataset.attributes.items():
        known = values[seen] != ""
        classes = pd.Series(y[known]).groupby(values[seen][known]).nunique()
        if len(classes) > 1 and (classes == 1).all():
            said.append(
                f"**Every {name} holds one class only.** Whatever tells the {name} of"
                f" an image tells its label, so a high AUROC does not show that {label}"
                " was recognized."
            )
    return said


def by_attribute(dataset: Dataset) -> pd.DataFrame:
    """attribute, group, images, patients, share of the last class, unknown labels."""
    lines, y = [], np.asarray(dataset.y)[:, 0]
    seen, last = dataset.mask[:, 0] > 0, len(dataset.spec.classes) - 1
    unit = f"{dataset.spec.unit}s"
    for name, values in dataset.attributes.items():
        groups = sorted(set(values) - {""}, key=lambda g: -np.sum(values == g))
        for group in [*groups, *[""] * bool((values == "").any())]:
            rows = values == group
            line = {"attribute": name, "group": group or "not recorded"}
            line |= {"images": int(rows.sum())}
            line |= {"share of images": f"{100 * rows.mean():.1f} %"}
            line |= {unit: len(np.unique(dataset.patient[rows]))}
            known = rows & seen
            share = np.mean(y[known] == last) if known.any() else np.nan
            line["share with the label"] = f"{100 * share:.1f} %"
            for split, code in (("train", TRAIN), ("test", TEST)):
                line[f"{split} images"] = int((rows & (dataset.split == code)).sum())
            lines.append(line)
    return pd.DataFrame(lines)


def _classes(dataset: Dataset) -> pd.DataFrame:
    """Known labels, groups × classes."""
    spec, seen = dataset.spec, dataset.mask[:, 0] > 0
    y, group = np.asarray(dataset.y)[seen, 0].astype(int), dataset.group[seen]
    shape = len(spec.groups), len(spec.classes)
    counts = np.zeros(shape, int)
    np.add.at(counts, (group[group >= 0], y[group >= 0]), 1)
    return pd.DataFrame(counts, list(spec.groups), list(spec.classes))


def left_out(dataset: Dataset) -> list[Table]:
    """Rows that were not used, by reason and group: missingness by group."""
    spec = dataset.spec
    out = pd.DataFrame(spec.left_out).fillna(0).astype(int).T
    if not len(out):
        return []
    used = pd.Series(dataset.attributes[spec.group]).replace("", "not recorded")
    used = used.value_counts()
    line = {name: int(used.get(name, 0)) for name in out.columns}
    out.loc["used"] = line
    lost = 100 * (1 - out.loc["used"] / out.sum().where(out.sum() > 0))
    text = out.map(number_text)
    text.loc["left out, %"] = [f"{x:.1f}" for x in lost]
    note = (
        "A group that loses more of its images to missing labels is known from a part"
        " of its patients only, who may be the more ill."
    )
    frame = text.rename_axis("reason").reset_index()
    return [Table(f"Left out, by reason and {spec.group}", frame, note)]


def components(result: Result) -> Section:
    """PCA: variance explained, outliers, the first two components by label, group."""
    dataset, spec = result.dataset, result.dataset.spec
    train = dataset.x[dataset.split == TRAIN]
    found = pca.fit(train, min(COMPONENTS, len(train) - 1, train.shape[1]))
    out = pca.outliers(found, dataset.x)
    order = np.arange(1, len(found.share) + 1)
    columns = {"component": order, "share of variance": found.share}
    result.store.write_csv("pca.csv", pd.DataFrame(columns))
    result.store.write_csv("outliers.csv", _far(dataset, out))
    figure = embedding_figures.explained(
        found.share,
        title="Variance that the first components hold",
        simulated=spec.simulated,
    )
    caption = "Share of the variance of the training images, component by component"
    shown = [picture(result, "pca_variance", figure, caption, caption)]
    shown += [_scattered(result, found, out), *_mapped(result)]
    text = [
        f"Principal components of the {number_text(len(train))} training images. The"
        f" first {len(order)} hold {100 * found.share.sum():.0f} % of the variance."
        f" {number_text(int(out.far.sum()))} of {number_text(len(out.far))} images lie"
        " far from the others, within these components or away from them"
        f" (outliers.csv; of normal rows {1000 * (1 - pca.BEYOND):.0f} in 1,000 would"
        " by each); they are kept. Axes of much variance need not be those that matter:"
        " an effect can hide in a small one.",
        "" if shown[2:] else "UMAP is not drawn: umap-learn is not installed.",
    ]
    return Section(
        "The embeddings on their main axes", [t for t in text if t], [], shown
    )


def _far(dataset: Dataset, out: pca.Outliers) -> pd.DataFrame:
    """outliers.csv: id, both distances over their bounds, split, group."""
    names = "distance within", "distance away"
    ends = zip(names, (out.score, out.residual), out.bounds, strict=True)
    parts = {name: (x / bound)[out.far].round(3) for name, x, bound in ends}
    spec = dataset.spec
    return pd.DataFrame(
        {
            "id": dataset.id[out.far],
            **parts,
            "split": dataset.split[out.far],
            spec.group: dataset.attributes[spec.group][out.far],
        }
    )


def _scattered(result: Result, found: pca.Pca, out: pca.Outliers) -> Figure:
    """Some images, and all that are far, on the first two components."""
    some = drawn(result, np.flatnonzero(out.far))
    share = 100 * found.share
    figure = embedding_figures.scatter(
        found.transform(result.dataset.x[some])[:, :2],
        kinds(result.dataset, some),
        title="Images on their first two components",
        axes=tuple(f"component {k + 1} ({share[k]:.0f} %)" for k in (0, 1)),
        outliers=out.far[some],
        simulated=result.dataset.spec.simulated,
    )
    caption = (
        f"{number_text(len(some))} images on the first two components, by label and by"
        " attribute; those far from the others are ringed"
    )
    return picture(result, "pca", figure, caption, caption)


def drawn(result: Result, always: np.ndarray | None = None) -> np.ndarray:
    """int[n]: rows of a scatter plot, drawn by chance, and those that must be on it."""
    rng = generator(result.config.seed, "ef/scatter")
    some = rng.permutation(len(result.dataset.id))[:DRAWN]
    return some if always is None else np.union1d(some, always)


def kinds(dataset: Dataset, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The label and three attributes of some rows: name -> str[n]."""
    y = np.asarray(dataset.y)[rows, 0]
    known = dataset.mask[rows, 0] > 0
    code = np.where(known, y, 0).astype(int)
    label = np.where(known, np.array(dataset.spec.classes)[code], "")
    group = dataset.spec.group
    names = [group, *(n for n in dataset.attributes if n != group)][:3]
    return {label_of(dataset): label} | {n: dataset.attributes[n][rows] for n in names}


def _mapped(result: Result) -> list[Figure]:
    """A UMAP of some images, where umap-learn is installed (McInnes et al. 2018)."""
    try:
        import umap
    except ImportError:
        return []
    some = drawn(result)
    made = umap.UMAP(random_state=result.config.seed, n_jobs=1)
    figure = embedding_figures.scatter(
        made.fit_transform(result.dataset.x[some]),
        kinds(result.dataset, some),
        title="UMAP of the images",
        axes=("UMAP 1", "UMAP 2"),
        simulated=result.dataset.spec.simulated,
    )
    caption = "UMAP: near images are alike; distances between clusters mean little"
    return [picture(result, "umap", figure, caption, caption)]
