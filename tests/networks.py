"""Image networks of random parameters, and a finished run of them, in no time."""

from pathlib import Path

import jax
import numpy as np

from equity_jax.calibration import Calibration
from equity_jax.config import Config, Data, Images
from equity_jax.inference import Network
from equity_jax.models import MODELS
from equity_jax.networks import network, save
from equity_jax.store import FILES, open_run
from equity_jax.train import Weights

SIZE, CLASSES = 32, ("COVID", "Normal", "Viral")
SCALE = Calibration(0.5, np.array([0.1, 0.0, -0.1]))


def untrained(
    seed: int, architecture: str = "cnn_small", equalize: str = ""
) -> Network:
    """A network of random parameters; the head's are large, so that answers differ."""
    x = np.zeros((1, SIZE, SIZE, 1), np.uint8)
    model = MODELS.get(architecture, len(CLASSES), 0)
    made = jax.jit(model.init)(jax.random.key(seed), x)
    params, stats = jax.tree.map(np.array, made)
    params["head"]["dense"]["kernel"] *= 100
    recipe = {"size": SIZE, "equalize": equalize, "classes": CLASSES}
    weights = Weights(params, stats)
    name = f"{architecture} scratch | seed {seed}"
    return network(name, architecture, CLASSES, recipe, weights, SCALE)


def finished_run(folder: Path, networks: list[Network]) -> Path:
    """A run directory with these networks, the best first; other files are empty."""
    images = Data(name="cxr", images=Images(size=SIZE))
    store = open_run(str(folder), Config(name="covid_cxr", data=images))
    save(store, networks)
    for name in FILES[1:]:
        store.write_text(name, "")
    store.finish()
    return folder
