"""Reading X-rays against what a user would write: the suite `input`.

Grayscale JPEGs of one megapixel lie in a temporary folder: SIMULATED chests, blurred as
a detector blurs, about 0.15 bytes a pixel as NIH's images of 512 pixels have at the
same quality. Every contender gives batches of 224 pixels a side, flipped, turned and
shifted at random. Ours reads with threads, decodes at a fraction of the size and varies
whole batches on the device; the peers read, decode and vary image by image in two
worker processes, which stay alive between the rounds.
"""

import atexit
import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from equity_jax.config import Phantom
from equity_jax.types import Batch, InputError
from scripts.benchmark.race import Contender, Suite

OURS = "equity_jax"
DEGREES, SHIFT = 10.0, 0.05
POLICY = f"flip,rotate({DEGREES:g}),shift({SHIFT})"
DISTINCT, BLUR = 64, 0.7  # files drawn, then read again and again; sigma in pixels
TARGET = 2.0


class Sizes(NamedTuple):
    """How much work: images read a turn, their side, the side wanted, rows a batch,
    JPEG quality, worker processes of the peers and threads of ours.
    """

    images: int = 512
    side: int = 1024
    size: int = 224
    batch: int = 32
    quality: int = 90
    workers: int = 2


LEAST = {"images": 2, "side": 64, "size": 32, "batch": 1, "quality": 1, "workers": 1}


def build(sizes: Sizes) -> Suite:
    """The suite: ours, torch's DataLoader with PIL, and the same with PIL's draft.

    Raises:
        InputError: torch is not installed, or there are fewer images than a batch.
    """
    if sizes.images < sizes.batch:
        asked = f"expected {sizes.batch} or more, a batch"
        raise InputError(f"--images={sizes.images}: {asked}")
    if importlib.util.find_spec("torch") is None:
        how = "pip install 'equity_jax[bench]'"
        raise InputError(f"--suite=input compares with torch; install it: {how}")
    folder = Path(tempfile.mkdtemp(prefix="equity_jax-input-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    files = write(folder, sizes)
    held = {"bytes_a_pixel": _bytes(files) / sizes.side**2, "policy": POLICY}
    spawn = f"{sizes.workers} processes, whose CPU is not counted"
    contenders = {
        OURS: Contender(
            _ours(files, sizes),
            sizes.images,
            note="Grain threads, JPEG decoded at a fraction, augmentation on device",
        ),
        "torch + PIL": Contender(
            _torch(files, sizes, False),
            sizes.images,
            TARGET,
            f"DataLoader, {spawn}",
        ),
        "torch + PIL, draft": Contender(
            _torch(files, sizes, True),
            sizes.images,
            note=f"the same, tuned: JPEG decoded at a fraction; {spawn}",
        ),
    }

    def agree(answers: Mapping[str, Any]) -> dict[str, Any]:
        return difference(sorted(set(files)), sizes.size) | {"images": dict(answers)}

    held = sizes._asdict() | held
    return Suite(contenders, sizes.images, held, agree, told, "images")


def write(folder: Path, sizes: Sizes) -> list[str]:
    """JPEGs of simulated chests; their paths, repeated up to sizes.images."""
    from equity_jax.data import phantom

    kinds = min(DISTINCT, sizes.images)
    images, _ = phantom.draw(Phantom(patients=kinds, size=sizes.side), seed=0)
    files = [str(folder / f"{number:03d}.jpg") for number in range(kinds)]
    for file, image in zip(files, images, strict=False):
        blurred = Image.fromarray(image).filter(ImageFilter.GaussianBlur(BLUR))
        blurred.save(file, quality=sizes.quality)
    return [files[i % kinds] for i in range(sizes.images)]


def difference(files: list[str], size: int) -> dict[str, float]:
    """What decoding at a fraction costs, in gray levels of 255.

    mean, largest: |ours - ours decoded whole|, both resized by areas; pillow: mean
    |ours - Pillow's|, decoded whole and resized bilinearly with antialiasing.
    """
    from equity_jax.data import pixels

    apart, largest, pillow = [], [], []
    for file in files:
        data = Path(file).read_bytes()
        ours = pixels.read(data, file, size).astype(int)
        whole = pixels.prepare(pixels.decode(data, file), size)
        apart.append(np.abs(ours - whole).mean())
        largest.append(np.abs(ours - whole).max())
        with Image.open(file) as image:
            other = image.resize((size, size), Image.Resampling.BILINEAR)
        pillow.append(np.abs(ours - np.asarray(other)).mean())
    means = {"mean": float(np.mean(apart)), "pillow": float(np.mean(pillow))}
    return means | {"largest": float(np.max(largest))}


def told(found: Mapping[str, Any]) -> list[str]:
    """The pixel differences in words."""
    return [
        f"decoded at a fraction: {found['mean']:.2f} gray levels of 255 from the "
        f"image decoded whole on average, {found['largest']:.0f} at most; "
        f"{found['pillow']:.2f} on average from Pillow's"
    ]


def _ours(files: list[str], sizes: Sizes) -> Callable[[int], int]:
    """Images -> how many were read and varied."""
    import jax
    import jax.numpy as jnp

    from equity_jax.data import augment, stream

    vary = augment.make(POLICY)
    base = stream.files(files, sizes.size)
    images = stream.Stream(base.get, base.rows, sizes.size, sizes.workers)
    n = sizes.batch
    labels = Batch(None, jnp.zeros((n, 1), int), *_rest(n))
    step = jax.jit(lambda key, x: vary(key, labels._replace(x=x)).x)

    def run(count: int) -> int:
        rows = np.arange(count // n * n).reshape(-1, n)
        for number, x in enumerate(images.batches(rows)):
            last = step(jax.random.key(number), x)  # runs while the next are read
        jax.block_until_ready(last)
        return rows.size

    return run


def _rest(n: int) -> tuple:
    """mask, group, weight and id of a batch of which only x matters."""
    import jax.numpy as jnp

    row = jnp.zeros(n, int)
    return jnp.ones((n, 1)), row, jnp.ones(n), row


def _torch(files: list[str], sizes: Sizes, draft: bool) -> Callable[[int], int]:
    """Images -> how many the DataLoader gave."""
    from scripts.benchmark import torch_input

    loader = torch_input.loader(files, sizes, (DEGREES, SHIFT), draft)

    def run(count: int) -> int:
        return sum(len(x) for x in loader)

    return run


def _bytes(files: list[str]) -> float:
    return float(np.mean([Path(file).stat().st_size for file in set(files)]))
