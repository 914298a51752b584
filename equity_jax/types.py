"""The nouns that every room shares: arrays only (nouns.py holds the functions).

Letters used in every shape of this package:
    B batch · N rows · C classes · K targets (labels) · G groups · R runs · F features
    S systems · T thresholds or periods · W runs computed side by side (chunk width)

A *group* is coded 0..G-1; -1 means "not recorded" and never joins a group. Tables
that are indexed by group carry one slot more (the last), which -1 reaches by itself.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import struct

Array = Any  # jax.Array or numpy.ndarray; shapes are in the docstrings
PyTree = Any
Path = tuple[str, ...]  # where a leaf lives in the parameters: ("layer0", "kernel")

TRAIN, VALID, TEST, LEFT_OUT = 0, 1, 2, -1
SPLITS = {"train": TRAIN, "valid": VALID, "test": TEST}


class InputError(ValueError):
    """The user's file, flag or name is wrong. One line; launchers exit with 2."""


class Counted(NamedTuple):
    """What is known of a count: the target `y` of the count task. Each float[B, K].

    `low <= count <= high` (equal where the count was published), `exposure` is the
    denominator (total deaths, person-months), and `truncated` is 1 for a row of a
    source that leaves out every row whose count lies in 1..9 (methods.md 22).
    """

    low: Array
    high: Array
    exposure: Array
    truncated: Array


class Mixed(NamedTuple):
    """Two labels of one mixed image: y and other as in Batch; share: float[B, 1] of y.

    Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018.
    """

    y: Array
    other: Array
    share: Array


class Batch(NamedTuple):
    """Rows on their way to a loss.

    x: float[B, ...] or uint8[B, H, W, 1]; y: float[B, K] (int[B, 1] for multiclass,
    Counted for counts, Mixed after mixup);
    mask: float[B, K], 1 where the label was observed; group: int[B], -1 = not
    recorded; weight: float[B], 0 = padding; id: int[B]; spent: float, the share of the
    run's steps that are done (None outside training).
    """

    x: Array
    y: Any
    mask: Array
    group: Array
    weight: Array
    id: Array
    spent: Any = None


class Output(NamedTuple):
    """What every model returns: logits float[B, O], features float[B, F], taps."""

    logits: Array
    features: Array
    taps: Mapping[str, Array] = {}


class Counts(NamedTuple):
    """Training rows per target, class and group, of the training split only.

    table: float[K, C + 1, G + 1]; the last slots count rows whose class cannot be
    decided and rows whose group is not recorded.
    """

    table: Array

    @property
    def n(self) -> Array:
        """float[K, C, G]: decided classes of recorded groups."""
        return self.table[:, :-1, :-1]

    @property
    def by_class(self) -> Array:
        """float[K, C]: decided classes, whatever the group."""
        return self.table[:, :-1].sum(2)

    @property
    def by_group(self) -> Array:
        """float[K, G]: recorded groups, whatever the class."""
        return self.table[:, :, :-1].sum(1)


class Hyper(NamedTuple):
    """Every knob that may differ between runs; traced, each with a leading R.

    spent: the share of the run's steps that are done.
    """

    lr: Array
    weight_decay: Array
    method: Array
    strength: Array
    target_group: Array
    leaf_rates: PyTree
    spent: Array = 0.0


@struct.dataclass
class State:
    """One run at one step; arrays only. `aux` is what the method remembers.

    mean: (params, stats), their average over steps; () where the method keeps none.
    """

    step: Array
    key: Array
    params: PyTree
    stats: PyTree
    opt: PyTree
    aux: PyTree
    mean: PyTree = ()


class Ratio(NamedTuple):
    """A metric that is a sum over a sum, row by row: num, den float[S, N]."""

    num: Array
    den: Array


class Predictions(NamedTuple):
    """Scores of S systems on N rows, and all that an audit needs to judge them.

    prob: float[S, N, C] (for counts: the expected share or rate, C = 1);
    y: float[N, K], NaN where unknown; mask: float[N, K]; attributes: name -> str[N]
    ("" = not recorded); id: str[N]; patient: int[N], the resampling unit; runs: one
    dict a system (seed, method, scheme); ratios: name -> Ratio, metrics given row by
    row (deviance, observed/expected, coverage); weight: float[N], sample weights, None
    = all 1; valid: the same systems on the validation rows, where thresholds come from.
    """

    prob: Array
    y: Array
    mask: Array
    attributes: Mapping[str, np.ndarray]
    id: np.ndarray
    patient: np.ndarray
    runs: list[dict]
    ratios: Mapping[str, Ratio] = {}
    weight: np.ndarray | None = None
    valid: "Predictions | None" = None


class Spec(NamedTuple):
    """What a data set is, apart from its rows; static and JSON-able.

    task: a registry string such as "count(0.1)"; group: the attribute that defines
    groups; groups: their names, the codes' order; reference: the best represented
    group (source of transfers); unit: what `patient` counts ("patient",
    "region × month block"); simulated: True for a twin; left_out: reason -> group ->
    rows; notes: sentences that the page must print.
    """

    name: str
    task: str
    features: tuple[str, ...]
    targets: tuple[str, ...]
    classes: tuple[str, ...]
    group: str
    groups: tuple[str, ...]
    reference: str
    unit: str
    simulated: bool
    fingerprint: str
    left_out: Mapping[str, Mapping[str, int]] = {}
    notes: tuple[str, ...] = ()


class Dataset(NamedTuple):
    """Rows in memory as columns.

    x: float32[N, F], uint8[N, H, W, 1] or a data.stream.Stream; y as in Batch but of N
    rows; mask: float32[N, K]; attributes: name -> str[N] ("" = not recorded); split:
    int8[N] (TRAIN, VALID, TEST or LEFT_OUT); id: str[N]; patient: int[N], the unit of
    splitting and resampling; recipe: JSON-able, what scoring new rows needs (scales,
    categories, an image's size); history: a DataFrame of earlier rows that scoring
    later ones needs, or None; table: the DataFrame that exploration is drawn from, row
    for row; controls: name -> float[N], scores that use no model (log total deaths),
    which a model's AUROC must beat.
    """

    spec: Spec
    x: np.ndarray
    y: Any
    mask: np.ndarray
    attributes: Mapping[str, np.ndarray]
    split: np.ndarray
    id: np.ndarray
    patient: np.ndarray
    recipe: Mapping[str, Any] = {}
    history: Any = None
    table: Any = None
    controls: Mapping[str, np.ndarray] = {}

    @property
    def group(self) -> np.ndarray:
        """int32[N]: the code of each row's group in spec.groups, -1 = not recorded."""
        codes = {name: i for i, name in enumerate(self.spec.groups)}
        values = self.attributes[self.spec.group]
        return np.array([codes.get(v, -1) for v in values], np.int32)
