"""The simulated chests: repeatable, and told by their lesions alone."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from equity_jax.config import Phantom
from equity_jax.data import phantom
from equity_jax.types import InputError

SMALL = Phantom(patients=30, size=32)


@pytest.fixture(scope="module")
def usual():
    return phantom.draw(Phantom(patients=200, size=64), seed=0)


def test_files_are_those_of_the_radiography_set(tmp_path):
    table = phantom.write(tmp_path, SMALL, seed=3)
    images, drawn = phantom.draw(SMALL, seed=3)
    saved = pd.read_csv(tmp_path / "metadata.csv", keep_default_na=False)
    assert tuple(saved) == phantom.COLUMNS and saved.astype(str).equals(
        table.astype(str)
    )
    pd.testing.assert_frame_equal(table, drawn)
    assert {p.name for p in tmp_path.iterdir() if p.is_dir()} == set(phantom.CLASSES)
    for file, label, image in zip(table["file"], table["label"], images, strict=True):
        assert file.split("/")[0] == label
        with Image.open(io.BytesIO((tmp_path / file).read_bytes())) as found:
            assert found.mode == "L"
            np.testing.assert_array_equal(np.asarray(found), image)


def test_the_same_seed_gives_the_same_images_and_more_patients_change_none():
    images, table = phantom.draw(SMALL, seed=3)
    again, _ = phantom.draw(SMALL, seed=3)
    np.testing.assert_array_equal(images, again)
    more, longer = phantom.draw(Phantom(patients=40, size=32), seed=3)
    np.testing.assert_array_equal(images, more[: len(images)])
    assert longer[: len(table)].equals(table)
    other, _ = phantom.draw(SMALL, seed=4)
    n = min(len(other), len(images))
    assert (other[:n] != images[:n]).mean() > 0.9


def test_people(usual):
    images, table = usual
    people = table.drop_duplicates("patientid")
    assert len(people) == 200 and len(images) == len(table)
    same = ["label", "source", "sex", "age"]
    assert (table.groupby("patientid")[same].nunique() == 1).all().all()
    shots = table["patientid"].value_counts()
    assert 1.3 < shots.mean() < 1.8 and shots.max() <= phantom.MOST
    assert abs((people["sex"] == "F").mean() - 0.3) < 0.1
    assert set(table["view"]) == {"AP", "PA"}
    assert people["age"].between(1, 94).all()
    assert (people["age"] < 18).sum() > 15 and (people["age"] >= 80).sum() > 10
    held = table.groupby("source")["label"].agg(lambda x: tuple(sorted(set(x))))
    assert held.to_dict() == {
        "north": ("Normal", "Viral Pneumonia"),
        "south": ("COVID", "Normal"),
        "west": ("COVID",),
    }


def test_the_lesion_is_where_the_table_says(usual):
    """Without the lesion the same image; what differs lies in the mask."""
    images, table = usual
    clean, _ = phantom.draw(Phantom(patients=200, size=64, lesion=0.0), seed=0)
    more = images.astype(float) - clean
    inside = phantom.masks(table["lesion"], 64)
    healthy = (table["label"] == "Normal").to_numpy()
    assert not more[healthy].any() and not inside[healthy].any()
    assert (table["lesion"][healthy] == "").all()
    assert (table["lesion"].str.count(";")[table["label"] == "COVID"] == 1).all()
    for sex, least, most in (("M", 14, 24), ("F", 7, 12)):  # faint: half
        rows = ~healthy & (table["sex"] == sex).to_numpy()
        assert least < more[rows][inside[rows]].mean() < most
        assert abs(more[rows][~inside[rows]]).mean() < 1
    area = inside[~healthy].mean((1, 2))
    assert 0.02 < area.min() and area.max() < 0.1
    covid = inside[(table["label"] == "COVID").to_numpy()]
    assert not covid[:, :32].any() and covid[:, :, :32].any((1, 2)).all()
    assert covid[:, :, 32:].any((1, 2)).all()  # low in both lungs
    viral = inside[(table["label"] == "Viral Pneumonia").to_numpy()]
    assert not viral[:, 34:].any()
    sides = viral[:, :, :32].any((1, 2)) ^ viral[:, :, 32:].any((1, 2))
    assert sides.all()  # high in one


def accuracy(x, y, patients):
    model = make_pipeline(StandardScaler(), RidgeClassifier(300.0))
    return cross_val_score(model, x, y, cv=GroupKFold(4), groups=patients).mean()


def border(images):
    edge = np.ones(images.shape[1:], bool)
    edge[7:-7, 7:-7] = False
    return images[:, edge][:, ::2].astype(float)


def test_the_border_tells_the_class_only_where_a_marker_is_planted(usual):
    images, table = usual
    label, patients = table["label"], table["patientid"]
    most = label.value_counts(normalize=True).max()
    assert accuracy(border(images), label, patients) < most + 0.06
    small = images.reshape(-1, 16, 4, 16, 4).mean((2, 4)).reshape(len(images), -1)
    assert accuracy(small, label, patients) > most + 0.15
    marked, _ = phantom.draw(Phantom(patients=200, size=64, marker=1.0), seed=0)
    assert accuracy(border(marked), label, patients) > 0.95
    differs = (marked != images).mean(0) > 0
    assert not differs[10:-10, 10:-10].any()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patients", 0),
        ("size", 8),
        ("lesion", -0.1),
        ("marker", 3.0),
        ("female", 1.5),
        ("faint", -1.0),
    ],
)
def test_fields_out_of_range_are_refused(name, value):
    with pytest.raises(InputError, match=f"data.phantom.{name}={value}; expected"):
        phantom.draw(Phantom(**{name: value}), seed=0)
