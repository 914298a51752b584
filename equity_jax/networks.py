"""What a run keeps of its image networks, and how they are found again.

A run stores the best network of every architecture that it compared, in the order that
validation ranked them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from equity_jax.calibration import Calibration
from equity_jax.inference import Network
from equity_jax.models import MODELS, pretrained
from equity_jax.models.pretrained import Diff, expects
from equity_jax.nouns import Model
from equity_jax.registry import spelled
from equity_jax.store import Store
from equity_jax.train import Checkpoint, Weights, pack, unpack
from equity_jax.train.converted import load_converted
from equity_jax.train.leaves import blank as of_rows
from equity_jax.types import InputError

LISTED, SAVED = "checkpoints/networks.json", "network_{:03d}"


def network(
    name: str,
    architecture: str,
    classes: Sequence[str],
    recipe: Mapping[str, Any],
    weights: Weights,
    calibration: Calibration | None,
) -> Network:
    """A Network with its fingerprint."""
    fixed = name, architecture, tuple(classes), dict(recipe)
    return Network(*fixed, weights, calibration, digest(architecture, weights))


def digest(architecture: str, weights: Weights) -> str:
    """Twelve hex digits that change with any parameter or statistic."""
    found = hashlib.sha256(architecture.encode())
    for leaf in jax.tree.leaves(tuple(weights)):
        found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()[:12]


def save(store: Store, networks: Sequence[Network]) -> None:
    """Writes the parameters below checkpoints/, then checkpoints/networks.json."""
    saved, listed = Checkpoint(store.folder("checkpoints")), []
    for number, one in enumerate(networks):
        saved.save(SAVED.format(number), pack(tuple(one.weights)))
        facts = one._replace(calibration=one.calibration._asdict())._asdict()
        del facts["weights"]
        listed.append(facts)
    store.write_json(LISTED, {"networks": listed})


def holds(store: Store) -> bool:
    """Whether a finished run trained image networks."""
    return (store.path / LISTED).exists()


def load(store: Store, name: str = "") -> Network:
    """A network of a finished run: the best, or the one of that name.

    name: a system's name, or an architecture (its best network is meant).

    Raises:
        InputError: a run of another kind, no such network, or damaged parameters.

    Example:
        >>> load(store.load("runs/cxr"), "densenet201").classes  # doctest: +SKIP
        ('COVID', 'Normal', 'Viral Pneumonia')
    """
    if not holds(store):
        about = f"{store.path} holds no image network (no {LISTED})"
        raise InputError(
            f"{about}: it is a run of {store.config.name} on {store.config.data.name};"
            " python -m scripts.predict scores new rows of a table"
        )
    listed = store.read_json(LISTED)["networks"]
    asked = [
        i for i, n in enumerate(listed) if name in ("", n["name"], n["architecture"])
    ]
    if not asked:
        known = "; ".join(n["name"] for n in listed)
        raise InputError(f"{store.path} has no network {name!r}; known: {known}")
    facts = listed[asked[0]]
    facts["classes"] = tuple(facts["classes"])
    fitted = Calibration(**facts["calibration"])
    facts["calibration"] = fitted._replace(bias=np.asarray(fitted.bias))
    empty = Network(**facts, weights=None)
    weights = _weights(store, SAVED.format(asked[0]), blank(empty.model, empty.size))
    if digest(empty.architecture, weights) != empty.fingerprint:
        place = store.path / "checkpoints" / SAVED.format(asked[0])
        raise InputError(f"{place} holds other parameters than the run wrote there")
    return empty._replace(weights=weights)


def elsewhere(mine: Network, file: str, arch: str = "") -> tuple[Network, Diff]:
    """A network with the weights of a checkpoint, head included, in place of its own.

    Images are normalized as the file's maker does (models.pretrained.expects); what is
    written out in `arch`, such as "densenet121(normalize='unit')", wins ("" = the
    network's own architecture). The calibration belongs to other weights: it goes.

    Raises:
        InputError: a file that cannot be read or is of another architecture; a leaf,
            such as a head of as many outputs as there are classes, is not in it.

    Example:
        >>> other, diff = elsewhere(mine, "densenet121.pth")  # doctest: +SKIP
    """
    source = load_converted(file)
    name, _, written = MODELS.parse(arch or mine.architecture)
    own, _, options = MODELS.parse(mine.architecture)
    options = options if name == own else {}
    if source.kind == "ours" or not name.startswith("cnn"):
        options |= expects(source, name).options
    options |= written if arch else {}
    architecture = spelled(name, options)
    model = MODELS.get(architecture, len(mine.classes), 0)
    found = pretrained.load(source, name, model, *blank(model, mine.size), head=True)
    if found[2].fresh:
        leaf = found[2].fresh[0]
        raise InputError(
            f"{file}: {leaf.name} {list(leaf.shape)} of {architecture}: {leaf.note};"
            " to predict, every leaf must come from the checkpoint"
        )
    known = f"{name} from {Path(file).name}", architecture, mine.classes, mine.recipe
    return network(*known, Weights(*found[:2]), None), found[2]


def blank(model: Model, size: int) -> Weights:
    """Zeros in place of the parameters and statistics of a network for such images."""
    return of_rows(model, jax.ShapeDtypeStruct((1, size, size, 1), np.uint8))


def _weights(store: Store, item: str, like: Weights) -> Weights:
    saved = Checkpoint(store.path / "checkpoints")
    if item not in saved.names():
        raise InputError(f"{store.path}/checkpoints has no {item}: the run is damaged")
    return unpack(saved.load(item), like)
