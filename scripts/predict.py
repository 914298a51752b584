r"""Scores new rows with a finished run: later months of its table, or new images.

    python -m scripts.predict --run=RUN_DIR --source=PATH --out=FILE.csv
    python -m scripts.predict --run=RUN_DIR --source=FOLDER --out=FILE.csv \
        [--gradcam=DIR [--layer=BLOCK] [--plus_plus]] \
        [--network=NAME] [--checkpoint=FILE [--arch=ARCH]]
    python -m scripts.predict --run=RUN_DIR --export=FILE [--network=NAME]

A table: every row is scored by each selected system of the run (per scheme the method
that validation chose), with its own group's parameters where the scheme has them. What
earlier periods a row needs is taken from the new file and, where that lacks them, from
the history that the run stored.

Images: PATH is a folder with all that is below it, or one file; PNG, JPEG or DICOM of
any size and depth. One row an image: probabilities, the calibrated ones beside them,
the model's fingerprint; FILE.unreadable.csv lists the files that could not be read, and
why. The run's best network answers, or the one that --network names (by name or by
architecture), or this one with the weights of --checkpoint (torch, safetensors, Keras
or ours, head included). --gradcam draws each image beside where the network looked
(Grad-CAM, or Grad-CAM++, of the deepest block or of --layer).
--export writes the function itself as StableHLO, for jax on a CPU or GPU without this
package.

Exit codes: 0 done, though some images were unreadable; 2 the input or a flag is wrong
(one line on stderr), or not one image can be read.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from equity_jax import networks
from equity_jax.data import DATASETS
from equity_jax.forecasts import table
from equity_jax.models import MODELS
from equity_jax.results import load_systems
from equity_jax.store import load
from equity_jax.tasks import TASKS
from equity_jax.types import InputError
from experiments.launch import exit_codes, parse, use_cache
from scripts.places import file, write_csv
from scripts.predict_images import predict_images

FLAGS = {
    "run": "a finished run directory",
    "source": "the table, folder or image to score",
    "out": "the CSV to write",
}
OF_IMAGES = {
    "gradcam": "a folder for overlays, one an image",
    "layer": "the block that overlays explain; empty: the deepest",
    "network": "another network of the run, by its name or architecture",
    "checkpoint": "a file whose weights replace the network's, head included",
    "arch": "the checkpoint's model, where its arguments are not the usual ones",
    "export": "the StableHLO file to write",
}


def predict(run: str, source: str, out: str) -> str:
    """Writes the predictions of `source` to `out`; returns one line for the user.

    Raises:
        InputError: not a finished run, a file that its loader refuses, an output that
            cannot be written.

    Example:
        >>> predict("runs/cdc", "later.csv.gz", "scores.csv")  # doctest: +SKIP
        '7,920 rows × 10 systems in scores.csv'
    """
    store = load(run)
    config, about = store.tuned, store.read_json("data.json")
    history = None
    if (store.path / "history.csv").exists():
        history = store.read_csv("history.csv", dtype={"region": str, "period": str})
    if not source:
        raise InputError("--source=... is missing (a file to score)")
    config.data.source = source
    loader = DATASETS[config.data.name]
    dataset = loader(
        config.data, recipe=about["recipe"], history=history, seed=config.seed
    )
    task = TASKS.get(about["task"])
    model = MODELS.get(config.model.name, task.outputs, task.constants)
    systems, weights = load_systems(store, model, dataset.x[:1])
    frame = table(dataset, task, model, systems, weights, config.data)
    write_csv(Path(out), frame)
    return f"{len(dataset.x):,} rows × {len(systems)} systems in {out}"


def images(values: flags.FlagValues) -> list[str]:
    """What the flags ask of a run on images; returns lines for the user."""
    if values.arch and not values.checkpoint:
        raise InputError(f"--arch={values.arch} needs --checkpoint=FILE")
    if values.gradcam and not values.source:
        raise InputError(f"--gradcam={values.gradcam} needs --source=FOLDER")
    network, said = networks.load(load(values.run), values.network or ""), []
    if values.checkpoint:
        network, diff = networks.elsewhere(
            network, values.checkpoint, values.arch or ""
        )
        said.append(str(diff))
    if values.export:
        network.export(file(values.export, "export"))
        said.append(f"{network.name} ({network.fingerprint}) in {values.export}")
    if values.source:
        quiet = values.quiet or not sys.stderr.isatty()  # no progress bar in a log
        asked = values.source, values.out, values.gradcam or "", quiet
        how = {"layer": values.layer or "", "plus_plus": values.plus_plus}
        said.append(predict_images(network, *asked, **how))
    return said


def main(argv: Sequence[str]) -> None:
    """Reads the flags, scores, says what was written."""
    values = flags.FlagValues()
    for name, text in (FLAGS | OF_IMAGES).items():
        flags.DEFINE_string(name, None, text, flag_values=values)
    flags.DEFINE_bool("plus_plus", False, "Grad-CAM++", flag_values=values)
    flags.DEFINE_bool("quiet", False, "print nothing but errors", flag_values=values)
    rest = parse(values, argv, __doc__, ("run",))
    if rest:
        raise InputError(f"unexpected argument {json.dumps(rest[0])}")
    asked = [name for name in OF_IMAGES if values[name].value]
    scores = not values.export or values.source or values.out
    for name in ("source", "out"):
        if scores and not values[name].value:
            raise InputError(f"--{name}=... is missing ({FLAGS[name]})")
    if networks.holds(load(values.run)):
        use_cache()
        said = images(values)
    elif asked:
        what = f"--{asked[0]} is for runs on images; {values.run} is none"
        raise InputError(what)
    else:
        said = [predict(values.run, values.source, values.out)]
    if not values.quiet:
        print(*said, sep="\n")


if __name__ == "__main__":
    sys.exit(exit_codes(main))
