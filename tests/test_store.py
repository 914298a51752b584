"""The run directory: lazy, atomic, faithful to one config, readable afterwards."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from equity_jax import files
from equity_jax.config import Config, Data, Train, digest, to_dict
from equity_jax.store import FILES, load, open_run
from equity_jax.types import InputError


@pytest.fixture
def store(tmp_path):
    return open_run(str(tmp_path / "run"), Config())


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*")}


def fill(store) -> None:
    for name in FILES:
        if name.endswith(".csv"):
            store.write_csv(name, pd.DataFrame({"metric": ["auroc"], "value": [0.5]}))
        elif name.endswith(".npz"):
            store.write_npz(name, prob=np.zeros((2, 3, 1), np.float32))
        elif name == "env.json":
            store.write_env({"train": 1.5})
        elif name != "config.json":
            store.write_text(name, "{}")
    store.finish()


def test_opening_writes_nothing_and_the_first_write_claims(store):
    assert not store.path.exists() and not store.done
    store.write_text("report.md", "a\n")
    assert names(store.path) == {"config.json", "report.md"}
    assert store.read_json("config.json") == to_dict(Config())


def test_the_same_config_resumes_and_another_is_refused(store):
    store.write_text("report.md", "a\n")
    again = open_run(str(store.path), Config())
    assert again == store
    other = Config(train=Train(steps=7), data=Data(source="x.csv"))
    with pytest.raises(InputError) as error:
        open_run(str(store.path), other)
    text = str(error.value)
    assert "train.steps is 500 there, 7 here" in text
    assert "data.source is '' there, 'x.csv' here" in text
    assert "seeds" not in text and "\n" not in text


def test_many_differences_are_counted_not_listed(store):
    store.write_text("report.md", "a\n")
    other = Train(9, ("focal",), ("alone",), (0.5,), 7, 8, (0.1,))
    with pytest.raises(InputError, match=r"\(and 2 more\)$"):
        open_run(str(store.path), Config(train=other))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p.write_text("x"), "is a file, not a directory"),
        (lambda p: (p.mkdir(), (p / "thesis.tex").write_text("x")), "not empty"),
        (
            lambda p: (p.mkdir(), (p / "config.json").write_text("{")),
            "not a config of this version",
        ),
        (
            lambda p: (p.mkdir(), (p / "config.json").write_text('{"lr": 1}')),
            "not a config of this version",
        ),
    ],
)
def test_other_places_are_refused_and_left_alone(tmp_path, make, says):
    make(tmp_path / "run")
    before = names(tmp_path)
    with pytest.raises(InputError, match=says):
        open_run(str(tmp_path / "run"), Config())
    assert names(tmp_path) == before


def test_a_file_on_the_way_and_an_empty_name_are_refused(tmp_path):
    (tmp_path / "table.csv").write_text("x")
    with pytest.raises(InputError, match="table.csv is a file"):
        open_run(str(tmp_path / "table.csv" / "run"), Config())
    with pytest.raises(InputError, match="empty"):
        open_run("", Config())


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="cannot be written"):
        open_run(str(tmp_path / "run"), Config())


def test_an_empty_folder_and_leftovers_of_a_kill_are_fine(tmp_path):
    (tmp_path / ".tmp-config.json").write_text("{")
    store = open_run(str(tmp_path), Config())
    assert names(tmp_path) == set()
    with store.place("figures/a.png") as path:
        path.write_bytes(b"whole")
    (tmp_path / "figures" / ".tmp-b.png").write_text("half")
    open_run(str(tmp_path), Config())
    assert names(tmp_path) == {"config.json", "figures", "figures/a.png"}


def test_a_failed_write_keeps_the_old_file(store):
    store.write_text("report.md", "old")
    with pytest.raises(RuntimeError, match="broken"), store.place("report.md") as path:
        path.write_text("new")
        raise RuntimeError("broken")
    assert (store.path / "report.md").read_text() == "old"
    assert names(store.path) == {"config.json", "report.md"}


def test_a_killed_process_leaves_whole_files_only(tmp_path):
    """kill -9 at a random moment of a loop of writes, three times."""
    script = textwrap.dedent(
        """
        import sys
        from equity_jax.config import Config
        from equity_jax.store import open_run
        store = open_run(sys.argv[1], Config())
        for i in range(10**6):
            store.write_json("data.json", {"rows": [i] * 20000})
            if i == 3: print("writing", flush=True)
        """
    )
    for wait in (0.0, 0.013, 0.037):
        command = [sys.executable, "-c", script, str(tmp_path / "run")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            try:
                child.wait(wait or 0.001)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
        store = open_run(str(tmp_path / "run"), Config())
        rows = store.read_json("data.json")["rows"]
        assert len(rows) == 20000 and len(set(rows)) == 1
        assert names(store.path) == {"config.json", "data.json"}


def test_equal_frames_give_equal_bytes(store):
    frame = pd.DataFrame(
        {
            "value": [0.1 + 0.2, np.nan, -np.inf, 1e-12],
            "n": [1, 2, 3, 4],
            "mixed": [0.1 + 0.2, "a,b", None, 7],
            "group": ['say "x"', "NA", "", "Asian"],
        }
    )
    store.write_csv("audit.csv", frame)
    first = (store.path / "audit.csv").read_bytes()
    assert first.splitlines()[1] == b'0.3,1,0.3,"say ""x"""'
    assert b"\r" not in first and first.endswith(b"1e-12,4,7,Asian\n")
    store.write_csv("audit.csv", store.read_csv("audit.csv"))
    assert (store.path / "audit.csv").read_bytes() == first
    groups = store.read_csv("audit.csv")["group"]
    assert groups[1] == "NA" and groups.isna().tolist() == [False, False, True, False]


def test_arrays_are_written_with_equal_bytes_and_read_back(store):
    prob = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    store.write_npz("predictions.npz", prob=prob, id=np.array(["a", "b", "c"]))
    first = (store.path / "predictions.npz").read_bytes()
    store.write_npz("predictions.npz", prob=prob, id=np.array(["a", "b", "c"]))
    assert (store.path / "predictions.npz").read_bytes() == first
    found = store.read_npz("predictions.npz")
    np.testing.assert_array_equal(found["prob"], prob)
    assert found["prob"].dtype == np.float32 and found["id"].tolist() == list("abc")


def test_json_takes_arrays_and_has_no_nan(store):
    value = {"n": np.int64(3), "x": np.array([1.0, np.nan]), 5: (True, None, "é")}
    store.write_json("data.json", value)
    text = (store.path / "data.json").read_text("utf-8")
    assert "NaN" not in text and "é" in text
    expected = {"n": 3, "x": [1.0, None], "5": [True, None, "é"]}
    assert json.loads(text) == expected


def test_a_run_is_not_resumed_on_other_data(store):
    store.pin("data.json", {"fingerprint": "aa", "rows": 3}, key="fingerprint")
    store.pin("data.json", {"fingerprint": "aa", "rows": 4}, key="fingerprint")
    assert store.read_json("data.json")["rows"] == 3
    with pytest.raises(InputError, match="fingerprint in data.json is 'aa', now 'bb'"):
        store.pin("data.json", {"fingerprint": "bb"}, key="fingerprint")


def test_env_names_versions_and_seconds_but_no_place(store):
    store.write_env({"train": 1.25})
    store.write_env({"train": 1.0, "audit": 0.5})
    env = store.read_json("env.json")
    assert env["seconds"] == {"train": 2.25, "audit": 0.5}
    assert env["versions"]["jax"] and env["versions"]["pandas"] == pd.__version__
    assert env["devices"] and env["cpus"] == os.cpu_count()
    if env["git"] is not None:
        assert len(env["git"]["commit"]) == 40
    text = (store.path / "env.json").read_text()
    assert str(Path.home()) + "/" not in text and str(Path(__file__).parent) not in text
    assert os.uname().nodename not in text


def test_a_folder_without_git_has_no_git_state(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "__file__", str(tmp_path / "equity_jax" / "files.py"))
    assert files.env({})["git"] is None


def test_done_is_last_and_needs_every_file(store):
    store.write_text("report.md", "a")
    with pytest.raises(RuntimeError, match="has not written env.json, data.json"):
        store.finish()
    assert not store.done
    fill(store)
    assert store.done
    assert (store.path / "DONE").read_text() == digest(Config()) + "\n"
    newest = max(store.path.iterdir(), key=lambda p: p.stat().st_mtime_ns)
    assert newest.name == "DONE"


def test_load_reads_finished_runs_only(tmp_path, store):
    with pytest.raises(InputError, match="not a run directory"):
        load(str(tmp_path))
    store.write_text("report.md", "a")
    with pytest.raises(InputError, match="not finished"):
        load(str(store.path))
    fill(store)
    found = load(str(store.path))
    assert found.config == Config()
    assert found.read_csv("audit.csv")["value"].tolist() == [0.5]


def test_folders_of_checkpoints(store):
    assert store.folder("checkpoints").is_dir()
    assert (store.path / "config.json").exists()
