"""Who is on the images: one sex a patient, attributes, groups, splits."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.config import Data
from equity_jax.data import lookalikes, partition
from equity_jax.data.cxr_labels import Labels, strata
from equity_jax.data.cxr_names import bands
from equity_jax.types import TEST, TRAIN, InputError

ATTRIBUTES = ("race", "sex", "insurance", "age", "view", "source")
OF_PATIENTS = {
    "sex": "sexes",
    "race": "races",
}  # one a patient; of the others one a row
UNKNOWN = "not recorded"
GROUP = Data().group


class People(NamedTuple):
    """Attributes str[N] that are known, the groups, split int8[N]; trained: bool[N]."""

    attributes: Mapping[str, np.ndarray]
    group: str
    groups: tuple[str, ...]
    reference: str
    split: np.ndarray
    trained: np.ndarray


def divide(
    frame: pd.DataFrame,
    made: Labels,
    alike: np.ndarray,
    config: Data,
    seed: int,
    recipe: Mapping[str, Any] | None,
) -> People:
    """Attributes, groups and splits of N rows; trained: training rows with a label.

    alike: int[P, 2] of lookalikes.pairs; recipe: of the run that will score these rows:
    its attributes and groups are used, and every row is tested.

    Raises:
        InputError: see `grouping`, `groups` and `splits`.

    Example:
        >>> divide(frame, made, alike, Data(), 0, None).group  # doctest: +SKIP
        'sex'
    """
    known = attributes(frame)
    if recipe:
        split = np.full(len(frame), TEST, np.int8)
        kept = {name: known[name] for name in recipe["attributes"]}
        about = recipe["group"], tuple(recipe["groups"]), recipe["reference"]
        return People(kept, *about, split, split == TRAIN)
    group = grouping(known, config)
    joint = np.char.add(np.char.add(strata(made), "|"), known[group])
    split = splits(frame, joint, alike, config, seed)
    trained = (split == TRAIN) & (made.mask > 0).any(1)
    kept = {
        name: values
        for name, values in known.items()
        if name == group or (name != "label" and (values != "").any())
    }
    names, reference = groups(known[group], trained, config)
    return People(kept, group, names, reference, split, trained)


def one_each(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Every row has the sex and race first recorded of its patient; what to say.

    Example:
        >>> frame = pd.DataFrame({"patient": ["a", "a"], "sex": ["Male", "Female"]})
        >>> one_each(frame.assign(race=""))[0]["sex"].tolist()
        ['Male', 'Male']
    """
    notes: tuple[str, ...] = ()
    for name, several in OF_PATIENTS.items():
        said = frame[frame[name] != ""].groupby("patient")[name]
        said = said.agg(["first", "nunique"])
        conflicts = int((said["nunique"] > 1).sum())
        first = said["first"].to_dict()
        known = [first.get(patient, "") for patient in frame["patient"]]
        frame = frame.assign(**{name: known})
        if conflicts:
            notes += (
                f"{conflicts} patients have two {several}: the first recorded is kept.",
            )
    return frame, notes


def attributes(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Each of ATTRIBUTES, and the label: str[N], "" = not recorded."""
    age = bands(frame["age"].to_numpy(np.float64))
    return {
        name: age if name == "age" else frame[name].to_numpy(str)
        for name in (*ATTRIBUTES, "label")
    }


def grouping(made: Mapping[str, np.ndarray], config: Data) -> str:
    """The attribute that defines groups: data.group, if there are several.

    Where the default is not recorded, sex, if both are; else the source, if there are
    several; else the label.

    Raises:
        InputError: data.group is not recorded, and it is not the default.

    Example:
        >>> grouping({"sex": np.array(["Male", "Female"])}, Data())
        'sex'
    """
    several = [name for name, v in made.items() if len(set(v.tolist()) - {""}) > 1]
    if config.group in several:
        return config.group
    if config.group not in ("", GROUP):
        raise InputError(
            f"data.group={config.group!r} is not recorded, or has one value; "
            f"expected one of: {', '.join(several)}"
        )
    return next((g for g in ("sex", "source") if g in several), "label")


def groups(values: np.ndarray, train: np.ndarray, config: Data) -> tuple[tuple, str]:
    """Names of the groups, and the reference: data.reference, or most training rows.

    values: str[N]; train: bool[N].

    Raises:
        InputError: data.reference is not a group.

    Example:
        >>> groups(np.array(["a", "b", "b"]), np.ones(3, bool), Data())
        (('a', 'b'), 'b')
    """
    found = tuple(sorted(set(values.tolist()) - {""}))
    if config.reference and config.reference not in found:
        raise InputError(
            f"data.reference={config.reference!r} is no group; expected one of: "
            f"{', '.join(found)}"
        )
    sizes = {name: int((train & (values == name)).sum()) for name in found}
    return found, config.reference or max(found, key=lambda name: sizes[name])


def splits(
    frame: pd.DataFrame,
    strata: np.ndarray,
    alike: np.ndarray,
    config: Data,
    seed: int,
) -> np.ndarray:
    """int8[N]: by patient and, where the data say nothing, by look-alikes too.

    A patient and its look-alikes are one unit here, named by the first of their
    patients; the patient column, by which intervals are resampled, is untouched.
    Official splits win: look-alikes that these put apart stay apart, and are reported.

    Raises:
        InputError: as `partition.split`.

    Example:
        >>> splits(frame, strata, alike, Data(), 0)  # doctest: +SKIP
    """
    names, codes = np.unique(frame["patient"].to_numpy(str), return_inverse=True)
    official = frame["official"].to_numpy(str)
    free = official[alike[:, 0]] == official[alike[:, 1]]
    units = lookalikes.together(codes, alike[free])
    order = np.full(units.max() + 1, len(names))
    np.minimum.at(order, units, codes)  # names are sorted: the first of each unit
    block = names[order[units]]
    return partition.split(block, strata, config.valid, config.test, seed, official)
