"""What a study of image networks compares: arms, and where their weights start.

An arm is one network, one start, one augmentation and one learning rate; the methods
and schemes of the config run within it, side by side in one table. A start is a
checkpoint that the user names, or pretraining of our own whose data are named: random
numbers are never called transfer.
"""

import dataclasses
import itertools
from typing import NamedTuple

import numpy as np

from equity_jax.config import Config
from equity_jax.data import DATASETS
from equity_jax.data.augment import make as augmentation
from equity_jax.models import MODELS, pretrained
from equity_jax.networks import blank
from equity_jax.registry import spelled
from equity_jax.results import Swept
from equity_jax.run import sweep
from equity_jax.store import Store
from equity_jax.train import Journal, Weights
from equity_jax.train.converted import load_converted
from equity_jax.types import TRAIN, Dataset, InputError

RANDOM = "random numbers"  # where weights come from that nothing started
GROUPED = ("mixture", "alone", "transfer('full')")


class Arm(NamedTuple):
    """One network, one start, one augmentation, one learning rate; what runs in it.

    started: whether its parameters come from a Start; augment: a policy, "" = none.
    """

    model: str
    started: bool
    augment: str
    lr: float
    methods: tuple[str, ...]
    schemes: tuple[str, ...]

    @property
    def start(self) -> str:
        """Where its parameters begin, as the tables say it."""
        return "pretrained" if self.started else "scratch"


class Start(NamedTuple):
    """Weights that stand before the first stage.

    model: the registry string with which the weights fit (a checkpoint's own pixels and
    layers); words: where they come from, for the reader; diff: what was taken from a
    checkpoint and what was not.
    """

    weights: Weights
    model: str
    words: str
    diff: str = ""


def plan_arms(config: Config, grouped: bool) -> list[Arm]:
    """The arms of a config, in the order of the report.

    A crossed network meets every learning rate, augmentation and method from random
    numbers, and every rate, augmentation and depth of fine-tuning from its start. Any
    other network has the first rate and method; with a start also the augmentation.

    grouped: whether the data record a group, so that one more arm learns group by group
    (alone, and transfer from the well-represented group).

    Example:
        >>> [arm.model for arm in plan_arms(config, False)][:2]  # doctest: +SKIP
        ['cnn_small', 'cnn_small']
    """
    arms, train = config.arms, config.train
    tuned = tuple(s for s in train.schemes if s.startswith("finetune"))
    both, made = dict.fromkeys(("", arms.augment)), []
    for name in dict.fromkeys((*arms.scratch, *arms.transfer)):
        crossed = name in arms.crossed
        rates = train.lr if crossed else train.lr[:1]
        methods = train.methods if crossed else train.methods[:1]
        if name in arms.scratch:
            every = itertools.product(rates, both)
            made += [Arm(name, False, a, lr, methods, ("mixture",)) for lr, a in every]
        if tuned and (crossed or name in arms.transfer):
            every = itertools.product(rates, both if crossed else [arms.augment])
            made += [
                Arm(name, True, a, lr, train.methods[:1], tuned) for lr, a in every
            ]
    if grouped and arms.scratch:
        name, first = arms.scratch[0], train.methods[:1]
        made.append(Arm(name, False, arms.augment, train.lr[0], first, GROUPED))
    return made


def fit_arm(
    config: Config,
    dataset: Dataset,
    arm: Arm,
    start: Start | None,
    journal: Journal,
    quiet: bool,
) -> Swept:
    """Fits the runs of one arm, and lets validation choose among them."""
    train = dataclasses.replace(
        config.train,
        methods=arm.methods,
        schemes=arm.schemes,
        lr=(arm.lr,),
        fractions=(),
    )
    name = arm.model if start is None else start.model
    model = dataclasses.replace(config.model, name=name)
    mine = dataclasses.replace(config, train=train, model=model)
    weights = None if start is None else start.weights
    policy = augmentation(arm.augment)
    return sweep(mine, dataset, journal, quiet, augment=policy, start=weights)


def started(config: Config) -> list[str]:
    """The networks that some arm starts from a checkpoint or a pretraining."""
    return list(dict.fromkeys(a.model for a in plan_arms(config, False) if a.started))


def starts(config: Config, store: Store, quiet: bool) -> dict[str, Start]:
    """A Start for every network that needs one: model -> Start.

    Raises:
        InputError: a checkpoint or a folder that cannot be read.
    """
    names = started(config)
    files = checkpoints(config, names)
    found, images = {}, None
    for name in names:
        if name in files:
            found[name] = imported(config, name, files[name])
            continue
        images = pretraining_images(config) if images is None else images
        found[name] = own_pretraining(config, store, name, images, quiet)
    return found


def checkpoints(config: Config, names: list[str]) -> dict[str, str]:
    """--config.arms.checkpoints as model -> file.

    Raises:
        InputError: an item that is not NAME=FILE, or of a network that no arm starts.
    """
    found = {}
    for item in config.arms.checkpoints:
        name, equals, file = item.partition("=")
        if not equals or name not in names:
            known = ", ".join(names)
            raise InputError(
                f"--config.arms.checkpoints: {item!r}; expected NAME=FILE with NAME"
                f" one of {known}"
            )
        found[name] = file
    return found


def imported(config: Config, name: str, file: str) -> Start:
    """The parameters of a checkpoint, its head left fresh.

    Raises:
        InputError: a file that cannot be read, or that lacks a leaf of the trunk.
    """
    source = load_converted(file)
    plain, _, written = MODELS.parse(name)
    full = spelled(plain, pretrained.expects(source, name).options | written)
    model = MODELS.get(full, 1, 0)
    empty = blank(model, config.data.images.size)
    params, stats, diff = pretrained.load(source, name, model, *empty)
    if not diff.complete:
        raise InputError(f"{file} does not hold all of {name}: {diff}")
    return Start(Weights(params, stats), full, f"checkpoint {file}", str(diff))


def pretraining_images(config: Config) -> Dataset:
    """The images of our own pretraining: a folder that the user names, or the twin."""
    arms, data = config.arms, config.data
    images = dataclasses.replace(data.images, classes=arms.pretrain_classes)
    # Another seed: the twin that pretrains is never the twin that is studied.
    phantom = dataclasses.replace(data.phantom, seed=data.phantom.seed + 1)
    other = dataclasses.replace(
        data, source=arms.pretrain, images=images, phantom=phantom
    )
    return DATASETS[data.name](other, seed=config.seed)


def own_pretraining(
    config: Config, store: Store, name: str, images: Dataset, quiet: bool
) -> Start:
    """One network trained on the pretraining images from random numbers."""
    steps = config.arms.pretrain_steps
    train = dataclasses.replace(
        config.train,
        **{"seeds": 1, "methods": ("erm",), "schemes": ("mixture",), "fractions": ()},
        **{"steps": steps, "lr": config.train.lr[:1]},
    )
    model = dataclasses.replace(config.model, name=name)
    mine = dataclasses.replace(config, train=train, model=model)
    folder = store.folder(f"checkpoints/pretrain_{name}")
    journal = Journal(folder, config.train.save_seconds)
    swept = sweep(
        mine, images, journal, quiet, augment=augmentation(config.arms.augment)
    )
    spec, rows = images.spec, int(np.sum(images.split == TRAIN))
    what = "SIMULATED X-rays" if spec.simulated else f"images of {config.arms.pretrain}"
    classes = ", ".join(spec.classes)
    words = f"{steps} steps on {rows:,} {what} ({classes})"
    return Start(swept.fitted.of(0), name, words)


def resolve(config: Config) -> None:
    """Every name of the arms, looked up before anything is read or written.

    Raises:
        InputError: an unknown network or augmentation, steps that evaluations do not
            divide.
    """
    for name in {*config.arms.scratch, *config.arms.transfer, *config.arms.crossed}:
        MODELS.get(name, 1, 0)
    augmentation(config.arms.augment)
    checkpoints(config, started(config))
    if config.arms.pretrain_steps % config.train.eval_every:
        raise InputError(
            f"--config.arms.pretrain_steps={config.arms.pretrain_steps} is no multiple"
            f" of --config.train.eval_every={config.train.eval_every}"
        )
