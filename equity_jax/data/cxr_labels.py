"""From findings to classes or labels; which rows take part."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.config import Images
from equity_jax.data.cxr_names import FRONTAL
from equity_jax.data.cxr_source import NOTHING, Source
from equity_jax.types import InputError

BLANK = {"zeros": 0.0, "ignore": np.nan}
UNCERTAIN = {"u-zeros": 0.0, "u-ones": 1.0, "u-ignore": np.nan}
VIEWS = ("all", "frontal")
LATERAL, NO_VIEW = "a view that is not frontal", "a view that is not recorded"
COVID = re.compile(r"(^|/)\s*covid", re.IGNORECASE)
OPACITY = "lung opacity"
UNDECIDED = ("", "todo", "unknown")
PAIR = re.compile(r"([^=]+)=([^=,]*)(?:,|$)")
OTHERS = "*"


class Labels(NamedTuple):
    """label: str[N] ("" = unknown); lost: str[N], why a row has no part.

    y: int32[N, 1] (-1 = unknown) or float32[N, K]; mask: float32[N, K]; classes: names
    (multi-label: absent, present); targets: what the K columns of y are.
    """

    label: np.ndarray
    lost: np.ndarray
    y: np.ndarray
    mask: np.ndarray
    classes: tuple[str, ...]
    targets: tuple[str, ...]
    task: str
    notes: tuple[str, ...]


def labels(
    source: Source, images: Images, recipe: Mapping[str, Any] | None = None
) -> Labels:
    """Classes of a source's rows, as data.images and the layout say.

    recipe: of a run whose model will score these rows: its classes are used, whatever
    finding is none of them is unknown, and no row is left out for it.

    Raises:
        InputError: an option that does not fit the data; fewer than two classes.

    Example:
        >>> labels(find("cxr_radiography"), Images()).classes  # doctest: +SKIP
        ('COVID', 'Normal', 'Viral Pneumonia')
    """
    if images.views not in VIEWS:
        raise InputError(f"data.images.views={images.views!r}; expected all or frontal")
    lost = source.frame["lost"].to_numpy(object).copy()
    view = source.frame["view"]
    if images.views == "frontal" and not recipe:
        unfit = (view != "") & ~view.str.startswith(FRONTAL)
        lost[(lost == "") & unfit.to_numpy()] = LATERAL
        if source.layout == "mimic":  # elsewhere a blank is mostly a frontal view
            lost[(lost == "") & (view == "").to_numpy()] = NO_VIEW
    many = bool(recipe["labels"]) if recipe else source.raw is not None
    return (_many if many else _one)(source, images, recipe, lost)


def class_map(source: Source, images: Images) -> dict[str, str]:
    """The class of each finding ("": left out): data.images.classes, then the layout's.

    The layouts' own maps. Folders: each is a class, but Lung_Opacity, which is no
    diagnosis, is left out. Tables where some finding is COVID-19 ("COVID-19, ARDS",
    "Pneumonia/Viral/COVID-19"): these are COVID and everything else is Other, No
    Finding too (in ieee8023 it is too rare to be a class). Elsewhere each finding is a
    class. A blank, "todo" or "unknown" finding is left out.

    Raises:
        InputError: data.images.classes cannot be read, or names a finding that the data
            do not have.

    Example:
        >>> class_map(source, Images(classes="Lung_Opacity=Opacity"))  # doctest: +SKIP
    """
    findings = sorted(set(source.frame["finding"]))
    made = {f: "" if f.strip().lower() in UNDECIDED else f for f in findings}
    if source.layout == "folders":
        made |= {f: "" for f in findings if f.lower().replace("_", " ") == OPACITY}
    elif source.layout == "table" and any(map(COVID.search, findings)):
        for f in (f for f in findings if made[f]):
            made[f] = "COVID" if COVID.search(f) else "Other"
    asked = _parse(images.classes)
    rest = asked.pop(OTHERS, None)
    unknown = sorted(set(asked) - set(findings))
    if unknown:
        known = ", ".join(repr(f) for f in findings)
        raise InputError(f"data.images.classes: no finding {unknown[0]!r}; has {known}")
    others = {} if rest is None else dict.fromkeys(findings, rest)
    return {**made, **others, **asked}


def _parse(text: str) -> dict[str, str]:
    """Reads "A, b=X,C=" as {"A, b": "X", "C": ""}: findings may hold commas."""
    found = PAIR.findall(text)
    if "".join(f"{a}={b}," for a, b in found).rstrip(",") != text.rstrip(","):
        raise InputError(
            f"data.images.classes={text!r}; expected finding=class,finding=class "
            "(an empty class leaves it out)"
        )
    return {finding.strip(): name.strip() for finding, name in found}


def _one(
    source: Source,
    images: Images,
    recipe: Mapping[str, Any] | None,
    lost: np.ndarray,
) -> Labels:
    finding = source.frame["finding"]
    chosen = class_map(source, Images() if recipe else images)
    label = finding.map(chosen).to_numpy(object)
    if recipe:
        classes = tuple(recipe["classes"])
        label = np.where(np.isin(label, classes), label, "")
        notes: tuple[str, ...] = ()
    else:
        if images.labels:
            raise InputError(
                "data.images.labels is for multi-label tables; see classes"
            )
        without = (lost == "") & (label == "")
        said = np.where(finding == "", "no finding is recorded", "class: " + finding)
        lost[without] = said[without]
        classes = tuple(sorted({c for c in label[lost == ""] if c}))
        if len(classes) < 2:
            raise InputError(
                f"{source.name}: {len(classes)} classes with images "
                f"({', '.join(classes) or 'no labels'}); expected two or more"
            )
        notes = (_said(chosen, finding[lost == ""]),)
    codes = {name: i for i, name in enumerate(classes)}
    y = np.array([[codes.get(name, -1)] for name in label], np.int32)
    mask = (y >= 0).astype(np.float32)
    task = f"multiclass({len(classes)})"
    return Labels(label, lost, y, mask, classes, ("label",), task, notes)


def _many(
    source: Source,
    images: Images,
    recipe: Mapping[str, Any] | None,
    lost: np.ndarray,
) -> Labels:
    if images.classes:
        raise InputError("data.images.classes is for one label a row; see labels")
    if images.uncertain not in UNCERTAIN:
        known = ", ".join(UNCERTAIN)
        raise InputError(f"data.images.uncertain={images.uncertain!r}; known: {known}")
    if images.blank not in BLANK:
        raise InputError(
            f"data.images.blank={images.blank!r}; expected zeros or ignore"
        )
    wanted = recipe["labels"] if recipe else _wanted(source, images.labels)
    raw = np.full((len(source.frame), len(wanted)), np.nan, np.float32)
    told = source.raw is not None
    for k, name in enumerate(wanted):
        if told and name in source.labels:
            raw[:, k] = source.raw[:, source.labels.index(name)]
            # "No Finding" is never 0 in the tables: where it is blank there is one.
            blank = 0.0 if name == NOTHING else BLANK[images.blank]
            raw[np.isnan(raw[:, k]), k] = blank
    used = lost == ""
    uncertain = int((raw[used] == -1).sum())
    raw[raw == -1] = UNCERTAIN[images.uncertain]
    mask = (~np.isnan(raw)).astype(np.float32)
    y = np.nan_to_num(raw).astype(np.float32)
    blanks = "counts as absent" if images.blank == "zeros" else "is unknown"
    notes = (f"{len(wanted)} labels a row; a finding not mentioned {blanks}.",)
    if uncertain:
        notes += (f"{uncertain} uncertain labels: policy {images.uncertain}.",)
    finding = source.frame["finding"].to_numpy(object)
    task = f"multilabel({len(wanted)})"
    return Labels(
        finding, lost, y, mask, ("absent", "present"), tuple(wanted), task, notes
    )


def _wanted(source: Source, text: str) -> Sequence[str]:
    asked = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in asked if word not in source.labels]
    if unknown:
        known = ", ".join(source.labels)
        raise InputError(f"data.images.labels: no {unknown[0]!r}; known: {known}")
    return asked or list(source.labels)


def _said(chosen: Mapping[str, str], finding: pd.Series) -> str:
    """Where a class is more than one finding, which, and how many rows of each."""
    counts = finding.value_counts()
    parts = []
    for name in sorted({c for c in chosen.values() if c}):
        mine = [f for f in chosen if chosen[f] == name and counts.get(f, 0)]
        if mine and mine != [name]:
            listed = ", ".join(f"{f} ({counts[f]})" for f in mine)
            parts.append(f"{name} = {listed}")
    return "Classes: " + ("; ".join(parts) or "as the data name them") + "."


def strata(made: Labels) -> np.ndarray:
    """str[N]: the class; of several labels the rarest one that is present.

    Example:
        >>> strata(labels(source, Images()))  # doctest: +SKIP
    """
    if made.task.startswith("multiclass"):
        return made.label.astype(str)
    present = made.y * made.mask
    order = np.argsort(present.sum(0), kind="stable")
    first = np.argmax(present[:, order] > 0, axis=1)
    names = np.array(made.targets)[order][first]
    return np.where(present.any(1), names, "none")
