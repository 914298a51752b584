"""Embeddings and tables as a Dataset: of files, of the twin, of new rows to score."""

import json

import hospital
import numpy as np
import pytest

from equity_jax.config import Cohort, Data, Embeddings
from equity_jax.data import DATASETS, cohort_files, embedding_scale
from equity_jax.data.cohort import cohort
from equity_jax.data.embedded import PRECISIONS
from equity_jax.data.embedding_people import enough, grouping
from equity_jax.results import describe
from equity_jax.types import LEFT_OUT, TEST, TRAIN, VALID, InputError

SMALL = Cohort(patients=150, images=500, features=16)


def load(source="", recipe=None, seed=0, cohort=SMALL, group="race", **options):
    data = Data(name="embeddings", source=str(source), group=group, cohort=cohort)
    data.embeddings = Embeddings(**options)
    return DATASETS["embeddings"](data, seed=seed, recipe=recipe)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("twin") / "files"
    return cohort_files.write(cohort(SMALL), place, shards=2, quiet=True)


@pytest.fixture(scope="module")
def twin():
    return load()


def test_the_twin_goes_through_the_join(twin):
    spec = twin.spec
    assert spec.simulated and spec.task == "binary" and spec.targets == ("ef",)
    assert spec.classes == ("EF 40 or more", "EF below 40") and spec.unit == "patient"
    assert spec.group == "race" and spec.reference == "White"
    assert set(twin.attributes) == {"race", "sex", "insurance", "age", "view"}
    assert twin.x.dtype == np.float32 and twin.y.shape == (len(twin.x), 1)
    assert (twin.mask == 1).all() and set(np.unique(twin.y)) == {0, 1}
    lost = sum(n for groups in spec.left_out.values() for n in groups.values())
    assert lost + len(twin.x) == SMALL.images and lost > 0
    assert spec.notes[0] == "SIMULATED: these are not real patients."
    assert set(twin.attributes["sex"]) == {"Female", "Male"}
    assert twin.controls["age"].shape == twin.id.shape
    assert twin.table["dicom_id"].tolist() == twin.id.tolist()
    np.testing.assert_array_equal(twin.table["label"], twin.y[:, 0])
    np.testing.assert_array_equal(twin.table["ef"] < 40, twin.y[:, 0] == 1)
    assert twin.table["ef_days"].max() <= 30
    assert (
        set(twin.split.tolist()) == {TRAIN, VALID, TEST} and LEFT_OUT not in twin.split
    )
    json.dumps(describe(twin))


def test_training_rows_set_the_scale(twin):
    train = twin.x[twin.split == TRAIN].astype(np.float64)
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(train.std(0), 1, rtol=1e-5)
    assert abs(twin.x[twin.split == TEST].mean(0)).max() > 1e-3


def test_what_was_planted_is_told_for_the_label_it_is_about(twin):
    assert twin.recipe["truth"]["reference"] == "White"
    for options in ({"label": "Edema"}, {"cut": 50.0}, {"race": "detailed"}):
        assert "truth" not in load(**options).recipe


def test_three_classes():
    more = Cohort(patients=800, images=2000, features=16)
    dataset = load(label="ef_classes", cohort=more)
    assert dataset.spec.task == "multiclass(3)" and dataset.y.dtype == np.int32
    ef = dataset.table["ef"].to_numpy()
    expected = np.where(ef < 40, 0, np.where(ef < 50, 1, 2))
    np.testing.assert_array_equal(dataset.y[:, 0], expected)


def test_files_say_what_memory_says(folder, twin):
    found = load(folder)
    order, other = np.argsort(found.id), np.argsort(twin.id)
    assert found.id[order].tolist() == twin.id[other].tolist()
    np.testing.assert_allclose(found.x[order], twin.x[other], atol=1e-5)
    np.testing.assert_array_equal(found.y[order], twin.y[other])
    for name, values in twin.attributes.items():
        assert found.attributes[name][order].tolist() == values[other].tolist()
    assert found.spec.simulated and "truth" not in found.recipe
    assert found.spec.left_out == twin.spec.left_out
    assert load(folder).spec.fingerprint == found.spec.fingerprint
    assert load(folder, label="Edema").spec.fingerprint != found.spec.fingerprint


def test_half_the_memory(twin):
    half = load(precision="bfloat16")
    assert half.x.dtype == PRECISIONS["bfloat16"] and half.x.nbytes * 2 == twin.x.nbytes
    np.testing.assert_allclose(half.x.astype(np.float32), twin.x, rtol=2**-7)
    with pytest.raises(InputError, match="precision='float16'; known: float32, bfloat"):
        load(precision="float16")


def test_new_rows_are_scored_with_the_old_scales(folder):
    trained = load(folder)
    recipe = json.loads(json.dumps(trained.recipe))
    again = load(folder, recipe)
    assert len(again.x) == SMALL.images and (again.split == TEST).all()
    place = {name: row for row, name in enumerate(again.id)}
    rows = [place[name] for name in trained.id]
    np.testing.assert_array_equal(again.x[rows], trained.x)
    np.testing.assert_array_equal(again.y[rows], trained.y)
    rest = np.setdiff1d(np.arange(len(again.x)), rows)
    assert np.isnan(again.y[rest]).all() and (again.mask[rest] == 0).all()
    assert again.spec.groups == trained.spec.groups and again.recipe == recipe


def test_new_rows_without_any_table(folder, tmp_path):
    trained = load(folder)
    for path in folder.glob("*.tfrecord*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for tables in ("", str(tmp_path / "elsewhere"), str(tmp_path)):
        bare = load(tmp_path, trained.recipe, tables=tables)
        assert np.isnan(bare.y).all() and (bare.attributes["race"] == "").all()
        assert (bare.group == -1).all() and len(bare.x) == SMALL.images
    known = load(tmp_path, trained.recipe, tables=str(folder))
    assert (known.mask == 1).sum() == len(trained.x)
    with pytest.raises(InputError, match="no metadata table below it"):
        load(tmp_path)
    short = {**trained.recipe, "mean": [0.0], "scale": [1.0]}
    with pytest.raises(InputError, match="embeddings of 16 numbers; .* trained on 1$"):
        load(folder, short)


def test_splits_are_drawn_where_there_are_none(folder, tmp_path):
    made = cohort(SMALL).tables
    hospital.write(tmp_path, {k: t for k, t in made.items() if k != "split"})
    first, second = (load(folder, tables=str(tmp_path), seed=s) for s in (0, 1))
    assert (first.split != second.split).any()
    assert not any("Official" in note for note in first.spec.notes)
    assert {*first.split.tolist()} == {TRAIN, VALID, TEST}


def test_groups_and_their_reference():
    assert load(group="sex").spec.groups == ("Female", "Male")
    with pytest.raises(
        InputError, match="data.group='region' is not recorded.* race, "
    ):
        load(group="region")
    sexes = {"sex": np.array(["Female", "Male"]), "race": np.array(["White", ""])}
    assert grouping(sexes, "race") == "sex"
    with pytest.raises(InputError, match="none has two values"):
        grouping({"sex": np.array(["Male", "Male"])}, "race")


def test_a_split_without_enough_rows():
    y, split = np.tile([0.0, 1.0], 6), np.repeat([0, 1, 2], 4)
    enough(y, split, ("no", "yes"), "twin")
    y[5] = np.nan
    with pytest.raises(
        InputError, match="twin: 1 rows of 'yes' in the valid split; exp"
    ):
        enough(y, split, ("no", "yes"), "twin")
    with pytest.raises(InputError, match="rows of 'EF below 14'"):
        load(cut=14.0)


def test_scales_by_blocks(monkeypatch):
    x = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    x[:, 3] = 7  # says nothing: stays 0, and finite
    rows = np.arange(1, 50, 2)
    mean, scale = embedding_scale.fit(x, rows)
    monkeypatch.setattr(embedding_scale, "ROWS", 7)
    np.testing.assert_allclose(embedding_scale.fit(x, rows)[0], mean, rtol=1e-6)
    np.testing.assert_allclose(scale[:3], x[rows, :3].std(0), rtol=1e-5)
    made = embedding_scale.apply(x, rows, mean, scale, np.dtype(np.float32))
    np.testing.assert_array_equal(made, (x[rows] - mean) / scale)
    assert (made[:, 3] == 0).all()
