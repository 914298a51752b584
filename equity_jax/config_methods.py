"""The configuration of what compares methods: the protocol and the imbalance study."""

from dataclasses import dataclass


@dataclass
class Protocol:
    """How methods are tuned and compared: the same for all."""

    trials: int = 4  # draws of hyper-parameters a method, the paper's own the first
    entries: tuple[str, ...] = ()  # methods by name; empty: all
    rounds: int = 50  # of a constraint's multipliers, at most
    criterion: str = "worst_cell"  # what chooses the trial, on validation rows


@dataclass
class Imbalance:
    """The worlds of the imbalance study: what is made rare, and how rare."""

    rare: str = ""  # the class that is made rare; empty: of two the positive, else
    # the first (COVID)
    prevalence: tuple[float, ...] = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
    share: tuple[float, ...] = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)  # of smaller groups
    rows: tuple[int, ...] = (200, 500, 1000, 2000, 5000, 10000, 20000)  # of training
    least: int = 5  # rare rows, and rows of smaller groups, that a world needs
    mapped: tuple[str, ...] = (
        "erm",
        "oversample('both')",
    )  # methods of the two-way map
    curves: bool = True  # the section on the minority's sample size (tables only)
    draws: int = 6  # there: of every nested subset
    gap: float = 0.02  # there: in AUROC, small enough
    images: tuple[float, ...] = (0.3, 0.1, 0.03)  # prevalences, where x holds images
    weights: tuple[str, ...] = (  # methods there, each at every depth
        *("erm", "class_weighted", "oversample('class')", "undersample('class')"),
    )
    depths: tuple[str, ...] = ("full", "head_only", "last_blocks", "probe_then_full")
    steps: int = 150  # of an image network
    batch: int = 32
    lr: float = 1e-3
