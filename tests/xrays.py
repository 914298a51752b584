"""Small X-rays on disk for tests, sound and odd ones."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from equity_jax.config import Data, Images

SIZE = 32


def picture(seed: int, side: int = 40) -> np.ndarray:
    """Smooth noise, uint8[side, side]: no two alike."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 6)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.BICUBIC))


def save(path: Path, image: np.ndarray, mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Image.fromarray(image)
    (made.convert(mode) if mode else made).save(path)
    return path


def folders(root: Path, classes=("COVID", "Normal"), each: int = 10) -> Path:
    """A folder per class with `each` images."""
    for c, name in enumerate(classes):
        for i in range(each):
            save(root / name / f"{name}-{i}.png", picture(100 * c + i))
    return root


def odd(root: Path) -> dict[str, str]:
    """Unreadable files: name -> what the reason must say."""
    whole = io.BytesIO()
    Image.fromarray(picture(7, 200)).save(whole, "JPEG")
    truncated = whole.getvalue()[: len(whole.getvalue()) // 2]
    (root / "truncated.jpg").write_bytes(truncated)
    (root / "empty.png").write_bytes(b"")
    (root / "text.png").write_text("not a picture\n")
    save(root / "dot.png", np.zeros((1, 1), np.uint8))
    save(root / "huge.png", np.zeros((1, 1), np.uint8))
    huge = bytearray((root / "huge.png").read_bytes())
    huge[16:24] = (20000).to_bytes(4) + (10000).to_bytes(4)  # a header of 200 MP
    (root / "huge.png").write_bytes(bytes(huge))
    return {
        "truncated.jpg": "",
        "empty.png": "an empty file",
        "text.png": "expected a PNG, JPEG or DICOM",
        "dot.png": "1×1 pixels",
        "huge.png": "200 megapixels",
    }


def data(source: Path | str, size: int = SIZE, group: str = "", **images) -> Data:
    return Data(
        name="cxr", source=str(source), group=group, images=Images(size=size, **images)
    )
