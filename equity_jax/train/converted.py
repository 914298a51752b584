"""A foreign checkpoint as one of ours: a folder that scripts.convert_weights writes.

DIR/weights (Orbax: every leaf that was found), facts.json (the architecture, the
factory's options, the source's name and sha256), diff.txt and diff.json. What the
source lacked is not in it: it stays fresh in whatever model takes it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from equity_jax.files import atomic, json_text
from equity_jax.models import MODELS, keras_config
from equity_jax.models.pretrained import (
    Checkpoint,
    Diff,
    expects,
    from_tree,
    load,
    read,
)
from equity_jax.nouns import Model
from equity_jax.train import checkpoint as orbax
from equity_jax.train.leaves import blank
from equity_jax.types import InputError, PyTree

ITEM, FACTS = "weights", "facts.json"
PIXELS = 224  # of a side, where the network itself does not say it


def convert(source: str | Path, arch: str, out: str | Path) -> Diff:
    """Reads `source`, writes the folder `out`; the head and all layers are kept.

    arch: a name of MODELS, with arguments that win over what the file expects
    ("densenet121(channels=1)"), or "cnn" where the file has a Keras config.

    Raises:
        InputError: as `read` and `load`; an unknown architecture; `out` cannot be
            written.

    Example:
        >>> print(convert("xrv.pt", "densenet121", "xrv"))  # doctest: +SKIP
    """
    found = read(source)
    model, facts, shape = _model(found, arch)
    params, stats = blank(model, np.zeros((1, *shape)))
    params, stats, diff = load(found, arch, model, params, stats, head=True)
    kept = {leaf.name for leaf in diff.matched}
    tree = _kept({"params": params, **stats}, kept)
    digest = hashlib.sha256(Path(source).read_bytes()).hexdigest()
    facts |= {"arch": arch, "file": Path(source).name, "sha256": digest}
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        orbax.Checkpoint(out).save(ITEM, tree)
        for name, text in (
            ("diff.txt", f"{diff}\n"),
            ("diff.json", json_text(_listed(diff))),
            (FACTS, json_text(facts)),
        ):
            with atomic(out / name) as path:
                path.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from error
    return diff


def load_converted(path: str | Path) -> Checkpoint:
    """A folder of `convert`, or any file that models.pretrained reads, as a source.

    `facts["options"]` and `facts["outputs"]` of a folder are what
    `models.pretrained.expects` returns of it.

    Raises:
        InputError: a folder that `convert` did not write; as `read`.

    Example:
        >>> load_converted("xrv").facts["options"]  # doctest: +SKIP
        {'normalize': 'xrv', 'channels': 1}
    """
    path = Path(path)
    if not path.is_dir():
        return read(path)
    saved = orbax.Checkpoint(path)
    if not (path / FACTS).is_file() or ITEM not in saved.names():
        raise InputError(f"{path} is not a folder that scripts.convert_weights wrote")
    facts = json.loads((path / FACTS).read_text("utf-8"))
    return from_tree(saved.load(ITEM), facts)


def _model(found: Checkpoint, arch: str) -> tuple[Model, dict[str, Any], tuple]:
    """The model that keeps all of the file, its facts, the shape of one image."""
    if arch == "cnn":
        if "config" not in found.facts:
            raise InputError(
                f"{found.facts['file']} has no Keras config; expected a .keras file, a "
                "whole-model .h5, or NAME.config.json beside it"
            )
        plan = keras_config.plan(found.facts["config"], found.facts["file"])
        options = {"normalize": plan.normalize, "channels": plan.shape[2]}
        facts = {"outputs": plan.outputs, "config": found.facts["config"]}
        return keras_config.model(plan), {**facts, "options": options}, plan.shape
    name, _, named = MODELS.parse(arch)
    expected = expects(found, arch, whole=True)
    facts = {"outputs": expected.outputs, "options": {**expected.options, **named}}
    try:
        model = MODELS[name](expected.outputs or 1, 0, **facts["options"])
    except TypeError as error:
        raise InputError(f"--arch={arch}: {error}") from error
    return model, facts, (PIXELS, PIXELS, facts["options"]["channels"])


def _kept(tree: PyTree, names: set[str], prefix: str = "") -> PyTree:
    kept = {}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        inner = _kept(value, names, f"{path}/") if isinstance(value, Mapping) else value
        if path in names or (isinstance(value, Mapping) and inner):
            kept[name] = inner
    return kept


def _listed(diff: Diff) -> dict[str, Any]:
    parts = ("matched", "adapted", "fresh", "left_over")
    leaves = {part: [x._asdict() for x in getattr(diff, part)] for part in parts}
    return {"file": diff.file, "arch": diff.arch, **leaves}
