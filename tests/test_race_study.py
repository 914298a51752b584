"""The study of race on its twin: whole, its rates by hand, its start, refused."""

from pathlib import Path

import numpy as np
import pytest
from studies import command, finish, refused

from equity_jax.arms import Start
from equity_jax.audit import audit, view
from equity_jax.store import FILES, load
from equity_jax.types import Predictions, Spec
from equity_jax.verdict import asked, labels_of
from experiments import mimic_race, race_parts

NAME = "mimic_race"
OURS = (
    *("equity", "diagnosis", "exploration", "frequency", "probes", "reader", "kept"),
    *("macro", "removal"),
)
HEALTHY = race_parts.HEALTHY


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A finished smoke run."""
    workdir = tmp_path_factory.mktemp("race") / "whole"
    finish(command(NAME, workdir, "--smoke"))
    return workdir


def test_a_run_leaves_every_fixed_file(whole):
    for name in (*FILES, "DONE", *(f"{n}.csv" for n in OURS)):
        assert (whole / name).exists(), name
    left = {p.name for p in (whole / "checkpoints").iterdir()}
    assert not {n for n in left if n.startswith(("part_", "reader", "removal"))}
    text = (whole / "report.html").read_text()
    assert "SIMULATED" in text and "http" not in text.replace("http-equiv", "")


def test_the_page_opens_with_the_answer_and_holds_every_section(whole):
    text = (whole / "report.md").read_text()
    words = (
        "**Who is most often called healthy though sick**",
        "## The images, before any network",
        "## The disease network",
        "## Who is called healthy though sick",
        "## What can be read from the frozen network",
        "## What removal costs",
        "## How it was done",
    )
    places = [text.index(w) for w in words]
    assert places == sorted(places)
    assert "Encoding is not using" in text and "lower bound" in text


def test_no_patient_is_on_both_sides(whole):
    written = load(str(whole)).read_csv("predictions.csv")
    assert written.groupby("patient")["split"].nunique().max() == 1


def test_underdiagnosis_is_what_it_says_by_hand(whole):
    store = load(str(whole))
    rows = store.read_csv("predictions.csv")
    y, score = rows[f"y_{HEALTHY}"], rows[f"prob_{HEALTHY}"]
    valid = rows["split"] == "valid"
    cuts = np.unique(score[valid])
    called = score[valid].to_numpy()[None] >= cuts[:, None]
    right = (called & (y[valid].to_numpy() == 1)[None]).sum(1)
    cut = cuts[np.argmax(2 * right / (called.sum(1) + np.sum(y[valid] == 1)))]
    sick = (rows["split"] == "test") & (y == 0)
    rate = np.mean(score[sick] >= cut)
    found = view(store.read_csv("diagnosis.csv"), metric="fpr", contrast="group")
    told = found[(found["group"] == "all") & (found["attribute"] == "race")]
    assert told["value"].iloc[0] == pytest.approx(rate, abs=1e-6)
    assert told["threshold"].iloc[0] == pytest.approx(cut, abs=1e-6)
    assert {"race", "sex", "insurance", "age"} <= set(found["attribute"])
    assert found["attribute"].str.contains("race × sex", regex=False).any()


def predictions(prob: list, y: list, mask: list | None = None) -> Predictions:
    y = np.array(y, float)
    mask = np.ones_like(y) if mask is None else np.array(mask, float)
    n, runs = len(y), [{"seed": 0, "method": "erm", "scheme": "mixture"}]
    people = {"sex": np.array(["F", "M"] * n)[:n]}
    rows = np.arange(n)
    return Predictions(
        np.array([prob], float), y, mask, people, rows.astype(str), rows, runs
    )


def test_healthy_is_the_label_where_there_is_one():
    p = predictions([[0.9, 0.2], [0.1, 0.7]], [[1, 0], [0, 1]])
    one = race_parts.healthy(p, ("Edema", HEALTHY))
    np.testing.assert_array_equal(one.prob[0, :, 0], [0.2, 0.7])
    np.testing.assert_array_equal(one.y[:, 0], [0, 1])


def test_healthy_is_no_finding_at_all_where_no_label_says_it():
    prob = [[0.9, 0.2], [0.1, 0.3], [0.1, 0.1], [0.8, 0.1]]
    p = predictions(prob, [[1, 0], [0, 0], [0, 1], [1, 0]], [[1, 1]] * 2 + [[1, 0]] * 2)
    none = race_parts.healthy(p._replace(valid=p), ("Edema", "Mass"))
    np.testing.assert_allclose(none.prob[0, :, 0], [0.1, 0.7, 0.9, 0.2])
    # a row is sick by one label that is known; healthy only if all are
    np.testing.assert_array_equal(none.mask[:, 0], [1, 1, 0, 1])
    np.testing.assert_array_equal(none.y[[0, 1, 3], 0], [0, 1, 0])
    np.testing.assert_array_equal(none.valid.mask, none.mask)


def spec(task: str, targets: tuple, classes: tuple) -> Spec:
    about = "sex", ("F", "M"), "F", "patient", False, "f"
    return Spec("cxr", task, (), targets, classes, *about)


@pytest.mark.parametrize(
    ("task", "targets", "classes", "names"),
    [
        ("multilabel(2)", ("Edema", "Mass"), ("absent", "present"), ("Edema", "Mass")),
        ("multiclass(2)", ("label",), ("COVID", "Other"), ("COVID",)),
        ("multiclass(3)", ("label",), ("A", "B", "C"), ("A", "B", "C")),
        ("binary", ("ef",), ("above", "below"), ()),
    ],
)
def test_labels_have_their_own_names(task, targets, classes, names):
    assert labels_of(spec(task, targets, classes)) == names


def test_of_two_classes_the_first_is_the_label():
    two = spec("multiclass(2)", ("label",), ("COVID", "Other"))
    covid = np.tile([0, 1], 40)[:, None]
    prob = np.where(covid == 0, [0.8, 0.2], [0.3, 0.7])
    p = asked(two, predictions(prob.tolist(), covid.tolist()))
    report = audit(p, attributes="sex", labels=labels_of(two), metrics=("auroc",))
    rows = view(report.table, contrast="group", group="all")
    assert rows["label"].tolist() == ["COVID"]
    assert rows["value"].iloc[0] == 1.0
    np.testing.assert_array_equal(race_parts.healthy(p, ("COVID",)).y, covid)
    np.testing.assert_allclose(race_parts.healthy(p, ("COVID",)).prob[0], prob[:, 1:])


def test_a_checkpoint_is_tuned_in_all_layers(monkeypatch):
    config = mimic_race.main_config()
    config.arms.checkpoints = ("densenet121=a.pth",)
    name = "densenet121(normalize='unit')"
    start = Start("weights", name, "checkpoint a.pth")
    monkeypatch.setattr(mimic_race, "imported", lambda *_: start)
    made = mimic_race.begin(config, None, None, True)
    assert (made.start, made.found) == ("weights", start)
    assert made.config.model.name == name
    assert made.config.train.schemes == ("finetune('full')",)
    config.arms.checkpoints = ()
    made = mimic_race.begin(config, None, None, True)
    assert made.start is None and made.config.train.schemes == ("mixture",)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--config.model.name=oracle"], "oracle"),
        (["--config.arms.checkpoints=vgg19=a.pth"], "--config.arms.checkpoints"),
        (["--config.arms.augment=melt(1)"], "melt"),
        (["--config.reader.epochs=0"], "--config.reader.epochs"),
        (["--config.removal.methods=magic"], "magic"),
        (["--config.removal.closed=magic"], "magic"),
        (["--config.data.source=/no/such/folder"], "/no/such/folder"),
        (["--config.data.group=shoes"], "shoes"),
        (["--config.data.mimic.conflicts=quarrel"], "quarrel"),
        (["--config.data.images.blank=maybe"], "maybe"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(flags, words, tmp_path, capsys):
    small = "--config.data.ward.patients=60"
    argv = [f"--workdir={tmp_path / 'run'}", "--smoke", small, *flags]
    errors = refused(mimic_race, argv, capsys)
    assert words in errors and "\n" not in errors
    assert not (tmp_path / "run").exists()
