"""SIMULATED twin of MIMIC-CXR-JPG and MIMIC-IV: the same folders, files and tables.

People, studies and the hospital's tables are those of the twin of embeddings; findings
are in ward_findings, pixels in ward_pixels, what was planted in ward_truth. Laterals
are written too; they show no finding. Studies often have two frontal images.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import simplejpeg
from tqdm import tqdm

from equity_jax.config import Cohort, Ward
from equity_jax.data import ward_findings, ward_pixels
from equity_jax.data.cohort_axes import SHARED, places
from equity_jax.data.cohort_files import FILES, LICENSE, save, whole
from equity_jax.data.cohort_hospital import hospital
from equity_jax.data.cohort_people import People, draw
from equity_jax.data.cohort_tables import images
from equity_jax.data.pixels import LEAST
from equity_jax.data.ward_truth import truth
from equity_jax.keys import generator
from equity_jax.types import InputError

__all__ = ["TABLES", "photographs", "tables", "truth", "write"]

TABLES = {
    **{k: FILES[k] for k in ("split", "chexpert", "metadata")},
    "negbio": "mimic-cxr-2.0.0-negbio.csv.gz",
    **{k: FILES[k] for k in ("admissions", "patients")},
}
OFTEN = 1.7  # frontal images of a person, on average
QUALITY = 95  # of the JPEGs, as in MIMIC-CXR-JPG


def write(folder: Path | str, options: Ward, *, quiet: bool | None = False) -> Path:
    """The twin in `folder`: files/p10/p10000032/s50414267/ID.jpg, and TABLES.

    All of it or nothing; equal options, equal bytes. quiet: no progress bar (None: only
    in a terminal).

    Raises:
        InputError: a field of config.data.ward out of its range; the folder is not
            empty, is a file or cannot be written.

    Example:
        >>> write("twin", Ward(patients=10), quiet=True)  # doctest: +SKIP
        PosixPath('twin')
    """
    _check(options)
    people = _people(options)
    made, true = tables(people, options)
    with whole(folder) as place:
        (place / "LICENSE.txt").write_text(LICENSE)
        for name, path in TABLES.items():
            save(made[name], place / path)
        pictures = photographs(people, made["metadata"], true, options)
        total = len(made["metadata"])
        for path, image in tqdm(pictures, "images", total, disable=quiet):
            file = place / path
            file.parent.mkdir(parents=True, exist_ok=True)
            gray = np.ascontiguousarray(image[..., None])
            file.write_bytes(simplejpeg.encode_jpeg(gray, QUALITY, "GRAY"))
    return Path(folder)


def tables(
    people: People, options: Ward
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """TABLES by name, all cells text; what is true of S studies, as ward_findings.draw.

    Example:
        >>> tables(people, Ward(patients=10))[0]["negbio"].shape  # doctest: +SKIP
    """
    rng = generator(options.seed, "ward", "tables")
    frame = images(people, rng)
    true = ward_findings.draw(people, options, rng)
    made = {
        "split": frame[["dicom_id", "study_id", "subject_id", "split"]],
        "metadata": frame.drop(columns="split"),
        **ward_findings.tables(true, people, options, rng),
        **hospital(people, options.seed),
    }
    return {name: made[name] for name in TABLES}, true


def photographs(
    people: People, metadata: pd.DataFrame, true: pd.DataFrame, options: Ward
) -> Iterator[tuple[str, np.ndarray]]:
    """The path and the pixels, uint8[size, size], of each row of `metadata`.

    Example:
        >>> path, image = next(photographs(people, ...))  # doctest: +SKIP
    """
    rng = generator(options.seed, "ward", "people")
    shape = rng.normal(size=(len(people.subject), 8))
    where = places(options.race)
    z = where[people.race] + np.sqrt(SHARED) * rng.normal(size=(len(shape), 4))
    names = [frozenset(true.columns[row]) for row in true.to_numpy(bool)]
    for row in metadata.itertuples(index=False):
        study = int(np.searchsorted(people.study, int(row.study_id)))
        who = people.person[study]
        rng = generator(options.seed, "ward", row.dicom_id)
        yield (
            f"files/p{row.subject_id[:2]}/p{row.subject_id}/s{row.study_id}/"
            f"{row.dicom_id}.jpg",
            ward_pixels.image(
                *(options, row.ViewPosition, shape[who], bool(people.female[who])),
                *(names[study], z[who] + np.sqrt(1 - SHARED) * rng.normal(size=4), rng),
            ),
        )


def _people(options: Ward) -> People:
    n = options.patients
    asked = Cohort(seed=options.seed, patients=n, images=round(OFTEN * n))
    asked.conflicts = options.conflicts
    return draw(asked)


def _check(options: Ward) -> None:
    for name, low, high in (
        ("patients", 1, 200_000),
        ("size", LEAST, 4096),
        ("finding", 0, 2),
        ("race", 0, 10),
        ("sign", 0, 0.1),
        ("gap", 0, 3),
        ("missed", 0, 1),
        ("conflicts", 0, 1),
    ):
        value = getattr(options, name)
        if not low <= value <= high:
            asked = f"expected {low} to {high}"
            raise InputError(f"data.ward.{name}={value}; {asked}")
