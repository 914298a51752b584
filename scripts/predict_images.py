"""The part of scripts.predict that is about images: a table, overlays, an export."""

import contextlib
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.image import imsave

from equity_jax.audit.images.saliency import grad_cam
from equity_jax.files import atomic
from equity_jax.inference import Network, Scored
from scripts.places import file, folder, write_csv

LEAST = 256  # pixels of a side that an overlay has at least
COLORS, OPAQUE = "inferno", 0.75  # of the map; where it is 1


def predict_images(
    network: Network,
    source: str,
    out: str,
    gradcam: str = "",
    quiet: bool = True,
    *,
    layer: str = "",
    plus_plus: bool = False,
) -> str:
    """Writes the table `out`, the list of unreadable files beside it, and overlays.

    out: one row an image: id (its path in the folder), model, fingerprint, prob_CLASS,
    calibrated_CLASS (empty where the weights came from elsewhere), predicted. Beside
    F.csv stands F.unreadable.csv: id, reason. gradcam: a folder for ID.png, each whole
    as soon as it is there; the tables are written last. layer: the block that overlays
    explain, empty: the deepest; plus_plus: by Grad-CAM++. Returns a line for the user.

    Raises:
        InputError: nothing to read, not one image readable, an output that cannot be
            written, a layer that the network does not have.

    Example:
        >>> predict_images(ej.load_run("runs/cxr"), "new", "f.csv")  # doctest: +SKIP
        '1,204 images in f.csv by cnn_small scratch ... (fingerprint 7fa2c6d3e6ee)'
    """
    path = file(out)
    listing = path.with_suffix(".unreadable.csv")
    with folder(gradcam, "gradcam") if gradcam else contextlib.nullcontext() as maps:
        each = partial(draw, network, maps, layer, plus_plus) if maps else None
        table = network.predict(source, each=each, quiet=quiet)
        lost = table.attrs["unreadable"]
        table.insert(1, "model", network.name)
        table.insert(2, "fingerprint", network.fingerprint)
        columns = {"id": list(lost), "reason": list(lost.values())}
        write_csv(listing, pd.DataFrame(columns, dtype=object))
        write_csv(path, table)
    words = f"{len(table):,} images in {path} by {network.name}"
    words += f" (fingerprint {network.fingerprint})"
    if network.calibration is None:
        words += "; none is calibrated: these weights were not validated in the run"
    elif network.calibration.why:
        words += f"; the calibrated are as they were: {network.calibration.why}"
    if lost:
        words += f"; {len(lost):,} unreadable, listed in {listing}"
    return words + (f"; overlays in {maps}" if maps else "")


def draw(
    network: Network, maps: Path, layer: str, plus_plus: bool, part: Scored
) -> None:
    """Writes MAPS/ID.png of every image: itself beside Grad-CAM of what is predicted.

    A map that is zero everywhere, where no place speaks for the class, leaves the
    image gray.
    """
    classes = part.logits.argmax(1)
    args = *network.weights, part.x, classes, layer
    found = grad_cam(network.model, *args, plus_plus=plus_plus, batch=part.batch)
    for name, x, heat in zip(part.id, part.x[..., 0], found, strict=True):
        target = maps / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic(target) as whole:
            imsave(whole, beside(x, heat))


def beside(x: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image uint8[S, S] and, to its right, the map float[S, S] on it.

    Returns:
        uint8[T, 2T, 3], T the least whole multiple of S from LEAST on.

    Example:
        >>> beside(np.zeros((100, 100), np.uint8), np.zeros((100, 100))).shape
        (300, 600, 3)
    """
    gray = np.repeat(x[..., None] / 255.0, 3, axis=2)
    share = OPAQUE * np.sqrt(heat[..., None])  # as on the page
    shown = (1 - share) * gray + share * matplotlib.colormaps[COLORS](heat)[..., :3]
    both = np.concatenate([gray, shown], axis=1)
    times = -(-LEAST // len(x))
    both = both.repeat(times, 0).repeat(times, 1)
    return np.round(255 * both).astype(np.uint8)
