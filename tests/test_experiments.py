"""Every experiment in its smoke form: ends whole, resumes, refuses bad input."""

import importlib
import pkgutil
import signal
import time

import pandas as pd
import pytest
from studies import command, finish, refused

import experiments
from equity_jax.config import Twin
from equity_jax.data import simulate
from equity_jax.store import FILES
from experiments.launch import launch

STUDIES = [
    module.name
    for module in pkgutil.iter_modules(experiments.__path__)
    if hasattr(importlib.import_module(f"experiments.{module.name}"), "main_config")
]
DEATHS, SMOKE = "deaths_transfer", "--smoke"
OWN = {"covid_cxr", "ef_embeddings", "imbalance_study", "mimic_race", "protocol"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished smoke run of the deaths study."""
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    finish(command(DEATHS, workdir, SMOKE))
    return workdir


def test_the_studies_are_found():
    assert "deaths_transfer" in STUDIES


@pytest.mark.parametrize("name", STUDIES)
def test_smoke(name, whole, tmp_path):
    if name == "deaths_transfer":  # run as its own process, for the tests below
        assert (whole / "DONE").exists()
        return
    if name in OWN:
        return  # tests of their own run them, and look
    module = importlib.import_module(f"experiments.{name}")
    argv = [name, f"--workdir={tmp_path / 'run'}", "--smoke", "--quiet"]
    with pytest.raises(SystemExit) as stop:
        launch(module.main_config, module.smoke, module.study, argv)
    assert stop.value.code == 0


def test_a_run_leaves_every_fixed_file(whole):
    for name in (*FILES, "DONE", "figures", "checkpoints"):
        assert (whole / name).exists(), name
    text = (whole / "report.html").read_text()
    assert "SIMULATED" in text and "http" not in text.replace("http-equiv", "")
    assert not list((whole / "checkpoints").glob("part_*"))


def test_again_does_nothing_new(whole):
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*") if p.is_file()}
    finish(command(DEATHS, whole, SMOKE))
    assert before == {p: p.stat().st_mtime_ns for p in whole.rglob("*") if p.is_file()}


def test_killed_and_started_again_gives_the_same_bytes(whole, tmp_path):
    workdir = tmp_path / "killed"
    process = command(DEATHS, workdir, SMOKE, "--config.train.save_seconds=0")
    deadline = time.monotonic() + 200
    while not list(workdir.glob("checkpoints/part_00001")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (workdir / "DONE").exists()
    finish(command(DEATHS, workdir, SMOKE, "--config.train.save_seconds=0"))
    for name in ("audit.csv", "predictions.csv", "predictions.npz", "runs.csv"):
        assert (workdir / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--config.train.methods=erm,magic"], "unknown method 'magic'; known: "),
        (["--config.train.schemes=mixture,magic"], "unknown scheme 'magic'"),
        (["--config.model.name=oracle"], "unknown model 'oracle'"),
        (["--config.data.name=nothing"], "unknown dataset 'nothing'"),
        (["--config.train.step=5"], "config.train.step is no field of the config"),
        (["--config.train.steps=-5"], "--config.train.steps"),
        (["--config.train.steps=five"], "steps"),
        (["--config.data.source=/no/such/file.csv"], "/no/such/file.csv"),
        (["--config.data.source=."], "."),
        (["--nonsense=1"], "nonsense"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(flags, words, tmp_path, capsys):
    module = importlib.import_module("experiments.deaths_transfer")
    argv = [f"--workdir={tmp_path / 'run'}", "--smoke", *flags]
    errors = refused(module, argv, capsys)
    assert words in errors and "\n" not in errors
    assert not (tmp_path / "run").exists()


def wrong_column(table):
    return table.rename(columns={"HHS Region": "Area"})


def negative(table):
    table.loc[3, "COVID-19 Deaths"] = "-4"
    return table


def above_total(table):
    table.loc[5, ["COVID-19 Deaths", "Total Deaths"]] = ["50", "20"]
    return table


def duplicate(table):
    return pd.concat([table, table.iloc[[7]]], ignore_index=True)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (wrong_column, ["HHS Region"]),
        (negative, ["line 5", "COVID-19 Deaths", "-4"]),
        (above_total, ["line 7", "50", "20"]),
        (duplicate, ["line 9", "again"]),
        (lambda table: table.iloc[:0], ["only a header"]),
    ],
    ids=["column", "negative", "above total", "duplicate", "empty"],
)
def test_a_wrong_table_names_file_row_and_column(spoil, words, tmp_path, capsys):
    table, _ = simulate.deaths(Twin(months=6))
    path = tmp_path / "table.csv"
    spoil(table).to_csv(path, index=False)
    module = importlib.import_module("experiments.deaths_transfer")
    argv = [f"--workdir={tmp_path / 'run'}", f"--config.data.source={path}"]
    errors = refused(module, argv, capsys)
    assert "\n" not in errors and "table.csv" in errors
    for word in words:
        assert word in errors, errors
    assert not (tmp_path / "run").exists()


def test_an_empty_file_and_a_foreign_directory(tmp_path, capsys):
    (tmp_path / "nothing.csv").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    module = importlib.import_module("experiments.deaths_transfer")
    errors = []
    for workdir, source in (("run", tmp_path / "nothing.csv"), ("mine", "")):
        argv = [f"--workdir={tmp_path / workdir}", f"--config.data.source={source}"]
        errors.append(refused(module, argv, capsys))
    assert not any("\n" in line for line in errors)
    assert "nothing.csv" in errors[0] and "not a run" in errors[1]
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
