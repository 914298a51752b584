"""The configuration: plain dataclasses, read by ml_collections.config_flags.

Every field is a flag: `--config.train.steps=500`. Nothing here imports a library, so
that a config can be made, printed and compared anywhere.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from equity_jax.config_data import (
    Cohort,
    Data,
    Embeddings,
    Images,
    Mimic,
    Phantom,
    Records,
    Spurious,
    Twin,
    Ward,
)
from equity_jax.config_methods import Imbalance, Protocol

__all__ = ["Arms", "Audit", "Cohort", "Config", "Cost", "Data", "Embeddings", "Heads"]
__all__ += ["Images", "Imbalance", "Mimic", "Model", "Phantom", "Protocol", "Reader"]
__all__ += ["Records", "Removal", "Spurious", "Train", "Twin", "Ward"]
__all__ += ["digest", "from_dict", "to_dict"]


@dataclass
class Model:
    """x -> logits; `name` is a registry string."""

    name: str = "mlp(64, 64)"


@dataclass
class Arms:
    """What a study of image networks compares. An arm is one network, one start, one
    augmentation and one learning rate; train's methods and schemes run within it.
    """

    scratch: tuple[str, ...] = ("cnn_small", "cnn_deep")  # from random numbers
    transfer: tuple[str, ...] = ("vgg19", "resnet101", "densenet201")  # from a start
    crossed: tuple[str, ...] = ("cnn_small",)  # on these every factor is crossed
    augment: str = "flip,shift(0.05),rotate(10),zoom(0.1),contrast(0.2)"
    checkpoints: tuple[str, ...] = ()  # "vgg19=FILE"; the others are pretrained here
    pretrain: str = ""  # images to pretrain on: a folder; empty: the simulated twin
    pretrain_classes: str = ""  # as data.images.classes, of those images
    pretrain_steps: int = 60


@dataclass
class Heads:
    """The heads that a study of embeddings tries before it asks about groups: the
    product of all these, with `train.batch` and its like, in one program a family.
    """

    shapes: tuple[str, ...] = (
        "linear",
        "mlp(32)",
        "mlp(128)",
        "mlp(128, 64)",
        "mlp(128, dropout=0.5)",
    )
    methods: tuple[str, ...] = ("erm", "hinge", "class_weighted", "oversample('class')")
    lr: tuple[float, ...] = (1e-3, 3e-3)
    weight_decay: tuple[float, ...] = (1e-4, 1e-2)
    seeds: int = 1
    l2: tuple[float, ...] = (10.0, 100.0, 1e3, 1e4, 1e5)  # logistic, to its optimum
    use: str = ""  # the head of the sweep by groups; empty: validation chooses


@dataclass
class Cost:
    """A network on images beside a head on its frozen features, on the same rows."""

    network: str = "cnn_small"
    images: str = ""  # the folder that scripts.embed read; empty: simulated X-rays
    # beside the simulated twin, and no comparison for real embeddings
    size: int = 32  # pixels of a side
    patients: int = 2200  # of the simulated X-rays
    update: int = 1000  # rows that come later; at most half of the training rows
    steps: int = 150  # of each network; an update has half of them
    batch: int = 32
    lr: float = 1e-3  # of the network
    head_lr: float = 3e-2


@dataclass
class Reader:
    """A network that learns the attribute from the images: how much can be read at all.

    The settings of the study that this one follows.
    """

    model: str = ""  # empty: the disease network's own
    batch: int = 32
    epochs: float = 10.0
    lr: float = 1e-3


@dataclass
class Removal:
    """How the attribute is taken out of the frozen features, and how strongly."""

    methods: tuple[str, ...] = (
        *("dann", "cdann", "laftr('odds')", "laftr('parity')"),
        *("mmd", "coral", "mindiff", "group_dro", "oversample('group')"),
    )
    strengths: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0)  # of those that have one
    closed: tuple[str, ...] = ("leace", "inlp", "dfr", "equalized_odds")
    model: str = "mlp(128)"  # the encoder that is trained on the frozen features
    adversary: int = 64  # hidden units
    steps: int = 1200
    batch: int = 128  # distances between all its rows: twice is four times the work
    lr: float = 3e-4  # slow, so that the adversary keeps up
    images: tuple[str, ...] = ()  # methods that also tune the network's last blocks


@dataclass
class Train:
    """The sweep: seeds × methods × schemes × groups × learning rates."""

    seeds: int = 3
    methods: tuple[str, ...] = ("erm",)
    schemes: tuple[str, ...] = ("mixture", "alone", "transfer('full')")
    fractions: tuple[float, ...] = ()  # nested shares of a group's rows, for erm
    steps: int = 500
    batch: int = 64
    lr: tuple[float, ...] = (3e-3,)  # tried alike for all, chosen on validation
    weight_decay: float = 1e-4
    eval_every: int = 50
    patience: int = 4  # evaluations without improvement before a run stops
    keep: str = "nll"  # which evaluation is best: "nll", or "auroc" (tables only)
    chunk: int = 32  # runs side by side in one program; part of the result's identity
    segment: int = 100  # steps between two looks of the host at a chunk
    save_seconds: float = 30.0  # between checkpoints; where they fall changes no result


@dataclass
class Audit:
    """How the results are judged."""

    replicates: int = 1000
    level: float = 0.95
    min_rows: int = 10
    calibrate: str = ""  # "temperature" or "bcts": scores are recalibrated on
    # validation rows before they are judged


@dataclass
class Config:
    """All of it. `name` is the experiment's."""

    name: str = "deaths_transfer"
    seed: int = 0
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    train: Train = field(default_factory=Train)
    arms: Arms = field(default_factory=Arms)
    heads: Heads = field(default_factory=Heads)
    cost: Cost = field(default_factory=Cost)
    reader: Reader = field(default_factory=Reader)
    removal: Removal = field(default_factory=Removal)
    protocol: Protocol = field(default_factory=Protocol)
    imbalance: Imbalance = field(default_factory=Imbalance)
    audit: Audit = field(default_factory=Audit)


def to_dict(config: Config) -> dict[str, Any]:
    """A JSON-able dict, fields in their order."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(values: dict[str, Any]) -> Config:
    """The inverse of to_dict; an unknown field is a TypeError."""
    return _build(Config, values)


def digest(config: Config) -> str:
    """Twelve hex digits that change with any field."""
    text = json.dumps(to_dict(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _build(cls: type, values: dict[str, Any]) -> Any:
    types = {f.name: f.type for f in dataclasses.fields(cls)}
    made = {}
    for name, value in values.items():
        kind = types.get(name)
        if dataclasses.is_dataclass(kind):
            value = _build(kind, value)
        elif isinstance(value, list):
            value = tuple(value)
        made[name] = value
    return cls(**made)
