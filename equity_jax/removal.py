"""An attribute taken out of frozen features, in many ways.

From the features of a frozen network (standardized by training rows) start

- "trained" systems: a small encoder and its head, every method of `config.removal`, all
  its strengths in one sweep; beside them the same encoder trained plainly ("erm").
- "closed form" systems: the features erased (LEACE, INLP) and a last layer on them, or
  the features as they are and another last layer (DFR); beside them the plain last
  layer on the plain features ("last layer").
- "images" systems, if asked for: the last blocks of the network itself, trained on.

Whether the attribute is gone is not for the adversary to say, which may have been
fooled: `probes.strongest` trains fresh readers on what each system leaves.
"""

import dataclasses
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from equity_jax import erasure, last_layers
from equity_jax.config import Config, Model, Removal
from equity_jax.data import embedding_scale as scale
from equity_jax.methods import METHODS
from equity_jax.models import MODELS
from equity_jax.registry import spelled
from equity_jax.run import sweep
from equity_jax.tasks import TASKS
from equity_jax.train import Journal, Weights, features
from equity_jax.types import TRAIN, Array, Dataset, InputError

ERM, LAYER, TUNED = "erm", "last layer", "erm, last blocks"
CLOSED = ("leace", "inlp", "dfr", "equalized_odds")
FINE = "finetune('last_blocks')"


class System(NamedTuple):
    """One way to take the attribute out.

    name: as the config spells it; strength: NaN = it has none; how: "trained", "closed
    form" or "images"; against: name of the reference, its own for a reference; prob:
    float32[n, C] of the validation and test rows; features: float32[N, f], what is left
    of every row, or None: those of the reference, untouched.
    """

    name: str
    strength: float
    how: str
    against: str
    prob: np.ndarray
    features: np.ndarray | None


def frozen(dataset: Dataset, seen: Array) -> Dataset:
    """The same rows with a network's features, standardized by training rows, as x.

    seen: float[N, F], perhaps a memory map.

    Raises:
        InputError: another number of rows.

    Example:
        >>> frozen(dataset, views.features).x.shape  # doctest: +SKIP
        (2500, 1024)
    """
    if len(seen) != len(dataset.id):
        raise InputError(f"{len(seen)} rows of features for {len(dataset.id)} rows")
    every, train = np.arange(len(seen)), np.flatnonzero(dataset.split == TRAIN)
    x = scale.apply(seen, every, *scale.fit(seen, train), np.dtype(np.float32))
    return dataset._replace(x=x, history=None, table=None, controls={})


def planned(removal: Removal) -> list[tuple[str, str, float]]:
    """(registry string, name, strength) of every trained system, plain erm first.

    A method that takes a `strength` runs at all of them, unless it names its own.

    Raises:
        InputError: an unknown method or closed form, a model without an encoder, steps
            or a batch below 1.

    Example:
        >>> planned(Removal(methods=("group_dro",)))
        [('erm', 'erm', nan), ('group_dro', 'group_dro', nan)]
    """
    for name in removal.closed:
        if name not in CLOSED:
            known = ", ".join(CLOSED)
            raise InputError(f"--config.removal.closed={name}; known: {known}")
    if len(MODELS.get(removal.model, 1, 0).blocks) < 2:
        raise InputError(f"--config.removal.model={removal.model}: nothing to encode")
    for name in ("steps", "batch"):
        if getattr(removal, name) < 1:
            raise InputError(f"--config.removal.{name}={getattr(removal, name)}; >= 1")
    made = [(ERM, ERM, np.nan)]
    for text in removal.methods:
        METHODS.get(text)
        name, given, named = METHODS.parse(text)
        knows = inspect.signature(METHODS[name])
        said = knows.bind_partial(*given, **named).arguments
        more = {"hidden": removal.adversary} if "hidden" in knows.parameters else {}
        if "strength" not in knows.parameters:
            made.append((spelled(name, more | said) if more else text, text, np.nan))
            continue
        alone = (said["strength"],) if "strength" in said else removal.strengths
        for strength in alone:
            words = spelled(name, more | said | {"strength": float(strength)})
            made.append((words, text, float(strength)))
    return made


def trained(
    config: Config, dataset: Dataset, folder: Path | None = None, quiet: bool = True
) -> Iterator[System]:
    """Every method at every strength, and erm, over frozen features.

    One sweep a loss: all strengths of a method are one program, and none computes what
    another one needs. Each system keeps the parameters of its last step: an earlier
    one, chosen by the disease's validation loss, would undo what the method is for.

    Args:
        config: `removal`, and of `train` what it leaves open (weight decay).
        dataset: of `frozen`.
        folder: where finished sweeps are saved and found again.
        quiet: no progress bar.

    Example:
        >>> [s.name for s in trained(config, frozen(dataset, seen))]  # doctest: +SKIP
        ['erm', 'oversample('group')', 'dann', 'dann', 'dann', 'dann', 'cdann', ...]
    """
    removal = config.removal
    config = dataclasses.replace(config, model=Model(removal.model))
    sweeps: dict[Any, list[tuple[str, str, float]]] = {}
    for one in planned(removal):
        sweeps.setdefault(METHODS.get(one[0]).loss, []).append(one)
    for number, wanted in enumerate(sweeps.values()):
        mine = _at_the_end(
            config,
            [words for words, *_ in wanted],
            "mixture",
            steps=removal.steps,
            batch=removal.batch,
            lr=(removal.lr,),
            chunk=len(wanted),  # side by side, whatever fits of larger networks
        )
        place = None if folder is None else folder / f"sweep_{number:02d}"
        journal = Journal(place, config.train.save_seconds)
        swept = sweep(mine, dataset, journal, quiet)
        for run, (_, name, strength) in enumerate(wanted):
            made = _scored(swept.model, swept.fitted.of(run), dataset)
            yield System(name, strength, "trained", ERM, *made)


def closed(config: Config, dataset: Dataset) -> Iterator[System]:
    """The closed forms of the config, and the plain last layer; dataset: of `frozen`.

    Erased features have a last layer of their own, its penalty chosen on validation
    rows. ("equalized_odds" changes decisions alone and is no system of its own.)

    Example:
        >>> [s.name for s in closed(config, frozen(dataset, seen))]  # doctest: +SKIP
        ['last layer', 'leace', 'inlp', 'dfr']
    """
    x, split = dataset.x, dataset.split

    def made(name: str, prob: np.ndarray, seen: np.ndarray | None) -> System:
        return System(name, np.nan, "closed form", LAYER, prob, seen)

    yield made(LAYER, last_layers.plain(dataset), x)
    for name in config.removal.closed:
        if name in ("leace", "inlp"):
            seen = getattr(erasure, name)(x, dataset.group, split).apply(x)
            prob = last_layers.plain(dataset._replace(x=seen))
            yield made(name, prob, seen)
        if name == "dfr":
            yield made(name, last_layers.balanced(dataset, config.seed), None)


def tuned(
    config: Config,
    dataset: Dataset,
    start: Weights,
    folder: Path | None = None,
    quiet: bool = True,
) -> Iterator[System]:
    """The methods of `config.removal.images` on the last blocks of the network itself.

    dataset: of images; start: the network's weights; the plain method comes first.

    Example: `tuned(config, dataset, views.weights)` starts with "erm, last blocks".
    """
    methods = [ERM, *config.removal.images]
    mine = _at_the_end(config, methods, FINE)
    journal = Journal(folder, config.train.save_seconds)
    swept = sweep(mine, dataset, journal, quiet, start=start)
    for run, name in enumerate(methods):
        made = _scored(swept.model, swept.fitted.of(run), dataset, config.train.batch)
        yield System(f"{name}, last blocks", np.nan, "images", TUNED, *made)


def _at_the_end(
    config: Config, methods: Sequence[str], scheme: str, **own: Any
) -> Config:
    """One seed of these methods, each looked at once: after its last step."""
    steps = own.get("steps", config.train.steps)
    once = {"eval_every": steps, "segment": steps, "patience": 1, "fractions": ()}
    asked = {"methods": tuple(methods), "schemes": (scheme,), "seeds": 1}
    train = dataclasses.replace(config.train, **(own | once | asked))
    return dataclasses.replace(config, train=train)


def _scored(
    model: Any, weights: Weights, dataset: Dataset, batch: int = 1024
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of validation and test rows [n, C], features of all rows [N, f]."""
    logits, seen = features(model, weights, dataset.x, batch)
    task = TASKS.get(dataset.spec.task)
    prob = task.predict(logits[last_layers.held(dataset)], None)
    return np.asarray(prob, np.float32), seen
