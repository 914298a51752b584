"""The heads suite: the same problem to all, and numbers that agree."""

import importlib.util
import json

import jax
import numpy as np
import pytest

from experiments.launch import exit_codes
from scripts.benchmark import __main__ as benchmark
from scripts.benchmark import heads, heads_peers

SMALL = ("--rows=2560", "--features=260", "--batch=64", "--epochs=3", "--quiet")
WHY = "the extra bench brings torch and keras"
peers = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("torch", "keras")),
    reason=WHY,
)


def race(out, *words):
    line = ["-", "--suite=heads", f"--out={out}", "--repeats=1", *SMALL, *words]
    with jax.numpy_rank_promotion("allow"):  # Keras' own code promotes
        return exit_codes(benchmark.main, line)


@pytest.fixture(autouse=True)
def one_thread():
    """Torch's second thread waits, spinning, where others use the machine."""
    torch = pytest.importorskip("torch", reason=WHY)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@peers
def test_one_head(tmp_path, capsys):
    out = tmp_path / "b.json"
    assert race(out) == 0
    found = json.loads(out.read_text("utf-8"))
    assert found["ratios"]["torch"]["target"] == 3
    apart = found["agreement"]["apart"]
    assert apart.pop("equity_jax, fit()") == 0
    assert apart["torch"] < 0.05 and apart["Keras on JAX"] < 0.05
    assert set(apart) == {"torch", "Keras on JAX", heads.SGD, heads.LBFGS}
    assert all(values[0] < np.log(2) for values in found["agreement"]["nll"].values())
    assert "held-out nll: torch" in capsys.readouterr().out


@peers
@pytest.mark.parametrize(("model", "target"), [("linear", 20), ("mlp(5)", 2)])
def test_several_heads(tmp_path, model, target):
    out = tmp_path / "b.json"
    words = ("--work=sweep", f"--model={model}", "--settings=5", "--turns=5")
    assert race(out, *words) == 0
    found = json.loads(out.read_text("utf-8"))
    assert found["ratios"]["torch"]["target"] == target and found["unit"] == "heads"
    nll = found["agreement"]["nll"]
    assert {len(values) for values in nll.values()} == {5}
    assert found["agreement"]["apart"]["equity_jax, fit()"] == 0
    # other batches, other random numbers: the same learning
    for name in ("torch", "torch, by hand at once"):
        assert found["agreement"]["apart"][name] < 0.05, name


@peers
def test_torch_by_hand_is_torch_in_turn():
    """Where nothing is random and the batch is everything."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 5)).astype(np.float32), np.resize([0.0, 1.0], 32)
    plan = heads_peers.Plan(np.array([1e-2, 1e-1]), np.array([0.0, 0.1]), 0, 32, 300)
    rows = x, y.astype(np.float32)
    problem = heads_peers.Problem(*rows, *rows, plan)
    turns, batched = heads_peers.torch_turns, heads_peers.torch_batched
    found = [peer(problem)(2) for peer in (turns, batched)]
    np.testing.assert_allclose(*found, atol=2e-3)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--work=fly", "expected head or sweep"),
        ("--model=mlp", "expected linear or mlp(256)"),
        ("--model=mlp(4, 4)", "expected linear or mlp(256)"),
        ("--rows=10", "fewer than a batch of 64"),
    ],
)
def test_sizes_that_cannot_be(tmp_path, capsys, word, said):
    assert race(tmp_path / "b.json", word) == 2
    assert said in capsys.readouterr().err
