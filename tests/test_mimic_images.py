"""MIMIC-CXR-JPG's own folders and tables, read as images; NIH by its real table."""

import json
from dataclasses import replace

import hospital
import numpy as np
import pandas as pd
import pytest
from xrays import SIZE, data, picture, save

from equity_jax.config import Data, Images, Mimic, Ward
from equity_jax.data import DATASETS, cxr
from equity_jax.data.cxr_layouts import find
from equity_jax.types import TEST, TRAIN, VALID, InputError

LINES = [  # subject, study, Edema, No Finding: of every study
    *(("10", "500", "1.0", ""), ("10", "501", "-1.0", ""), ("11", "510", "", "1.0")),
    *(("11", "511", "0.0", ""), ("11", "512", "", ""), ("12", "520", "", "1.0")),
    *(("13", "530", "1.0", ""), ("14", "540", "-1.0", "")),
]


def tables():
    """The hospital known by heart, with a row of both labelers for every study."""
    made = hospital.tables()
    columns = made["chexpert"].columns
    names = ["subject_id", "study_id", "Edema", "No Finding"]
    rows = pd.DataFrame(LINES, columns=names).reindex(columns=columns, fill_value="")
    return {**made, "chexpert": rows, "negbio": rows.assign(Edema="0.0")}


FILES = hospital.FILES | {"negbio": ("mimic-cxr-2.0.0-negbio.csv.gz", "")}


def write(root, made, monkeypatch, absent="", tables_in=""):
    monkeypatch.setattr(hospital, "FILES", FILES)
    hospital.write(root / tables_in, made)
    for i, row in enumerate(tables()["metadata"].itertuples()):
        below = f"files/p{row.subject_id[:2]}/p{row.subject_id}/s{row.study_id}"
        if row.dicom_id != absent:
            save(root / below / f"{row.dicom_id}.jpg", picture(i))
    return root


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Writes the hospital, changed by `change`, and reads it."""

    def read(change=lambda made: None, absent="", images=None, **options):
        made = tables()
        change(made)
        write(tmp_path, made, monkeypatch, absent)
        config = Data(name="mimic_cxr", source=str(tmp_path), mimic=Mimic(**options))
        config.images = Images(size=SIZE, alike=-1, **(images or {}))
        return DATASETS[config.name](config)

    return read


def column(dataset, name):
    stems = [id.rpartition("/")[2].removesuffix(".jpg") for id in dataset.id]
    return dict(zip(stems, dataset.attributes[name].tolist(), strict=True))


def said(dataset):
    return " ".join(dataset.spec.notes)


def test_everything_that_is_recorded_is_read(world):
    made = world()
    assert made.spec.task == "multilabel(14)" and made.y.shape == (9, 14)
    assert made.spec.targets == tuple(hospital.FILES["chexpert"][1].split(",")[2:])
    assert made.id[0] == "files/p10/p10/s500/a.jpg" and made.spec.group == "race"
    race = column(made, "race")
    assert race == dict(
        zip("abcdefghi", ["White"] * 3 + ["Black"] * 3 + [""] * 3, strict=True)
    )
    assert made.spec.groups == ("Black", "White") and made.spec.reference == "White"
    assert (
        column(made, "insurance")["g"] == "Medicare"
        and column(made, "age")["d"] == "18-39"
    )
    assert column(made, "sex")["d"] == "Male" and column(made, "view")["b"] == "lateral"
    split = {"train": TRAIN, "test": TEST, "validate": VALID}
    words = [line.split()[-1] for line in hospital.IMAGES.strip().splitlines()]
    assert made.split.tolist() == [split[word] for word in words]
    edema = made.spec.targets.index("Edema")
    assert made.y[:, edema].tolist() == [1, 1, 0, 0, 0, 0, 0, 1, 0]  # -1: u-zeros
    assert (made.mask == 1).all() and "3 uncertain labels" not in said(made)
    assert "1 of 2 patients have records of more than one race" in said(made)
    assert "MARTIAN (1)" in said(made) and not made.spec.simulated
    json.dumps([made.recipe, made.spec])


def test_new_rows_to_score(world, tmp_path):
    made = world()
    config = Data(name="mimic_cxr", source=str(tmp_path))
    again = DATASETS[config.name](config, recipe=made.recipe)
    assert set(again.split.tolist()) == {TEST} and again.spec.groups == made.spec.groups
    np.testing.assert_array_equal(again.y, made.y)
    np.testing.assert_array_equal(again.x, made.x)


def test_two_frontal_views_of_a_study_are_two_rows_of_a_patient(world):
    def change(made):
        made["metadata"].loc[1, "ViewPosition"] = "PA"
        made["metadata"].loc[8, "ViewPosition"] = ""

    made = world(change, images={"views": "frontal"})
    assert "1 studies have two frontal images or more: each is a row" in said(made)
    assert made.patient[0] == made.patient[1] and made.split[0] == made.split[1]
    assert made.spec.left_out == {"a view that is not recorded": {"not recorded": 1}}
    one = world(images={"views": "frontal"})
    assert one.spec.left_out == {"a view that is not frontal": {"White": 1}}
    assert "two frontal images" not in said(one)


def test_a_subject_without_demographics_stays_and_is_counted(world):
    made = world()
    assert column(made, "sex")["i"] == column(made, "insurance")["i"] == ""
    assert (
        "Not recorded, but kept: race of 3 images (3 subjects), insurance of 1 images "
        "(1 subjects), sex of 1 images (1 subjects), age of 1 images (1 subjects)."
    ) in said(made)
    assert made.group[-1] == -1


def test_an_image_that_is_listed_but_absent_is_counted(world):
    made = world(absent="d")
    assert made.spec.left_out == {"listed, but no such file": {"Black": 1}}
    assert len(made.id) == 8 and "1 listed, but no such file" in said(made)


def test_rows_that_other_tables_do_not_have_are_counted(world):
    def change(made):
        made["chexpert"] = made["chexpert"][1:]
        made["split"] = made["split"][:-1]

    made = world(change)
    assert made.spec.left_out == {
        "no row in chexpert": {"White": 2},
        "no row in split": {"not recorded": 1},
    }


@pytest.mark.parametrize(
    ("policy", "race", "rows"),
    [("most_frequent", "Black", 9), ("first", "Asian", 9), ("exclude", "", 6)],
)
def test_conflicts_of_race(world, policy, race, rows):
    made = world(conflicts=policy)
    assert column(made, "race").get("d", "") == race and len(made.id) == rows
    assert f"(coarse): policy {policy}." in said(made)
    lost = made.spec.left_out.get("race records that differ", {})
    assert lost == ({"Male": 3} if policy == "exclude" else {})


def test_which_races_are_groups(world):
    made = world(keep="White", images={"views": "frontal"}, conflicts="first")
    assert set(column(made, "race").values()) == {"White", ""}
    assert "Images of another race, kept as not recorded: Asian (3)" in said(made)
    assert made.spec.group == "sex"  # one race is no comparison
    assert len(set(world(keep="", race="detailed").spec.groups)) == 2
    with pytest.raises(InputError, match="keep='Green': none .* has Black, White"):
        world(keep="Green")


def test_tables_that_are_missing(world, tmp_path):
    def without(*keys):
        return lambda made: [made.pop(key) for key in keys]

    for key, needs in (
        ("metadata", "the views"),
        ("split", "data.mimic.split='official'"),
        ("chexpert", "data.mimic.labeler='chexpert'"),
    ):
        with pytest.raises(InputError, match=f"no {key} table .* {needs} needs"):
            world(without(key))
        for path in tmp_path.rglob("*.csv*"):
            path.unlink()
    made = world(without("admissions", "patients", "split", "chexpert"), **PATIENT)
    assert "No table admissions: race and insurance are not recorded." in said(made)
    assert "No table patients: sex and age are not recorded." in said(made)
    assert set(made.attributes) == {"view", "label"} and "Official" not in said(made)
    assert {*made.split.tolist()} <= {TRAIN, VALID, TEST}
    for path in tmp_path.rglob("*.csv*"):
        path.unlink()
    assert find(str(tmp_path)).layout == "plain"  # new images, to score
    with pytest.raises(InputError, match="is not 'mimic'; expected files/p10/"):
        find(str(tmp_path), "mimic")


PATIENT = {"split": "patient", "labeler": "negbio"}


def test_tables_elsewhere_and_other_options(tmp_path, monkeypatch):
    made = tables()
    beside = {key: made.pop(key) for key in ("admissions", "patients")}
    root = write(tmp_path / "jpg", made, monkeypatch)
    hospital.write(tmp_path / "mimiciv", beside)
    options = Mimic(tables=str(tmp_path / "mimiciv"), labeler="negbio")
    source = find(str(root), "auto", Data(mimic=options))
    assert source.layout == "mimic" and source.frame["race"][0] == "White"
    assert np.nansum(source.raw[:, source.labels.index("Edema")]) == 0  # negbio's
    for bad in ({"labeler": "me"}, {"split": "mine"}, {"race": "x"}):
        [(name, word)] = bad.items()
        with pytest.raises(InputError, match=f"data.mimic.{name}='{word}'; expected"):
            find(str(root), "auto", Data(mimic=replace(options, **bad)))


def test_blank_findings(world):
    made = world(images={"blank": "ignore", "uncertain": "u-ignore"})
    edema, nothing = (made.spec.targets.index(n) for n in ("Edema", "No Finding"))
    assert made.mask[:, edema].tolist() == [1, 1, 0, 0, 1, 0, 0, 1, 0]
    assert made.mask[:, nothing].all() and made.mask.sum() == 9 + 4
    assert made.y[:, nothing].tolist() == [0, 0, 0, 1, 0, 0, 1, 0, 0]
    assert "a finding not mentioned is unknown" in said(made)
    with pytest.raises(InputError, match="blank='no'; expected zeros or ignore"):
        world(images={"blank": "no"})


def test_the_twin_is_read_like_the_real_one():
    config = Data(name="mimic_cxr", ward=Ward(patients=60, size=SIZE))
    config.images = Images(size=SIZE, views="frontal")
    made = DATASETS["mimic_cxr"](config)
    assert made.spec.simulated and made.spec.task == "multilabel(14)"
    assert made.spec.groups == ("Asian", "Black", "Hispanic", "White")
    assert set(made.recipe["truth"]["readable"]["race"]) == set(made.spec.groups)
    assert {"race", "sex", "insurance", "age", "view"} <= set(made.attributes)
    assert set(made.split.tolist()) == {TRAIN, VALID, TEST}


def test_a_table_with_races(tmp_path):
    text = "file,patient,finding,race,insurance\n"
    for i in range(12):
        save(tmp_path / f"{i}.png", picture(i))
        race = "Asian" if i % 3 else "White"
        text += f"{i}.png,{i // 2},{'COVID' if i % 4 < 2 else 'None'},{race},Other\n"
    (tmp_path / "metadata.csv").write_text(text)
    made = cxr.load(data(tmp_path))
    assert made.attributes["race"].tolist()[:4] == ["White"] * 2 + ["Asian"] * 2
    assert "4 patients have two races: the first recorded is kept." in said(made)
    config = data(tmp_path, group="race")
    assert cxr.load(config).spec.group == "race"


@pytest.mark.realdata
def test_the_whole_table_of_nih(real):
    """6,373 rows of 1,835 patients of the 112,120 and 30,805 were kept back."""
    source = find(str(real / "nih"))
    frame = source.frame
    assert len(frame) == 112_120 - 6_373
    assert frame["patient"].nunique() == 30_805 - 1_835
    counts = {name: frame[name].value_counts().to_dict() for name in ("sex", "view")}
    print(counts, dict(zip(source.labels, source.raw.sum(0).astype(int), strict=True)))
    assert counts["sex"] == {"Male": 59_795, "Female": 45_952}  # of 63,340 and 48,780
    assert counts["view"] == {"PA": 63_293, "AP": 42_454}  # of 67,310 and 44,810
    assert frame["age"].min() == 0 and frame["age"].max() == 95
    nothing = frame["finding"] == "No Finding"
    np.testing.assert_array_equal(source.raw.sum(1) == 0, nothing)
    said = frame["finding"].str.split("|").explode().value_counts()
    assert said.drop("No Finding").to_dict() == dict(
        zip(source.labels, source.raw.sum(0).astype(int).tolist(), strict=True)
    )
