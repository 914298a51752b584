"""What embedded images are called, and table.csv, which leads back to them."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.config import Images
from equity_jax.data.cxr_labels import class_map
from equity_jax.data.cxr_people import ATTRIBUTES, one_each
from equity_jax.data.cxr_source import Source

MIMIC = re.compile(r"(?:.*/)?p\d\d/p(\w+)/s(\w+)/([\w-]+)\.\w+")


class Place(NamedTuple):
    """What one image is called: `image/id`, and the parts of its path."""

    id: str
    subject: str
    study: str

    def file(self, end: str) -> str:
        """As PhysioNet has it: files/pNN/pSUBJECT/sSTUDY/ID.END.

        Example:
            >>> Place("a1", "10000032", "5").file("tfrecord")
            'files/p10/p10000032/s5/a1.tfrecord'
        """
        folder = f"files/p{self.subject[:2]}/p{self.subject}/s{self.study}"
        return f"{folder}/{self.id}.{end}"


def place(file: str, patient: str) -> Place:
    """The names of an image by its path below the source.

    A path as MIMIC-CXR has it (p10/p10000032/s50414267/DICOM.jpg) keeps its own, so
    that the embeddings join MIMIC's tables; any other becomes a number like a DICOM's,
    which table.csv leads back to the file, and its patient a number too.

    Example:
        >>> place("p10/p10000032/s50414267/02aa804e-bde0.jpg", "").id
        '02aa804e-bde0'
        >>> place("COVID/1.png", "Ann").id
        'bd42c89f-c8e2cfda-7e73e0b2-be4f78c9-b2ddaa45'
    """
    known = MIMIC.fullmatch(file)
    if known:
        return Place(known[3], known[1], known[2])
    digest = hashlib.sha256(file.encode()).hexdigest()
    name = "-".join(digest[i : i + 8] for i in range(0, 40, 8))
    subject = hashlib.sha256(patient.encode()).hexdigest()[:12]
    return Place(name, subject, digest[40:48])


def described(source: Source, places: Sequence[Place]) -> pd.DataFrame:
    """table.csv of all rows, as text: id, patient, label, split, attributes, file.

    label: the class, as data.name "cxr" has it; of tables with a column for each
    finding it is blank, and the findings (1, 0, -1, blank) are columns of their own.

    Example:
        >>> described(source, places)["label"].unique()  # doctest: +SKIP
        array(['COVID', 'Normal', 'Viral Pneumonia'], dtype=object)
    """
    frame, _ = one_each(source.frame)
    mimic = frame["file"].str.fullmatch(MIMIC.pattern)
    subjects = pd.Series([p.subject for p in places], frame.index)
    columns: dict[str, Any] = {
        "id": [p.id for p in places],
        "patient": frame["patient"].mask(mimic, subjects),
        "label": "",
        "split": frame["official"],
    }
    if source.raw is None:
        columns["label"] = frame["finding"].map(class_map(source, Images()))
    known = frame.assign(age=texts(frame["age"]))
    for name in ATTRIBUTES:
        if (known[name] != "").any():
            columns[name] = known[name]
    for k, name in enumerate(source.labels):
        columns[name] = texts(source.raw[:, k])
    return pd.DataFrame({**columns, "file": frame["file"]})


def texts(numbers: Any) -> list[str]:
    """Numbers as a table has them; NaN is blank.

    Example:
        >>> texts(np.array([1, np.nan]))
        ['1', '']
    """
    return ["" if np.isnan(v) else f"{v:g}" for v in np.asarray(numbers, float)]
