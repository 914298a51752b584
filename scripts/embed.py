r"""Embeds images: the frozen features of a network, as Google ships its embeddings.

    python -m scripts.embed --run=RUN [--network=NAME] --source=IMAGES --out=DIR
    python -m scripts.embed --checkpoint=FILE|FOLDER [--arch=densenet121] [--size=224] \
        --source=IMAGES --out=DIR

The network is one that a run here trained (the best, or --network), or a checkpoint:
torch, safetensors or Keras, or a folder of scripts.convert_weights; its own head is not
used. --arch names the architecture of a checkpoint that does not say its own (a Keras
model of layers in a row does). Pixels are prepared as the network's maker does, at its
own size where it has one. IMAGES is a folder as the studies of X-rays take it: a folder
a class, a table, NIH, CheXpert, DICOM, or just images.

DIR then holds files/pNN/pSUBJECT/sSTUDY/ID.tfrecord with image/id and embedding
(--layout=shards: many records a file; --layout=npz), SHA256SUMS.txt, about.json (what
made them), unreadable.csv (what could not be read, and why) and table.csv: id, patient,
label, split (blank: not fixed by the data), sex, age, view and source as recorded,
file. Images named as MIMIC-CXR-JPG's keep their ids, and join MIMIC's tables. A run
that was killed goes on where it was when it is started again, and leaves the same
bytes.

Real X-rays from end to end; DATA holds cxr_radiography, cxr_covid and checkpoints. By
the real COVID network (10 features), COVID against normal:

    python -m scripts.embed --source=DATA/cxr_radiography --out=emb/covidcxnet \
        --checkpoint=$(ls DATA/checkpoints/covidcxnet*.safetensors)
    python -m experiments.ef_embeddings --workdir=runs/covidcxnet \
        --config.data.source=emb/covidcxnet \
        --config.data.embeddings.label="COVID|Normal" \
        --config.cost.images=DATA/cxr_radiography --config.cost.size=64

By a network trained here, on children without COVID; COVID against other findings of
adults, by sex and by age:

    python -m experiments.covid_cxr --workdir=runs/children \
        --config.data.source=DATA/cxr_radiography \
        --config.data.images.classes="COVID=" --config.arms.scratch=cnn_deep \
        --config.arms.transfer= --config.arms.crossed=
    python -m scripts.embed --run=runs/children --source=DATA/cxr_covid --out=emb/adults
    for group in sex age; do
        python -m experiments.ef_embeddings --workdir=runs/adults_$group \
            --config.data.source=emb/adults --config.data.embeddings.label=COVID \
            --config.data.group=$group --config.data.test=0.4 \
            --config.audit.min_rows=5 --config.cost.images=DATA/cxr_covid \
            --config.cost.size=64
    done

In the first COVID and Normal come from other sources and ages, and a part of the COVID
images trained the network. The second has 356 images of 137 patients, 75 of them
without COVID: its intervals are wide.

Exit codes: 0 done, though some images were unreadable; 2 the input or a flag is wrong.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from equity_jax import networks
from equity_jax.arms import imported
from equity_jax.config import Config, Data, Images
from equity_jax.models import MODELS, keras_config, pretrained
from equity_jax.nouns import Model
from equity_jax.store import load
from equity_jax.train import Weights
from equity_jax.train.converted import PIXELS, load_converted
from equity_jax.types import InputError
from experiments.launch import exit_codes, parse, use_cache
from scripts.embed_folder import Backbone
from scripts.embed_images import LAYOUTS, embed
from scripts.places import folder

FLAGS = {
    "run": "a finished run on images, whose network embeds",
    "network": "another network of the run than the best, by name or architecture",
    "checkpoint": "or a checkpoint: a file, or a folder of scripts.convert_weights",
    "arch": "the checkpoint's model, such as densenet121",
    "source": "the folder of images",
    "out": "the folder to write",
}


def of_run(run: str, name: str = "") -> Backbone:
    """The network of a finished run: the best, or the one of that name.

    Raises:
        InputError: as networks.load.

    Example:
        >>> of_run("runs/cxr").size  # doctest: +SKIP
        48
    """
    one = networks.load(load(run), name)
    how = one.size, one.recipe.get("equalize", ""), one.fingerprint
    return Backbone(one.name, one.architecture, one.model, one.weights, *how)


def of_checkpoint(file: str, arch: str = "", size: int = 0) -> Backbone:
    """The trunk of a checkpoint. size: pixels of a side; 0: its own, or PIXELS.

    Raises:
        InputError: a file that cannot be read, or lacks a leaf of the trunk; no `arch`
            where the file does not say it.

    Example:
        >>> of_checkpoint("covidcxnet.safetensors").size  # doctest: +SKIP
        400
    """
    facts, name = load_converted(file).facts, Path(file).name
    arch = arch or facts.get("arch", "cnn" if "config" in facts else "")
    if not arch:
        raise InputError(f"{file} does not say its architecture; --arch=... is missing")
    if arch == "cnn":
        model, weights, size = in_a_row(file, size)
    else:
        size = size or PIXELS
        start = imported(Config(data=Data(images=Images(size=size))), arch, file)
        arch, weights = start.model, start.weights
        model = MODELS.get(arch, 1, 0)
    print_ = networks.digest(arch, weights)
    return Backbone(f"{arch} of {name}", arch, model, weights, size, "", print_)


def in_a_row(file: str, size: int) -> tuple[Model, Weights, int]:
    """A Keras model of layers in a row, its weights, and pixels of a side.

    Raises:
        InputError: no Keras config; a leaf that is not in the file.

    Example:
        >>> in_a_row("covidcxnet.safetensors", 0)[2]  # doctest: +SKIP
        400
    """
    source = load_converted(file)
    plan = keras_config.plan(source.facts.get("config", {}), Path(file).name)
    model, size = keras_config.model(plan), size or plan.shape[0] or PIXELS
    empty = networks.blank(model, size)
    params, stats, diff = pretrained.load(source, "cnn", model, *empty)
    if not diff.complete:
        raise InputError(f"{file} does not hold the whole network: {diff}")
    return model, Weights(params, stats), size


def backbone(values: flags.FlagValues) -> Backbone:
    """What the flags name.

    Raises:
        InputError: neither or both of --run and --checkpoint, a flag of the other.
    """
    if bool(values.run) == bool(values.checkpoint):
        raise InputError(
            "--run=... or --checkpoint=... is needed, and only one of them"
        )
    mine, others = (
        ("run", ("arch", "size")) if values.run else ("checkpoint", ("network",))
    )
    for name in others:
        if values[name].value:
            raise InputError(f"--{name}={values[name].value} does not go with --{mine}")
    if values.run:
        return of_run(values.run, values.network or "")
    return of_checkpoint(values.checkpoint, values.arch or "", values.size)


def main(argv: Sequence[str]) -> None:
    """Reads the flags, embeds, says what was written."""
    values = flags.FlagValues()
    for name, text in FLAGS.items():
        flags.DEFINE_string(name, None, text, flag_values=values)
    known = ", ".join(LAYOUTS)
    flags.DEFINE_string("layout", LAYOUTS[0], known, flag_values=values)
    about = "pixels of a side; 0: the network's own, or 224"
    flags.DEFINE_integer("size", 0, about, flag_values=values)
    flags.DEFINE_integer("batch", 32, "images at a time", flag_values=values)
    flags.DEFINE_bool("quiet", False, "print nothing but errors", flag_values=values)
    rest = parse(values, argv, __doc__, ("source", "out"))
    if rest:
        raise InputError(f"unexpected argument {json.dumps(rest[0])}")
    use_cache()
    quiet = values.quiet or not sys.stderr.isatty()  # no progress bar in a log
    how = {"layout": values.layout, "batch": values.batch, "quiet": quiet}
    net = backbone(values)
    with folder(values.out) as out:
        said = embed(net, values.source, out, **how)
    if not values.quiet:
        print(said)


if __name__ == "__main__":
    sys.exit(exit_codes(main))
