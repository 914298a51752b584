"""Command lines: what a flag changes, which mistakes exit 2, and with which line."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import jax
import pytest
from absl import flags

from equity_jax.config import Config, Train
from equity_jax.types import InputError
from experiments import launch


def smoke(config: Config) -> Config:
    return replace(config, train=replace(config.train, steps=5, seeds=1))


def call(*words: str, study=None) -> tuple[int, list]:
    """Launches with a study that remembers its arguments: (exit code, calls)."""
    calls = []

    def remember(config: Config, workdir: str, quiet: bool) -> None:
        calls.append((config, workdir, quiet))

    with pytest.raises(SystemExit) as stop:
        launch.launch(Config, smoke, study or remember, ["study", *words])
    return stop.value.code, calls


@pytest.fixture(autouse=True)
def no_cache_change(monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")


def test_the_default_config_and_its_line(capsys):
    code, calls = call("--workdir=runs/a")
    assert code == 0 and calls == [(Config(), "runs/a", False)]
    line = capsys.readouterr().out
    kind = jax.devices()[0].device_kind
    assert line.startswith("deaths_transfer: writes to runs/a, runs on ")
    assert kind in line and line.count("\n") == 1


def test_quiet_prints_nothing(capsys):
    code, calls = call("--workdir=a", "--quiet")
    assert code == 0 and calls[0][2] is True
    assert capsys.readouterr() == ("", "")


def test_smoke_shrinks_and_overrides_win_in_any_order():
    assert call("--workdir=a", "--smoke")[1][0][0].train == Train(steps=5, seeds=1)
    for words in (
        ("--smoke", "--config.train.steps=9"),
        ("--config.train.steps=9", "--smoke"),
        ("--config.train.steps", "9", "--smoke"),
    ):
        train = call("--workdir=a", *words)[1][0][0].train
        assert train == Train(steps=9, seeds=1), words


def test_nested_fields_of_every_type():
    code, calls = call(
        "--workdir=a",
        "--config.data.source=/some where/x=1,2.csv.gz",
        "--config.data.twin.size=0.5",
        "--config.data.race_as_feature",
        "--config.seed=3",
        "--config.model.name=mlp(8, 8)",
        "--config.train.lr=1e-3,3e-3",
        "--config.data.lags=1,2",
    )
    config = calls[0][0]
    assert code == 0
    assert config.data.source == "/some where/x=1,2.csv.gz"
    assert config.data.twin.size == 0.5 and config.data.race_as_feature is True
    assert config.seed == 3 and config.model.name == "mlp(8, 8)"
    assert config.train.lr == (0.001, 0.003) and config.data.lags == (1, 2)
    assert not call("--workdir=a", "--noconfig.data.race_as_feature")[1][0][
        0
    ].data.race_as_feature


@pytest.mark.parametrize(
    ("text", "methods"),
    [
        ("erm", ("erm",)),
        ("erm,group_dro", ("erm", "group_dro")),
        ("focal(2.0)", ("focal(2.0)",)),
        ("('erm','focal(2.0)')", ("erm", "focal(2.0)")),
        ("erm, focal(2.0, alpha=0.25),", ("erm", "focal(2.0, alpha=0.25)")),
        ("['erm']", ("erm",)),
        ("'erm'", ("erm",)),
        ("transfer('full'),alone", ("transfer('full')", "alone")),
        ("", ()),
        ("()", ()),
    ],
)
def test_lists_can_be_written_plainly(text, methods):
    code, calls = call("--workdir=a", f"--config.train.methods={text}")
    assert code == 0 and calls[0][0].train.methods == methods


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("--confg.train.steps=5", "Unknown command line flag"),
        ("--workdirs=5", "Unknown command line flag 'workdirs'"),
        ("--config.train.step=5", "did you mean train.steps"),
        ("--config.data=x", "--config.data is no field"),
        ("--config=x", "--config is no field"),
        ("--config.train.__class__=x", "no field"),
        ("--config.train.steps=5.5", "--config.train.steps=5.5"),
        ("--config.train.steps=many", "--config.train.steps=many"),
        ("--config.train.lr=fast", "could not convert string to float: 'fast'"),
        ("--config.data.lags=1.5", "invalid literal for int()"),
        ("--config.train.methods=erm focal", "with commas between"),
        ("--config.train.methods=erm,,focal", "with commas between"),
        ("--config.data.share=nan", "--config.data.share=nan is not finite"),
        ("--config.train.lr=0.1,inf", "--config.train.lr=0.1,inf is not finite"),
        ("--noconfig.train.steps", "Unknown command line flag"),
        ("--config.seed", "Missing value"),
        ("--smoke=maybe", "--smoke=maybe"),
        ("runs/b", "unexpected argument 'runs/b'"),
        ("--workdir=", "--workdir=... is missing"),
        ("--workdir=--smoke", "--workdir=... is missing"),
    ],
)
def test_a_wrong_word_exits_2_with_one_line(word, says, capsys):
    code, calls = call("--workdir=a", word)
    out, err = capsys.readouterr()
    assert code == 2 and not calls and out == ""
    assert err.startswith("equity_jax: error: ") and err.count("\n") == 1
    assert says in err


def test_without_a_workdir(capsys):
    assert call() == (2, [])
    assert "--workdir=... is missing" in capsys.readouterr().err


def test_input_errors_of_the_study_exit_2(capsys):
    def study(config, workdir, quiet):
        raise InputError("x.csv row 3,\n column Race: expected a race")

    assert call("--workdir=a", "--quiet", study=study)[0] == 2
    line = "equity_jax: error: x.csv row 3, column Race: expected a race\n"
    assert capsys.readouterr().err == line


def test_help_shows_every_field_and_exits_0(capsys):
    assert call("--help")[0] == 0
    text = capsys.readouterr().out
    assert "--config.train.steps=500" in text and "--workdir=" in text
    assert "--config.data.lags=1,2,3" in text and "--smoke" in text


def test_launching_twice_does_not_leak(capsys):
    assert call("--workdir=a", "--config.seed=4")[1][0][0].seed == 4
    assert call("--workdir=a")[1][0][0].seed == 0


def test_the_cache_folder_is_the_users_or_as_told(monkeypatch, tmp_path):
    told = {}
    monkeypatch.setattr(jax.config, "update", told.__setitem__)
    launch.use_cache()
    assert told == {}
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    launch.use_cache()
    folder = str(tmp_path / "equity_jax" / "jax")
    assert told["jax_compilation_cache_dir"] == folder


def test_parse_for_scripts(capsys):
    def values():
        made = flags.FlagValues()
        flags.DEFINE_string("out", None, "the file", flag_values=made)
        return made

    made = values()
    assert launch.parse(made, ["x", "a", "--out=b", "c"], None, ["out"]) == ["a", "c"]
    assert made.out == "b"
    with pytest.raises(InputError, match="--out=... is missing .the file."):
        launch.parse(values(), ["x", "a"], None, ["out"])
    with pytest.raises(SystemExit) as stop:
        launch.parse(values(), ["x", "--help"], "What it does.")
    assert stop.value.code == 0 and "What it does." in capsys.readouterr().out


PROGRAM = """
import signal, sys, time
from equity_jax.config import Config
from experiments.launch import launch

# what a shell starts in the background begins deaf to Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)

def study(config, workdir, quiet):
    if config.name == "fault":
        raise ZeroDivisionError("ours")
    print("ready", flush=True)
    time.sleep(60)

launch(Config, lambda c: c, study)
"""


def start(*words: str) -> subprocess.Popen:
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", PROGRAM, "--workdir=a", "--quiet", *words]
    return subprocess.Popen(command, env=environment, **pipes)


def test_ctrl_c_says_how_to_go_on():
    with start() as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    line = "equity_jax: stopped; start the same command again to resume\n"
    assert err == line


def test_our_fault_has_a_traceback_and_exits_1():
    with start("--config.name=fault") as child:
        _, err = child.communicate(timeout=30)
    assert child.returncode == 1
    assert err.startswith("Traceback") and err.endswith("ZeroDivisionError: ours\n")
