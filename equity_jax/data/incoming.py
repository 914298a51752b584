"""New images, wherever they are, as the pixels that a network was trained on.

A folder, files or arrays are read by threads, a few dozen images ahead of whoever asks:
a folder of a hundred thousand takes no more memory than one of a hundred. An image that
cannot be read stops nothing; it comes back with the reason.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from equity_jax.data import pixels
from equity_jax.types import InputError

AHEAD, MOST_THREADS = 64, 8
CHANNELS = (1, 2, 3, 4)  # gray, gray and alpha, RGB, RGB and alpha
TEXTS = (".csv", ".json", ".md", ".txt", ".xlsx")  # what lies beside images
Images = str | Path | np.ndarray | Sequence[str | Path | np.ndarray]


class Arrived(NamedTuple):
    """One image. pixels: uint8[S, S]; None where `reason` says why it is unreadable."""

    id: str
    pixels: np.ndarray | None
    reason: str = ""


class Batch(NamedTuple):
    """Images that came together.

    id: N names; x: uint8[N, S, S, 1]; unreadable: id -> reason, of those met on the way
    that could not be read.
    """

    id: list[str]
    x: np.ndarray
    unreadable: dict[str, str]


def listed(images: Images) -> list[tuple[str, Any]]:
    """(id, path or array) of every image, in the order of their names or as given.

    images: a folder (all files in it and below, but for hidden ones, tables and texts),
    one file, a list of files, or arrays [H, W] or [H, W, C], as a list or stacked. The
    id is the path inside the folder, the name of one file, the path as listed, or the
    number of an array.

    Raises:
        InputError: nothing there, or neither paths nor arrays.

    Example:
        >>> listed(np.zeros((2, 64, 64), np.uint8))[1][0]
        '1'
    """
    if isinstance(images, str | Path):
        found = _of_path(Path(images))
    elif isinstance(images, np.ndarray) and images.ndim not in (3, 4):
        expected = "expected [N, H, W] or [N, H, W, C]"
        raise InputError(f"an array of shape {list(images.shape)}; {expected}")
    else:
        found = [_of_item(i, one) for i, one in enumerate(images)]
    if not found:
        named = isinstance(images, str | Path)
        raise InputError(f"{images if named else 'the list'} holds no image")
    return found


def stream(
    found: Sequence[tuple[str, Any]], size: int, equalize: str = ""
) -> Iterator[Arrived]:
    """What `listed` found, decoded and made square, in that order.

    Example:
        >>> x = np.zeros((2, 64, 48), np.uint8)
        >>> [one.pixels.shape for one in stream(listed(x), 32)]
        [(32, 32), (32, 32)]
    """
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    waiting: deque = deque()
    with ThreadPoolExecutor(threads) as pool:
        for name, image in found:
            waiting.append(pool.submit(read, name, image, size, equalize))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def batches(
    found: Sequence[tuple[str, Any]], size: int, equalize: str, batch: int
) -> Iterator[Batch]:
    """What `listed` found, `batch` readable images at a time; the last may be smaller.

    Example:
        >>> x = np.zeros((5, 64, 48), np.uint8)
        >>> [one.x.shape for one in batches(listed(x), 32, "", 3)]
        [(3, 32, 32, 1), (2, 32, 32, 1)]
    """
    names, x, unreadable = [], np.zeros((batch, size, size, 1), np.uint8), {}
    for one in stream(found, size, equalize):
        if one.pixels is None:
            unreadable[one.id] = one.reason
            continue
        x[len(names), ..., 0] = one.pixels
        names.append(one.id)
        if len(names) == batch:
            yield Batch(names, x, unreadable)
            names, x, unreadable = [], np.zeros_like(x), {}
    if names or unreadable:
        yield Batch(names, x[: len(names)], unreadable)


def read(name: str, image: Path | np.ndarray, size: int, equalize: str) -> Arrived:
    """One image, or the reason why not; see data.pixels for what is refused.

    Example:
        >>> read("0", np.zeros((4, 4), np.uint8), 32, "").reason
        '4×4 pixels; expected 16 pixels a side or more'
    """
    try:
        if isinstance(image, np.ndarray):
            made = pixels.prepare(gray(image, name), size, equalize)
        else:
            made = pixels.read(image.read_bytes(), name, size, equalize)
    except OSError as error:
        return Arrived(name, None, error.strerror or repr(error))
    except pixels.Unreadable as error:
        return Arrived(name, None, str(error).removeprefix(f"{name}: "))
    return Arrived(name, made)


def gray(image: np.ndarray, name: str) -> np.ndarray:
    """uint8[H, W] of an array [H, W] or [H, W, C] of uint8, uint16 or floats.

    Colors become luma, alpha is ignored. As in files of 16 bits, uint16 and floats are
    stretched from their own least to their own largest value.

    Raises:
        Unreadable: another shape or type, under 16 pixels a side, NaN or infinity.

    Example:
        >>> gray(np.linspace(0, 1, 256).reshape(16, 16), "ramp")[0, :3]
        array([0, 1, 2], dtype=uint8)
    """
    floating = np.issubdtype(image.dtype, np.floating)
    if not floating and image.dtype not in (np.uint8, np.uint16):
        what = f"values of type {image.dtype}; expected uint8, uint16 or floats"
        raise pixels.Unreadable(f"{name}: {what}")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in CHANNELS):
        what = f"an array of shape {list(image.shape)}; expected [H, W] or [H, W, C]"
        raise pixels.Unreadable(f"{name}: {what}, C from 1 to 4")
    if min(image.shape[:2]) < pixels.LEAST:
        what = f"{image.shape[1]}×{image.shape[0]} pixels"
        least = f"expected {pixels.LEAST} pixels a side or more"
        raise pixels.Unreadable(f"{name}: {what}; {least}")
    if not np.isfinite(image).all():
        raise pixels.Unreadable(f"{name}: a NaN or an infinity among the pixels")
    image = np.ascontiguousarray(image, np.float32 if floating else None)
    if image.ndim == 3:
        colors = image.shape[2] > 2
        image = cv2.cvtColor(image[..., :3], cv2.COLOR_RGB2GRAY) if colors else image
        image = image if image.ndim == 2 else np.ascontiguousarray(image[..., 0])
    if image.dtype == np.uint8:
        return image
    return cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)


def _of_path(path: Path) -> list[tuple[str, Path]]:
    if path.is_file():
        return [(path.name, path)]
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder")
    found = []
    for folder, below, names in os.walk(path):
        below[:] = [name for name in below if not name.startswith(".")]
        found += [Path(folder, name) for name in names if _is_meant(name)]
    named = [(one.relative_to(path).as_posix(), one) for one in found]
    return sorted(named, key=lambda pair: pair[0])


def _is_meant(name: str) -> bool:
    return not name.startswith(".") and not name.lower().endswith(TEXTS)


def _of_item(number: int, one: Any) -> tuple[str, Any]:
    if isinstance(one, str | Path):
        return str(one), Path(one)
    if hasattr(one, "__array__"):
        return str(number), np.asarray(one)
    what = f"image {number} is of type {type(one).__name__}"
    raise InputError(f"{what}; expected a path or an array")
