"""Bytes of one image file -> gray pixels: PNG, JPEG and DICOM, safely and quickly.

What becomes of odd files: 16 bits (PNG, DICOM) are stretched from their own least to
their own largest value, as the makers of MIMIC-CXR-JPG did (Johnson et al. 2019): most
hold 10 to 12 bits, and would be black on the full scale. Colors become luma (0.299,
0.587, 0.114), alpha and EXIF orientation are ignored, CMYK is read as Adobe writes it.
A truncated, empty or damaged file, one under LEAST pixels a side (1×1) or over
MEGAPIXELS, and whatever else is no picture is Unreadable, with the reason; a picture's
size is read from its header, before anything is decoded. At the limit decoding takes
0.8 GB (a progressive JPEG in colors) or 0.5 GB (a PNG of 16 bits).
"""

import io
import struct
import zlib
from typing import Any, NamedTuple

import cv2
import numpy as np
import simplejpeg

from equity_jax.data import borders
from equity_jax.types import InputError

LEAST, MEGAPIXELS = 16, 128.0
ROOM = 2  # a JPEG decoded at a fraction has this many times the side wanted
PNG, JPEG, DICOM = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"DICM"
PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
JPEG_MODES = {"Gray": "L", "CMYK": "CMYK", "YCCK": "CMYK"}  # others are RGB
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
EQUALIZE = ("", "global", "clahe")
CLIP, TILES = 2.0, (8, 8)  # of CLAHE: what most chest X-ray work uses


class Unreadable(InputError):
    """One image cannot be read. A data set may leave it out and say so."""


class Facts(NamedTuple):
    """Of a header: width and height in pixels; mode as Pillow names it ("L", "RGBA").

    ";16" follows the mode where a channel has 16 bits; a DICOM's mode is its
    photometric interpretation.
    """

    width: int
    height: int
    mode: str


def facts(data: bytes, name: str = "image") -> Facts:
    """Size and mode of a file's bytes, from its header alone.

    Raises:
        Unreadable: no PNG, JPEG or DICOM, or a header that is cut off.

    Example:
        >>> facts(open("1.png", "rb").read())  # doctest: +SKIP
        Facts(width=299, height=299, mode='L')
    """
    if data.startswith(PNG):
        return _png_facts(data, name)
    if data.startswith(JPEG):
        try:
            height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        except ValueError as error:
            raise Unreadable(f"{name}: {error}") from error
        return Facts(width, height, JPEG_MODES.get(space, "RGB"))
    if data[128:132] == DICOM:
        header = _dataset(data, name, pixels=False)
        photometric = str(header.get("PhotometricInterpretation", ""))
        sides = (int(header.get(word, 0) or 0) for word in ("Columns", "Rows"))
        return Facts(*sides, photometric)
    found = "an empty file" if not data else f"starts with {data[:8]!r}"
    raise Unreadable(f"{name}: {found}; expected a PNG, JPEG or DICOM file")


def decode(
    data: bytes,
    name: str,
    *,
    size: int | None = None,
    megapixels: float = MEGAPIXELS,
) -> np.ndarray:
    """Gray pixels of a file's bytes, uint8[H, W].

    data: the whole file; name: what errors call it; size: the side it will be resized
    to. A JPEG is then decoded at a fraction of its size (the least in eighths that
    leaves both sides at least twice `size`, as Pillow does), in a third to two thirds
    of the time. Resized to 96 or 224 px, real chest X-rays of 512 px differ by 0.8 or
    0.02 gray levels on average from those decoded whole, and of 224 px by 0.3 or 0.

    Raises:
        Unreadable: see the head of this file.
        InputError: a DICOM file, and the extra `dicom` is not installed.

    Example:
        >>> decode(open("1.jpeg", "rb").read(), "1.jpeg", size=224)  # doctest: +SKIP
    """
    width, height, mode = facts(data, name)
    if min(width, height) < LEAST:
        asked = f"expected {LEAST} pixels a side or more"
        raise Unreadable(f"{name}: {width}×{height} pixels; {asked}")
    if width * height > megapixels * 1e6:
        found = f"{width}×{height} pixels, {width * height / 1e6:.0f} megapixels"
        raise Unreadable(f"{name}: {found}; expected {megapixels:g} or fewer")
    if data.startswith(PNG):
        return _png(data, name)
    if data.startswith(JPEG):
        return _jpeg(data, name, mode, size)
    return _dicom(data, name)


def prepare(image: np.ndarray, size: int, equalize: str = "") -> np.ndarray:
    """A square image for a model, uint8[size, size], of gray uint8[H, W].

    The whole image is squeezed to a square (its aspect is lost, no part of it is), as
    the COVID-19 Radiography Database was; by areas, or linearly where it grows.
    equalize: "", "global" (the histogram of the image) or "clahe" (of 8 × 8 tiles,
    clipped at 2; Zuiderveld 1994), after resizing, so that a resized image gives the
    pixels of the original; "borders", "borders+global", ...: these are cut off first.

    Raises:
        InputError: an unknown `equalize`.

    Example:
        >>> prepare(np.eye(300, dtype=np.uint8), 224, "clahe").shape
        (224, 224)
    """
    image, tone = borders.off(image, equalize)
    if tone not in EQUALIZE:
        known = ", ".join(repr(one) for one in EQUALIZE)
        raise InputError(f"data.images.equalize={equalize!r}; expected one of {known}")
    if image.shape != (size, size):
        how = cv2.INTER_AREA if min(image.shape) >= size else cv2.INTER_LINEAR
        image = cv2.resize(image, (size, size), interpolation=how)
    if tone == "global":
        return cv2.equalizeHist(image)
    if tone == "clahe":
        return cv2.createCLAHE(CLIP, TILES).apply(image)
    return image


def read(data: bytes, name: str, size: int, equalize: str = "") -> np.ndarray:
    """`decode`, then `prepare`: uint8[size, size] of a file's bytes.

    Example:
        >>> read(open("1.jpeg", "rb").read(), "1.jpeg", 224).shape  # doctest: +SKIP
        (224, 224)
    """
    return prepare(decode(data, name, size=size), size, equalize)


def encode(image: np.ndarray) -> bytes:
    """PNG of uint8[H, W]: how prepared images are kept, without loss.

    Example:
        >>> decode(encode(np.eye(64, dtype=np.uint8)), "eye").sum()
        np.uint64(64)
    """
    done, data = cv2.imencode(".png", image)
    assert done, image.shape
    return data.tobytes()


def _png_facts(data: bytes, name: str) -> Facts:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise Unreadable(f"{name}: a PNG whose header is cut off")
    width, height, depth, color = struct.unpack(">IIBB", data[16:26])
    mode = PNG_MODES.get(color, f"color type {color}")
    return Facts(width, height, mode + ";16" * (depth == 16))


def _png(data: bytes, name: str) -> np.ndarray:
    _whole_png(data, name)  # before libpng, which would write to stderr
    flags = (cv2.IMREAD_GRAYSCALE, cv2.IMREAD_ANYDEPTH, cv2.IMREAD_IGNORE_ORIENTATION)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), sum(flags))
    if image is None:
        raise Unreadable(f"{name}: a damaged PNG")
    return image if image.dtype == np.uint8 else _stretch(image)


def _whole_png(data: bytes, name: str) -> None:
    """Every chunk is there, with its checksum, up to the last one."""
    at, kind = len(PNG), b""
    while kind != b"IEND":
        length = int.from_bytes(data[at : at + 4])
        end = at + 12 + length
        if len(data) < max(end, at + 12):
            raise Unreadable(f"{name}: a truncated PNG ({len(data):,} bytes)")
        kind, body = data[at + 4 : at + 8], memoryview(data)[at + 4 : end - 4]
        if zlib.crc32(body) != int.from_bytes(data[end - 4 : end]):
            raise Unreadable(f"{name}: a damaged PNG (checksum of {kind!r})")
        at = end


def _jpeg(data: bytes, name: str, mode: str, size: int | None) -> np.ndarray:
    space = "CMYK" if mode == "CMYK" else "GRAY"
    least = ROOM * (size or 0)
    try:  # strict: a truncated file is an error, not half gray
        image = simplejpeg.decode_jpeg(data, space, min_height=least, min_width=least)
    except ValueError as error:
        raise Unreadable(f"{name}: {error}") from error
    if mode != "CMYK":
        return image[..., 0]
    light = cv2.transform(image[..., :3], LUMA[None])  # inverted ink, as Adobe's
    return cv2.multiply(light, image[..., 3], scale=1 / 255)


def _dicom(data: bytes, name: str) -> np.ndarray:
    """Rescale and window applied (PS3.3 C.11), MONOCHROME1 inverted, 8 bits."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    dataset = _dataset(data, name, pixels=True)
    try:
        stored = dataset.pixel_array
        if stored.ndim == 3 and stored.shape[2] == 3 and stored.dtype == np.uint8:
            return cv2.cvtColor(stored, cv2.COLOR_RGB2GRAY)
        if stored.ndim != 2 or dataset.BitsStored > 16:
            found = f"{stored.shape} values of {dataset.BitsStored} bits"
            raise Unreadable(f"{name}: {found}; expected one frame of up to 16 bits")
        low = int(stored.min())
        levels = np.arange(low, int(stored.max()) + 1)  # a table: saves memory
        shown = apply_voi_lut(apply_modality_lut(levels, dataset), dataset)
    except Unreadable:
        raise
    except Exception as error:  # a stranger's bytes: pydicom may raise anything
        raise Unreadable(f"{name}: {error!r}") from error
    table = _stretch(np.asarray(shown, np.float32)[None])[0]
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    return (255 - table if inverted else table)[stored - low]


def _dataset(data: bytes, name: str, pixels: bool) -> Any:
    try:
        import pydicom
    except ImportError as error:
        how = "install the extra: pip install 'equity_jax[dicom]'"
        raise InputError(f"{name}: reading DICOM files needs pydicom; {how}") from error
    try:
        return pydicom.dcmread(io.BytesIO(data), stop_before_pixels=not pixels)
    except Exception as error:  # a stranger's bytes: pydicom may raise anything
        raise Unreadable(f"{name}: {error!r}") from error


def _stretch(image: np.ndarray) -> np.ndarray:
    """0..255 from the least to the largest value; 0 where all are the same."""
    low, high, *_ = cv2.minMaxLoc(image)
    scale = 255 / (high - low) if high > low else 0.0
    return cv2.convertScaleAbs(image, alpha=scale, beta=-low * scale)
