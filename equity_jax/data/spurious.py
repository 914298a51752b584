"""SIMULATED table in which an attribute goes along with the class, but not always.

Background a agrees with class y (both 0 or 1) in `agree` of all rows, in every split.
Features are normal with unit variance: four of them have mean ± core / 4 by the class,
four have mean ± spurious / 4 by the background, the rest tell nothing. So the score
u = (sum of the first four) / 2 is N(± core / 2, 1) by the class, and v of the next four
N(± spurious / 2, 1) by the background; all that x says of y is in (u, v):

    log odds(y | x) = log odds(y) + core u + log((r e^(s v / 2) + (1 - r) e^(-s v / 2))
                                               / ((1 - r) e^(s v / 2) + r e^(-s v / 2)))

with s = spurious, r = agree. Whoever minimizes the mean error learns that, and is wrong
where a and y disagree. Where all four cells (y, a) weigh the same only core u is left,
and no score does better in its worst cell than Phi(core / 2), which is the same in all.
As in the planted backgrounds of Sagawa et al., "Distributionally robust neural networks
for group shifts", ICLR 2020.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from equity_jax.config import Data, Spurious
from equity_jax.data import base
from equity_jax.keys import generator
from equity_jax.types import TEST, TRAIN, VALID, Dataset, InputError, Spec

SIGNS = 4  # features that tell the class, and as many that tell the background
CLASSES, GROUPS = ("absent", "present"), ("usual", "unusual")


def load(
    config: Data,
    *,
    seed: int = 0,
    recipe: Mapping[str, Any] | None = None,
    history: pd.DataFrame | None = None,
) -> Dataset:
    """The table of config.spurious; groups are the backgrounds, patients are rows.

    Args:
        config: config.spurious; there is no source, so config.source must be empty.
        seed: not used; config.spurious.seed draws rows and splits.
        recipe: not used; there are no new rows to score.
        history: not used.

    Returns:
        x float32[N, F], y float32[N, 1]; recipe["truth"] is what `truth` says.

    Raises:
        InputError: a source, or a field of config.data.spurious out of its range.

    Example:
        >>> dataset = load(Data(name="spurious"))
        >>> dataset.x.shape, dataset.spec.groups
        ((9000, 24), ('usual', 'unusual'))
    """
    options = config.spurious
    if config.source:
        raise InputError(f"data.source={config.source}: spurious is simulated only")
    _check(options)
    sizes = options.train, options.valid, options.test
    split = np.repeat([TRAIN, VALID, TEST], sizes).astype(np.int8)
    rng, n = generator(options.seed, "spurious"), len(split)
    y = rng.random(n) < options.prevalence
    a = np.where(rng.random(n) < options.agree, y, ~y)
    x = rng.normal(size=(n, options.features))
    x[:, :SIGNS] += (y[:, None] - 0.5) * options.core / SIGNS**0.5
    x[:, SIGNS : 2 * SIGNS] += (a[:, None] - 0.5) * options.spurious / SIGNS**0.5
    background = np.array(GROUPS)[a.astype(int)]
    return base.check(
        Dataset(
            spec=_spec(options, y, a),
            x=x.astype(np.float32),
            y=y.astype(np.float32)[:, None],
            mask=np.ones((n, 1), np.float32),
            attributes={"background": background},
            split=split,
            id=np.arange(n).astype(str),
            patient=np.arange(n),
            recipe={"simulated": True, "truth": truth(options)},
            table=pd.DataFrame(
                {"finding": np.array(CLASSES)[y.astype(int)], "background": background}
            ),
        )
    )


def truth(options: Spurious) -> dict[str, Any]:
    """JSON-able: what a score that was learned without end reaches.

    core: accuracy in each of the four cells of u alone, Phi(core / 2), and its auroc
    Phi(core / sqrt 2) within each group: no score has a better worst cell. found: class
    -> background -> accuracy of the Bayes rule of the rows as found, what erm goes for.

    Example:
        >>> round(truth(Spurious())["core"]["accuracy"], 3)
        0.841
    """
    step = 1e-3
    noise = np.arange(-8, 8, step) + step / 2
    chance = norm.pdf(noise) * step
    agree, odds = options.agree, np.log(options.prevalence / (1 - options.prevalence))
    found: dict[str, dict[str, float]] = {}
    for y, name in enumerate(CLASSES):
        found[name] = {}
        for a, background in enumerate(GROUPS):
            lean = options.spurious * ((a - 0.5) * options.spurious + noise) / 2
            same = np.logaddexp(np.log(agree) + lean, np.log1p(-agree) - lean)
            other = np.logaddexp(np.log1p(-agree) + lean, np.log(agree) - lean)
            edge = -(odds + same - other) / options.core  # "present" where u is above
            right = norm.sf(edge - options.core / 2)
            wrong = norm.sf(edge + options.core / 2)
            found[name][background] = float(chance @ (right if y else 1 - wrong))
    core = norm.cdf([options.core / 2, options.core / 2**0.5])
    best = {"accuracy": float(core[0]), "auroc": float(core[1])}
    return {"core": best, "found": found}


def _check(options: Spurious) -> None:
    for name, low, high in (
        ("train", 8, 10**7),
        ("valid", 8, 10**7),
        ("test", 8, 10**7),
        ("features", 2 * SIGNS, 10**5),
        ("prevalence", 0.01, 0.99),
        ("agree", 0.01, 0.999),
        ("core", 0.01, 20),
        ("spurious", 0, 20),
    ):
        value = getattr(options, name)
        if not low <= value <= high:
            asked = f"expected {low} to {high}"
            raise InputError(f"data.spurious.{name}={value}; {asked}")


def _spec(options: Spurious, y: np.ndarray, a: np.ndarray) -> Spec:
    kinds = dict.fromkeys(("core", "spurious"), SIGNS)
    kinds["noise"] = options.features - 2 * SIGNS
    made = json.dumps(dataclasses.asdict(options), sort_keys=True)
    return Spec(
        name="spurious",
        task="binary",
        features=tuple(f"{kind}_{i}" for kind, n in kinds.items() for i in range(n)),
        targets=("finding",),
        classes=CLASSES,
        group="background",
        groups=GROUPS,
        reference=GROUPS[int(a[: options.train].mean() > 0.5)],
        unit="patient",
        simulated=True,
        fingerprint=hashlib.sha256(made.encode()).hexdigest()[:16],
        notes=(
            "SIMULATED: these are not real patients.",
            f"Background and class agree in {(y == a).mean():.1%} of the rows; the"
            " background says nothing else about the class.",
        ),
    )
