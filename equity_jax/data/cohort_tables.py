"""The tables of the SIMULATED cohort: exact columns, all cells text, "" = blank.

An echo belongs to most studies: within ten days of the X-ray, or (LATE) more than a
month after it, and half of them do not say which study they belong to. Findings follow
the true EF class and what the images show of it; the recorded EF has the label noise.
"""

import numpy as np
import pandas as pd

from equity_jax.config import Cohort
from equity_jax.data.cohort_hospital import hospital, text
from equity_jax.data.cohort_people import People, percent
from equity_jax.keys import generator

FINDINGS = {  # CheXpert's labels: share that has it; how it follows the EF shown
    "Atelectasis": (0.2, 0.2),
    "Cardiomegaly": (0.2, 0.8),
    "Consolidation": (0.05, 0.2),
    "Edema": (0.15, 0.8),
    "Enlarged Cardiomediastinum": (0.04, 0.5),
    "Fracture": (0.02, 0.0),
    "Lung Lesion": (0.03, 0.0),
    "Lung Opacity": (0.22, 0.4),
    "No Finding": (0.0, 0.0),
    "Pleural Effusion": (0.22, 0.7),
    "Pleural Other": (0.01, 0.0),
    "Pneumonia": (0.08, 0.1),
    "Pneumothorax": (0.04, 0.0),
    "Support Devices": (0.28, 0.3),
}
UNSURE, DENIED = 0.05, 0.25  # shares: uncertain (-1), and negatives that are mentioned
VIEWS = {  # ViewPosition -> description, code of the view, orientation
    "AP": ("CHEST (PORTABLE AP)", "antero-posterior", ""),
    "PA": ("CHEST (PA AND LAT)", "postero-anterior", "Erect"),
    "LATERAL": ("CHEST (PA AND LAT)", "lateral", "Erect"),
}
LATERAL = 0.5  # share of PA studies with a lateral, which has no embedding
ECHO, LATE = 0.85, 0.07  # shares of studies with an echo near; with one too late


def tables(
    people: People, shown: np.ndarray, options: Cohort
) -> dict[str, pd.DataFrame]:
    """The tables by name.

    shown: float[S], standard normal, what each study's images show of the EF axis.

    Example:
        >>> people = cohort_people.draw(Cohort(patients=10, images=40))
        >>> sorted(tables(people, np.zeros(len(people.study)), Cohort()))[0]
        'admissions'
    """
    rng = generator(options.seed, "cohort", "tables")
    frame = images(people, rng)
    return {
        "split": frame[["dicom_id", "study_id", "subject_id", "split"]],
        "chexpert": _chexpert(people, shown, rng),
        "metadata": frame.drop(columns="split"),
        **hospital(people, options.seed),
        "ejection_fraction": _echoes(people, percent(people, shown, options), rng),
    }


def images(people: People, rng: np.random.Generator) -> pd.DataFrame:
    """Metadata and split of every image, laterals too, in the order of their paths.

    Example:
        >>> people = cohort_people.draw(Cohort(patients=10, images=40))
        >>> images(people, np.random.default_rng(0))["split"].unique()  # doctest: +SKIP
    """
    studies = np.arange(len(people.study))
    beside = studies[~people.portable & (rng.random(len(studies)) < LATERAL)]
    of = np.r_[people.of, beside]
    words = rng.integers(0, 2**32, (len(beside), 5), np.uint32).tolist()
    names = ["-".join(f"{w:08x}" for w in row) for row in words]
    dicom = np.r_[people.dicom, np.array(names, people.dicom.dtype)]
    view = np.where(people.portable, "AP", "PA")[of].astype("<U7")
    view[len(people.of) :] = "LATERAL"
    day = np.char.replace(people.day.astype(str), "-", "")
    clock = rng.integers(0, [24, 60, 60, 1000], (len(studies), 4)).tolist()
    time = np.array([f"{h}{m:02d}{s:02d}.{f:03d}" for h, m, s, f in clock])
    said = {k: np.array([VIEWS[v][i] for v in view]) for i, k in enumerate("pvo")}
    frame = text(
        dicom_id=dicom,
        subject_id=people.subject[people.person[of]],
        study_id=people.study[of],
        PerformedProcedureStepDescription=said["p"],
        ViewPosition=view,
        Rows="3056",
        Columns="2544",
        StudyDate=day[of],
        StudyTime=time[of],
        ProcedureCodeSequence_CodeMeaning=said["p"],
        ViewCodeSequence_CodeMeaning=said["v"],
        PatientOrientationCodeSequence_CodeMeaning=said["o"],
        split=people.split[people.person[of]],
    )
    return frame.iloc[np.lexsort((dicom, of))].reset_index(drop=True)


def _chexpert(
    people: People, shown: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    failing = (shown + 1.5 * people.low) / np.hypot(1, 0.6)
    found, ill = {}, np.zeros(len(shown), bool)
    for name, (share, follows) in FINDINGS.items():
        rest = rng.normal(size=len(shown))
        level = follows * failing + np.sqrt(1 - follows**2) * rest
        high, top = np.quantile(level, [1 - share * (1 + UNSURE), 1 - share])
        denied = rng.random(len(shown)) < DENIED
        below = np.where(denied, "0.0", "")
        found[name] = np.where(
            level > top, "1.0", np.where(level > high, "-1.0", below)
        )
        if name != "Support Devices":
            ill |= level > high
    found["No Finding"] = np.where(ill, "", "1.0")
    return text(
        subject_id=people.subject[people.person], study_id=people.study, **found
    )


def _echoes(people: People, ef: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    n = len(ef)
    kind = rng.random(n)
    near, late = rng.integers(-10, 11, n), rng.integers(35, 55, n)
    day = people.day + np.where(kind < ECHO, near, late)
    named = np.where(rng.random(n) < 0.5, people.study.astype(str), "")
    frame = text(
        subject_id=people.subject[people.person],
        study_id=named,
        date=day.astype(str),
        ef=ef,
    )
    return frame[kind < ECHO + LATE].reset_index(drop=True)
