"""The simulated ward: MIMIC's folders and tables; brute force finds its truth."""

import json

import numpy as np
import pandas as pd
import pytest
from hospital import COLUMNS, digests
from scipy.stats import bernoulli, multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from equity_jax.audit.statistics.delong import delong
from equity_jax.config import Cohort, Ward
from equity_jax.data import cohort_people, ward, ward_findings, ward_pixels
from equity_jax.data.cohort_axes import places
from equity_jax.data.pixels import decode, facts
from equity_jax.types import InputError
from experiments.launch import exit_codes
from scripts import simulate

SMALL = Ward(patients=40, size=32)
RACES = list(cohort_people.RACES)
WANTED = {
    key: COLUMNS[key]
    for key in ("split", "chexpert", "metadata", "admissions", "patients")
} | {"negbio": COLUMNS["chexpert"]}


def command(out, *more):
    flags = ("--dataset=mimic_cxr", f"--out={out}", "--patients=40", "--size=32")
    return exit_codes(simulate.main, ["simulate", *flags, *more])


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ward") / "tree"
    assert command(folder, "--quiet") == 0
    return folder


@pytest.fixture(scope="module")
def read(tree):
    return {
        name: pd.read_csv(tree / path, dtype=str, keep_default_na=False)
        for name, path in ward.TABLES.items()
    }


@pytest.fixture(scope="module")
def many():
    """One study a person: independent draws."""
    people = cohort_people.draw(Cohort(patients=60_000, images=60_000))
    true = ward_findings.draw(people, Ward(), np.random.default_rng(1))
    said = ward_findings.tables(true, people, Ward(), np.random.default_rng(2))
    return people, true, said


def test_folders_and_tables_are_those_of_mimic(tree, read):
    assert {name: ",".join(table) for name, table in read.items()} == WANTED
    images = read["metadata"]
    who, study = images["subject_id"], images["study_id"]
    paths = "files/p" + who.str[:2] + "/p" + who + "/s" + study + "/"
    paths += images["dicom_id"] + ".jpg"
    pattern = r"files/p1\d/p1\d{7}/s5\d{7}/[0-9a-f]{8}(-[0-9a-f]{8}){4}\.jpg"
    assert paths.str.fullmatch(pattern).all()
    found = set(digests(tree))
    assert found == {*paths, *ward.TABLES.values(), "LICENSE.txt"}
    assert (tree / "LICENSE.txt").read_text().startswith("SIMULATED")
    for path in paths:
        assert facts((tree / path).read_bytes()) == (32, 32, "L")


def test_tables_agree_and_have_their_odd_rows(read):
    images, labels = read["metadata"], read["chexpert"]
    assert images["dicom_id"].tolist() == read["split"]["dicom_id"].tolist()
    assert set(labels["study_id"]) == set(images["study_id"])
    keys = ["subject_id", "study_id"]
    assert labels[keys].equals(read["negbio"][keys])
    frontal = images[images["ViewPosition"] != "LATERAL"]
    assert 0 < len(images) - len(frontal) < len(images) / 3
    assert (frontal["study_id"].value_counts() > 1).any()  # two frontal views
    splits = read["split"].groupby("subject_id")["split"]
    assert (splits.nunique() == 1).all()
    assert set(splits.first()) <= {"train", "validate", "test"}
    assert set(read["patients"]["subject_id"]) == set(images["subject_id"])
    assert set(np.unique(labels.iloc[:, 2:])) == {"", "0.0", "1.0", "-1.0"}
    ill = labels[list(ward_findings.ILL)].isin(["1.0", "-1.0"]).any(axis=1)
    np.testing.assert_array_equal(labels["No Finding"] == "1.0", ~ill)
    kinds = labels[list(ward_findings.KINDS)].eq("1.0").any(axis=1)
    np.testing.assert_array_equal(labels["Lung Opacity"] == "1.0", kinds)


def test_the_same_numbers_give_the_same_bytes(tree, tmp_path, capsys):
    (tmp_path / "again").mkdir()  # an empty folder will do
    assert command(tmp_path / "again") == 0
    assert "SIMULATED images of 40 patients" in capsys.readouterr().out
    assert digests(tmp_path / "again") == digests(tree)
    assert command(tmp_path / "other", "--seed=1", "--quiet") == 0
    shared = set(digests(tmp_path / "other").items()) & set(digests(tree).items())
    assert [path for path, _ in shared] == ["LICENSE.txt"]


def test_labels_are_as_frequent_as_the_truth_says(many):
    people, true, said = many
    race, truth = people.race[people.person], ward.truth(Ward())
    for name in ward_findings.LABELS:
        listed = (said["chexpert"][name] == "1.0").to_numpy()
        for told, seen in (("prevalence", listed), ("prevalence_true", true[name])):
            for code, group in enumerate(RACES):
                p, rows = truth[told][name][group], race == code
                se = np.sqrt(p * (1 - p) / rows.sum())
                assert abs(seen[rows].mean() - p) < 4 * se, (told, name, group)
    vague = said["chexpert"][list(true)] == "-1.0"
    assert vague.any(axis=None) and not (vague & true).any(axis=None)


def test_the_planted_misses_are_those_of_the_truth(many):
    people, true, said = many
    race, truth = people.race[people.person], ward.truth(Ward())
    clear, listed = true["No Finding"], said["chexpert"]["No Finding"] == "1.0"
    for code, group in enumerate(RACES):
        rows = race == code
        for planted, of, what in (
            (truth["underdiagnosis"], ~clear, listed),
            (truth["clear"]["fpr"], ~listed, clear),
            (truth["clear"]["fnr"], listed, ~clear),
        ):
            n = (rows & of).sum()
            p = planted[group]
            found = what[rows & of].mean()
            print(f"{group}: planted {p:.3f}, found {found:.3f}")
            assert abs(found - p) <= 4 * np.sqrt(p * (1 - p) / n)
    fair = ward.truth(Ward(gap=0.0, missed=0.0))
    for shares in fair["prevalence"].values():
        assert np.ptp(list(shares.values())) < 1e-9


def test_negbio_differs_in_what_is_uncertain_alone(many):
    chexpert, negbio = many[2]["chexpert"], many[2]["negbio"]
    differ = chexpert != negbio
    assert (chexpert[differ].isin(["-1.0"]) | ~differ).all(axis=None)
    share = differ.sum(axis=None) / (chexpert == "-1.0").sum(axis=None)
    assert abs(share - ward_findings.HALF) < 0.05


@pytest.mark.parametrize("findings", [False, True])
def test_the_best_readers_auroc_is_what_brute_force_finds(many, findings):
    people, true, _ = many
    options, truth = Ward(), ward.truth(Ward())
    assert json.loads(json.dumps(truth)) == truth
    race = people.race[people.person]
    where = places(options.race)
    gaps = np.linalg.norm(where[:, None] - where[None], axis=-1)
    np.testing.assert_allclose(gaps[~np.eye(5, dtype=bool)], options.race)
    z = where[race] + np.random.default_rng(3).normal(size=(len(race), 4))
    score = np.stack([multivariate_normal(at).pdf(z) for at in where[:4]], 1)
    score *= [r.share for r in cohort_people.RACES.values()][:4]
    if findings:
        for i, name in enumerate(ward_findings.DRAWN):
            if name not in truth["unseen"]:
                rate = ward_findings.rates(options)[:4, i]
                score *= bernoulli(rate[None]).pmf(true[name].to_numpy(int)[:, None])
    kept = race < 4
    score = (score / score.sum(1, keepdims=True))[kept]
    told = truth["readable_all" if findings else "readable"]["race"]
    assert list(told) == RACES[:4]
    for code, name in enumerate(told):
        found = delong(score[:, code], race[kept] == code, np.arange(kept.sum()))
        print(f"{name}: Bayes {told[name]:.4f}, found {found.auroc:.4f}")
        assert abs(found.auroc - told[name]) < 3 * found.se + 1e-3
    assert set(ward.truth(options, keep="")["readable"]["race"]) == set(RACES)
    assert ward.truth(options, keep="White")["readable"]["race"] == {}


def test_nothing_planted_nothing_read():
    told = ward.truth(Ward(race=0.0, gap=0.0))
    for shares in (*told["readable"].values(), *told["readable_all"].values()):
        assert all(v == pytest.approx(0.5, abs=2e-3) for v in shares.values())


def test_patterns_are_orthonormal_and_hold_the_sign_exactly():
    flat = ward_pixels.patterns(48).reshape(4, -1)
    np.testing.assert_allclose(flat @ flat.T / 48**2, np.eye(4), atol=1e-9)
    made = [
        ward_pixels.image(
            *(Ward(size=48), "AP", np.ones(8), True, frozenset({"Edema"})),
            *(np.array(z, float), np.random.default_rng(0)),
        ).reshape(-1)
        / 255
        for z in ([0, 0, 0, 0], [1, -1, 0.5, 2])
    ]
    more = (made[1] - made[0]) @ flat.T / 48**2 / Ward().sign
    np.testing.assert_allclose(more, [1, -1, 0.5, 2], atol=0.02)
    rest = made[1] - made[0] - Ward().sign * more @ flat
    assert abs(rest).max() <= 1.01 / 255  # rounding


def test_findings_change_the_image_but_for_those_without_a_sign():
    def photo(*found, view="PA"):
        who = view, np.zeros(8), False, frozenset(found), np.zeros(4)
        made = ward_pixels.image(Ward(size=64), *who, np.random.default_rng(0))
        return made.astype(int)

    plain = photo()
    for name in ward_findings.DRAWN:
        differs = abs(photo(name) - plain).max()
        assert (differs == 0) == (name in ward_findings.BARE), name
        assert differs == 0 or differs > 10
    assert not (photo("Edema", view="LATERAL") - photo(view="LATERAL")).any()
    fluid, air = photo("Pleural Effusion") - plain, photo("Pneumothorax") - plain
    assert np.unravel_index(fluid.argmax(), fluid.shape)[0] > 35
    assert np.unravel_index(air.argmin(), air.shape)[0] < 28


def test_a_linear_reader_of_the_pixels_reaches_bayes(tmp_path):
    """It learns from 8 x 8 blocks of the JPEGs' pixels and knows no pattern."""
    options = Ward(patients=800, size=32, conflicts=0.0)
    people = cohort_people.draw(Cohort(patients=800, images=1360, conflicts=0.0))
    ward.write(tmp_path / "ward", options, quiet=True)
    images = pd.read_csv(tmp_path / "ward" / ward.TABLES["split"], dtype=str)
    path = {p.stem: p for p in (tmp_path / "ward/files").rglob("*.jpg")}
    x = np.stack([decode(path[i].read_bytes(), i) for i in images["dicom_id"]])
    x = x.reshape(-1, 8, 4, 8, 4).mean((2, 4)).reshape(len(x), -1)
    who = np.searchsorted(people.subject, images["subject_id"].astype(int))
    race, train = people.race[who], (images["split"] != "test").to_numpy()
    kept = race < 4
    reader = LinearDiscriminantAnalysis().fit(x[train & kept], race[train & kept])
    rows = ~train & kept
    score = reader.predict_proba(x[rows])
    for code, (name, best) in enumerate(
        ward.truth(options)["readable"]["race"].items()
    ):
        found = delong(score[:, code], race[rows] == code, who[rows])
        print(f"{name}: Bayes {best:.3f}, read {found.auroc:.3f} ± {found.se:.3f}")
        assert best - 3 * found.se - 0.02 < found.auroc < best + 3 * found.se
    marginal = [roc_auc_score(race[rows] == c, score[:, c]) for c in range(4)]
    assert np.mean(marginal) > 0.8


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patients", 0),
        ("size", 8),
        ("finding", -0.1),
        ("race", 11.0),
        ("sign", 0.2),
        ("gap", -1.0),
        ("missed", 1.5),
        ("conflicts", 2.0),
    ],
)
def test_fields_out_of_range_are_refused(name, value, tmp_path):
    with pytest.raises(InputError, match=f"data.ward.{name}={value}; expected"):
        ward.write(tmp_path / "out", Ward(**(vars(SMALL) | {name: value})))
    assert not list(tmp_path.iterdir())
