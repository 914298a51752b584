"""equity_jax: who is served worse by a model, how sure we are, and what helps.

The face of the package. Importing it is quick: libraries are loaded on first use.

    >>> import equity_jax as ej
    >>> deaths = ej.load("deaths", twin=ej.Twin(months=16))
    >>> found = ej.sweep(deaths, schemes=("mixture", "alone"), seeds=1, steps=50)
    >>> report = ej.audit(ej.predictions(deaths, found), attributes="race",
    ...                   reference=deaths.spec.reference)
"""

from typing import TYPE_CHECKING, Any

from equity_jax.config import Config, Data, Train, Twin

if TYPE_CHECKING:
    from equity_jax.audit import audit
    from equity_jax.inference import Network
    from equity_jax.nouns import Model
    from equity_jax.results import Swept
    from equity_jax.run import run
    from equity_jax.train import fit
    from equity_jax.types import Dataset, Predictions

__version__ = "0.1.0"
__all__ = [
    "Config",
    "Data",
    "Train",
    "Twin",
    "audit",
    "fit",
    "load",
    "load_run",
    "model",
    "predictions",
    "run",
    "sweep",
]
# audit and run are modules that answer calls (see face.py).
LAZY = {"audit": "audit", "run": "run", "fit": "train"}


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module 'equity_jax' has no attribute {name!r}")
    import importlib

    module = importlib.import_module(f"equity_jax.{LAZY[name]}")
    return getattr(module, name) if name == "fit" else module


def load(name: str = "deaths", source: str = "", **fields: Any) -> "Dataset":
    """A data set by its registry name; an empty source means its simulated twin.

    fields: any of config.Data, such as `level="nation"`.

    Example:
        >>> load("deaths").spec.simulated
        True
    """
    from equity_jax.data import DATASETS

    return DATASETS.get(name, Data(name=name, source=source, **fields))


def load_run(path: str, name: str = "") -> "Network":
    """The best network of a finished run on images, ready to `predict`.

    name: another of its networks, as its report calls it, or an architecture. New rows
    of a table (a run of deaths_transfer) are scored by `python -m scripts.predict`.

    Raises:
        InputError: no run, an unfinished one, one that trained no image network, or a
            name that it does not have.

    Example:
        >>> load_run("runs/cxr").predict("images")  # doctest: +SKIP
    """
    from equity_jax import networks, store

    return networks.load(store.load(path), name)


def model(name: str, outputs: int = 1, constants: int = 0) -> "Model":
    """A model by its registry name: `model("mlp(64, 64)")`.

    Example:
        >>> model("mlp(64, 64)").blocks
        ('layer0', 'layer1', 'head')
    """
    from equity_jax.models import MODELS

    return MODELS.get(name, outputs, constants)


def sweep(dataset: "Dataset", model: str = "mlp(64, 64)", **fields: Any) -> "Swept":
    """Fits seeds × methods × schemes × groups on a data set, in memory.

    fields: any of config.Train, such as `methods=("erm", "group_dro")`.

    Example:
        >>> sweep(load("deaths"), steps=100).choices.table.shape  # doctest: +SKIP
        (15, 12)
    """
    from equity_jax.config import Model as ModelConfig
    from equity_jax.run import sweep as fit_all

    return fit_all(Config(model=ModelConfig(model), train=Train(**fields)), dataset)


def predictions(
    dataset: "Dataset", swept: "Swept", data: Data | None = None
) -> "Predictions":
    """The stitched systems of a sweep on the test rows, as `audit` reads them.

    data: the config.Data that the data set was loaded with (default: the default).
    """
    from equity_jax.results import held_out, tested

    config = Config(data=data or Data())
    return tested(config, *held_out(dataset, swept), swept)
