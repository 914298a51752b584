"""One X-ray file and what becomes of it, wherever it is prepared.

A film is a pure function of the bytes of its file: threads here, Beam's workers
elsewhere and a run that reads the original file give the same pixels.
"""

from typing import NamedTuple

import numpy as np

from equity_jax.data import borders, lookalikes, pixels


class Film(NamedTuple):
    """png: of uint8[S, S], without loss; b"" where `reason` says why there is none.

    thumb: uint8[32, 32], of the pixels before equalization; facts: of the file.
    """

    png: bytes
    thumb: np.ndarray
    facts: pixels.Facts
    reason: str = ""


def film(data: bytes, name: str, size: int, equalize: str = "") -> Film:
    """Borders off, resized, equalized (as `pixels.prepare` says), and packed.

    data: a PNG, JPEG or DICOM file; name: what its errors call it.

    Raises:
        Unreadable: as `pixels.decode`.

    Example:
        >>> file = pixels.encode(np.eye(64, dtype=np.uint8))
        >>> film(file, "eye.png", 32, "borders+global").facts
        Facts(width=64, height=64, mode='L')
    """
    plain, shown = develop(data, name, size, equalize)
    facts = pixels.facts(data, name)
    return Film(pixels.encode(shown), lookalikes.thumbnail(plain), facts)


def lost(reason: str) -> Film:
    """The Film of a file that cannot be read.

    Example:
        >>> lost("an empty file").png
        b''
    """
    side = lookalikes.SIDE
    nothing = np.zeros((side, side), np.uint8)
    return Film(b"", nothing, pixels.Facts(0, 0, ""), reason)


def develop(
    data: bytes, name: str, size: int, equalize: str
) -> tuple[np.ndarray, np.ndarray]:
    """uint8[S, S] before and after equalization, both without borders if so asked.

    Raises:
        Unreadable: as `pixels.decode`.

    Example:
        >>> file = pixels.encode(np.eye(64, dtype=np.uint8))
        >>> [image.shape for image in develop(file, "eye.png", 32, "clahe")]
        [(32, 32), (32, 32)]
    """
    image, tone = borders.off(pixels.decode(data, name, size=size), equalize)
    plain = pixels.prepare(image, size)
    return plain, pixels.prepare(plain, size, tone)
