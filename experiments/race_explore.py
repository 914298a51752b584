"""Sections of the race page: the images before any network, and how it was done."""

import numpy as np
import pandas as pd

from equity_jax.audit.pages import figures, image_figures
from equity_jax.audit.pages.page import Figure, Section, Table, number_text
from equity_jax.data import cxr
from equity_jax.files import env
from equity_jax.keys import generator
from equity_jax.run import Result
from equity_jax.types import SPLITS, TRAIN, Dataset
from experiments.ef_explore import left_out
from experiments.page_parts import picture
from experiments.race_parts import known_labels, names_of, truth

SHOWN = 6  # sample images of each group
USUAL = 224  # pixels of a side that these networks were designed for


def exploration(result: Result) -> Section:
    """Who is there, how frequent each label is in each group, what was left out."""
    dataset, spec = result.dataset, result.dataset.spec
    table, shares = by_attribute(dataset), frequent(dataset)
    result.store.write_csv("exploration.csv", table)
    result.store.write_csv("frequency.csv", shares.reset_index())
    tables = [
        Table("Images by attribute", table, "", True, {"attribute": spec.group}),
        *left_out(dataset),
    ]
    unread = cxr.quarantine(dataset)
    if len(unread):
        result.store.write_csv("quarantine.csv", unread)
        caption = f"Files that could not be read: {len(unread)}, all in quarantine.csv"
        tables.append(Table(caption, unread.head(12)))
    title = f"How frequent each label is, by {spec.group}"
    figure = figures.heat(100 * shares, title=title, digits=1, simulated=spec.simulated)
    caption = f"{title}: percent of the images where the label is known"
    text = [
        " ".join(spec.notes),
        "Where groups differ in how often they are ill, a network that knows the"
        f" {spec.group} of a patient guesses better: one reason why it may learn it.",
    ]
    shown = [picture(result, "frequency", figure, caption, caption), samples(result)]
    return Section("The images, before any network", text, tables, shown)


def by_attribute(dataset: Dataset) -> pd.DataFrame:
    """attribute, group, patients, images, then the images of each split."""
    lines = []
    for name, values in dataset.attributes.items():
        groups = sorted(set(values) - {""}, key=lambda g: -np.sum(values == g))
        for group in [*groups, *[""] * bool((values == "").any())]:
            rows = values == group
            line = {"group": group or "not recorded", "attribute": name}
            line |= {f"{dataset.spec.unit}s": len(np.unique(dataset.patient[rows]))}
            line |= {"images": int(rows.sum())}
            for split, code in SPLITS.items():
                line[split] = int((rows & (dataset.split == code)).sum())
            lines.append(line)
    return pd.DataFrame(lines)


def frequent(dataset: Dataset) -> pd.DataFrame:
    """Labels × groups: the share of the images with a known label that have it."""
    values, made = dataset.attributes[dataset.spec.group], {}
    y = known_labels(dataset)
    for group in ("all", *dataset.spec.groups):
        mine = y[(values == group) | (group == "all")]
        seen = np.isfinite(mine).sum(0)
        ones = np.nansum(mine, 0)
        made[group] = np.where(seen > 0, ones / np.maximum(seen, 1), np.nan)
    names = pd.Index(names_of(dataset), name="label")
    return pd.DataFrame(made, names)


def samples(result: Result) -> Figure:
    """A row of training images for each group, as the network sees them."""
    dataset, spec = result.dataset, result.dataset.spec
    y, names = known_labels(dataset), np.array(names_of(dataset))
    images, captions = {}, {}
    for group in spec.groups:
        mine = (dataset.attributes[spec.group] == group) & (dataset.split == TRAIN)
        rng = generator(result.store.config.seed, "samples", group)
        some = np.sort(rng.permutation(np.flatnonzero(mine))[:SHOWN])
        images[group] = list(np.asarray(dataset.x[some])[..., 0])
        captions[group] = [", ".join(names[y[i] == 1][:2]) for i in some]
    title = f"Images by {spec.group}, as the network sees them"
    figure = image_figures.samples(
        images, captions, title=title, simulated=spec.simulated
    )
    caption = f"{title}: training images drawn at random, with their first labels"
    return picture(result, "samples", figure, caption, caption)


def conduct(result: Result) -> Section:
    """Seconds, devices, what was shrunk, and what was not done."""
    config, spec, machine = result.config, result.dataset.spec, env({})
    devices = ", ".join(sorted(set(machine["devices"])))
    text = [
        f"Data fingerprint {spec.fingerprint}. {len(result.choices.table)} run(s) of"
        f" the disease network, {config.train.seeds} seed(s); a run stops after"
        f" {config.train.patience} evaluations without improvement on validation.",
        _shrunk(result),
        f"Devices: {devices}; {machine['cpus']} CPU cores. Seconds so far: "
        + ", ".join(f"{name} {spent:.0f}" for name, spent in result.seconds.items())
        + ". Compilation is a part of fit.",
        f"Intervals: {config.audit.level:.0%}, {config.audit.replicates} replicates"
        f" that resample {spec.unit}s, the same for all systems and groups. No"
        " significance is claimed across the many cells of these tables.",
    ]
    return Section("How it was done", text, items=_not_done(result))


def _shrunk(result: Result) -> str:
    size, rows = int(result.dataset.recipe["size"]), result.dataset.split == TRAIN
    said = f"Images are {size} x {size} pixels"
    if size < USUAL:
        said = f"What was shrunk: images are {size} x {size} pixels (usual: {USUAL})"
    return (
        f"{said}; {number_text(int(rows.sum()))} training images (MIMIC-CXR has about"
        " 240,000 frontal ones). Longer training on more and larger images can change"
        " every number."
    )


def _not_done(result: Result) -> list[str]:
    """What a reader may expect and will not find."""
    dataset, config = result.dataset, result.config
    said = [
        "Not done: another hospital. Training and test patients come from one place.",
        "Not shown: that the network uses what a probe can read. Encoding is not using,"
        " and a probe is a lower bound of what can be read.",
    ]
    if result.tuned is None:
        said.append(
            "Not done: a pretrained start. No checkpoint was named"
            " (--config.arms.checkpoints=densenet121=FILE), so the disease network"
            " began as random numbers."
        )
    if not truth(dataset):
        said.append(
            f"Not known: whether the records of {dataset.spec.group} are right. They"
            " are the hospital's, not the patients' own words; labels are a program's"
            " reading of reports."
        )
    if config.train.seeds == 1:
        said.append(
            "Not done: other seeds. Intervals hold for this very network; training"
            " again from another seed would move the numbers too."
        )
    return said
