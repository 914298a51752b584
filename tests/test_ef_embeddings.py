"""The study of embeddings on its twin: planted effects, killed, refused."""

import signal
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ef_worlds import world
from studies import command, finish, process, refused

from equity_jax.audit import view
from equity_jax.audit.encoding import SHUFFLED
from equity_jax.store import FILES, TUNED, load
from experiments import ef_embeddings
from experiments.ef_explore import confounded
from experiments.ef_parts import remedy_name

NAME = "ef_embeddings"
OURS = (
    *("exploration", "pca", "outliers", "neighbors", "probes", "balancing", "heads"),
    *("leaderboard", "equity", "policies", "mitigation", "truth"),
    *("representation", "representation_groups", "subsample"),
)
SAME = (TUNED, "audit.csv", "predictions.csv", "predictions.npz", "runs.csv", "log.csv")


FLAGS = "--smoke", "--config.train.save_seconds=0"
PLAIN = """
from equity_jax.run import plain_page
from experiments import ef_embeddings, launch
ef_embeddings.make_page = plain_page
launch.launch(ef_embeddings.main_config, ef_embeddings.smoke, ef_embeddings.study)
"""  # the study with a plain page, which is quick


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A smoke run that was killed in the grid of heads, started again and finished."""
    workdir = tmp_path_factory.mktemp("ef") / "whole"
    begun = command(NAME, workdir, *FLAGS)
    deadline = time.monotonic() + 300
    while not list(workdir.glob("checkpoints/part_00001")):
        assert begun.poll() is None, begun.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    begun.send_signal(signal.SIGKILL)
    begun.communicate()
    assert not (workdir / "DONE").exists()
    finish(command(NAME, workdir, *FLAGS))
    return workdir


def test_killed_and_started_again_gives_the_same_bytes(whole, tmp_path):
    workdir = tmp_path / "uninterrupted"
    argv = [sys.executable, "-c", PLAIN, "--quiet", f"--workdir={workdir}", *FLAGS]
    finish(process(argv))
    for name in SAME:
        assert (workdir / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_run_leaves_every_fixed_file(whole):
    for name in (*FILES, TUNED, "DONE", *(f"{n}.csv" for n in OURS)):
        assert (whole / name).exists(), name
    left = {p.name for p in (whole / "checkpoints").iterdir()}
    assert not {n for n in left if n.startswith(("part_", "flight"))}
    assert "SIMULATED" in (whole / "report.html").read_text()


def test_the_page_opens_with_the_answer_and_holds_every_section(whole):
    text = (whole / "report.md").read_text()
    places = [
        text.index(words)
        for words in (
            "**Who is served worse**",
            "## The rows, before any model",
            "## What can be read from an embedding",
            "## Preparation",
            "## Leaderboard of heads",
            "## Who is served worse",
            "## What the remedies do",
            "## What was planted, and what was found",
            "## What could not be estimated",
            "## How it was done",
        )
    ]
    assert places == sorted(places)
    assert "Encoding is not using" in text


def planted(whole: Path) -> pd.DataFrame:
    found = load(str(whole)).read_csv("truth.csv")
    print(found[["what", "planted", "value", "low", "high", "inside"]].to_string())
    return found


def test_the_planted_gap_lies_in_its_interval(whole):
    gaps = view(planted(whole), kind="gap")
    assert len(gaps) >= 2 and gaps["inside"].all()
    mean = view(planted(whole), what="mean gap in AUROC, plain").iloc[0]
    assert mean["inside"] and mean["low"] > 0


def test_the_planted_reading_of_race_lies_in_its_interval(whole):
    probes = view(planted(whole), kind="probe")
    race = probes[probes["what"].str.contains("race")]
    assert len(race) > 2
    assert race["inside"].all() and (race["low"] > 0.5).all()


def test_weighing_groups_alike_moves_the_gap_as_planted(whole):
    found = planted(whole)
    moved = found[found["what"].str.contains("its change by weights by group")]
    assert len(moved) == 1 and moved["inside"].all()
    assert (moved["planted"] < 0).all() and (moved["value"] < 0).all()


def test_shuffled_probes_read_nothing(whole):
    probes = load(str(whole)).read_csv("probes.csv")
    dealt = view(probes, control=SHUFFLED, status="OK")
    inside = (dealt["low"] <= 0.5) & (dealt["high"] >= 0.5)
    assert inside.mean() >= 0.8
    assert abs(dealt["auroc"].mean() - 0.5) < 0.05


def test_no_patient_is_on_both_sides(whole):
    written = load(str(whole)).read_csv("predictions.csv")
    assert written.groupby("patient")["split"].nunique().max() == 1


def test_the_tuned_head_is_the_best_plain_one(whole):
    store = load(str(whole))
    heads = store.read_csv("heads.csv")
    plain = heads[(heads["method"] == "erm") & (heads["family"] != "logistic")]
    best = plain.loc[plain["valid"].idxmin()]
    assert store.tuned.model.name == best["shape"]
    assert store.tuned.train.lr == (best["lr"],)


def test_remedies_sum_up(whole):
    table = load(str(whole)).read_csv("mitigation.csv")
    wide = table.pivot_table("value", ["metric", "remedy"], "what")
    gap = wide["reference"] - wide["smaller groups"]
    np.testing.assert_allclose(wide["gap"], gap, atol=1e-6)
    change = wide["reference's change"] - wide["smaller groups' change"]
    both = wide["change"].notna()
    np.testing.assert_allclose(wide.loc[both, "change"], change[both], atol=1e-6)


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (("erm", "mixture"), "plain"),
        (("oversample('group')", "mixture"), "oversampling by group"),
        (("erm", "alone"), "each group its own head"),
        (("focal(2.0)", "alone"), "each group its own head, focal loss"),
        (("new", "mixture"), "new"),
    ],
)
def test_remedies_have_names(system, words):
    assert remedy_name(*system, "erm") == words


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--config.heads.shapes=mlp(0)"], "mlp(0)"),
        (["--config.heads.methods=erm,magic"], "magic"),
        (["--config.heads.use=oracle"], "oracle"),
        (["--config.data.source=/no/such/folder"], "/no/such/folder"),
        (["--config.data.embeddings.label=Fever"], "Fever"),
        (["--config.data.embeddings.conflicts=quarrel"], "quarrel"),
        (["--config.data.group=shoes"], "shoes"),
        (["--config.audit.calibrate=magic"], "magic"),
        (["--config.data.cohort.noise=2"], "noise"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(flags, words, tmp_path, capsys):
    argv = [f"--workdir={tmp_path / 'run'}", "--smoke", *flags]
    errors = refused(ef_embeddings, argv, capsys)
    assert words in errors and "\n" not in errors
    assert not (tmp_path / "run").exists()


def test_an_attribute_that_gives_the_label_away_is_named():
    data = world()
    assert not confounded(data)
    source = np.where(data.y[:, 0] > 0, "one hospital", "another")
    source[0] = ""  # not recorded: tells nothing
    told = confounded(data._replace(attributes={**data.attributes, "source": source}))
    assert len(told) == 1 and "Every source holds one class only" in told[0]
