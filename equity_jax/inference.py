"""One trained image network, called on new images: in memory, in batches, exported.

What it needs of a run is in `Network`; networks.py finds it there. Images come from
data.incoming, so a folder of any length takes the same memory.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd
from tqdm import tqdm

from equity_jax import calibration as calibrations
from equity_jax.calibration import Calibration
from equity_jax.data import incoming
from equity_jax.data.incoming import Images
from equity_jax.files import atomic, json_text
from equity_jax.models import MODELS
from equity_jax.nouns import Model
from equity_jax.train import Weights
from equity_jax.types import Array, InputError, PyTree

BATCH = 32  # images in one call of the network
PLATFORMS = ("cpu", "cuda")  # that an exported function runs on


class Scored(NamedTuple):
    """Images that were scored together.

    id: N names; x: uint8[N, S, S, 1], as the network saw them; logits: float32[N, C];
    unreadable: id -> reason, of images met on the way that could not be read; batch:
    images in one call of the network (the last call may have had fewer).
    """

    id: list[str]
    x: np.ndarray
    logits: np.ndarray
    unreadable: dict[str, str]
    batch: int


class Network(NamedTuple):
    """One trained network, ready to score images.

    name: of the system, as in predictions.csv; architecture: a registry string;
    classes: names, the order of probabilities; recipe: what decoding an image needs
    (size, equalize); calibration: fitted on validation rows (None: weights from
    elsewhere, nothing known); fingerprint: twelve hex digits that change with any
    parameter.
    """

    name: str
    architecture: str
    classes: tuple[str, ...]
    recipe: Mapping[str, Any]
    weights: Weights
    calibration: Calibration | None
    fingerprint: str

    def __repr__(self) -> str:
        classes = ", ".join(self.classes)
        return f"<Network {self.name!r} ({self.fingerprint}): {classes}>"

    @property
    def model(self) -> Model:
        """The pure functions."""
        return _model(self.architecture, len(self.classes))

    @property
    def size(self) -> int:
        """Pixels of a side of the images that it sees."""
        return int(self.recipe["size"])

    def predict(
        self,
        images: Images,
        *,
        each: Callable[[Scored], None] | None = None,
        quiet: bool = True,
    ) -> pd.DataFrame:
        """One row an image: id, prob_CLASS, calibrated_CLASS, predicted.

        images: a folder, a file, a list of files, or arrays [N, H, W] or [N, H, W, C]
        of uint8, uint16 or floats, of any size. each: called on every batch, for
        overlays and the like. Calibrated probabilities are NaN where no calibration is
        known; predicted is the class of the largest prob_ (the calibrated ones, which
        undo what resampling did to the prior, may favor another). The reason of each
        image that was left out is in `.attrs["unreadable"]`.

        Raises:
            InputError: nothing there, or not one image that can be read.

        Example:
            >>> network.predict("images")["predicted"][0]  # doctest: +SKIP
            'COVID'
        """
        parts, unreadable = [], {}
        for part in self.scored(images, quiet=quiet):
            parts.append(self.table(part))
            unreadable |= part.unreadable
            if each is not None and part.id:
                each(part)
        table = pd.concat(parts, ignore_index=True)
        if not len(table):
            first = next(iter(unreadable.items()))
            some = f"none of {len(unreadable)} images can be read"
            raise InputError(f"{some}; the first is {first[0]}: {first[1]}")
        table.attrs["unreadable"] = unreadable
        return table

    def scored(self, images: Images, *, quiet: bool = True) -> Iterator[Scored]:
        """Batch after batch of `images`, in their order, in bounded memory.

        Example:
            >>> next(network.scored("images")).logits.shape  # doctest: +SKIP
            (32, 3)
        """
        found = incoming.listed(images)
        most = min(BATCH, len(found))
        weights = jax.device_put(tuple(self.weights))
        equalize = self.recipe.get("equalize", "")
        with tqdm(total=len(found), desc="images", disable=quiet) as bar:
            for batch in incoming.batches(found, self.size, equalize, most):
                n = len(batch.id)
                rest = ((0, most - n), (0, 0), (0, 0), (0, 0))  # one shape: one program
                x = np.pad(batch.x, rest)
                logits = np.asarray(_logits(self.model, *weights, x))[:n]
                bar.update(n + len(batch.unreadable))
                yield Scored(batch.id, batch.x, logits, batch.unreadable, most)

    def table(self, part: Scored) -> pd.DataFrame:
        """The rows of one batch, as `predict` returns them."""
        prob = np.asarray(jax.nn.softmax(part.logits, axis=1))
        better = np.full(prob.shape, np.nan)
        if self.calibration is not None:
            better = np.asarray(calibrations.apply(part.logits, self.calibration))
        columns: dict[str, Any] = {"id": part.id}
        for head, values in (("prob", prob), ("calibrated", better)):
            columns |= {f"{head}_{c}": values[:, i] for i, c in enumerate(self.classes)}
        columns["predicted"] = np.array(self.classes, object)[prob.argmax(1)]
        return pd.DataFrame(columns)

    def answer(self, x: Array) -> dict[str, Array]:
        """uint8[N, S, S, 1] -> {"prob", "calibrated"}, float32[N, C]; can be jitted.

        "calibrated" is missing where no calibration is known.
        """
        logits = _logits(self.model, *self.weights, x)
        found = {"prob": jax.nn.softmax(logits)}
        if self.calibration is not None:
            found["calibrated"] = calibrations.apply(logits, self.calibration)
        return found

    def export(self, path: str | Path) -> None:
        """Writes `answer` as StableHLO with its weights, and PATH.json beside it.

        Loading needs jax and flatbuffers, and nothing of this package; it runs on a CPU
        or a CUDA GPU, on any number of images. PATH.json has the classes and how images
        are prepared (gray, squeezed to size x size pixels by areas, equalized). jax
        promises to load what it wrote for six months at least.

        Example:
            >>> network.export("network.stablehlo")  # doctest: +SKIP
            >>> data = Path("network.stablehlo").read_bytes()  # doctest: +SKIP
            >>> answer = jax.export.deserialize(data).call  # doctest: +SKIP
            >>> answer(np.zeros((7, 224, 224, 1), np.uint8))["prob"]  # doctest: +SKIP
        """
        from jax import export

        (batch,) = export.symbolic_shape("batch")
        x = jax.ShapeDtypeStruct((batch, self.size, self.size, 1), np.uint8)
        made = export.export(jax.jit(self.answer), platforms=PLATFORMS)(x)
        facts = {k: getattr(self, k) for k in ("name", "architecture", "classes")}
        facts |= {"recipe": self.recipe, "fingerprint": self.fingerprint}
        facts |= {"platforms": PLATFORMS, "jax": jax.__version__}
        with atomic(Path(path)) as whole:
            whole.write_bytes(made.serialize())
        with atomic(Path(f"{path}.json")) as whole:
            whole.write_text(json_text(facts), "utf-8")


# One object for one architecture: jax compiles a function once an object.
@functools.lru_cache(16)
def _model(architecture: str, outputs: int) -> Model:
    return MODELS.get(architecture, outputs, 0)


@functools.partial(jax.jit, static_argnums=0)
def _logits(model: Model, params: PyTree, stats: PyTree, x: Array) -> Array:
    return model.apply(params, stats, x, False, jax.random.key(0))[0].logits
