"""An import check: a real COVID network, read from its own file, on real images.

    python -m experiments.covidcxnet --data=DIR [--out=FILE.csv]

DIR/checkpoints/covidcxnet*.safetensors (COVID-CXNet's base model, armiro/COVID-CXNet,
MIT) is read with the Keras config beside it into our `cnn`. It scores the COVID and
Normal images of DIR/cxr_radiography, resized to its own 400 pixels and divided by 255,
as its authors' code does (global equalization first gives the same to 0.01, CLAHE 0.02
to 0.04 less). Expected in 10 s, AUROC of the COVID images of a source against all
Normal ones:

    source       COVID images  AUROC  95 % interval (DeLong, by patient)
    covid-cxnet           164  0.968  0.947 to 0.981
    hannover              180  0.970  0.940 to 0.985
    ieee8023               93  0.987  0.980 to 0.992

What this shows is that the weights came in whole. It does not show that the network
finds COVID: no source holds both classes, the Normal images are of children, and
covid-cxnet is the collection that the network was trained on.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from absl import flags

from equity_jax import audit
from equity_jax.config import Data, Images
from equity_jax.data import DATASETS
from equity_jax.files import write_csv
from equity_jax.models import keras_config
from equity_jax.models.pretrained import load, read
from equity_jax.types import Array, Dataset, InputError, Predictions
from experiments.launch import exit_codes, parse, use_cache

NET, IMAGES = "checkpoints/covidcxnet*.safetensors", "cxr_radiography"
CLASSES = "COVID=COVID,Normal=Normal,Viral Pneumonia="
BATCH = 32
SHOWN = {
    "group": "source",
    "positives": "covid",
    "value": "auroc",
    **{name: name for name in ("low", "high", "interval", "status")},
}
SAID = (
    "no source holds both classes, the Normal images are of children, and covid-cxnet"
    " is the network's own collection: this checks the import, not the network"
)


def covidcxnet_check(data: str) -> pd.DataFrame:
    """AUROC of each source's COVID images against the Normal ones; one row a source.

    Raises:
        InputError: the checkpoint or the images are not below `data`.

    Example:
        >>> covidcxnet_check("data")["auroc"].min() > 0.9  # doctest: +SKIP
        True
    """
    found = sorted(Path(data).glob(NET))
    if not found:
        raise InputError(f"{data} has no {NET}")
    config = Data(name="cxr", source=str(Path(data) / IMAGES))
    score, size = network(found[0])
    config.images = Images(size=size, classes=CLASSES, alike=-1)
    dataset = DATASETS["cxr"](config, seed=0)
    return by_source(dataset, score)


def network(file: Path) -> tuple[Array, int]:
    """The network as a function of uint8[B, S, S, 1] to logits float[B, 1]; and S.

    Raises:
        InputError: a leaf of the network is not in the file.
    """
    source = read(file)
    plan = keras_config.plan(source.facts.get("config", {}), file.name)
    model = keras_config.model(plan)
    x = np.zeros((1, *plan.shape), np.uint8)
    start = jax.jit(model.init)(jax.random.key(0), x)
    params, stats, diff = load(source, "cnn", model, *start, head=True)
    if diff.fresh:
        raise InputError(f"{file} does not hold the whole network: {diff}")
    key = jax.random.key(0)
    apply = jax.jit(lambda x: model.apply(params, stats, x, False, key)[0].logits)
    return apply, plan.shape[0]


def by_source(dataset: Dataset, score: Array) -> pd.DataFrame:
    """AUROC of each source's COVID images against all Normal ones of other sources."""
    rows = len(dataset.x)
    index = np.resize(np.arange(rows), (-(-rows // BATCH), BATCH))  # the last wraps
    logits = [score(np.asarray(dataset.x[some])) for some in index]
    prob = jax.nn.sigmoid(np.concatenate(logits)[:rows].astype(np.float64))
    covid = dataset.spec.classes.index("COVID")
    y = (np.asarray(dataset.y) == covid).astype(float)
    predictions = Predictions(
        np.asarray(prob)[None],
        y,
        np.ones_like(y),
        {"source": dataset.attributes["source"]},
        dataset.id,
        dataset.patient,
        [{"run": 0, "seed": 0, "method": "covidcxnet", "scheme": "imported"}],
    )
    report = audit(predictions, attributes="source", metrics=("auroc",), replicates=2)
    table = report.table
    asked = (table["metric"] == "xauc_positives") & (table["contrast"] == "cross")
    asked &= (table["reference"] == "everyone else") & (table["positives"] > 0)
    return table.loc[asked, list(SHOWN)].rename(columns=SHOWN).reset_index(drop=True)


def main(argv: Sequence[str]) -> None:
    """Reads the flags, checks, prints the table and what it does not show."""
    values = flags.FlagValues()
    for name, text in (
        ("data", "the folder that holds checkpoints/ and cxr_radiography/"),
        ("out", "a CSV for the table"),
    ):
        flags.DEFINE_string(name, None, text, flag_values=values)
    rest = parse(values, argv, __doc__, ("data",))
    if rest:
        raise InputError(f"unexpected argument {json.dumps(rest[0])}")
    use_cache()
    table = covidcxnet_check(values.data)
    print(f"{table.round(3).to_string(index=False)}\n{SAID}")
    if values.out:
        write_csv(Path(values.out), table)


if __name__ == "__main__":
    sys.exit(exit_codes(main))
