"""experiments/protocol as a user starts it: every method, in its smoke form."""

import numpy as np
import pytest
from studies import command, finish, refused

import experiments.protocol as study
from equity_jax.store import FILES, load
from experiments.protocol.entries import BALANCED, ENTRIES, ERM
from experiments.protocol.scores import METRICS


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "protocol"
    finish(command("protocol", workdir, "--smoke"))
    return load(str(workdir))


def test_every_method_is_in_the_table(store):
    methods = store.read_csv("methods.csv")
    assert list(methods["entry"].unique()) == list(ENTRIES)
    assert set(methods["metric"]) == set(METRICS)
    shown = methods[methods["status"] == "OK"]
    assert shown["value"].between(0, 1).all()
    assert (shown["low"] <= shown["value"]).all()
    assert (shown["value"] <= shown["high"]).all()
    page = (store.path / "report.html").read_text("utf-8")
    assert "SIMULATED" in page and all(name.split("(")[0] in page for name in ENTRIES)


def test_the_directory_is_whole(store):
    for name in (*FILES, "methods.csv", "optimism.csv", "DONE"):
        assert (store.path / name).exists(), name
    runs, found = store.read_csv("runs.csv"), store.read_npz("predictions.npz")
    trials = store.config.protocol.trials
    assert len(runs) == trials * len(ENTRIES) == len(found["prob"])
    assert found["prob"].dtype == np.float32
    table = store.read_csv("predictions.csv")
    systems = list(table["system"].unique())
    assert systems[:2] == [ERM, BALANCED] and len(systems) in (2, 3)
    rows = table[table["system"] == ERM]
    assert list(rows["id"].astype(str)) == list(found["id"].astype(str))
    trial = store.read_csv("methods.csv").set_index("entry")["trial"][ERM].iloc[0]
    run = runs[(runs["entry"] == ERM) & (runs["trial"] == trial)]["run"].iloc[0]
    np.testing.assert_allclose(rows["prob"], found["prob"][run, :, 0], rtol=1e-6)
    assert set(store.read_csv("audit.csv")["method"]) == set(systems)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--config.protocol.entries=erm,magic"], "unknown entry 'magic'; known: erm"),
        (["--config.protocol.trials=0"], "--config.protocol.trials=0"),
        (["--config.protocol.criterion=luck"], "criterion=luck; known: overall"),
        (["--config.data.name=deaths", "--config.data.task=counts"], "task=burden"),
        (["--config.data.name=cxr"], "x holds images"),
        (["--config.train.keep=luck"], "keep=luck"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(flags, words, tmp_path, capsys):
    argv = [f"--workdir={tmp_path / 'run'}", "--smoke", *flags]
    errors = refused(study, argv, capsys)
    assert words in errors and "\n" not in errors
    assert not (tmp_path / "run").exists()
