"""The configuration: plain dataclasses, read by ml_collections.config_flags.

Every field is a flag: `--config.train.steps=500`. Nothing here imports a library, so
that a config can be made, printed and compared anywhere.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Twin:
    """The simulated twin of the deaths table (used where data.source is empty)."""

    seed: int = 0
    months: int = 45
    regions: int = 10
    size: float = 1.0  # multiplies every cell's total deaths
    shift: float = (
        0.35  # planted log rate ratio of each smaller group, alternating sign
    )
    slope: float = (
        0.15  # planted group difference in the age slope: what pooling misses
    )
    block_sd: float = 0.15  # log-normal spread shared by a region × month block
    dispersion: float = 0.05  # NegBin alpha of one cell


@dataclass
class Phantom:
    """The simulated twin of chest X-rays (data.name "cxr", where source is empty)."""

    seed: int = 0
    patients: int = 300
    size: int = 96  # pixels of a side
    lesion: float = 0.5  # contrast of the planted lesion, 1 = as bright as a rib
    marker: float = 0.0  # contrast of a mark in the corner that tells the class: a
    # shortcut; 0 plants none
    female: float = 0.3  # share of women: the smaller group
    faint: float = 0.5  # a woman's lesion has this share of the contrast


@dataclass
class Images:
    """How X-rays are read (data.name "cxr")."""

    size: int = 224  # pixels of a side, after resizing
    layout: str = "auto"  # "folders", "table", "nih", "chexpert", "dicom", "prepared"
    classes: str = ""  # "COVID=COVID,Lung_Opacity=": folder or finding = class; an
    # empty class leaves it out; empty: the layout's own map
    labels: str = ""  # multi-label tables: which findings, with commas; empty: all
    uncertain: str = "u-zeros"  # CheXpert's -1: "u-zeros", "u-ones", "u-ignore"
    views: str = "all"  # "frontal" leaves laterals out
    equalize: str = ""  # "", "global", "clahe"
    quarantine: float = 0.05  # share of unreadable files at which reading stops
    alike: int = 4  # bits of 64 in which look-alikes may differ; -1: do not look
    memory: float = 4.0  # GiB of pixels that are kept in memory; more is streamed


@dataclass
class Embeddings:
    """How embeddings of X-rays are read and joined (data.name "embeddings")."""

    layout: str = "auto"  # "physionet", "shards", "npz", "prepared"
    key: str = "embedding"  # the feature (of .npz: the array) that holds the numbers
    tables: str = ""  # folder of the MIMIC tables, or the CSV of scripts.embed;
    # empty: the source's own folder
    label: str = "ef"  # "ef" (below cut), "ef_classes" (3), "heart_failure" (ICD), or a
    # CheXpert finding such as "Edema"
    labeler: str = "chexpert"  # or "negbio"
    uncertain: str = "u-ignore"  # the labeler's -1: "u-zeros", "u-ones", "u-ignore"
    ef: str = ""  # CSV of ejection fractions; empty: ejection_fraction.csv of tables
    cut: float = 40.0  # percent; heart failure with reduced ejection fraction below it
    window: float = 30.0  # days between the X-ray and the echo, at most
    race: str = "coarse"  # or "detailed"
    races: str = ""  # CSV detailed,coarse that replaces the table of the package
    conflicts: str = "most_frequent"  # race records that differ: "first", "exclude"
    views: str = "frontal"  # AP and PA; "all"
    precision: str = "float32"  # or "bfloat16": half the memory
    quarantine: float = 0.01  # share of unreadable records at which reading stops
    sha256: bool = False  # whether each file is held against SHA256SUMS.txt


@dataclass
class Cohort:
    """The simulated twin of the embeddings (where source is empty)."""

    seed: int = 0
    patients: int = 5000
    images: int = 20000
    features: int = 1376
    ef: float = 1.6  # planted: how far the classes lie apart along the EF direction, SD
    race: float = 1.2  # planted: how far the groups lie apart along race directions, SD
    faint: float = 0.5  # share of the EF distance that smaller groups have
    own: float = 0.5  # and along a direction of their own, which White does not show
    noise: float = 0.1  # labels of the smaller groups that are flipped
    conflicts: float = 0.05  # patients with race records that differ


@dataclass
class Data:
    """Which rows, and what is asked of them."""

    name: str = "deaths"
    source: str = ""  # a file's path; empty: the simulated twin
    task: str = "counts"  # "counts" (a: NegBin) or "burden" (b: share >= data.share)
    population: str = (
        ""  # CSV of region, race, age, population: exposure becomes people
    )
    group: str = "race"  # the attribute that defines groups
    reference: str = ""  # the well-represented group; empty: most training rows
    grain: str = ""  # "week", "month", "year", "total"; empty: the only one in the file
    level: str = "regions"  # "regions" (or states), or "nation"; never both
    ages: str = ""  # for overlapping age groups: "fine" or "coarse"; empty: fine
    blanks: str = "auto"  # "own": each count blank by itself; "joint": both; "auto"
    share: float = 0.10  # burden: COVID-19 at least this share of all deaths
    lags: tuple[int, ...] = (1, 2, 3)  # periods of earlier shares used as features
    race_as_feature: bool = False
    valid: float = 0.15  # share of the periods (or states) for validation
    test: float = 0.25  # share of the periods (or states) for the test
    incomplete_days: int = 30  # leave out periods that end less than this before as-of
    twin: Twin = field(default_factory=Twin)
    images: Images = field(default_factory=Images)
    phantom: Phantom = field(default_factory=Phantom)
    embeddings: Embeddings = field(default_factory=Embeddings)
    cohort: Cohort = field(default_factory=Cohort)


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
    l2: tuple[float, ...] = (1.0, 10.0, 100.0, 1e3, 1e4)  # logistic, to its optimum
    use: str = ""  # the head of the sweep by groups; empty: validation chooses


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
