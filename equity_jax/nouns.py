"""The nouns of the shelves: NamedTuples of pure functions. Letters as in types.py."""

from collections.abc import Callable
from typing import Any, NamedTuple

from equity_jax.types import Array, Batch, Output, Path, PyTree


class Task(NamedTuple):
    """What `y` means. Pure functions; the Method reduces what `nll` returns.

    nll:      (logits float[B, O], y) -> float[B, K], one value per example, unmasked
    predict:  (logits, y) -> float[B, C]: probabilities; for counts the expected share
    class_of: y -> int[B, K] in 0..C-1, or -1 where the class cannot be decided
    start:    (y, mask float[N, K]) -> float[O], the best logits that ignore x: where a
              fresh head's bias begins
    outputs:  logits that depend on x; constants: free logits that do not (dispersion)
    """

    name: str
    outputs: int
    constants: int
    classes: int
    nll: Callable[..., Array]
    predict: Callable[..., Array]
    class_of: Callable[..., Array]
    start: Callable[..., Array] | None = None


class Method(NamedTuple):
    """How rows and errors are weighed: pure functions, as in optax.

    sample: Counts -> float[C + 1, G + 1], draw rates (None: as found). A rate of r >= 1
            draws a row r times as often; r < 1 keeps that share of the cell's rows,
            chosen once per seed. The last slots are "class undecided", "not recorded".
    init:   Counts -> aux, what the method remembers (arrays)
    loss:   (aux, task, output, batch, strength) -> (scalar, aux)
    learn:  (key, F, Counts) -> what it learns beside the model from features of width
            F. It stands in aux["learned"], and the loss itself moves it on; None:
            nothing
    mix:    (aux, key, task, Batch) -> Batch, the rows as the model sees them; y may
            become Mixed; None: as they were drawn
    radius: aux -> float, how far up the slope the gradient is taken (SAM); None: here
    newest: (aux, spent) -> float in (0, 1], the share of the newest weights in the
            average that is judged and kept; None: no average, the weights themselves
    forget: (aux, spent) -> bool, whether the optimizer forgets its moments before this
            step; None: never
    rival:  whether a second network of the same kind learns beside the first, from the
            same loss, which finds its logits in output.taps["rival"]
    dear:   whether the loss costs more than a step of a small model (pairs of rows)
    """

    sample: Callable[..., Any]
    init: Callable[..., PyTree]
    loss: Callable[..., tuple[Array, PyTree]]
    learn: Callable[..., PyTree] | None = None
    mix: Callable[..., Batch] | None = None
    radius: Callable[[PyTree], Array] | None = None
    newest: Callable[[PyTree, Array], Array] | None = None
    forget: Callable[[PyTree, Array], Array] | None = None
    rival: bool = False
    dear: bool = False


class Lesson(NamedTuple):
    """What a stage learns of the training rows from the model of the stage before.

    weight: float[N], how often each is drawn, times the method's own rate; group:
    int[N], groups in place of the recorded ones (-1 = none), or None: as recorded.
    """

    weight: Array
    group: Array | None = None


class Stage(NamedTuple):
    """One fit of a scheme: whose rows, what is carried over, which leaves move.

    rows:   (group int[N], target int, reference int) -> bool[N]
    carry:  Path -> bool, leaves taken from the stage before (the first: none)
    rate:   (Path, blocks) -> float, multiplies the learning rate; 0 freezes
    steps:  share of train.steps
    align:  weight of the CCSA loss against the reference group's rows (0: none)
    objective: "task", or "autoencode" (denoising reconstruction of x)
    method: its own, a registry string; "" = the run's
    lesson: (key, task, logits float[N, O], rows Batch, mine bool[N], groups int) ->
            Lesson, from what the stage before says of the training rows (mine: those of
            this stage); None: nothing
    """

    rows: Callable[..., Array]
    carry: Callable[[Path], bool]
    rate: Callable[[Path, tuple[str, ...]], float]
    steps: float = 1.0
    align: float = 0.0
    objective: str = "task"
    method: str = ""
    lesson: Callable[..., Lesson] | None = None


class Scheme(NamedTuple):
    """A tuple of Stages, and who is fitted by it.

    stages: for every group but the reference; home: for the reference group itself;
    pooled: one run for all groups (target -1, stages only).
    """

    stages: tuple[Stage, ...]
    home: tuple[Stage, ...] = ()
    pooled: bool = False


class Model(NamedTuple):
    """x -> logits, features, as pure functions.

    init:   (key, x float[B, ...]) -> (params, stats)
    apply:  (params, stats, x, train, key) -> (Output, stats); train: True, False, or
            for models of many blocks the names of those in training mode
    blocks: top-level names of params, shallow to deep; the last is "head"
    tail:   (params, stats, name, tap float[B, h, w, c]) -> logits: what follows a named
            tap, in evaluation mode (Grad-CAM is its gradient); None: taps are not cut
    at:     shape -> the same Model with the `init` of one of the shapes that it holds;
            None: it has one shape only
    """

    init: Callable[..., tuple[PyTree, PyTree]]
    apply: Callable[..., tuple[Output, PyTree]]
    blocks: tuple[str, ...]
    tail: Callable[..., Array] | None = None
    at: Callable[[str], "Model"] | None = None
