"""COVID-19 deaths by race: what does a small group gain from a large one's model?

    python -m experiments.deaths_transfer --workdir=runs/deaths        # simulated twin
    python -m experiments.deaths_transfer --workdir=runs/cdc \
        --config.data.source=Provisional_COVID-19_Deaths_by_HHS_Region.csv.gz

Task (a), the headline: COVID-19 deaths given all deaths (or a population) as exposure,
negative binomial, with suppressed cells as intervals. Task (b), high burden: is
COVID-19 at least 10 % of all deaths in the cell (`--config.data.task=burden` fits a
classifier of its own; without it the count model's probability is scored). Mixture,
independent and transfer are compared as in Gao & Cui 2020.

Expected, CDC's months of 2020-2021, --config.train.seeds=20 (13,080 runs, about 9
minutes on 2 cores, 40 seconds of it compilation), difference of mean deviance on the
last six months, below 0 better: transfer (validation chose last_blocks) minus mixture
+0.20 [0.12, 0.27] for White, the source, which is harmed by giving up the others' rows;
for every other group the interval contains 0. Transfer minus independent: Asian -0.16
[-0.25, -0.06], Hispanic -0.10 [-0.17, -0.02], More than one race -0.6 [-1.1, -0.1].
"""

import dataclasses

import pandas as pd

from equity_jax.audit import view
from equity_jax.audit.pages.page import Page, answer, interval_text, write
from equity_jax.config import Config, Train
from equity_jax.run import Result, run
from equity_jax.schemes import VARIANTS
from equity_jax.store import Store
from experiments import deaths_explore, deaths_methods, deaths_results, page_parts
from experiments.launch import launch

METHODS = (
    "erm",
    "class_weighted",
    "group_weighted",
    "oversample",
    "undersample",
    "effective_number",
    "focal",
    "group_dro",
)
SCHEMES = ("mixture", "alone", *(f"transfer('{v}')" for v in VARIANTS))


def main_config() -> Config:
    """The study: 3 seeds, all methods, all schemes, nested fractions for erm."""
    train = Train(methods=METHODS, schemes=SCHEMES, fractions=(0.05, 0.1, 0.25, 0.5))
    return Config(name="deaths_transfer", train=train)


def smoke(config: Config) -> Config:
    """The same study, shrunk until it takes seconds."""
    train = dataclasses.replace(
        config.train,
        seeds=2,
        methods=("erm", "group_dro"),
        schemes=("mixture", "alone", "transfer('full')", "transfer('head_only')"),
        fractions=(0.25,),
        steps=40,
        eval_every=20,
        segment=20,
        chunk=16,
    )
    twin = dataclasses.replace(config.data.twin, months=16)
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, name="mlp(16)"),
        data=dataclasses.replace(config.data, twin=twin),
        train=train,
        audit=dataclasses.replace(config.audit, replicates=200),
    )


def study(config: Config, workdir: str, quiet: bool) -> Store:
    """Runs, writes the page, and prints where it is and who is served worse."""
    store = run(config, workdir, page=make_page, quiet=quiet)
    if not quiet:
        print(summary(store))
    return store


def make_page(result: Result) -> None:
    """report.md, report.html and the figures of one result."""
    spec, plain = result.dataset.spec, page_parts.plain_method(result)
    sections = [
        deaths_results.headline(result),
        deaths_results.gain(result),
        deaths_explore.exploration(result),
        deaths_explore.suppression(result),
        deaths_results.amount(result),
        deaths_methods.grid(result),
        deaths_methods.burden(result),
        deaths_explore.policies(result),
        deaths_methods.not_estimable(result),
        deaths_methods.conduct(result),
    ]
    found = answer(
        result.report.table,
        metric=page_parts.main_metric(result),
        system=f"{plain}/mixture",
        unit=spec.unit,
    )
    page = Page(
        title="COVID-19 deaths: from well-represented to underrepresented groups",
        subtitle=f"{len(spec.groups)} groups by {spec.group}; unit: {spec.unit}",
        simulated=spec.simulated,
        sections=[s for s in sections if s is not None],
        answer=found,
    )
    write(page, result.store.path)


def summary(store: Store) -> str:
    """What the command prints at its end: a short table and the page's path."""
    audit = store.read_csv("audit.csv", dtype={"system": str})
    simulated = " SIMULATED" if store.read_json("data.json")["simulated"] else ""
    metric = (
        "observed_expected" if "observed_expected" in set(audit.metric) else "auroc"
    )
    method = "erm" if "erm" in set(audit.method) else audit.method.iloc[0]
    rows = view(audit, metric=metric, method=method, contrast="group")
    schemes = [s for s in page_parts.HEADLINE if s in set(rows.scheme)]
    lines = {
        scheme: {
            r.group: interval_text(r.value, r.low, r.high) for r in part.itertuples()
        }
        for scheme, part in rows.groupby("scheme", sort=False)
        if scheme in schemes
    }
    title = page_parts.TITLES[metric]
    parts = [f"\n{title} by group and scheme, {method}{simulated}:"]
    parts.append(pd.DataFrame(lines)[schemes].fillna("").to_string())
    for scheme in schemes:
        worst = view(
            audit, metric=metric, method=method, scheme=scheme, contrast="worst"
        )
        for r in worst.itertuples():
            text = interval_text(r.value, r.low, r.high)
            parts.append(f"served worst under {scheme}: {r.group}, {text}")
    return "\n".join([*parts, *page_parts.closing(store)])


if __name__ == "__main__":
    launch(main_config, smoke, study)
