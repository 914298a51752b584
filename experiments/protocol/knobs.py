"""The one table of hyper-parameters, and how trials are drawn from it.

Trial 0 of every method has the settings of its paper. The others are drawn for each
(method, parameter, trial) by themselves: a new method, or another parameter, never
shifts what another one draws.
"""

from typing import Any, NamedTuple

import numpy as np

from equity_jax import keys

DIGITS = 3  # of a drawn number: what a table shows is what was run


class Knob(NamedTuple):
    """One hyper-parameter: the paper's value, and what the other trials draw from.

    default: of trial 0; low, high: 10^U(log10 low, log10 high), or U(low, high) where
    log is False; choices: drawn alike, in place of a range.
    """

    default: Any
    low: float = 0.0
    high: float = 0.0
    log: bool = True
    choices: tuple[Any, ...] = ()

    def draw(self, rng: np.random.Generator) -> Any:
        """One value.

        Example:
            >>> Knob(2.0, 0.5, 5.0, log=False).draw(np.random.default_rng(0))
            3.37
        """
        u = rng.random()
        if self.choices:
            return self.choices[int(u * len(self.choices))]
        if self.log:
            value = self.low * (self.high / self.low) ** u
        else:
            value = self.low + u * (self.high - self.low)
        return rounded(value)


def rounded(value: float) -> float:
    """To as many digits as a table shows.

    Example:
        >>> rounded(0.0123456)
        0.0123
    """
    return float(f"{value:.{DIGITS}g}")


EVERY = {
    "lr": Knob(1.0, 0.2, 5.0),  # times the study's own
    "weight_decay": Knob(1.0, 0.01, 100.0),
}
"""What every method tunes, as factors of config.train's."""

STRENGTH = Knob(1.0, 0.1, 10.0)  # DomainBed: 10^U(-1, 1)
BETA = Knob(0.9999, choices=(0.9, 0.99, 0.999, 0.9999))  # Cui et al. 2019, section 4
TAU = Knob(1.0, 0.5, 2.0, log=False)  # Menon et al. 2021: 1; figure 3 tries others
ROBUST = Knob(0.01, 1e-3, 1e-1)  # Sagawa et al. 2020; DomainBed: 10^U(-3, -1)
SLACK = Knob(0.01, 5e-3, 0.1)  # Agarwal et al. 2018: what a constraint may be missed by

KNOBS: dict[str, dict[str, Knob]] = {
    "effective_number": {"beta": BETA},
    "focal": {"gamma": Knob(2.0, 0.5, 5.0, log=False)},  # Lin et al. 2017, table 1
    "asymmetric_focal": {  # Ridnik et al. 2021, section 4
        "gamma_pos": Knob(0.0, choices=(0.0, 0.5, 1.0)),
        "gamma_neg": Knob(4.0, 1.0, 6.0, log=False),
        "clip": Knob(0.05, choices=(0.0, 0.05, 0.1, 0.2)),
    },
    "ldam": {  # Cao et al. 2019: re-weighted from epoch 160 of 200 on
        "margin": Knob(0.5, 0.1, 0.8),  # DomainBed: 10^U(-1, -0.1)
        "defer": Knob(0.8, 0.5, 0.9, log=False),
        "beta": BETA,
    },
    "logit_adjusted": {"tau": TAU},
    "label_smoothing": {"epsilon": Knob(0.1, 0.01, 0.3)},  # Szegedy et al. 2016: 0.1
    "auc_margin": {  # Yuan et al. 2021: margins of 0.1 to 1, rate 0.1
        "margin": Knob(1.0, choices=(0.1, 0.3, 0.5, 0.7, 1.0)),
        "rate": Knob(0.1, 0.01, 0.3),
    },
    "soft_average_precision": {"temperature": Knob(1.0, 0.1, 10.0)},  # of log-odds
    "group_dro": {  # Sagawa et al. 2020: C of 0 to 5
        "eta": ROBUST,
        "adjustment": Knob(0.0, choices=(0.0, 1.0, 2.0, 3.0, 4.0, 5.0)),
    },
    "cvar": {"alpha": Knob(0.1, 0.01, 1.0)},  # SubpopBench: 10^U(-2, 0)
    "chi2": {"rho": Knob(1.0, 0.1, 10.0)},  # Levy et al. 2020: 1
    "irm": {  # Arjovsky et al. 2019; DomainBed: 10^U(-1, 5), 500 of 5,000 steps
        "strength": Knob(100.0, 0.1, 1e5),
        "anneal": Knob(0.1, 2e-4, 1.0),
    },
    "vrex": {  # Krueger et al. 2021; DomainBed: the same ranges, 10
        "strength": Knob(10.0, 0.1, 1e5),
        "anneal": Knob(0.1, 2e-4, 1.0),
    },
    "coral": {"strength": STRENGTH},
    "mmd": {"strength": STRENGTH},
    "mindiff": {"strength": STRENGTH},  # Prost et al. 2019
    "dann": {"strength": Knob(1.0, 0.01, 100.0)},  # DomainBed: 10^U(-2, 2)
    "cdann": {"strength": Knob(1.0, 0.01, 100.0)},
    "laftr": {"strength": STRENGTH},  # Madras et al. 2018
    "arl": {"rate": Knob(0.01, 1e-3, 0.1)},  # Lahoti et al. 2020: of the adversary
    "sam": {"rho": Knob(0.05, 0.01, 0.5)},  # Foret et al. 2021, appendix C
    "swa": {"start": Knob(0.75, 0.5, 0.9, log=False)},  # Izmailov et al. 2018
    "ema": {"decay": Knob(0.999, choices=(0.9, 0.99, 0.999, 0.9999))},
    "mixup": {"alpha": Knob(0.2, 0.1, 10.0)},  # Zhang et al. 2018: 0.1 to 0.4
    "lisa": {  # Yao et al. 2022: alpha 2; SubpopBench: 10^U(-1, 1), p U(0, 1)
        "p": Knob(0.5, 0.0, 1.0, log=False),
        "alpha": Knob(2.0, 0.1, 10.0),
    },
    "lff": {"q": Knob(0.7, 0.05, 0.95, log=False)},  # Nam et al. 2020
    "jtt": {  # Liu et al. 2021: 4 to 100 times; SubpopBench: U(0.2, 0.8) of the steps
        "share": Knob(0.5, 0.2, 0.8, log=False),
        "extra": Knob(20.0, 4.0, 100.0),
    },
    "eiil": {"share": Knob(0.5, 0.2, 0.8, log=False)},  # Creager et al. 2021
    "lp_ft": {"scale": Knob(0.3, 0.03, 1.0)},  # Kumar et al. 2022: smaller, tuned
    "prior_correction": {"tau": TAU},
    "logit_adjustment": {"tau": TAU},
    "reduction": {"eps": SLACK},
}
"""Shelf name -> parameter -> Knob. What is not here has nothing to tune of its own."""


def draw(entry: str, parameter: str, knob: Knob, trial: int) -> Any:
    """The value of one parameter of one entry in one trial.

    Example:
        >>> draw("focal", "gamma", KNOBS["focal"]["gamma"], 0)
        2.0
    """
    if not trial:
        return knob.default
    return knob.draw(keys.generator(trial, "trial", f"{entry}/{parameter}"))


def settings(entry: str, part: str, trial: int) -> dict[str, Any]:
    """All parameters of a registry string in one trial of an entry.

    part: what the entry is made of, such as "mmd(given='')".

    Example:
        >>> settings("erm", "erm", 3)
        {}
    """
    knobs = KNOBS.get(part.split("(")[0], {})
    return {name: draw(entry, name, knob, trial) for name, knob in knobs.items()}


def spelled(part: str, values: dict[str, Any]) -> str:
    """A registry string with these values added to its arguments.

    Example:
        >>> spelled("mmd(given='')", {"strength": 1.0})
        "mmd(given='', strength=1.0)"
    """
    more = ", ".join(f"{name}={value!r}" for name, value in values.items())
    if not more:
        return part
    return f"{part[:-1]}, {more})" if part.endswith(")") else f"{part}({more})"
