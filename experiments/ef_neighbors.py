"""Section of the embeddings page: an image's nearest neighbors, and what they share."""

import numpy as np
import pandas as pd

from equity_jax.audit.pages.page import Section, Table, interval_text
from equity_jax.keys import generator
from equity_jax.neighbors import nearest
from equity_jax.run import Result
from equity_jax.types import TEST, Dataset
from experiments.ef_parts import label_of

ASKED = 1000  # test images whose neighbors are looked up
NEAREST = 10
EXAMPLES, LISTED = 3, 5  # images that are shown, and neighbors of each
Z = 1.96


def neighbors(result: Result) -> Section:
    """Whose neighbors are of the same patient, label and group; neighbors.csv."""
    dataset, spec = result.dataset, result.dataset.spec
    rng = generator(result.config.seed, "ef/neighbors")
    test = np.flatnonzero(dataset.split == TEST)
    asked = np.sort(rng.permutation(test)[:ASKED])
    index, distance = found(dataset, asked)
    table = shared(dataset, asked, index)
    result.store.write_csv("neighbors.csv", table)
    shown = table.assign(
        **{
            "shared, %": [
                interval_text(100 * r.share, 100 * r.low, 100 * r.high)
                for r in table.itertuples()
            ],
            "by chance, %": [f"{100 * x:.1f}" for x in table["chance"]],
        }
    )[["what", "shared, %", "by chance, %"]]
    same = of_same(dataset, asked, index[:, 0])
    text = [
        f"The {NEAREST} nearest images (Euclidean distance of standardized embeddings)"
        f" of {len(asked):,} test images, among all images. Of"
        f" {100 * same.mean():.0f} % the nearest is of the same {spec.unit}: a split by"
        f" image would test a head on {spec.unit}s that it has learned from.",
        f"The table leaves neighbors of the same {spec.unit} out. What neighbors share"
        " more often than chance, the embedding holds; that a head uses it does not"
        " follow.",
    ]
    tables = [
        Table(f"What an image shares with its neighbors, {NEAREST} each", shown),
        _examples(dataset, asked, index, distance),
    ]
    return Section("Nearest neighbors", text, tables)


def found(dataset: Dataset, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest other images of some rows: rows int[n, NEAREST], distances."""
    k = min(NEAREST + 1, len(dataset.x))
    distance, index = nearest(dataset.x, dataset.x[asked], k)
    other = index != asked[:, None]
    order = np.argsort(~other, axis=1, kind="stable")[:, : k - 1]  # itself goes last
    return np.take_along_axis(index, order, 1), np.take_along_axis(distance, order, 1)


def of_same(dataset: Dataset, asked: np.ndarray, index: np.ndarray) -> np.ndarray:
    """bool[n]: whether row `index` is of the patient of row `asked`."""
    return dataset.patient[asked] == dataset.patient[index]


def shared(dataset: Dataset, asked: np.ndarray, index: np.ndarray) -> pd.DataFrame:
    """what, share, low, high, chance: neighbors of other patients that agree.

    The interval treats the patients asked as the independent units.
    """
    lines, others = [], dataset.patient[index] != dataset.patient[asked][:, None]
    label = np.where(dataset.mask[:, 0] > 0, np.asarray(dataset.y)[:, 0], -1)
    label = np.where(label < 0, "", label.astype(int).astype(str))
    columns = {label_of(dataset): label} | dict(dataset.attributes)
    for name, values in columns.items():
        known = (values[asked] != "")[:, None] & (values[index] != "") & others
        agree = (values[index] == values[asked][:, None]) & known
        _, block = np.unique(dataset.patient[asked], return_inverse=True)
        num, den = (np.bincount(block, a.sum(1)) for a in (agree, known))
        share = num.sum() / max(den.sum(), 1)
        error = np.sqrt(np.sum((num - share * den) ** 2)) / max(den.sum(), 1)
        frequent = pd.Series(values[values != ""]).value_counts(normalize=True)
        chance = float(pd.Series(values[asked]).map(frequent).mean())
        ends = {"low": share - Z * error, "high": share + Z * error}
        lines.append({"what": name, "share": share} | ends | {"chance": chance})
    return pd.DataFrame(lines)


def _examples(
    dataset: Dataset, asked: np.ndarray, index: np.ndarray, distance: np.ndarray
) -> Table:
    """A few images with their nearest neighbors."""
    lines, spec = [], dataset.spec
    names = [spec.group, *(n for n in dataset.attributes if n != spec.group)][:3]
    _, first = np.unique(dataset.patient[asked], return_index=True)
    y, known = np.asarray(dataset.y)[:, 0].astype(int), dataset.mask[:, 0] > 0

    def line(row: int, place: str, far: float) -> dict[str, object]:
        label = spec.classes[y[row]] if known[row] else ""
        about = {n: dataset.attributes[n][row] or "not recorded" for n in names}
        return {
            "image": place,
            "distance": f"{far:.1f}",
            spec.unit: int(dataset.patient[row]),
            "label": label,
            **about,
        }

    for number, e in enumerate(np.sort(first)[:EXAMPLES], 1):
        lines.append(line(asked[e], f"image {number}", 0.0))
        pairs = zip(index[e, :LISTED], distance[e, :LISTED], strict=True)
        for rank, (row, far) in enumerate(pairs, 1):
            lines.append(line(row, f"{number}, neighbor {rank}", float(far)))
    return Table("Some test images and their nearest neighbors", pd.DataFrame(lines))
