"""SIMULATED twin of the MIMIC-CXR embeddings: numbers, tables, and what was planted."""

import hashlib
from typing import Any, NamedTuple

import pandas as pd

from equity_jax.config import Cohort
from equity_jax.data import cohort_axes, cohort_people, cohort_tables, cohort_truth
from equity_jax.data.embedded import Embedded


class Simulated(NamedTuple):
    """embedded: N images; tables: name -> frame of text; truth: JSON-able."""

    embedded: Embedded
    tables: dict[str, pd.DataFrame]
    truth: dict[str, Any]


def cohort(options: Cohort) -> Simulated:
    """The twin in memory: 4 bytes times images times features, and the tables.

    tables: "split", "chexpert", "metadata", "admissions", "patients",
    "diagnoses_icd", "ejection_fraction", columns as MIMIC has them, all cells text, ""
    = blank. truth: as `cohort_truth.truth`. The images are frontal, as in the real
    set; laterals are in the tables alone.

    Raises:
        InputError: a field of config.data.cohort out of its range.

    Example:
        >>> twin = cohort(Cohort(patients=10, images=40, features=16))
        >>> twin.embedded.x.shape, len(twin.tables["patients"])
        ((40, 16), 10)
    """
    people = cohort_people.draw(options)
    latent, shown = cohort_axes.latent(people, options)
    x = cohort_axes.numbers(latent, options)
    subject, study = people.subject[people.person], people.study
    embedded = Embedded(
        id=people.dicom,
        x=x,
        subject=subject[people.of].astype(str),
        study=study[people.of].astype(str),
        left_out={},
        fingerprint=hashlib.sha256(x).hexdigest()[:12],
    )
    tables = cohort_tables.tables(people, shown, options)
    return Simulated(embedded, tables, cohort_truth.truth(options))
