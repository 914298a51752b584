"""The study of X-rays on its twin: whole, killed and resumed, found again, refused."""

import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from studies import command, finish, refused

import equity_jax as ej
from equity_jax.config import Phantom
from equity_jax.data import phantom
from equity_jax.store import FILES, load
from experiments import covid_cxr

NAME = "covid_cxr"
SMALL = [  # a run to be killed: one network, two arms that differ in what they draw
    *("--smoke", "--config.arms.transfer=", "--config.arms.crossed="),
    *("--config.train.save_seconds=0", "--config.audit.replicates=50"),
    *("--config.data.phantom.patients=100", "--config.train.steps=20"),
    *("--config.train.eval_every=10", "--config.train.segment=10"),
]
SAME = ("audit.csv", "predictions.csv", "predictions.npz", "runs.csv", "log.csv")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A finished smoke run."""
    workdir = tmp_path_factory.mktemp("cxr") / "whole"
    finish(command(NAME, workdir, "--smoke"))
    return workdir


def test_a_run_leaves_every_fixed_file(whole):
    for name in (*FILES, "DONE", "leaderboard.csv", "controls.csv", "submission"):
        assert (whole / name).exists(), name
    left = {p.name for p in (whole / "checkpoints").iterdir()}
    assert not {n for n in left if n.startswith(("arm_", "pretrain_", "part_"))}
    text = (whole / "report.html").read_text()
    assert "SIMULATED" in text and "http" not in text.replace("http-equiv", "")
    assert "confounded" in text


def test_random_numbers_are_never_called_transfer(whole):
    board = load(str(whole)).read_csv("leaderboard.csv")
    scratch = board["network"].str.contains("scratch")
    assert scratch.any() and (~scratch).any()
    assert (board.loc[scratch, "weights from"] == "random numbers").all()
    assert board.loc[~scratch, "weights from"].str.contains("SIMULATED").all()


def test_the_best_network_is_found_again_and_gives_the_same(whole, tmp_path):
    network = ej.load_run(str(whole))
    written = load(str(whole)).read_csv("predictions.csv")
    mine = written[written["system"] == network.name]
    phantom.write(tmp_path, Phantom(patients=200), 0)
    again = network.predict(tmp_path)
    both = mine.merge(again, on="id", suffixes=("", "_again"))
    assert len(both) == len(mine)
    for name in network.classes:
        for kind in ("prob", "calibrated"):
            a, b = both[f"{kind}_{name}"], both[f"{kind}_{name}_again"]
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_grad_cam_lies_on_the_planted_lesion(whole):
    maps = load(str(whole)).read_csv("maps.csv")
    lesion = maps[maps["what"].str.startswith("Grad-CAM on the planted lesion")]
    assert len(lesion) == 3
    print(lesion[["system", "value", "low", "high", "chance"]].to_string())
    assert (lesion["value"] > 1.3 * lesion["chance"]).all()
    assert (lesion["low"] > lesion["chance"]).all()


def test_no_patient_is_on_both_sides(whole):
    written = load(str(whole)).read_csv("predictions.csv")
    assert written.groupby("patient")["split"].nunique().max() == 1


def test_submissions_are_the_test_rows_of_the_best(whole):
    board = load(str(whole)).read_csv("leaderboard.csv")
    files = sorted((whole / "submission").iterdir())
    assert len(files) == min(3, len(board))
    first = pd.read_csv(files[0])
    prob = first[[c for c in first if c.startswith("prob_")]]
    np.testing.assert_allclose(prob.sum(axis=1), 1, atol=1e-6)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("cxr") / "small"
    finish(command(NAME, workdir, *SMALL))
    return workdir


def test_killed_and_started_again_gives_the_same_bits(uninterrupted, tmp_path):
    after = "arm_001/flight"  # one arm is whole by then, another half-way
    workdir = tmp_path / "killed"
    process = command(NAME, workdir, *SMALL)
    deadline = time.monotonic() + 300
    while not (workdir / "checkpoints" / after).exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (workdir / "DONE").exists()
    finish(command(NAME, workdir, *SMALL))
    for name in SAME:
        assert (workdir / name).read_bytes() == (uninterrupted / name).read_bytes()
    one, other = (ej.load_run(str(path)) for path in (workdir, uninterrupted))
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--config.arms.scratch=oracle"], "unknown model 'oracle'"),
        (["--config.arms.checkpoints=vgg19=/no/such.pth"], "--config.arms.checkpoints"),
        (["--config.arms.augment=melt(1)"], "melt"),
        (["--config.data.source=/no/such/folder"], "/no/such/folder"),
        (["--config.data.images.layout=heap"], "heap"),
        (["--config.train.schemes=finetune('all')"], "all"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(flags, words, tmp_path, capsys):
    argv = [f"--workdir={tmp_path / 'run'}", "--smoke", *flags]
    errors = refused(covid_cxr, argv, capsys)
    assert words in errors and "\n" not in errors
    assert not (tmp_path / "run").exists()
