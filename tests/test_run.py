"""run() and the face: in memory and on disk the same, names checked first."""

import dataclasses
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import equity_jax as ej
from equity_jax.clock import compile_clock, phase
from equity_jax.config import Audit, Config, Data, Model, Train, Twin
from equity_jax.run import Tuned, plain_page, resolve, run
from equity_jax.types import InputError
from equity_jax.verdict import comparisons

TRAIN = Train(
    seeds=2,
    methods=("erm", "focal"),
    schemes=("mixture", "alone", "transfer('full')"),
    fractions=(0.5,),
    steps=20,
    eval_every=10,
    segment=10,
    chunk=8,
)


def config(**data) -> Config:
    return Config(
        data=Data(twin=Twin(months=12), **data),
        model=Model("mlp(8)"),
        train=dataclasses.replace(TRAIN),
        audit=Audit(replicates=50),
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return run(config(), str(tmp_path_factory.mktemp("run") / "a"), quiet=True)


def test_the_runs_table_is_the_r_axis(store):
    runs = store.read_csv("runs.csv")
    scores = store.read_npz("predictions.npz")
    assert len(runs) == len(scores["prob"])
    assert scores["prob"].dtype == np.float32 and scores["prob"].ndim == 3
    log = store.read_csv("log.csv")
    assert list(log.columns) == ["step", "run", "split", "metric", "value"]
    assert set(log["run"]) == set(runs["run"])


def test_gains_are_paired_against_the_same_fraction(store):
    audit = store.read_csv("audit.csv")
    rows = audit[audit["reference"].fillna("").str.startswith("scheme:")]
    thin = rows["scheme"].str.contains("@")
    assert thin.any()
    assert rows.loc[thin, "reference"].str.contains("@ 50%").all()
    assert not rows.loc[~thin, "reference"].str.contains("@").any()


def test_the_control_stands_beside(store):
    audit = store.read_csv("audit.csv")
    control = audit[audit["method"] == "control"]
    assert set(control["metric"]) == {"auroc"}
    assert set(control["scheme"]) == {"log(total deaths)"}


def test_data_json_says_what_was_left_out(store):
    data = store.read_json("data.json")
    assert data["simulated"] and data["left_out"]
    counts = np.array(data["counts"])
    assert counts.shape == (1, 2, len(data["groups"]))


def test_env_json_has_the_seconds_by_phase(store):
    seconds = store.read_json("env.json")["seconds"]
    assert {"load", "compile", "fit", "score", "audit", "page"} <= set(seconds)


def test_burden_is_a_task_of_its_own(tmp_path):
    made = run(config(task="burden"), str(tmp_path / "b"), quiet=True)
    audit = made.read_csv("audit.csv")
    assert {"auroc", "deviance"} == set(audit["metric"])
    table = made.read_csv("predictions.csv")
    assert table["prob"].between(0, 1).all() and "mu" not in table


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A burden run whose model a study chose, calibrated, judged in its own way."""
    asked, seen = config(task="burden"), []
    asked.audit.calibrate = "bcts"
    asked.train.methods, asked.train.fractions = ("erm", "class_weighted"), ()

    def tune(config, dataset, store, quiet):
        model = dataclasses.replace(config.model, name="linear")
        return Tuned(dataclasses.replace(config, model=model), len(dataset.x))

    def page(result):
        seen.append(result)
        plain_page(result)

    judged = {"metrics": ("auroc", "recall"), "threshold": "youden"}
    folder = str(tmp_path_factory.mktemp("run") / "c")
    run(asked, folder, page=page, tune=tune, judged=judged, quiet=True)
    return seen[0]


def test_a_study_may_choose_the_model(tuned):
    store = tuned.store
    assert (store.config.model.name, store.tuned.model.name) == ("mlp(8)", "linear")
    assert tuned.swept.model.blocks == ("head",)
    assert tuned.tuned == len(tuned.dataset.x)
    audit = store.read_csv("audit.csv")
    assert {"auroc", "recall", "deviance"} == set(audit["metric"])
    recall = audit[audit["metric"] == "recall"]
    assert recall["threshold_source"].str.contains("valid").all()
    assert "control" not in set(recall["method"])


def test_systems_are_calibrated_on_validation_rows(tuned):
    table = tuned.store.read_csv("predictions.csv")
    rows = table[(table["split"] == "valid") & (table["mask"] > 0)]
    for _, mine in rows.groupby("system"):
        # a bias of its own: the mean probability is the share of ones
        assert mine["calibrated"].mean() == pytest.approx(mine["y"].mean(), abs=1e-4)
    weighted = rows[rows["system"].str.startswith("class_weighted | mixture")]
    if len(weighted):
        assert abs(weighted["prob"].mean() - weighted["y"].mean()) > 0.01
    one, named = tuned.choices.systems[0], table["system"].iloc[0]
    test = table[(table["split"] == "test") & (table["mask"] > 0)]
    assert one.calibration.why == "" and named.startswith("erm")
    mine = tuned.test.prob[0, tuned.test.mask[:, 0] > 0, 0]
    ours = test.loc[test["system"] == one.name, "calibrated"]
    np.testing.assert_allclose(ours, mine, atol=1e-5)


def test_counts_have_no_such_calibration(tmp_path):
    asked = config()
    asked.audit.calibrate = "bcts"
    with pytest.raises(InputError, match="calibrate=bcts is for one label or class"):
        run(asked, str(tmp_path / "d"), quiet=True)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (
            "methods",
            ("erm", "magic"),
            "unknown method 'magic'; known: arl, asymmetric_focal",
        ),
        ("schemes", ("alone",), "the scheme 'mixture'"),
        ("steps", 15, "must divide"),
        ("seeds", 0, "seeds is 0"),
        ("fractions", (2.0,), "in \\(0, 1\\]"),
    ],
)
def test_names_and_numbers_are_checked_first(field, value, words):
    made = config()
    setattr(made.train, field, value)
    with pytest.raises(InputError, match=words):
        resolve(made)


def test_comparisons_name_only_what_is_there():
    made = config()
    pairs = comparisons(made, {"mixture", "alone", "mixture @ 50%"})
    assert ({"scheme": "alone @ 50%"}, {"scheme": "mixture @ 50%"}) not in pairs
    assert ({"scheme": "alone"}, {"scheme": "mixture"}) in pairs
    assert ({"scheme": "mixture @ 50%"}, {"scheme": "mixture"}) not in pairs


def test_the_face_does_what_the_run_does(store):
    dataset = ej.load("deaths", twin=Twin(months=12))
    fields = {k: v for k, v in vars(TRAIN).items() if k != "save_seconds"}
    found = ej.sweep(dataset, model="mlp(8)", **fields)
    report = ej.audit(
        ej.predictions(dataset, found),
        attributes="race",
        reference=dataset.spec.reference,
        replicates=50,
    )
    ours = report.by_group(metric="deviance").set_index(["system", "group"])["value"]
    audit = store.read_csv("audit.csv")
    theirs = audit[(audit["metric"] == "deviance") & (audit["contrast"] == "group")]
    theirs = theirs.set_index(["system", "group"])["value"]
    pd.testing.assert_series_equal(ours, theirs.loc[ours.index], rtol=1e-6)


def test_importing_the_face_loads_no_library():
    code = "import equity_jax, sys; print({'jax', 'pandas'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "set()", found


def test_clocks_add_up():
    seconds = {"a": 1.0}
    with phase(seconds, "a"), compile_clock(seconds):
        pass
    assert seconds["a"] > 1.0
