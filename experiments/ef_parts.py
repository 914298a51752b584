"""What sections of the embeddings page share: names of remedies, the planted truth."""

import re
from collections.abc import Mapping
from typing import Any

from equity_jax.systems import POOLED
from equity_jax.types import Dataset

METHODS = {
    "erm": "no weights",
    "class_weighted": "weights by class",
    "group_weighted": "weights by group",
    "oversample": "oversampling",
    "undersample": "undersampling",
    "effective_number": "effective numbers",
    "focal": "focal loss",
    "hinge": "hinge loss",
    "group_dro": "group DRO",
}
SCHEMES = {
    POOLED: "one head for all",
    "alone": "each group its own head",
    "transfer": "the reference's head, tuned on each group",
}


def method_name(method: str) -> str:
    """A method in words.

    Example:
        >>> method_name("oversample('group')"), method_name("erm")
        ('oversampling by group', 'no weights')
    """
    name, _, rest = method.partition("(")
    by = re.match(r"'(\w+)'\)", rest)
    words = METHODS.get(name, method)
    return f"{words} by {by[1]}" if by and name in METHODS else words


def remedy_name(method: str, scheme: str, plain: str) -> str:
    """A system in words, the plain method under no name of its own.

    Example:
        >>> remedy_name("erm", "mixture", "erm"), remedy_name("erm", "alone", "erm")
        ('plain', 'each group its own head')
    """
    if scheme == POOLED:
        return "plain" if method == plain else method_name(method)
    words = SCHEMES.get(scheme.partition("(")[0], scheme)
    return words if method == plain else f"{words}, {method_name(method)}"


def label_of(dataset: Dataset) -> str:
    """What is predicted, in words: "EF below 40"."""
    spec = dataset.spec
    return spec.classes[-1] if len(spec.classes) == 2 else spec.classes[0]


def truth(dataset: Dataset) -> Mapping[str, Any]:
    """What was planted in the twin; empty for real data."""
    return dataset.recipe.get("truth", {})
