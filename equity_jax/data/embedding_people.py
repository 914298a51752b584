"""Who is embedded: attributes, groups, splits by patient; are there enough to judge."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.config import Data
from equity_jax.data import partition
from equity_jax.data.cxr_people import groups
from equity_jax.data.mimic_join import Joined
from equity_jax.types import SPLITS, TEST, TRAIN, InputError

LEAST = 2  # rows of each class in each split: an AUROC of fewer has no variance
ORDER = ("race", "sex", "source", "insurance", "view", "age")  # if no group is asked
GROUP = Data().group


class People(NamedTuple):
    """attributes: name -> str[N] ("" = not recorded), patient int[N], split int8[N]."""

    attributes: Mapping[str, np.ndarray]
    group: str
    groups: tuple[str, ...]
    reference: str
    patient: np.ndarray
    split: np.ndarray


def divide(
    frame: pd.DataFrame,
    joined: Joined,
    config: Data,
    seed: int,
    recipe: Mapping[str, Any] | None,
    name: str,
) -> People:
    """Attributes, groups and splits of the rows that stay.

    A row without a patient is one of its own. Official splits are kept; where there are
    none they are drawn by patient, in strata of class and group. With a recipe its
    attributes and groups are used, and every row is tested.

    frame: N of the rows of `joined`, with their labels; name: of the source, for
    messages.

    Raises:
        InputError: data.group or data.reference is not recorded; a patient in two
            official splits; a split without LEAST rows of a class.

    Example:
        >>> divide(frame, joined, Data(), 0, None, "twin").group  # doctest: +SKIP
        'race'
    """
    patient = frame["subject_id"].mask(frame["subject_id"] == "", frame["dicom_id"])
    patient = patient.to_numpy(str)
    codes = np.unique(patient, return_inverse=True)[1]
    if recipe:
        blank = pd.Series("", frame.index)
        wanted = {a: frame.get(a, blank).to_numpy(str) for a in recipe["attributes"]}
        about = recipe["group"], tuple(recipe["groups"]), recipe["reference"]
        return People(wanted, *about, codes, np.full(len(frame), TEST, np.int8))
    known = {a: frame[a].to_numpy(str) for a in joined.attributes}
    known = {a: values for a, values in known.items() if (values != "").any()}
    group = grouping(known, config.group)
    words = frame["label"].astype(str).to_numpy(str)
    strata = np.char.add(np.char.add(words, "|"), known[group])
    official = frame["split"].to_numpy(str)
    shares = config.valid, config.test
    split = partition.split(patient, strata, *shares, seed, official)
    enough(frame["label"].to_numpy(float), split, joined.target.classes, name)
    names, reference = groups(known[group], split == TRAIN, config)
    return People(known, group, names, reference, codes, split)


def grouping(known: Mapping[str, np.ndarray], asked: str) -> str:
    """The attribute that defines groups; where the default has one value, another has.

    Raises:
        InputError: `asked` has fewer than two values, or every attribute has.

    Example:
        >>> grouping({"sex": np.array(["Female", "Male"])}, "race")
        'sex'
    """
    several = [name for name, v in known.items() if len(set(v.tolist()) - {""}) > 1]
    if asked in several:
        return asked
    found = [name for name in (*ORDER, *several) if name in several]
    if asked != GROUP or not found:
        raise InputError(
            f"data.group={asked!r} is not recorded, or has one value; expected one of: "
            f"{', '.join(several) or '(none has two values)'}"
        )
    return found[0]


def enough(
    y: np.ndarray, split: np.ndarray, classes: tuple[str, ...], name: str
) -> None:
    """Passes labels float[N] of which every split has LEAST rows a class.

    Raises:
        InputError: the split, the class and how many rows there are.

    Example:
        >>> enough(np.tile([0, 1], 6), np.repeat([0, 1, 2], 4), ("no", "yes"), "twin")
    """
    for word, code in SPLITS.items():
        for value, label in enumerate(classes):
            n = int(((split == code) & (y == value)).sum())
            if n < LEAST:
                raise InputError(
                    f"{name}: {n} rows of {label!r} in the {word} split; expected "
                    f"{LEAST} or more of each class"
                )
