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

import cv2
import numpy as np
import pandas as pd

from equity_jax.config import Phantom
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
RIB = 0.2  # brightness of a rib, of 0..1
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
    light, lungs = _anatomy(x, y, patient, view)
    light += lungs * 0.05 * _cloud(size, 12, rng)  # vessels
    contrast = phantom.lesion * RIB * (phantom.faint if patient.sex == "F" else 1)
    for patch in patches:
        edge = patch.radius - np.hypot(x - patch.x, y - patch.y)
        light += contrast * _inside(edge, 0.25 * patch.radius)
    light += 0.04 * _cloud(size, 3, rng)  # uneven exposure
    light = light * rng.uniform(0.9, 1.1) + rng.uniform(-0.04, 0.04)
    light += rng.normal(0, 0.025, light.shape).astype(np.float32)
    left, top = CORNERS[patient.label]
    mark = (abs(x - left - MARK / 2) < MARK / 2) & (abs(y - top - MARK / 2) < MARK / 2)
    light += phantom.marker * RIB * mark
    return (255 * light.clip(0, 1)).round().astype(np.uint8)


def _anatomy(
    x: np.ndarray, y: np.ndarray, patient: Patient, view: str
) -> tuple[np.ndarray, np.ndarray]:
    """Brightness of a healthy chest and how much of it is lung: float32[S, S] twice."""
    wide, tall, dx, dy, beat, bone, dome, fat = (0.02 * patient.shape).tolist()
    x, y = x - 0.5 - 0.5 * dx, y - 0.5 - 0.5 * dy
    body = _ellipse(x, y - 0.1, 0.46 + wide, 0.72, 0.03)
    lungs = np.zeros_like(body)
    for side in (-1, 1):
        lungs += _ellipse(x - side * 0.21, y, 0.155 + wide / 2, 0.33 + tall, 0.02)
    below = 0.25 + dome + 0.8 * (abs(x) - 0.2) ** 2  # the diaphragm's domes
    lungs *= _inside(below - y, 0.012)
    light = 0.04 + 0.62 * body - (0.42 - fat) * lungs
    light += 0.16 * np.exp(-((x / 0.045) ** 2)) * body  # the spine
    big = (1.15 if view == "AP" else 1.0) * (1 + 2 * beat)
    heart = _ellipse(x - 0.05, y - 0.12, 0.14 * big, 0.14 * big, 0.015)
    light += 0.3 * heart * lungs
    lungs = lungs * (1 - 0.7 * heart)
    arc = np.sin(2 * np.pi * (8 + 20 * bone) * (y - 0.9 * x**2 + dy))
    light += RIB * (0.75 + 5 * bone) * _inside(arc - 0.55, 0.1) * lungs
    if patient.sex == "F":  # soft tissue before the lower lungs
        for side in (-1, 1):
            breast = _ellipse(x - side * 0.22, y - 0.2, 0.15, 0.12, 0.03)
            light += 0.08 * breast
    return light, lungs


def _inside(distance: np.ndarray, softness: float) -> np.ndarray:
    """1 well inside (distance > 0), 0 outside, smooth between."""
    return 1 / (1 + np.exp(-np.clip(distance / softness, -30, 30)))


def _ellipse(
    x: np.ndarray, y: np.ndarray, a: float, b: float, softness: float
) -> np.ndarray:
    return _inside((1 - np.hypot(x / a, y / b)) * min(a, b), softness)


def _cloud(size: int, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of unit spread with about `cells` bumps a side: float32[S, S]."""
    coarse = rng.normal(size=(cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
