"""X-rays as a data set: what becomes of odd files, of patients, of look-alikes."""

import json

import numpy as np
import pandas as pd
import pytest
from xrays import SIZE, data, folders, odd, picture, save

from equity_jax.config import Data, Images, Phantom
from equity_jax.data import DATASETS, base, cxr
from equity_jax.data.stream import Stream
from equity_jax.types import TEST, TRAIN, VALID, InputError


@pytest.fixture(scope="module")
def twin():
    config = Data(name="cxr", images=Images(size=48), phantom=Phantom(patients=60))
    return cxr.load(config)


def crosses(dataset) -> int:
    """Patients in more than one split."""
    pairs = set(zip(dataset.patient.tolist(), dataset.split.tolist(), strict=True))
    return len(pairs) - len({patient for patient, _ in pairs})


def test_the_twin_is_read_like_any_other(twin):
    assert DATASETS["cxr"] is cxr.load
    spec = twin.spec
    assert spec.simulated and spec.notes[0].startswith("SIMULATED")
    assert spec.task == "multiclass(3)" and spec.group == "sex"
    assert spec.reference == "Male" and spec.unit == "patient"
    assert twin.x.shape == (len(twin.id), 48, 48, 1) and twin.x.dtype == np.uint8
    assert set(twin.attributes) == {"sex", "age", "view", "source"}
    assert twin.table["lesion"].str.len().max() > 0 and crosses(twin) == 0
    assert {TRAIN, VALID, TEST} == set(twin.split.tolist())
    assert (twin.y[:, 0] == [spec.classes.index(c) for c in twin.table["label"]]).all()
    json.dumps([twin.recipe, twin.spec])


def test_the_seed_moves_the_split_alone(twin):
    config = Data(name="cxr", images=Images(size=48), phantom=Phantom(patients=60))
    again, other = cxr.load(config), cxr.load(config, seed=1)
    assert base.split_hash(again) == base.split_hash(twin) != base.split_hash(other)
    np.testing.assert_array_equal(other.x, twin.x)


def test_unreadable_files_are_listed_and_left_out(tmp_path):
    root = folders(tmp_path)
    reasons = odd(root / "COVID")
    dataset = cxr.load(data(root, quarantine=0.5))
    listed = cxr.quarantine(dataset).set_index("file")["reason"]
    assert set(listed.index) == {f"COVID/{name}" for name in reasons}
    for name, said in reasons.items():
        assert listed[f"COVID/{name}"].startswith(f"COVID/{name}: ")
        assert said in listed[f"COVID/{name}"]
    assert len(dataset.id) == 20 and not set(listed.index) & set(dataset.id)
    # x moved up over the gaps: row and file still belong together
    row = dataset.id.tolist().index("Normal/Normal-3.png")
    from equity_jax.data import pixels

    expected = pixels.prepare(picture(103), SIZE)
    np.testing.assert_array_equal(dataset.x[row, ..., 0], expected)
    assert dataset.spec.left_out == {"unreadable": {"COVID": 5}}
    assert any("5 unreadable files" in note for note in dataset.spec.notes)


def test_too_many_unreadable_files_stop(tmp_path):
    root = folders(tmp_path)
    odd(root / "COVID")
    with pytest.raises(InputError, match=r"of 25 files are unreadable .*COVID/dot.png"):
        cxr.load(data(root))
    new = cxr.load(data(root), recipe=cxr.load(data(root, quarantine=1)).recipe)
    assert len(cxr.quarantine(new)) == 5  # to score, the rest is still worth it


def test_odd_but_readable_pictures(tmp_path):
    root = folders(tmp_path)
    deep = picture(500).astype(np.uint16) * 200
    save(root / "COVID" / "deep.png", deep)
    save(root / "COVID" / "rgba.png", picture(501), "RGBA")
    save(root / "COVID" / "cmyk.jpg", picture(502), "CMYK")
    save(root / "COVID" / "palette.png", picture(503), "P")
    dataset = cxr.load(data(root))
    facts = dataset.table.set_index("file")
    assert facts.loc["COVID/deep.png", "mode"].endswith("16")
    assert facts.loc["COVID/rgba.png", "mode"] == "RGBA"
    assert facts.loc["COVID/cmyk.jpg", "mode"] == "CMYK"
    assert len(dataset.id) == 24 and (facts["width"] == 40).all()


def test_a_patient_in_two_classes_stays_in_one_split(tmp_path):
    root = folders(tmp_path, each=12)
    files = [f"{c}/{c}-{i}.png" for c in ("COVID", "Normal") for i in range(12)]
    table = pd.DataFrame({"file": files, "patientid": list(range(12)) * 2})
    table.to_csv(root / "metadata.csv", index=False)
    dataset = cxr.load(data(root))
    assert len(set(dataset.patient.tolist())) == 12 and crosses(dataset) == 0
    assert any("12 patients are in two classes" in n for n in dataset.spec.notes)
    assert dataset.y[:, 0].tolist() == [0] * 12 + [1] * 12


def test_the_first_sex_recorded_is_kept(tmp_path):
    root = folders(tmp_path)
    files = [f"{c}/{c}-{i}.png" for c in ("COVID", "Normal") for i in range(10)]
    sex = ["m", "F", *["female"] * 9, *[""] * 8, "x"]
    table = pd.DataFrame(
        {"file": files, "sex": sex, "patientid": ["a", "a", *files[2:]]}
    )
    table.to_csv(root / "metadata.csv", index=False)
    dataset = cxr.load(data(root))
    assert dataset.spec.group == "sex" and dataset.spec.reference == "Female"
    assert dataset.attributes["sex"][:3].tolist() == ["Male", "Male", "Female"]
    said = " ".join(dataset.spec.notes)
    assert "1 patients have two sexes" in said and "Sex 'x' is not understood" in said
    assert dataset.group[-1] == -1


def test_look_alikes_stay_together_and_are_reported(tmp_path):
    root = folders(tmp_path, each=20)
    for i in range(8):  # the same picture under another name, and another label
        save(root / "Normal" / f"copy-{i}.jpg", picture(i))
    dataset = cxr.load(data(root))
    split = dict(zip(dataset.id.tolist(), dataset.split.tolist(), strict=True))
    for i in range(8):
        assert split[f"COVID/COVID-{i}.png"] == split[f"Normal/copy-{i}.jpg"]
    assert len(set(dataset.patient.tolist())) == 48
    said = " ".join(dataset.spec.notes)
    assert "8 pairs show one picture, 8 of them under two patients" in said
    assert "8 of these pairs have two different labels" in said
    shown = dataset.table.set_index("file")["alike"]
    assert shown["COVID/COVID-0.png"] == shown["Normal/copy-0.jpg"] >= 0
    assert (shown == -1).sum() == 32
    blind = cxr.load(data(root, alike=-1))
    assert not any("Look-alikes" in note for note in blind.spec.notes)


def test_official_splits_win_over_look_alikes(tmp_path):
    folders(tmp_path / "images", classes=("a", "b"), each=5)
    files = [f"images/{c}/{c}-{i}.png" for c in "ab" for i in range(5)]
    save(tmp_path / "images" / "copy.png", picture(0))
    table = pd.DataFrame({"file": [*files, "images/copy.png"]})
    table["finding"] = [*"aaaaabbbbb", "a"]
    table["split"] = ["train"] * 10 + ["test"]
    table.to_csv(tmp_path / "metadata.csv", index=False)
    dataset = cxr.load(data(tmp_path, layout="table"))
    assert dataset.split.tolist() == [TRAIN] * 10 + [TEST]
    said = " ".join(dataset.spec.notes)
    assert "1 pairs lie across official splits, such as images/a/a-0.png" in said


def test_more_than_the_memory_is_streamed(tmp_path):
    root = folders(tmp_path)
    (root / "COVID" / "bad.png").write_bytes(b"")
    kept = cxr.load(data(root, equalize="global"))
    streamed = cxr.load(data(root, equalize="global", memory=0.0))
    assert isinstance(streamed.x, Stream) and streamed.x.shape == kept.x.shape
    np.testing.assert_array_equal(np.asarray(streamed.x), kept.x)
    assert base.split_hash(kept) == base.split_hash(streamed)


def test_new_images_are_read_as_the_run_s_were(tmp_path):
    run = cxr.load(data(folders(tmp_path / "run"), equalize="clahe"))
    new = folders(tmp_path / "new", classes=("COVID", "Unheard"), each=2)
    scored = cxr.load(data(new, size=999), recipe=json.loads(json.dumps(run.recipe)))
    assert scored.x.shape == (4, SIZE, SIZE, 1) and (scored.split == TEST).all()
    assert scored.y[:, 0].tolist() == [0, 0, -1, -1]
    assert scored.mask[:, 0].tolist() == [1, 1, 0, 0]
    assert scored.spec.classes == run.spec.classes and scored.recipe == run.recipe
    flat = tmp_path / "flat"
    save(flat / "one.png", picture(1))
    alone = cxr.load(data(flat), recipe=run.recipe)
    assert alone.y.tolist() == [[-1]] and alone.spec.groups == run.spec.groups


def test_groups_that_are_asked_for(tmp_path, twin):
    config = Data(name="cxr", images=Images(size=48), phantom=Phantom(patients=60))
    config.group, config.reference = "age", "80+"
    dataset = cxr.load(config)
    assert dataset.spec.groups == ("0-17", "18-39", "40-59", "60-79", "80+")
    assert dataset.spec.reference == "80+"
    config.reference = "Male"
    with pytest.raises(InputError, match="data.reference='Male' is no group"):
        cxr.load(config)
    root = folders(tmp_path)
    plain = cxr.load(data(root))
    assert plain.spec.group == "label" and plain.spec.groups == ("COVID", "Normal")
    with pytest.raises(InputError, match="data.group='sex' is not recorded"):
        cxr.load(data(root, group="sex"))


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ({"layout": "folder"}, "layout='folder' is unknown; known: auto, prepared"),
        ({"layout": "nih"}, "is not 'nih'; expected Data_Entry_2017"),
        ({"views": "side"}, "expected all or frontal"),
        ({"equalize": "much"}, "data.images.equalize='much'"),
        ({"classes": "Covid=X"}, "no finding 'Covid'; has 'COVID', 'Normal'"),
        ({"classes": "COVID"}, "expected finding=class"),
        ({"classes": "Normal="}, "1 classes with images"),
        ({"labels": "Mass"}, "is for multi-label tables"),
    ],
)
def test_bad_options_are_refused(tmp_path, images, said):
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        cxr.load(data(folders(tmp_path), **images))


def test_bad_sources_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist; expected a folder"):
        cxr.load(data(tmp_path / "none"))
    with pytest.raises(InputError, match="no images, nor a table"):
        cxr.load(data(tmp_path))
    save(tmp_path / "one.png", picture(1))
    with pytest.raises(InputError, match="is a file"):
        cxr.load(data(tmp_path / "one.png"))
    with pytest.raises(InputError, match="0 classes with images"):
        cxr.load(data(tmp_path))


@pytest.mark.realdata
def test_real_radiography(real):
    dataset = cxr.load(data(real / "cxr_radiography"))
    counts = dataset.table["label"].value_counts().to_dict()
    assert counts == {"Normal": 996, "Viral Pneumonia": 987, "COVID": 437}
    assert len(set(dataset.patient.tolist())) == 1736 and crosses(dataset) == 0
    assert dataset.spec.group == "source" and dataset.spec.reference == "kermany"
    assert len(cxr.quarantine(dataset)) == 0
    for code, share in ((VALID, 0.15), (TEST, 0.25)):
        for y in range(3):
            mine = dataset.y[:, 0] == y
            assert abs((dataset.split[mine] == code).mean() - share) < 0.03
    # One patient of ieee8023 has two ids: four pictures are there twice.
    linked = dataset.table[dataset.table["alike"] >= 0].groupby("alike")
    twice = linked["patient"].nunique() > 1
    assert twice.sum() == 4
    truth = pd.read_csv(real / "cxr_radiography" / "metadata.csv").set_index("file")
    for _, files in linked["file"]:
        assert truth.loc[files.tolist(), "component"].nunique() == 1
        assert len({dataset.split[i] for i in files.index}) == 1


@pytest.mark.realdata
def test_real_covid(real):
    dataset = cxr.load(data(real / "cxr_covid"))
    assert dataset.spec.classes == ("COVID", "Other") and len(dataset.id) == 356
    assert (dataset.y[:, 0] == 0).sum() == 281 and crosses(dataset) == 0
    assert dataset.spec.group == "sex" and dataset.spec.reference == "Male"
    sexes = pd.Series(dataset.attributes["sex"]).value_counts().to_dict()
    assert dataset.table["finding"].nunique() == 15
    assert sexes == {"Male": 237, "Female": 109, "": 10}
    assert (dataset.attributes["age"] == "").sum() == 192
    said = " ".join(dataset.spec.notes)
    assert "1 patients are in two classes" in said and "No Finding (3)" in said
    frontal = cxr.load(data(real / "cxr_covid", views="frontal"))
    assert len(frontal.id) == 332


@pytest.mark.realdata
def test_real_nih(real):
    dataset = cxr.load(data(real / "nih"))
    assert dataset.spec.task == "multilabel(14)" and len(dataset.id) == 11
    lost = dataset.spec.left_out["listed, but no such file"]
    assert sum(lost.values()) == 105_747 - 11 and crosses(dataset) == 0
    row = dataset.id.tolist().index("images/00000001_001.png")
    present = np.array(dataset.spec.targets)[dataset.y[row] == 1]
    assert present.tolist() == ["Cardiomegaly", "Emphysema"]
