"""The simulated cohort: MIMIC's columns, the planted effects, and the truth of them."""

import json

import numpy as np
import pandas as pd
import pytest
from hospital import COLUMNS
from scipy.stats import multivariate_normal, norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from equity_jax.audit.statistics.delong import delong
from equity_jax.config import Cohort
from equity_jax.data import cohort_axes, cohort_people, cohort_truth
from equity_jax.data.cohort import cohort
from equity_jax.types import InputError

SMALL = Cohort(patients=60, images=200, features=16)
PATTERNS = {
    ("metadata", "dicom_id"): r"[0-9a-f]{8}(-[0-9a-f]{8}){4}",
    ("metadata", "subject_id"): r"1\d{7}",
    ("metadata", "study_id"): r"5\d{7}",
    ("metadata", "StudyDate"): r"2[12]\d\d[01]\d[0-3]\d",
    ("metadata", "StudyTime"): r"\d{5,6}\.\d{3}",
    ("metadata", "ViewPosition"): "AP|PA|LATERAL",
    ("split", "split"): "train|validate|test",
    ("chexpert", "Edema"): r"1\.0|0\.0|-1\.0|",
    ("chexpert", "No Finding"): r"1\.0|",
    ("admissions", "admittime"): r"2[12]\d\d-\d\d-\d\d \d\d:\d\d:\d\d",
    ("patients", "gender"): "F|M",
    ("patients", "anchor_age"): r"[1-9]\d",
    ("diagnoses_icd", "icd_code"): r"\w{3,7}",
    ("ejection_fraction", "date"): r"2[12]\d\d-\d\d-\d\d",
    ("ejection_fraction", "ef"): r"[1-7]\d",
}
COARSE = {s: name for name, r in cohort_people.RACES.items() for s in r.spellings}


@pytest.fixture(scope="module")
def twin():
    return cohort(Cohort(patients=3000, images=12000, features=48))


@pytest.fixture(scope="module")
def many():
    """One image a person: independent rows, along the planted axes alone."""
    options = Cohort(patients=120_000, images=120_000, features=16)
    people = cohort_people.draw(options)
    x = cohort_axes.latent(people, options)[0][:, : cohort_axes.INSURED + 1]
    speck = np.random.default_rng(1).normal(size=x.shape)
    return options, people, x + cohort_axes.SPECK * speck, people.low ^ people.flipped


def close(score, label, planted):
    """Within three standard errors (DeLong's)."""
    found = delong(score, label, np.arange(len(label)))
    return abs(found.auroc - planted) < 3 * found.se


def test_columns_are_those_of_mimic(twin):
    assert {k: ",".join(t) for k, t in twin.tables.items()} == COLUMNS
    for table in twin.tables.values():
        assert (table.dtypes == "str").all() and not table.isna().any().any()
    for (name, column), pattern in PATTERNS.items():
        assert twin.tables[name][column].str.fullmatch(pattern).all(), (name, column)


def test_keys_agree(twin):
    tables, held = twin.tables, twin.embedded
    images = tables["metadata"].set_index("dicom_id")
    assert images.index.is_unique and tables["split"]["dicom_id"].is_unique
    mine = images.loc[held.id]
    assert mine["subject_id"].tolist() == held.subject.tolist()
    assert mine["study_id"].tolist() == held.study.tolist()
    assert set(mine["ViewPosition"]) == {"AP", "PA"}
    assert (images.drop(held.id)["ViewPosition"] == "LATERAL").all()
    assert set(tables["chexpert"]["study_id"]) == set(held.study)
    assert set(tables["patients"]["subject_id"]) == set(held.subject)
    stays = tables["admissions"]
    assert stays["hadm_id"].is_unique
    assert (stays["admittime"] < stays["dischtime"]).all()
    assert set(tables["diagnoses_icd"]["hadm_id"]) == set(stays["hadm_id"])
    paths = list(zip(held.subject, held.study, held.id, strict=True))
    assert paths == sorted(paths)


def test_people_have_several_images_and_one_split(twin):
    held = pd.Series(twin.embedded.subject).value_counts()
    assert held.sum() == 12000 and len(held) == 3000
    assert held.min() == 1 and held.max() <= cohort_people.MOST and held.median() >= 3
    assert (pd.Series(twin.embedded.study).value_counts() > 1).mean() > 0.2
    splits = twin.tables["split"].groupby("subject_id")["split"]
    assert (splits.nunique() == 1).all()
    shares = splits.first().value_counts(normalize=True)
    for name, share in cohort_people.SPLITS.items():
        assert abs(shares[name] - share) < 0.03


def test_race_records(twin):
    stays = twin.tables["admissions"]
    coarse = stays["race"].map(COARSE)
    unnamed = coarse.isna().groupby(stays["subject_id"]).all()
    assert set(stays["race"][coarse.isna()]) == set(cohort_people.UNKNOWN)
    assert abs(unnamed.mean() - cohort_people.UNRECORDED) < 0.015
    differ = coarse.groupby(stays["subject_id"]).nunique() > 1
    assert abs(differ.mean() - Cohort.conflicts) < 0.015
    counts = pd.crosstab(stays["subject_id"], coarse).loc[differ[differ].index]
    assert (counts.sum(axis=1) >= 3).all() and (
        counts.max(axis=1) == counts.sum(axis=1) - 1
    ).all()
    people = cohort_people.draw(Cohort(patients=3000, images=12000, features=48))
    names = np.array(list(cohort_people.RACES))[people.race]
    most = counts.idxmax(axis=1)
    true = pd.Series(names, people.subject.astype(str))
    assert (true[most.index] == most).all()  # the most frequent record is right
    share = true.value_counts(normalize=True)
    for name, race in cohort_people.RACES.items():
        assert abs(share[name] - race.share) < 0.03


def test_the_echo_of_a_study_is_the_nearest_one(twin):
    studies = twin.tables["metadata"].drop_duplicates("study_id")
    echoes = twin.tables["ejection_fraction"].merge(
        studies[["subject_id", "study_id", "StudyDate"]], "left", on="subject_id"
    )
    day = pd.to_datetime(echoes["StudyDate"], format="%Y%m%d")
    off = (pd.to_datetime(echoes["date"]) - day).dt.days.abs()
    near = echoes[off <= 30]
    assert (near.groupby(["subject_id", "date"]).size() == 1).all()
    named = near[near["study_id_x"] != ""]
    assert (named["study_id_x"] == named["study_id_y"]).all()
    assert 0.4 < len(named) / len(near) < 0.6
    assert abs(near["study_id_y"].nunique() / len(studies) - 0.85) < 0.02
    assert not off.between(11, 30).any() and off.between(35, 54).any()


def test_findings_and_codes_follow_the_ejection_fraction(twin):
    echoes = twin.tables["ejection_fraction"]
    named = echoes[echoes["study_id"] != ""].merge(twin.tables["chexpert"])
    low = named["ef"].astype(int) < 40
    edema = named["Edema"] == "1.0"
    assert edema[low].mean() > 2 * edema[~low].mean() > 0
    assert (named["Edema"] == "-1.0").sum() > 10 and (named["Edema"] == "").any()
    fracture = named["Fracture"] == "1.0"
    assert abs(fracture[low].mean() - fracture[~low].mean()) < 0.03
    ill = (named[["Edema", "Cardiomegaly", "Pneumonia"]] == "1.0").any(axis=1)
    assert not (ill & (named["No Finding"] == "1.0")).any()
    codes = twin.tables["diagnoses_icd"]
    failing = codes["icd_code"].str.match("428|I50").groupby(codes["subject_id"]).any()
    lowest = echoes["ef"].astype(int).groupby(echoes["subject_id"]).min() < 40
    both = pd.concat([failing.rename("hf"), lowest.rename("low")], axis=1).dropna()
    rate = both.astype(float).groupby("low")["hf"].mean()
    assert rate[1.0] > 2 * rate[0.0]
    value = echoes["ef"].astype(int)
    assert (
        10 < value.min() and value.max() <= 72 and value.between(40, 49).mean() > 0.05
    )


def test_the_same_seed_gives_the_same_twin():
    a, b, other = (
        cohort(Cohort(**(vars(SMALL) | {"seed": seed}))) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(a.embedded.x, b.embedded.x)
    assert a.embedded.fingerprint == b.embedded.fingerprint
    assert a.truth == b.truth == other.truth
    for name, table in a.tables.items():
        pd.testing.assert_frame_equal(table, b.tables[name])
    assert a.embedded.fingerprint != other.embedded.fingerprint
    assert a.embedded.x.dtype == np.float32 and a.embedded.x.shape == (200, 16)


def test_the_twin_does_not_depend_on_how_many_rows_are_made_at_a_time(monkeypatch):
    """The first chunk's rows are the same in a longer twin of the same latent."""
    latent = np.zeros((cohort_axes.ROWS + 3, 12), np.float32)
    whole = cohort_axes.numbers(latent, SMALL)
    part = cohort_axes.numbers(latent[:5], SMALL)
    np.testing.assert_array_equal(whole[:5], part)
    assert abs((whole - whole.mean(0)[None]).std() - cohort_axes.SPECK) < 0.002


def test_planted_distances_are_found_in_the_embeddings(twin):
    """Fisher's distance between classes of one group, and between groups."""
    options = Cohort(patients=3000, images=12000, features=48)
    people = cohort_people.draw(options)
    who = people.person[people.of]
    race, low = people.race[who], people.low[people.of]

    def distance(rows, label):
        x, y = twin.embedded.x[rows], label[rows]
        score = LinearDiscriminantAnalysis().fit(x, y).transform(x)[:, 0]
        spread = np.sqrt((score[y].var() + score[~y].var()) / 2)
        return abs(score[y].mean() - score[~y].mean()) / spread

    assert abs(distance(race == 0, low) - options.ef) < 0.12
    small = options.ef * np.hypot(options.faint, options.own)
    assert abs(distance(race == 1, low) - small) < 0.25
    assert abs(distance((race < 2) & ~low, race == 0) - options.race) < 0.25


def test_images_of_one_person_are_alike(twin):
    people = cohort_people.draw(Cohort(patients=3000, images=12000, features=48))
    first = np.unique(people.person[people.of], return_index=True)[1]
    last = np.r_[first[1:], len(people.of)] - 1
    far = people.of[first] != people.of[last]  # of two studies
    held = cohort_axes.latent(people, Cohort(patients=3000, images=12000, features=48))
    axis = held[0][:, -1]
    found = np.corrcoef(axis[first[far]], axis[last[far]])[0, 1]
    assert abs(found - cohort_axes.SHARED) < 0.07


def test_truth_is_json_and_complete(twin):
    truth = twin.truth
    assert json.loads(json.dumps(truth)) == truth
    names = set(cohort_people.RACES)
    assert set(truth["auroc"]) == set(truth["prevalence"]) == names
    assert set(truth["gap"]) == {"best", "found", "balanced"}
    for gap in truth["gap"].values():
        assert set(gap) == names - {"White"} and min(gap.values()) > 0.05
    flipped = 0.3 * 0.9 + 0.7 * 0.1
    assert truth["prevalence"]["Black"] == pytest.approx(flipped)
    assert truth["auroc"]["White"] == pytest.approx(norm.cdf(1.6 / 2**0.5))
    clean = norm.cdf(1.6 * 0.5**0.5 / 2**0.5)
    sure = 0.3 * 0.9 / flipped - 0.3 * 0.1 / (1 - flipped)
    assert truth["auroc"]["Black"] == pytest.approx(0.5 + (clean - 0.5) * sure)
    for name in names - {"White"}:  # what mitigation wins, and what it costs
        found, even = (truth["linear"][k][name] for k in ("found", "balanced"))
        assert found + 0.01 < even < truth["auroc"][name]
    white = truth["linear"]["balanced"]["White"]
    assert white < truth["linear"]["found"]["White"] < truth["auroc"]["White"]


def test_the_best_score_within_a_race_reaches_the_truth(many):
    options, people, x, label = many
    truth = cohort_truth.truth(options)
    for code, name in enumerate(cohort_people.RACES):
        rows, along = people.race == code, cohort_axes.shifts(options)[code]
        assert close(x[rows, :2] @ along, label[rows], truth["auroc"][name])
        rate = label[rows].mean()
        assert abs(rate - truth["prevalence"][name]) < 3 * (0.25 / rows.sum()) ** 0.5


def test_linear_scores_reach_the_truth(many):
    """Fisher's direction from the sample is the planted one; that one's AUROC."""
    options, people, x, label = many
    mix, truth = cohort_truth.mixture(options), cohort_truth.truth(options)["linear"]
    planted = np.bincount(mix.group, mix.weight)
    for kind, weight in (("found", np.ones(5)), ("balanced", 1 / planted)):
        w, along = weight[people.race], weight[mix.group] * mix.weight
        sides = [w * label, w * ~label]
        means = [side @ x / side.sum() for side in sides]
        spread = sum(
            ((x - m[None]) * s[:, None]).T @ (x - m[None])
            for s, m in zip(sides, means, strict=True)
        )
        seen = np.linalg.solve(spread / w.sum(), means[0] - means[1])
        along = cohort_truth.direction(mix, along)
        assert seen @ along > 0.99 * np.linalg.norm(seen) * np.linalg.norm(along)
        assert close(x @ along, label, truth[kind]["all"])
        for code, name in enumerate(cohort_people.RACES):
            rows = people.race == code
            assert close(x[rows] @ along, label[rows], truth[kind][name]), (kind, name)


def test_posteriors_reach_the_truth(many):
    """Bayes by scipy's densities, component by component."""
    options, people, x, label = many
    rows = slice(0, 60_000)
    x, label = x[rows], label[rows]
    mix = cohort_truth.mixture(options)
    parts = np.stack(
        [
            w * multivariate_normal(m).pdf(x)
            for w, m in zip(mix.weight, mix.mean, strict=True)
        ],
        1,
    )
    parts /= parts.sum(1, keepdims=True)
    truth = cohort_truth.truth(options)
    assert close(parts @ mix.positive, label, truth["auroc_all"])
    linear = truth["linear"]
    assert truth["auroc_all"] > linear["found"]["all"] > linear["balanced"]["all"]
    for code, name in enumerate(cohort_people.RACES):
        score = parts[:, mix.group == code].sum(1)
        is_it = people.race[rows] == code
        assert close(score, is_it, truth["readable"]["race"][name])
    for code, name in enumerate(cohort_people.INSURANCE):
        score = parts[:, mix.insured == code].sum(1)
        is_it = people.insured[rows] == code
        assert close(score, is_it, truth["readable"]["insurance"][name])


def test_nothing_planted_nothing_found():
    options = Cohort(ef=0.0, race=0.0, noise=0.0)
    truth = cohort_truth.truth(options)
    assert all(v == pytest.approx(0.5) for v in truth["auroc"].values())
    fair = cohort_truth.truth(Cohort(faint=1.0, own=0.0, noise=0.0))
    assert all(abs(v) < 1e-6 for v in fair["gap"]["best"].values())


def test_effects_of_sex_and_view_are_those_of_the_truth():
    options = Cohort(patients=20_000, images=20_000, features=16)
    people = cohort_people.draw(options)
    held = cohort_axes.latent(people, options)[0]
    who, truth = people.person[people.of], cohort_truth.truth(options)["readable"]
    speck = cohort_axes.SPECK * np.random.default_rng(0).normal(size=(len(held), 2))
    sex = held[:, cohort_axes.SEX] + speck[:, 0]
    view = held[:, cohort_axes.VIEW] + speck[:, 1]
    assert close(sex, people.female[who], truth["sex"]["Female"])
    assert close(view, people.portable[people.of], truth["view"]["AP"])
    assert roc_auc_score(people.low[people.of], sex) == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patients", 0),
        ("images", 59),
        ("images", 721),
        ("features", 8),
        ("ef", -1.0),
        ("faint", 1.5),
        ("own", -0.1),
        ("noise", 0.6),
        ("conflicts", 2.0),
    ],
)
def test_fields_out_of_range_are_refused(name, value):
    with pytest.raises(InputError, match=f"data.cohort.{name}={value}; expected"):
        cohort(Cohort(**(vars(SMALL) | {name: value})))
