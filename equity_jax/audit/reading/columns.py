"""Which column of somebody's table means what, and what kind of label that makes."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from equity_jax.types import InputError

Names = str | Sequence[str]
SEVERAL = "model"  # what a model is called whose scores fill several columns


@dataclass(frozen=True)
class Columns:
    """The names of the columns; "" or () = there is none.

    label: one column, or one a label. score: one column a label, or one a class (one
    label whose column names the class); a dict model -> such columns for several models
    on the same rows. system: the column that names the model, where each has rows of
    its own (needs id). exposure: given for counts: the label is then a count and the
    score its expectation. weight: of rows. classes: the classes of the score columns,
    in their order, where the columns' names do not say.

    Example:
        >>> Columns("y", {"torch": "prob", "vendor": "risk"}, ("race", "sex")).kind
        'binary'
    """

    label: Names
    score: Names | Mapping[str, Names]
    attributes: Names = ()
    patient: str = ""
    split: str = ""
    id: str = ""
    system: str = ""
    exposure: str = ""
    weight: str = ""
    classes: Sequence[str] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The label columns."""
        return several(self.label)

    @property
    def groups(self) -> tuple[str, ...]:
        """The attribute columns."""
        return several(self.attributes)

    @property
    def models(self) -> dict[str, tuple[str, ...]]:
        """Model -> its score columns. One without a name is called after its column."""
        if isinstance(self.score, Mapping):
            return {str(name): several(found) for name, found in self.score.items()}
        scores = several(self.score)
        return {scores[0] if len(scores) == 1 else SEVERAL: scores}

    @property
    def kind(self) -> str:
        """What the labels are: "binary", "multilabel", "multiclass" or "count"."""
        if self.exposure:
            return "count"
        if len(self.labels) > 1:
            return "multilabel"
        widths = {len(scores) for scores in self.models.values()}
        return "binary" if widths == {1} else "multiclass"

    @property
    def used(self) -> tuple[str, ...]:
        """Every column that is read, once."""
        scores = (score for scores in self.models.values() for score in scores)
        single = (self.patient, self.split, self.id, self.system)
        more = (self.exposure, self.weight)
        every = (*self.labels, *scores, *self.groups, *single, *more)
        return tuple(dict.fromkeys(name for name in every if name))

    def check(self) -> "Columns":
        """These columns, if they fit together.

        Raises:
            InputError: a label or score is lacking, a column is given twice, the
                numbers of labels, scores and classes do not fit.
        """
        if not self.labels or not self.models or not all(self.models.values()):
            raise InputError("name at least one label column and one score column")
        for word, names in (("label", self.labels), ("attribute", self.groups)):
            _once(word, names)
        for model, scores in self.models.items():
            _once("score", scores)
            both = set(scores) & set(self.labels)
            if both:
                raise InputError(f"column {min(both)!r} is both label and score")
            self._fit(model, len(scores))
        if self.system and len(self.models) > 1:
            raise InputError("system= names the models: give one score, not several")
        if self.system and not self.id:
            words = "needs id=, by which the models' rows are matched"
            raise InputError(f"system={self.system!r} {words}")
        if self.classes and self.kind != "multiclass":
            raise InputError("classes= goes with one label and a score for each class")
        return self

    def _fit(self, model: str, scores: int) -> None:
        """One score a label; or one label and three or more classes."""
        labels, kind = len(self.labels), self.kind
        if kind == "count" and (labels, scores) != (1, 1):
            raise InputError("a count with exposure= has one label and one score")
        if kind == "multilabel" and labels != scores:
            raise InputError(
                f"{labels} labels but {scores} score columns of {model!r}; "
                "expected one score a label, in the same order"
            )
        if kind == "multiclass" and scores == 2:
            raise InputError(
                "one label and two scores: give the positive class's score alone, or "
                "name two models with model:column"
            )
        expected = len(self.classes) or max(map(len, self.models.values()))
        if kind == "multiclass" and scores != expected:
            raise InputError(
                f"{scores} score columns of {model!r}; expected {expected}, one a class"
            )


def several(names: Names) -> tuple[str, ...]:
    """One name or more as a tuple; "" is none.

    Example:
        >>> several("race"), several(["race", "sex"]), several("")
        (('race',), ('race', 'sex'), ())
    """
    return ((names,) if names else ()) if isinstance(names, str) else tuple(names)


def class_names(scores: Sequence[str]) -> tuple[str, ...]:
    """What tells the score columns apart: the words before or after are cut off.

    Example:
        >>> class_names(["p_COVID", "p_Cold", "p_Viral"])
        ('COVID', 'Cold', 'Viral')
        >>> class_names(["Normal prob", "Viral prob"])
        ('Normal', 'Viral')
    """
    start = re.match(r".*[\W_]|", os.path.commonprefix(scores), re.S)[0]
    shorter = [name.removeprefix(start) for name in scores]
    mirrored = os.path.commonprefix([name[::-1] for name in shorter])
    end = re.match(r".*[\W_]|", mirrored, re.S)[0][::-1]
    names = tuple(name.removesuffix(end) for name in shorter)
    return names if all(names) else tuple(scores)


def _once(word: str, names: Sequence[str]) -> None:
    for name in names:
        if list(names).count(name) > 1:
            raise InputError(f"{word} {name!r} is given twice")
