"""The densenet suite: three programs, one loss curve; its flags."""

import importlib.util
import json

import jax
import pytest

from experiments.launch import exit_codes
from scripts.benchmark import __main__ as benchmark
from scripts.benchmark import densenet
from scripts.benchmark.densenet_peers import keras_path, torch_path

SMALL = ("--batch=4", "--size=64", "--layers=1,1,1,1", "--steps=2", "--quiet")
WHY = "the extra bench brings torch and keras"
peers = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("torch", "keras")), reason=WHY
)


def race(out, *words):
    line = ["-", "--suite=densenet", f"--out={out}", *words]
    return exit_codes(benchmark.main, line)


@peers
@pytest.mark.parametrize(("work", "rounds"), [("train", 2), ("infer", 1)])
def test_the_three_give_the_same_numbers(tmp_path, capsys, work, rounds):
    out = tmp_path / "b.json"
    words = (f"--work={work}", f"--repeats={rounds}", *SMALL)
    with jax.numpy_rank_promotion("allow"):  # Keras' own code promotes
        assert race(out, *words) == 0
    found = json.loads(out.read_text("utf-8"))
    values = found["agreement"]["values"]
    assert set(values) == {"equity_jax", "torch", "Keras on JAX"}
    if work == "train":
        assert {len(v) for v in values.values()} == {2 * (rounds + 1)}
        curve = values["equity_jax"]
        assert curve[4] < curve[0]  # the first batch, seen again
    # torch's gradients lie 1 % from its own in float64 where memory is channels_last
    assert found["agreement"]["apart"]["Keras on JAX"] < 1e-4
    assert found["agreement"]["apart"]["torch"] < 5e-3
    assert "largest |ours - torch|" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--work=fly", "expected train or infer"),
        ("--layers=6,x", "expected numbers such as"),
        ("--layers=1,1", "four blocks"),
    ],
)
def test_sizes_that_cannot_be(tmp_path, capsys, word, said):
    assert race(tmp_path / "b.json", word) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "torch", "keras"),
    [
        (("stem", "conv"), "features.conv0", "conv1_conv"),
        (("dense2", "layer3", "norm2"), None, "conv3_block3_1_bn"),
        (("transition3", "norm"), "features.transition3.norm", "pool4_bn"),
        (("transition1", "conv"), "features.transition1.conv", "pool2_conv"),
        (("norm",), "features.norm5", "bn"),
        (("head", "dense"), "classifier", "predictions"),
    ],
)
def test_names(path, torch, keras):
    assert keras_path(keras) == path
    assert torch_path(torch or "features.denseblock2.denselayer3.norm2") == path


def test_pixels_are_drawn_once_and_for_all():
    sizes = densenet.Sizes(batch=2, size=32)
    (x, y), *_ = densenet.pixels(sizes)
    assert x.shape == (2, 32, 32, 3) and x.dtype == "float32" and y.dtype == "int32"
    assert (densenet.pixels(sizes)[0][0] == x).all()
