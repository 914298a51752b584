"""NIH and CheXpert, as published and as copied about."""

import gzip

import numpy as np
import pytest
from xrays import data, picture, save

from equity_jax.config import Images
from equity_jax.data import cxr
from equity_jax.data.cxr_labels import labels, strata
from equity_jax.data.cxr_layouts import find
from equity_jax.types import TEST, TRAIN, VALID, InputError

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
    "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
LINES = (
    "00000001_000.png,Cardiomegaly|Emphysema,0,1,58,M,PA,2682,2749,0.143,0.143",
    "00000001_001.png,No Finding,1,1,58,M,AP,2682,2749,0.143,0.143",
    "00000002_000.png,Hernia,0,2,414,F,PA,2682,2749,0.143,0.143",
    "00000003_000.png,Pleural_Thickening,0,3,058Y,F,PA,2682,2749,0.143,0.143",
    "00000004_000.png,No Finding,0,4,6M,F,PA,2682,2749,0.143,0.143",
)


def nih(root, older=False, gz=False, below="images"):
    end = ",\n" if older else "\n"
    text = "".join(line + end for line in (HEADER, *LINES))
    if gz:
        (root / "Data_Entry_2017_v2020.csv.gz").write_bytes(
            gzip.compress(text.encode())
        )
    else:
        (root / "Data_Entry_2017.csv").write_text(text)
    for i, name in enumerate(line.split(",")[0] for line in LINES[:4]):
        save(root / below / name, picture(i), "RGBA" if i == 1 else None)
    return root


@pytest.mark.parametrize(
    ("older", "gz", "below"),
    [(False, True, "images"), (True, False, "images_001/images"), (True, True, ".")],
)
def test_nih_in_its_versions(tmp_path, older, gz, below):
    source = find(str(nih(tmp_path, older, gz, below)))
    frame = source.frame
    assert source.layout == "nih" and len(frame) == 5 and len(source.labels) == 14
    expected = [58.0, 58.0, np.nan, 58.0, 0.5]
    np.testing.assert_equal(frame["age"].to_numpy(), expected)
    assert frame["sex"].tolist() == ["Male", "Male", "Female", "Female", "Female"]
    assert frame["lost"].tolist() == ["", "", "", "", "listed, but no such file"]
    assert any("(414)" in note for note in source.notes)
    made = labels(source, Images())
    assert made.y.sum(1).tolist() == [2, 0, 1, 1, 0] and (made.mask == 1).all()
    assert strata(made)[1] == "none" and strata(made)[2] == "Hernia"


def test_nih_as_a_data_set(tmp_path):
    dataset = cxr.load(data(nih(tmp_path)))
    assert dataset.y.shape == (4, 14) and dataset.y.dtype == np.float32
    assert dataset.spec.task == "multilabel(14)" and dataset.spec.group == "sex"
    assert dataset.spec.left_out == {"listed, but no such file": {"Female": 1}}
    two = cxr.load(data(tmp_path, labels="Hernia, Emphysema"))
    assert two.spec.targets == ("Hernia", "Emphysema")
    assert two.y.tolist() == [[0, 1], [0, 0], [1, 0], [0, 0]]
    again = cxr.load(data(tmp_path), recipe=two.recipe)
    np.testing.assert_array_equal(again.y, two.y)
    with pytest.raises(InputError, match="no 'Covid'; known: Atelectasis"):
        cxr.load(data(tmp_path, labels="Covid"))
    with pytest.raises(InputError, match="is for one label a row"):
        cxr.load(data(tmp_path, classes="Hernia="))


def test_nih_official_lists(tmp_path):
    nih(tmp_path)
    names = [line.split(",")[0] for line in LINES]
    (tmp_path / "train_val_list.txt").write_text("\n".join(names[:2]) + "\n")
    (tmp_path / "test_list.txt").write_text(names[2] + "\n")
    config = data(tmp_path)
    config.valid = 0.0  # one patient is left to choose from
    dataset = cxr.load(config)
    assert dataset.split.tolist()[2] == TEST and TEST not in dataset.split[:2]
    assert dataset.spec.left_out["in neither official list"] == {"Female": 1}
    assert any(
        "Official splits are kept (2 train|valid, 1 test)" in n
        for n in dataset.spec.notes
    )


def test_a_label_that_nih_does_not_have(tmp_path):
    path = nih(tmp_path) / "Data_Entry_2017.csv"
    path.write_text(path.read_text().replace("Hernia", "Herpes"))
    with pytest.raises(InputError, match="line 4, column 'Finding Labels': 'Herpes'"):
        find(str(tmp_path))


NAMES = "No Finding,Cardiomegaly,Edema"
ROWS = {  # half -> (patient, view, labels)
    "train": [
        (1, "Frontal,AP", ",1.0,"),
        (1, "Lateral,", ",-1.0,0.0"),
        (2, "Frontal,PA", "1.0,,"),
        (3, "Frontal,PA", ",-1.0,1.0"),
        (4, "Frontal,AP", ",,"),
    ],
    "valid": [(9, "Frontal,AP", "0.0,1.0,0.0")],
}


def chexpert(root):
    for half, rows in ROWS.items():
        text = f"Path,Sex,Age,Frontal/Lateral,AP/PA,{NAMES}\n"
        for i, (patient, view, cells) in enumerate(rows):
            below = f"{half}/patient{patient:05d}/study1/view{i}.jpg"
            save(root / below, picture(10 * patient + i))
            sex = "Female" if patient % 2 else "Male"
            text += f"CheXpert-v1.0-small/{below},{sex},{40 + patient},{view},{cells}\n"
        (root / f"{half}.csv").write_text(text)
    return root


@pytest.mark.parametrize(
    ("policy", "value", "seen"),
    [("u-zeros", 0, 1), ("u-ones", 1, 1), ("u-ignore", 0, 0)],
)
def test_chexpert_policies(tmp_path, policy, value, seen):
    dataset = cxr.load(data(chexpert(tmp_path), uncertain=policy))
    assert dataset.spec.targets == ("No Finding", "Cardiomegaly", "Edema")
    assert dataset.y[0].tolist() == [0, 1, 0] and dataset.mask[0].tolist() == [1, 1, 1]
    for row in (1, 3):  # -1: uncertain, and the policy decides
        assert dataset.y[row, 1] == value and dataset.mask[row, 1] == seen
    assert dataset.mask[4].tolist() == [1, 1, 1]  # blank: not mentioned, absent
    assert any(f"2 uncertain labels: policy {policy}" in n for n in dataset.spec.notes)
    assert dataset.split[-1] == VALID and VALID not in dataset.split[:-1]
    assert len(set(dataset.split[:2].tolist())) == 1  # one patient
    assert dataset.attributes["view"][:3].tolist() == ["AP", "lateral", "PA"]
    assert dataset.table["patient"].tolist()[0] == "patient00001"


def test_chexpert_blanks_and_races(tmp_path):
    made = cxr.load(data(chexpert(tmp_path), blank="ignore"))
    assert made.mask[4].tolist() == [1, 0, 0]  # No Finding is never 0: blank is 0
    assert "race" not in made.attributes and made.spec.group == "sex"
    people = tmp_path / "CHEXPERT DEMO.csv"
    people.write_text(
        "PATIENT,GENDER,AGE_AT_CXR,PRIMARY_RACE,ETHNICITY\n"
        'patient00001,Female,41,"White, non-Hispanic",Not Hispanic\n'
        "patient00002,Male,42,American Indian or Alaska Native,Unknown\n"
        'patient00003,Female,43,"Other, Hispanic",\n'
        "patient00004,Male,44,Race and Ethnicity Unknown,Unknown\n"
    )
    made = cxr.load(data(tmp_path, group="race"))
    races = ["White", "White", "Native American", "Hispanic", "", ""]
    assert made.attributes["race"].tolist() == races
    assert made.spec.groups == ("Hispanic", "Native American", "White")
    people.write_text("PATIENT,GENDER\n")
    with pytest.raises(InputError, match="line 1, column 'PRIMARY_RACE': missing"):
        cxr.load(data(tmp_path))


def test_chexpert_choices_and_errors(tmp_path):
    chexpert(tmp_path)
    frontal = cxr.load(data(tmp_path, views="frontal"))
    assert len(frontal.id) == 5 and TRAIN in frontal.split
    with pytest.raises(InputError, match="uncertain='u-maybe'; known: u-zeros"):
        cxr.load(data(tmp_path, uncertain="u-maybe"))
    path = tmp_path / "train.csv"
    path.write_text(path.read_text().replace("-1.0,1.0", "-2,1.0"))
    with pytest.raises(InputError, match="line 5, column 'Cardiomegaly': '-2'"):
        cxr.load(data(tmp_path))
    (tmp_path / "valid.csv").unlink()
    path.write_text(path.read_text().replace("-2,1.0", "-1.0,1.0"))
    alone = cxr.load(data(tmp_path))
    assert len(alone.id) == 5
    assert not any("Official" in note for note in alone.spec.notes)
