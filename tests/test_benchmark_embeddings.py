"""The race of readers: the peers read the same numbers; what is said of the rates."""

import json

import pytest

from equity_jax.types import InputError
from experiments.launch import exit_codes
from scripts.benchmark import __main__ as benchmark
from scripts.benchmark import embeddings

SIZES = embeddings.Sizes(records=50, width=7)


def test_the_embeddings_race(tmp_path, capsys):
    pytest.importorskip("tfrecord", reason="the extra bench brings tfrecord")
    out = tmp_path / "embeddings.json"
    words = [f"--out={out}", "--suite=embeddings", "--repeats=2", "--quiet"]
    words += ["--records=50", "--width=7"]
    assert exit_codes(benchmark.main, ["benchmark", *words]) == 0
    said, error = capsys.readouterr()
    assert error == "" and "SIMULATED: records 50, width 7" in said
    assert "examples parsed a second of CPU, target 150,000" in said
    assert "ids and numbers are equal bit for bit to the tfrecord package's" in said
    found = json.loads(out.read_text("utf-8"))
    assert found["unit"] == "records" and found["agreement"]["equal"]
    assert set(found["agreement"]["examples_a_cpu_second"]) == set(found["contenders"])
    assert found["agreement"]["raw_bytes"] > 50 * 7 * 4


def test_numbers_that_differ_are_said():
    pytest.importorskip("tfrecord", reason="the extra bench brings tfrecord")
    suite = embeddings.build(SIZES)
    answers = {name: one.run(50) for name, one in suite.contenders.items()}
    ids, x = answers[embeddings.OURS]
    assert len(ids) == 50 and x.shape == (50, 7) and suite.agree(answers)["equal"]
    changed = suite.agree(answers | {embeddings.OURS: (ids, x + 1)})
    changed["examples_a_cpu_second"] = {embeddings.PARSED: 9.0, embeddings.PEER: 3.0}
    told = embeddings.told(changed)
    assert told[0].startswith("MISSED 9 examples parsed") and "NOT those of" in told[-1]


def test_the_whole_data_set_once(monkeypatch):
    monkeypatch.setattr(embeddings, "SHARD", 20)
    found = embeddings.once(SIZES)
    assert found["embeddings"] == 50 and set(found["seconds"]) >= {"prepare", "load"}


def test_without_the_peer_the_race_is_refused(monkeypatch):
    monkeypatch.setattr(embeddings.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="compares with tfrecord; install it"):
        embeddings.build(SIZES)
