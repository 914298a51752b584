"""Which entries a task refuses, and why: each is tried on a few rows beforehand."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from equity_jax import keys
from equity_jax.config import Config
from equity_jax.data.base import counts
from equity_jax.methods import METHODS, begin
from equity_jax.models import MODELS
from equity_jax.nouns import Method, Model
from equity_jax.schemes import SCHEMES
from equity_jax.tasks import TASKS
from equity_jax.types import TRAIN, Batch, Counted, Dataset, InputError, Output
from experiments.protocol.entries import Entry

FEW = 8  # rows that a method is tried on


def refuse(dataset: Dataset) -> None:
    """What the protocol cannot compare methods on.

    Raises:
        InputError: counts, images, groups that are not at least two.

    Example: `refuse(DATASETS["deaths"](Data()))` asks for data.task=burden.
    """
    if isinstance(dataset.y, Counted):
        raise InputError("the protocol compares classifiers: --config.data.task=burden")
    if dataset.x.ndim > 2:
        raise InputError("the protocol is for tables and embeddings; x holds images")


def admitted(
    config: Config, dataset: Dataset, entries: Sequence[Entry]
) -> tuple[list[Entry], dict[str, str]]:
    """The entries that can be trained on this task, and name -> reason of the others.

    Example: `admitted(config, multilabel, entries)[1]["crt"]` is one line.
    """
    trial = Trial(config, dataset)
    reasons = {entry.name: trial.reason(entry) for entry in entries}
    refused = {name: why for name, why in reasons.items() if why}
    return [e for e in entries if e.name not in refused], refused


class Trial:
    """A few training rows, and what a model would make of them."""

    def __init__(self, config: Config, dataset: Dataset):
        self.task = TASKS.get(dataset.spec.task)
        self.groups = len(dataset.spec.groups)
        model = MODELS.get(config.model.name, self.task.outputs, self.task.constants)
        self.rows = _rows(dataset)
        self.counts = counts(
            dataset, np.asarray(self.task.class_of(dataset.y)), self.task.classes
        )
        self.output = _output(model, self.rows)

    def reason(self, entry: Entry) -> str:
        """The line of the InputError of the first part that refuses; "" = none."""
        try:
            for stage in SCHEMES.get(entry.scheme).stages:
                if stage.objective == "task":
                    self._method(METHODS.get(stage.method or entry.method))
                if stage.lesson is not None:
                    logits, key = np.asarray(self.output.logits), keys.key(0, "lesson")
                    mine = np.ones(len(logits), bool)
                    stage.lesson(key, self.task, logits, self.rows, mine, self.groups)
        except InputError as error:
            return str(error)
        return ""

    def _method(self, method: Method) -> None:
        method.sample(self.counts)
        key, width = keys.key(0, "learn"), self.output.features.shape[1]
        aux = begin(method, key, width, self.counts)

        def step() -> object:
            batch = self.rows
            if method.mix is not None:
                batch = method.mix(aux, key, self.task, batch)
            return method.loss(aux, self.task, self.output, batch, jnp.float32(1.0))

        jax.eval_shape(step)  # traced, not run: refusals of the task come here


def _rows(dataset: Dataset) -> Batch:
    """The first few training rows."""
    few = np.flatnonzero((dataset.split == TRAIN) & (dataset.mask.max(1) > 0))[:FEW]
    parts = dataset.x, dataset.y, dataset.mask, dataset.group
    x, y, mask, group = (jnp.asarray(part[few]) for part in parts)
    return Batch(x, y, mask, group, jnp.ones(len(few)), few, jnp.float32(1.0))


def _output(model: Model, rows: Batch) -> Output:
    """Zeros in the shapes of what the model makes of these rows."""

    def run() -> Output:
        key = keys.key(0, "init")
        return model.apply(*model.init(key, rows.x), rows.x, False, key)[0]

    return jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(run))
