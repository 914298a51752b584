"""Sections at the end of the embeddings page: what is missing, how it was done."""

import pandas as pd

from equity_jax.audit import AuditReport
from equity_jax.audit.pages import audit_tables
from equity_jax.audit.pages.audit_names import primary
from equity_jax.audit.pages.page import Section
from equity_jax.files import env
from equity_jax.run import Result
from experiments.ef_parts import truth


def missing(report: AuditReport) -> Section:
    """What could not be estimated, and why; of the plain head."""
    return audit_tables.missing(report, primary(report))


def conduct(result: Result) -> Section:
    """Seconds, devices, runs, and what was not done."""
    config, spec, machine = result.config, result.dataset.spec, env({})
    devices = pd.Series(machine["devices"]).value_counts()
    ran = ", ".join(f"{n} {name}" for name, n in devices.items())
    train, tried = config.train, len(result.tuned.table)
    text = [
        f"Data fingerprint {spec.fingerprint}. {tried} heads in the grid, then"
        f" {len(result.choices.table)} runs of {config.model.name}: {train.seeds}"
        f" seed(s) × {len(train.methods)} methods × {len(train.schemes)} schemes ×"
        f" groups, at most {train.steps} steps of {train.batch} images, learning rate"
        f" {train.lr[0]:g}, weight decay {train.weight_decay:g}. A run stops after"
        f" {train.patience} evaluations without improvement on validation, and its best"
        " step is kept.",
        f"Devices: {ran}; {machine['cpus']} CPU cores. Seconds so far: "
        + ", ".join(f"{name} {spent:.0f}" for name, spent in result.seconds.items())
        + ". Compilation is a part of fit.",
        f"Intervals: {config.audit.level:.0%}, {config.audit.replicates} replicates"
        f" that resample {spec.unit}s, the same for all heads and groups. No"
        " significance is claimed across the many cells of these tables.",
    ]
    return Section("How it was done", text, items=_not_done(result))


def _not_done(result: Result) -> list[str]:
    """What a reader may expect and will not find."""
    config, spec = result.config, result.dataset.spec
    said = [
        "Not done: another hospital. Training and test patients come from one place, so"
        " nothing here says how a head does elsewhere.",
        "Not done: the network that made the embeddings was not trained on. What it"
        " lost of an image, no head can bring back, for any group.",
    ]
    if not truth(result.dataset):
        said.append(
            f"Not known: whether the records of {spec.group} are right. They are the"
            " hospital's, not the patients' own words."
        )
    if config.train.seeds == 1:
        said.append(
            "Not done: other seeds. Intervals hold for these very heads; training again"
            " from another seed would move the numbers too."
        )
    return said
