"""SIMULATED chest X-rays: crude anatomy, planted lesions, and where they were planted.

A body, two lungs, ribs, spine, heart, diaphragm and noise, every part of it drawn anew
for each patient and, in part, each image. Only the lesion depends on the class: COVID
has a patch low in both lungs, Viral Pneumonia one wider patch high in one lung, Normal
none. So a classifier must look there, its map should lie there, and the border tells
nothing, unless a marker is planted. A woman's lesion is fainter: the planted
disparity. Classes come from overlapping sources, and one source holds one class only,
as in the real collections; by themselves the sources leave no trace in the pixels.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from equity_jax.config import Phantom
from equity_jax.data.chest import RIB, anatomy, cloud, inside
from equity_jax.data.pixels import LEAST, encode
from equity_jax.keys import generator
from equity_jax.types import InputError

CLASSES = ("COVID", "Normal", "Viral Pneumonia")
SHARES = (0.35, 0.35, 0.3)  # of the patients
SOURCES = {  # class -> source: share of its patients; west holds COVID alone
    "COVID": {"south": 0.6, "west": 0.4},
    "Normal": {"north": 0.6, "south": 0.4},
    "Viral Pneumonia": {"north": 1.0},
}
COLUMNS = ("file", "label", "patientid", "source", "sex", "age", "view", "lesion")
CORNERS = {"COVID": (0.02, 0.02), "Normal": (0.9, 0.02), "Viral Pneumonia": (0.9, 0.9)}
MARK = 0.08  # side of the marker, of the image's
MORE, MOST = 0.6, 4  # images beyond the first (Poisson), and at most


class Patient(NamedTuple):
    """One person: what stays the same over the images."""

    name: str
    label: str
    source: str
    sex: str
    age: int
    shape: np.ndarray  # float[8], standard normal: the anatomy's own jitter


class Patch(NamedTuple):
    """A lesion: centre from the left and the top, radius; shares of the side."""

    x: float
    y: float
    radius: float


def write(directory: Path | str, phantom: Phantom, seed: int) -> pd.DataFrame:
    """Writes CLASS/NAME.png and metadata.csv as the COVID-19 Radiography set has them.

    metadata.csv has COLUMNS; `lesion` is "x y radius" of each patch, with semicolons,
    in shares of the side, and empty where there is none.

    Returns:
        The rows of metadata.csv.

    Raises:
        InputError: a field of config.data.phantom out of its range.

    Example:
        >>> write("twin", Phantom(patients=9), seed=0).columns[0]  # doctest: +SKIP
        'file'
    """
    images, table = draw(phantom, seed)
    for label in CLASSES:
        (Path(directory) / label).mkdir(parents=True, exist_ok=True)
    for image, file in zip(images, table["file"], strict=True):
        (Path(directory) / file).write_bytes(encode(image))
    path = Path(directory) / "metadata.csv"
    table.to_csv(path, index=False, lineterminator="\n")
    return table


def draw(phantom: Phantom, seed: int) -> tuple[np.ndarray, pd.DataFrame]:
    """The images, uint8[N, size, size], and their table with COLUMNS.

    A patient's images depend on the seed and the patient's number alone: more patients
    change none of the others.

    Example:
        >>> images, table = draw(Phantom(patients=3, size=32), seed=0)
        >>> images.shape[1:], sorted(table)[:2]
        ((32, 32), ['age', 'file'])
    """
    _check(phantom)
    images, rows = [], []
    for number in range(phantom.patients):
        rng = generator(seed, "phantom", str(number))
        patient = _patient(number, phantom, rng)
        for shot in range(min(1 + rng.poisson(MORE), MOST)):
            view = ("AP", "PA")[rng.integers(2)]
            patches = _patches(patient.label, rng)
            images.append(_image(patient, view, patches, phantom, rng))
            file = f"{patient.label}/{patient.name}-{shot + 1}.png"
            held = ";".join(" ".join(f"{v:.4f}" for v in patch) for patch in patches)
            rows.append((file, patient.label, *patient[:1], *patient[2:5], view, held))
    return np.stack(images), pd.DataFrame(rows, columns=list(COLUMNS))


def masks(lesion: pd.Series | list[str], size: int) -> np.ndarray:
    """Where the lesions are: bool[N, size, size], of the column `lesion`.

    Example:
        >>> masks(["0.5 0.5 0.25", ""], 8).sum((1, 2))
        array([12,  0])
    """
    found = np.zeros((len(lesion), size, size), bool)
    at = (np.arange(size) + 0.5) / size
    for mask, text in zip(found, lesion, strict=True):
        for patch in filter(None, str(text or "").split(";")):
            x, y, radius = map(float, patch.split())
            mask |= np.hypot(at[None] - x, at[:, None] - y) < radius
    return found


def _check(phantom: Phantom) -> None:
    for name, value, low, high in (
        ("patients", phantom.patients, 1, 10**6),
        ("size", phantom.size, LEAST, 4096),
        ("lesion", phantom.lesion, 0, 2),
        ("marker", phantom.marker, 0, 2),
        ("female", phantom.female, 0, 1),
        ("faint", phantom.faint, 0, 1),
    ):
        if not low <= value <= high:
            asked = f"expected {low} to {high}"
            raise InputError(f"data.phantom.{name}={value}; {asked}")


def _patient(number: int, phantom: Phantom, rng: np.random.Generator) -> Patient:
    label = str(rng.choice(CLASSES, p=SHARES))
    source = str(rng.choice(list(SOURCES[label]), p=list(SOURCES[label].values())))
    sex = "F" if rng.random() < phantom.female else "M"
    age = int(rng.integers(1, 95))
    return Patient(f"sim-{number:05d}", label, source, sex, age, rng.normal(size=8))


def _patches(label: str, rng: np.random.Generator) -> list[Patch]:
    def near(x: float, y: float, radius: float) -> Patch:
        jitter = rng.normal(0, 0.015, 2)
        return Patch(x + jitter[0], y + jitter[1], radius * rng.uniform(0.85, 1.15))

    if label == "COVID":
        return [near(0.27, 0.66, 0.09), near(0.73, 0.66, 0.09)]
    if label == "Viral Pneumonia":
        return [near((0.3, 0.7)[rng.integers(2)], 0.34, 0.12)]
    return []


def _image(
    patient: Patient,
    view: str,
    patches: list[Patch],
    phantom: Phantom,
    rng: np.random.Generator,
) -> np.ndarray:
    """uint8[size, size]: brightness adds up, as attenuation does on the film."""
    size = phantom.size
    at = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x, y = at[None, :], at[:, None]
    light, lungs = anatomy(x, y, patient.shape, patient.sex == "F", view)
    light += lungs * 0.05 * cloud(size, 12, rng)  # vessels
    contrast = phantom.lesion * RIB * (phantom.faint if patient.sex == "F" else 1)
    for patch in patches:
        edge = patch.radius - np.hypot(x - patch.x, y - patch.y)
        light += contrast * inside(edge, 0.25 * patch.radius)
    light += 0.04 * cloud(size, 3, rng)  # uneven exposure
    light = light * rng.uniform(0.9, 1.1) + rng.uniform(-0.04, 0.04)
    light += rng.normal(0, 0.025, light.shape).astype(np.float32)
    left, top = CORNERS[patient.label]
    mark = (abs(x - left - MARK / 2) < MARK / 2) & (abs(y - top - MARK / 2) < MARK / 2)
    light += phantom.marker * RIB * mark
    return (255 * light.clip(0, 1)).round().astype(np.uint8)
