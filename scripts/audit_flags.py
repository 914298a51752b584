"""The flags of scripts.audit, and what their texts mean."""

import csv
from collections.abc import Sequence
from typing import Any

from absl import flags

from equity_jax.audit.options import WORDS, Options
from equity_jax.types import InputError

TEXTS = {
    "predictions": "the CSV or CSV.gz to audit",
    "label": "column of the label, or several: A,B",
    "attributes": "columns that define groups: race,sex",
    "out": "the folder to write; it is made",
    "patient": "column of the patient, the unit of resampling",
    "unit": "what the patient column counts, if not patients",
    "split": "column that says train, valid or test",
    "id": "column that names the row",
    "system": "column that names the model, where each has rows of its own",
    "exposure": "column of the exposure: the label is a count",
    "weight": "column of row weights",
    "positive": "the text of the label that means 1",
    "reference": "groups to compare with: race:White,sex:F; default: the largest",
    "metrics": "auroc,recall,...; default: all",
    "threshold": "youden, f1, sens@0.9, spec@0.9 or cost@5, from the validation rows; "
    "or a number",
    "net_benefit": "threshold probabilities: 0.1,0.2",
}
NUMBERS = {
    "replicates": "of the bootstrap",
    "level": "of the intervals",
    "min_rows": "a group with fewer rows is suppressed",
    "seed": "of the bootstrap",
    "wanted": "the difference for which the rows needed are given",
}
SWITCHES = {
    "logits": "the scores are logits",
    "intersections": "also cross the attributes",
    "simulated": "marks the page SIMULATED",
    "quiet": "print nothing but errors",
}


def define() -> flags.FlagValues:
    """The flags; defaults are those of `equity_jax.audit`."""
    values = flags.FlagValues()
    for name, text in TEXTS.items():
        default = Options.threshold if name == "threshold" else ""
        flags.DEFINE_string(name, default, text, flag_values=values)
    text = "column of the score, or several; again, as NAME:column, for another model"
    flags.DEFINE_multi_string("score", [], text, flag_values=values)
    for name, text in NUMBERS.items():
        default = getattr(Options, name)
        whole = isinstance(default, int)
        make = flags.DEFINE_integer if whole else flags.DEFINE_float
        make(name, default, text, flag_values=values)
    for name, text in SWITCHES.items():
        flags.DEFINE_bool(name, name == "intersections", text, flag_values=values)
    for name, known, text in (
        ("adjustment", WORDS["adjustment"], "of p-values over metrics"),
        ("conflicts", WORDS["conflicts"], "for patients whose records disagree"),
        ("bad_scores", ("error", "leave_out"), "scores missing or not finite"),
    ):
        flags.DEFINE_enum(name, known[0], known, text, flag_values=values)
    return values


def settings(values: flags.FlagValues) -> dict[str, Any]:
    """The flags as arguments of `equity_jax.audit`.

    Raises:
        InputError: a list that cannot be read.

    Example:
        >>> values = define()
        >>> line = "audit --label=y --score=a:p --score=b:q --attributes=sex"
        >>> _ = values(line.split())
        >>> found = settings(values)
        >>> found["score"], found["attributes"], found["threshold"]
        ({'a': ['p'], 'b': ['q']}, ['sex'], '0.5')
    """
    same = (
        "patient",
        "unit",
        "split",
        "id",
        "system",
        "exposure",
        "weight",
        "positive",
    )
    same += ("threshold", "adjustment", "conflicts", *NUMBERS, *SWITCHES)
    return {name: values[name].value for name in same} | {
        "label": items("label", values.label),
        "score": scores(values.score),
        "attributes": items("attributes", values.attributes),
        "reference": references(values.reference),
        "metrics": items("metrics", values.metrics) or None,
        "net_benefit": [
            _number(text) for text in items("net_benefit", values.net_benefit)
        ],
        "on_bad_score": values.bad_scores,
    }


def items(flag: str, text: str) -> list[str]:
    """The items of a flag, commas between; one with a comma stands in double quotes.

    Raises:
        InputError: quotes that do not match.

    Example:
        >>> items("attributes", 'race,"age, years"')
        ['race', 'age, years']
    """
    try:
        found = next(csv.reader([text], skipinitialspace=True, strict=True), [])
    except csv.Error as error:
        raise InputError(f"--{flag}={text}: {error}") from error
    return [item.strip() for item in found if item.strip()]


def scores(texts: Sequence[str]) -> list[str] | dict[str, list[str]]:
    """What the --score flags say: columns, or model -> columns.

    Raises:
        InputError: a model twice, or one of several without a name.

    Example:
        >>> scores(["pA,pB"]), scores(["torch:prob", "risk"])
        (['pA', 'pB'], {'torch': ['prob'], 'risk': ['risk']})
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        name, colon, rest = text.partition(":")
        named = bool(colon) and '"' not in name  # a quoted column may have a colon
        columns = items("score", rest if named else text)
        if not named and len(texts) == 1:
            return columns
        if not columns or (not named and len(columns) > 1):
            raise InputError(f"--score={text}: expected NAME:column or NAME:column,...")
        name = name.strip() if named else columns[0]
        if name in found:
            raise InputError(f"--score: two models are called {name!r}")
        found[name] = columns
    return found


def references(text: str) -> str | dict[str, str]:
    """What --reference says: attribute -> group; or one group, of the first attribute.

    Raises:
        InputError: several groups, and one without its attribute.

    Example:
        >>> references("race:White,sex:F"), references("White")
        ({'race': 'White', 'sex': 'F'}, 'White')
    """
    found = [item.partition(":") for item in items("reference", text)]
    if len(found) == 1 and not found[0][1]:
        return found[0][0]
    for attribute, colon, group in found:
        if not (attribute and colon and group):
            raise InputError(f"--reference={text}: expected attribute:group,...")
    return {attribute.strip(): group.strip() for attribute, _, group in found}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"--net_benefit: {text!r} is not a number") from error
