"""The suite of probes: contenders that agree, and ours alone for its memory."""

import json

import numpy as np
import pytest

from experiments.launch import exit_codes
from scripts.benchmark import __main__ as benchmark
from scripts.benchmark import probes

pytest.importorskip("faiss", reason="the extra bench brings faiss")
SMALL = ["--rows=300", "--features=24", "--repeats=1", "--quiet"]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_neighbors_agree(metric, tmp_path, capsys):
    out = tmp_path / "a.json"
    words = [f"--out={out}", "--suite=probes", f"--metric={metric}", *SMALL]
    words += ["--queries=40", "--k=7"]
    assert exit_codes(benchmark.main, ["benchmark", *words]) == 0
    assert "target 1.5x" in capsys.readouterr().out
    for one in json.loads(out.read_text("utf-8"))["agreement"].values():
        assert one["tie"] < 1e-5 and one["other"] < 0.02


def test_objectives_agree(tmp_path, capsys):
    out = tmp_path / "a.json"
    words = [f"--out={out}", "--suite=probes", "--work=logistic", *SMALL]
    assert exit_codes(benchmark.main, ["benchmark", *words, "--strengths=3"]) == 0
    said = capsys.readouterr().out
    assert "target 6x" in said and "MET    our objective" in said
    assert json.loads(out.read_text("utf-8"))["agreement"]["apart"] < 1e-4


def test_the_table_is_what_it_says():
    x, y = probes.table(5000, 16, "rows")
    assert x.dtype == np.float32 and set(y) == set(range(4))
    np.testing.assert_array_equal(x[:4000], probes.table(5000, 16, "rows")[0][:4000])
    apart = np.linalg.norm(x[y == 0].mean(0) - x[y == 1].mean(0))
    assert apart == pytest.approx(probes.APART * 2**0.5, rel=0.1)
    zero = probes.objective(x, y, np.zeros((4, 16)), np.zeros(4), 1.0)
    assert zero == pytest.approx(5000 * np.log(4))


def test_ours_alone():
    found = probes.once(probes.Sizes(rows=200, features=8, queries=10, k=3))
    assert found["table_bytes"] == 210 * 8 * 4 and found["mean_distance"] > 0


def test_what_cannot_be_measured_is_refused(tmp_path, capsys):
    for word, says in (("work=a", "knn or logistic"), ("metric=a", "or cosine")):
        words = ["--suite=probes", f"--out={tmp_path / 'a.json'}", f"--{word}"]
        assert exit_codes(benchmark.main, ["benchmark", *words]) == 2
        assert says in capsys.readouterr().err
