"""The rows of the comparison of costs: images and their embeddings, one for one."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from equity_jax.config import Config, Data, Images, Phantom
from equity_jax.data import DATASETS, stream
from equity_jax.forecasts import rows_of
from equity_jax.keys import generator
from equity_jax.models import MODELS
from equity_jax.run import Result
from equity_jax.train import Weights
from equity_jax.types import TRAIN, Dataset, InputError
from experiments.ef_cost_fits import FRESH, LOOKS, Bench, Spent

OTHER = "Normal=Normal,*=Abnormal"  # what the backbone learns, as CXR Foundation did
ASKED = "COVID=COVID,*=Other"
FREE = {"valid": 0.15, "test": 0.25}  # shares of the simulated X-rays
GIB = 2**30


class Rows(NamedTuple):
    """The same rows twice, in the same order.

    images, vectors: Dataset that differ in x alone; vectors is standardised by training
    rows; start: the weights behind the embeddings, None where they are not known;
    embedded: what embedding these rows took, None likewise; words: for the reader.
    """

    images: Dataset
    vectors: Dataset
    start: Weights | None
    embedded: Spent | None
    words: str


def refuse(config: Config) -> None:
    """What can be known to be wrong before the study begins.

    Raises:
        InputError: config.cost.images is no folder; steps that LOOKS does not divide, a
            number below 1, an unknown network.

    Example:
        >>> refuse(Config())
    """
    cost = config.cost
    if cost.images and not Path(cost.images).is_dir():
        raise InputError(f"--config.cost.images={cost.images}: no such folder")
    if cost.steps < LOOKS or cost.steps % LOOKS:
        what = f"expected a multiple of {LOOKS}"
        raise InputError(f"--config.cost.steps={cost.steps}: {what}")
    if min(cost.batch, cost.patients, cost.update) < 1:
        raise InputError("--config.cost.batch, patients and update: 1 or more")
    MODELS.get(cost.network, 1, 0)


def prepare(result: Result) -> tuple[Bench, Rows] | None:
    """The rows of a study; None where its embeddings come without images.

    Raises:
        InputError: an image of config.cost.images that is not there, or unreadable.

    Example:
        >>> prepare(result)[1].words  # doctest: +SKIP
    """
    config, dataset = result.store.config, result.dataset
    if config.cost.images and "file" in dataset.table:
        bench = Bench(config, dataset.spec.task)
        return bench, from_files(config, dataset)
    if dataset.spec.simulated:
        bench = Bench(config, "multiclass(2)")
        return bench, simulated(bench)
    return None


def from_files(config: Config, dataset: Dataset) -> Rows:
    """The rows of table.csv, and their images in config.cost.images."""
    folder, size = Path(config.cost.images), config.cost.size
    known = np.flatnonzero(dataset.mask.min(1) > 0)
    vectors = rows_of(dataset, known)
    paths = [folder / file for file in vectors.table["file"]]
    lost = next((path for path in paths if not path.is_file()), None)
    if lost is not None:
        raise InputError(f"{lost}: named in table.csv, but no such file")
    x = stream.files(paths, size)
    if len(paths) * size * size <= config.data.images.memory * GIB:
        x = np.asarray(x)
    words = (
        f"{len(paths):,} images of {folder.name}, {size} x {size} pixels, and their"
        " embeddings as scripts.embed wrote them. What these took, and what the network"
        " behind them took to train, is not counted below: it is paid once."
    )
    return Rows(vectors._replace(x=x), vectors, None, None, words)


def simulated(bench: Bench) -> Rows:
    """SIMULATED X-rays, and embeddings by a network pretrained on others of them.

    The pretraining tells normal from abnormal; the study then asks for one disease.
    Sellergren et al., "Simplified transfer learning for chest radiography models using
    less data", Radiology 2022 (labels of the pretraining).
    """
    config = bench.config
    cost, seed = config.cost, config.data.phantom.seed
    before = phantom(config, OTHER, seed + 1)
    images = phantom(config, ASKED, seed)
    start = bench.fit(cost.network, before, FRESH).weights
    found, embedded = bench.embed(cost.network, start, images.x)
    mine = found[images.split == TRAIN]
    scale = np.maximum(mine.std(0), 1e-6)
    vectors = (found - mine.mean(0)[None]) / scale[None]
    words = (
        f"The study's embeddings are SIMULATED and have no images, so this section uses"
        f" SIMULATED X-rays: {len(images.x):,} of {cost.patients:,} patients,"
        f" {cost.size} x {cost.size} pixels, {images.spec.classes[0]} against the rest."
        f" The backbone ({cost.network}) was trained on {len(before.x):,} others to"
        " tell normal from abnormal, and was never told which is COVID. That is not"
        " counted below: it is paid once, by whoever makes the backbone."
    )
    return Rows(images, images._replace(x=vectors), start, embedded, words)


def phantom(config: Config, classes: str, seed: int) -> Dataset:
    """SIMULATED X-rays as data.name "cxr" reads them, at config.cost's size."""
    cost = config.cost
    people = Phantom(seed=seed, patients=cost.patients, size=cost.size)
    images = Images(size=cost.size, classes=classes, alike=-1)
    data = Data(name="cxr", group="sex", images=images, phantom=people, **FREE)
    return DATASETS["cxr"](data, seed=config.seed)


def later(dataset: Dataset, most: int, seed: int) -> np.ndarray:
    """bool[N]: training rows that come later: at most half, whole patients.

    Example:
        >>> later(dataset, 1000, 0).sum()  # doctest: +SKIP
        1000
    """
    train = dataset.split == TRAIN
    most = min(most, int(train.sum()) // 2)
    people = np.unique(dataset.patient[train])
    order = generator(seed, "later").permutation(people)
    place = np.full(int(dataset.patient.max()) + 1, len(order))
    place[order] = np.arange(len(order))
    sizes = np.bincount(place[dataset.patient[train]], minlength=len(order))
    chosen = order[np.cumsum(sizes[: len(order)]) <= most]
    return train & np.isin(dataset.patient, chosen)


def without(dataset: Dataset, rows: np.ndarray) -> Dataset:
    """The data set before the rows bool[N] came: unlabelled, they are never drawn.

    Example:
        >>> without(dataset, later(dataset, 9, 0)).mask.sum()  # doctest: +SKIP
    """
    return dataset._replace(mask=np.where(rows[:, None], 0, dataset.mask))
