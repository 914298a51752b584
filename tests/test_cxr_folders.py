"""Folders of classes, folders with a table, DICOM, plain images: rows as expected."""

import numpy as np
import pandas as pd
import pytest
from xrays import data, folders, picture, save

from equity_jax.config import Data, Images
from equity_jax.data import cxr
from equity_jax.data.cxr_labels import class_map, labels
from equity_jax.data.cxr_layouts import LAYOUTS, find
from equity_jax.types import InputError


def test_images_and_masks_below_each_class(tmp_path):
    for name in ("COVID", "Lung_Opacity", "Normal"):
        for i in range(3):
            save(tmp_path / name / "images" / f"{name}-{i}.png", picture(i))
            save(tmp_path / name / "masks" / f"{name}-{i}.png", picture(i))
    (tmp_path / "README.md.txt").write_text("about")
    (tmp_path / ".hidden").mkdir()
    source = find(str(tmp_path))
    assert source.layout == "folders" and len(source.frame) == 9
    assert source.frame["file"][0] == "COVID/images/COVID-0.png"
    assert source.frame["patient"][0] == "COVID-0"
    assert source.notes == ("No patients are recorded: each file counts as one.",)


def test_lung_opacity_is_left_out_unless_asked_for(tmp_path):
    folders(tmp_path, ("COVID", "Lung_Opacity", "Normal"), 3)
    dataset = cxr.load(data(tmp_path, alike=-1))
    assert dataset.spec.classes == ("COVID", "Normal")
    left = dataset.spec.left_out["class: Lung_Opacity"]
    assert left == {"not recorded": 3} or sum(left.values()) == 3
    asked = cxr.load(data(tmp_path, classes="Lung_Opacity=Opacity"))
    assert asked.spec.classes == ("COVID", "Normal", "Opacity")
    other = cxr.load(data(tmp_path, classes="COVID=COVID,*=Other"))
    assert other.spec.classes == ("COVID", "Other")
    assert "Other = Lung_Opacity (3), Normal (3)" in " ".join(other.spec.notes)


def test_a_class_folder_without_an_image_stops(tmp_path):
    folders(tmp_path)
    (tmp_path / "Viral Pneumonia").mkdir()
    (tmp_path / "Viral Pneumonia" / "Thumbs.db").write_bytes(b"x")
    with pytest.raises(InputError, match="Viral Pneumonia: a class folder without an"):
        find(str(tmp_path))


def test_the_table_beside_the_folders(tmp_path):
    folders(tmp_path, each=2)
    frame = pd.DataFrame({"File": ["COVID/COVID-1.png", "gone.png"]})
    frame["Patient ID"], frame["Sex"], frame["age"] = "p", "F", "061Y"
    frame.to_csv(tmp_path / "metadata.csv", index=False)
    made = find(str(tmp_path))
    row = made.frame.set_index("file").loc["COVID/COVID-1.png"]
    assert (row["patient"], row["sex"], row["age"]) == ("p", "Female", 61.0)
    assert made.frame["patient"].tolist() == ["COVID-0", "p", "Normal-0", "Normal-1"]
    said = " ".join(made.notes)
    assert "3 images are not in metadata.csv" in said and "1 rows of" in said
    frame.drop(columns="File").to_csv(tmp_path / "metadata.csv", index=False)
    with pytest.raises(InputError, match="no column of file names"):
        find(str(tmp_path))
    twice = pd.concat([frame, frame])
    twice.to_csv(tmp_path / "metadata.csv", index=False)
    with pytest.raises(InputError, match="line 4: COVID/COVID-1.png is listed twice"):
        find(str(tmp_path))


@pytest.fixture
def table(tmp_path):
    finding = ["COVID-19", "COVID-19, ARDS", "No Finding", "SARS", "todo", "COVID-19"]
    for i in range(6):
        save(tmp_path / "images" / f"{i}.png", picture(i))
    frame = pd.DataFrame({"filename": [f"{i}.png" for i in range(7)]})
    frame["finding"] = [*finding, "COVID-19"]
    frame["patientid"] = ["a", "a", "b", "c", "d", "", "e"]
    frame["sex"] = ["m", "F", "Female", "MALE", "", "unknown", "f"]
    frame["age"] = ["7", "", "90", "414", "55.5", "18", "1"]
    frame["view"] = ["pa", "L", "AP Supine", "ap", "", "PA", "PA"]
    frame["modality"] = ["X-ray"] * 5 + ["CT", "X-ray"]
    frame.to_csv(tmp_path / "metadata.csv", index=False)
    save(tmp_path / "images" / "unlisted.png", picture(99))
    return tmp_path


def test_a_folder_and_a_table(table):
    source = find(str(table))
    frame = source.frame
    assert source.layout == "table" and frame["file"][0] == "images/0.png"
    assert frame["sex"].tolist() == [
        "Male",
        "Female",
        "Female",
        "Male",
        "",
        "",
        "Female",
    ]
    np.testing.assert_equal(frame["age"].to_numpy()[:5], [7, np.nan, 90, np.nan, 55.5])
    assert frame["view"][:4].tolist() == ["PA", "lateral", "AP SUPINE", "AP"]
    assert frame["patient"][5] == "5"  # a blank one: the file's name
    assert frame["lost"][5:].tolist() == [
        "another modality than X-ray",
        "listed, but no such file",
    ]
    said = " ".join(source.notes)
    assert "1 images that metadata.csv does not list" in said and "(414)" in said


def test_covid_against_every_other_finding(table):
    source = find(str(table))
    made = labels(source, Images())
    assert made.classes == ("COVID", "Other") and made.task == "multiclass(2)"
    assert made.label[:5].tolist() == ["COVID", "COVID", "Other", "Other", ""]
    assert made.lost[4] == "class: todo"
    asked = class_map(source, Images(classes="COVID-19, ARDS=,No Finding=Normal"))
    assert asked["COVID-19, ARDS"] == "" and asked["No Finding"] == "Normal"
    assert asked["COVID-19"] == "COVID" and asked["SARS"] == "Other"
    frontal = labels(source, Images(views="frontal"))
    assert frontal.lost[1] == "a view that is not frontal" and not frontal.lost[2]


def test_a_file_listed_twice_or_no_csv_is_refused(table):
    text = (table / "metadata.csv").read_text().replace("\n1.png", "\n0.png")
    (table / "metadata.csv").write_text(text)
    with pytest.raises(InputError, match="images/0.png is listed twice"):
        find(str(table))
    (table / "metadata.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a CSV of UTF-8 text"):
        find(str(table))


def test_dicom_files_and_their_tags(tmp_path):
    pydicom = pytest.importorskip("pydicom", reason="the extra dicom brings pydicom")
    from pydicom.uid import ExplicitVRLittleEndian

    for i, side in enumerate((40, 48)):
        made = pydicom.Dataset()
        made.PatientID, made.PatientSex, made.PatientAge = f"p{i}", "F", "045Y"
        made.ViewPosition, made.Rows, made.Columns = "LL", side, side
        made.PhotometricInterpretation, made.SamplesPerPixel = "MONOCHROME2", 1
        made.BitsAllocated = made.BitsStored = 8
        made.HighBit, made.PixelRepresentation = 7, 0
        made.PixelData = picture(i, side).tobytes()
        made.file_meta = pydicom.dataset.FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
        made.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{i}"
        made.save_as(tmp_path / f"{i}.dcm", enforce_file_format=True)
    (tmp_path / "bad.dcm").write_bytes(b"nothing")
    source = find(str(tmp_path))
    assert source.layout == "dicom"
    row = source.frame.set_index("file").loc["1.dcm"]
    assert (row["patient"], row["sex"], row["age"]) == ("p1", "Female", 45.0)
    assert row["view"] == "lateral"
    assert source.frame.set_index("file").loc["bad.dcm", "patient"] == "bad"
    run = cxr.load(data(folders(tmp_path / "run")))
    scored = cxr.load(data(tmp_path, layout="dicom"), recipe=run.recipe)
    # the folder of the run lies below: DICOM files of the folder itself come first
    assert len(scored.id) >= 2


def test_plain_images_at_any_depth(tmp_path):
    save(tmp_path / "one.png", picture(0))
    save(tmp_path / "images" / "two.JPG", picture(1))
    source = find(str(tmp_path))
    assert source.layout == "plain"
    assert source.frame["file"].tolist() == ["images/two.JPG", "one.png"]


def test_every_layout_says_what_it_expects(tmp_path):
    for name, layout in LAYOUTS.items():
        options = [getattr(Data(), layout.options)] if layout.options else []
        assert layout.read(tmp_path, *options) is None
        with pytest.raises(InputError, match=f"is not '{name}'; expected "):
            find(str(tmp_path), name)


def test_the_fingerprint_knows_names_sizes_and_tables(table):
    before = find(str(table)).fingerprint
    assert find(str(table)).fingerprint == before
    save(table / "images" / "0.png", picture(1))
    after = find(str(table)).fingerprint
    text = (table / "metadata.csv").read_text().replace("SARS", "MERS")
    (table / "metadata.csv").write_text(text)
    assert len({before, after, find(str(table)).fingerprint}) == 3
