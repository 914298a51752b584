"""A hospital small enough to know by heart, in the exact columns of MIMIC's files."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from equity_jax.config import Embeddings
from equity_jax.data.mimic_join import join

# Of the real files, in their order; the tests write what is not named as blank.
FILES = {
    "metadata": (
        "mimic-cxr-2.0.0-metadata.csv.gz",
        "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,"
        "Rows,Columns,StudyDate,StudyTime,ProcedureCodeSequence_CodeMeaning,"
        "ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning",
    ),
    "split": ("mimic-cxr-2.0.0-split.csv.gz", "dicom_id,study_id,subject_id,split"),
    "chexpert": (
        "mimic-cxr-2.0.0-chexpert.csv.gz",
        "subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation,Edema,"
        "Enlarged Cardiomediastinum,Fracture,Lung Lesion,Lung Opacity,No Finding,"
        "Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices",
    ),
    "admissions": (
        "hosp/admissions.csv.gz",
        "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,"
        "admit_provider_id,admission_location,discharge_location,insurance,language,"
        "marital_status,race,edregtime,edouttime,hospital_expire_flag",
    ),
    "patients": (
        "hosp/patients.csv.gz",
        "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
    ),
    "diagnoses_icd": (
        "hosp/diagnoses_icd.csv.gz",
        "subject_id,hadm_id,seq_num,icd_code,icd_version",
    ),
    "ejection_fraction": ("ejection_fraction.csv", "subject_id,study_id,date,ef"),
}
COLUMNS = {key: columns for key, (_, columns) in FILES.items()}
# subject, study, dicom, view, date, split. 11 has three studies, 14 no other row.
IMAGES = """
10 500 a AP 21800105 train
10 500 b LATERAL 21800105 train
10 501 c PA 21800301 train
11 510 d AP 21800110 test
11 511 e PA 21810110 test
11 512 f AP 21820110 test
12 520 g AP 21500601 validate
13 530 h PA 21600701 train
14 540 i AP 21700801 train
"""
# subject, hadm, came, left, insurance, race
STAYS = """
10 900 2180-01-01_23:00:00 2180-01-05_08:00:00 Medicare WHITE
10 901 2180-02-25_10:00:00 2180-02-27_10:00:00 Medicaid WHITE_-_RUSSIAN
11 910 2180-01-10_00:30:00 2180-01-12_10:00:00 Other UNKNOWN
11 911 2180-12-01_10:00:00 2181-01-05_10:00:00 Medicare ASIAN
11 912 2181-01-20_10:00:00 2181-01-21_10:00:00 Private BLACK/CAPE_VERDEAN
11 913 2185-01-01_10:00:00 2185-01-02_10:00:00 Private BLACK/AFRICAN
12 920 2150-01-01_10:00:00 2150-01-02_10:00:00 Medicare UNABLE_TO_OBTAIN
13 930 2160-06-30_10:00:00 2160-07-02_10:00:00 No_charge MARTIAN
"""
PEOPLE = "10 F 60 2178\n11 M 30 2180\n12 F 91 2140\n13 M 20 2160"
CODES = """
10 900 1 I5022 10
10 901 1 4019 9
11 910 1 42831 9
11 911 1 I10 10
13 930 1 I10 10
13 930 2 I130 10
"""
ECHOES = """
10 500 2180-01-20 35
10 - 2180-03-11 45
10 - 2180-02-20 55
11 511 - 50
11 - 2180-03-01 20
13 - 2160-07-31 39.9
"""
FINDINGS = [  # subject, study, Edema, No Finding
    *(("10", "500", "1.0", ""), ("10", "501", "-1.0", ""), ("11", "510", "", "1.0")),
    *(("11", "511", "0.0", ""), ("12", "520", "0.0", "1.0")),
]


def _rows(text: str, columns: str) -> list[dict[str, str]]:
    names = columns.split()
    split = [line.split() for line in text.strip().splitlines()]
    clean = [[c.replace("_", " ") if c != "-" else "" for c in line] for line in split]
    return [dict(zip(names, line, strict=True)) for line in clean]


def _table(key: str, rows: list[dict[str, str]]) -> pd.DataFrame:
    columns = FILES[key][1].split(",")
    made = pd.DataFrame(rows, columns=columns, dtype=str).fillna("")
    assert set(rows[0]) <= set(columns)
    return made


def tables() -> dict[str, pd.DataFrame]:
    """Every table, as text."""
    images = _rows(IMAGES, "subject_id study_id dicom_id ViewPosition StudyDate split")
    unsplit = [{k: v for k, v in row.items() if k != "split"} for row in images]
    only = ("subject_id", "study_id", "dicom_id", "split")
    findings = [
        dict(zip(("subject_id", "study_id", "Edema", "No Finding"), row, strict=True))
        for row in FINDINGS
    ]
    stay = "subject_id hadm_id admittime dischtime insurance race"
    code = "subject_id hadm_id seq_num icd_code icd_version"
    return {
        "metadata": _table("metadata", unsplit),
        "split": _table("split", [{k: row[k] for k in only} for row in images]),
        "chexpert": _table("chexpert", findings),
        "admissions": _table("admissions", _rows(STAYS, stay)),
        "patients": _table(
            "patients", _rows(PEOPLE, "subject_id gender anchor_age anchor_year")
        ),
        "diagnoses_icd": _table("diagnoses_icd", _rows(CODES, code)),
        "ejection_fraction": _table(
            "ejection_fraction", _rows(ECHOES, "subject_id study_id date ef")
        ),
    }


def write(folder: Path, made: dict[str, pd.DataFrame]) -> Path:
    """The tables as files below `folder`, where PhysioNet's own folders may be."""
    for key, table in made.items():
        path = folder / FILES[key][0]
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = table.to_csv(index=False).encode()
        path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return folder


def embedded(said: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """id, subject, study of every image but the lateral; "" where not said."""
    rows = [line.split() for line in IMAGES.strip().splitlines()]
    rows = [row for row in rows if row[3] != "LATERAL"]
    subject, study, id = (np.array([row[i] for row in rows]) for i in range(3))
    blank = np.full(len(rows), "")
    return (id, subject, study) if said else (id, blank, blank)


def joined(known=None, said=True, strict=True, **options):
    """The hospital joined as data.embeddings says; known: other tables."""
    made = tables() if known is None else known
    who = embedded(said)
    return join(*who, made, Embeddings(**options), strict=strict)


def digests(folder: Path) -> dict[str, str]:
    """Relative path -> SHA-256 of every file below `folder`."""
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }
