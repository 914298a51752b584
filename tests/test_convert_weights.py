"""A checkpoint on the command line becomes a folder that a study starts from."""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy

from equity_jax.keys import generator
from equity_jax.models import MODELS
from equity_jax.models.pretrained import expects, load, read
from equity_jax.models.pretrained.readers import leaves
from equity_jax.train.checkpoint import Checkpoint
from equity_jax.train.converted import load_converted
from equity_jax.types import InputError
from experiments.launch import exit_codes
from scripts import convert_weights

COVIDCXNET = "checkpoints/covidcxnet_v1.0_eps-099_valAcc-0.9672.safetensors"
CONVOLUTIONS = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)


def vgg19(path, channels=3, outputs=4, least=0):
    """A torch VGG19 without its two wide layers; `least`: convolutions that lack."""
    rng, arrays, at, inputs = generator(0, "vgg"), {}, 0, channels
    for stage in CONVOLUTIONS:
        for width in stage:
            kernel = rng.normal(size=(width, inputs, 3, 3)) * 0.05
            arrays[f"features.{at}.weight"] = kernel.astype(np.float32)
            arrays[f"features.{at}.bias"] = np.full(width, 0.01, np.float32)
            at, inputs = at + 2, width
        at += 1
    arrays["classifier.weight"] = rng.normal(size=(outputs, 512)).astype(np.float32)
    arrays["classifier.bias"] = np.zeros(outputs, np.float32)
    arrays["op_threshs"] = np.zeros(outputs, np.float32)
    for name in list(arrays)[:least]:
        del arrays[name]
    safetensors.numpy.save_file(arrays, path)
    return path


def command(source, arch, out) -> int:
    words = [f"--source={source}", f"--arch={arch}", f"--out={out}"]
    return exit_codes(convert_weights.main, ["convert_weights", *words])


def blank(model):
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 32, 32, 1)))
    return jax.tree.map(lambda leaf: np.full(leaf.shape, 7, leaf.dtype), shapes)


def test_a_file_becomes_a_folder_that_loads_as_the_file_does(tmp_path, capsys):
    file, out = vgg19(tmp_path / "net.safetensors"), tmp_path / "out"
    assert command(file, "vgg19", out) == 0
    said = capsys.readouterr().out
    assert said.startswith("net.safetensors -> vgg19\n  matched    34 of 34 leaves")
    assert "left over  op_threshs (4,)" in said
    assert "expects normalize='imagenet', channels=3" in said
    assert (out / "diff.txt").read_text("utf-8") in said
    facts = json.loads((out / "facts.json").read_text("utf-8"))
    assert (facts["arch"], facts["outputs"], facts["file"]) == ("vgg19", 4, file.name)
    assert len(facts["sha256"]) == 64
    listed = json.loads((out / "diff.json").read_text("utf-8"))
    assert (
        len(listed["matched"]) == 34 and listed["left_over"][0]["name"] == "op_threshs"
    )

    assert expects(load_converted(out), "vgg19") == expects(read(file), "vgg19")
    model = MODELS["vgg19"](2, 0, channels=1)
    one = load(load_converted(out), "vgg19", model, *blank(model))
    two = load(load_converted(file), "vgg19", model, *blank(model))
    jax.tree.map(np.testing.assert_array_equal, one[:2], two[:2])
    assert one[2].complete and (one[0]["head"]["dense"]["kernel"] == 7).all()
    assert [leaf.note for leaf in one[2].adapted] == ["3 input channels summed to 1"]


def test_what_the_file_lacks_is_not_in_the_folder(tmp_path):
    file, out = vgg19(tmp_path / "net.safetensors", least=1), tmp_path / "out"
    assert command(file, "vgg19", out) == 0
    tree = Checkpoint(out).load("weights")
    assert set(tree["params"]["stage1"]["conv1"]) == {"bias"}
    model = MODELS["vgg19"](2, 0)
    params, _, diff = load(load_converted(out), "vgg19", model, *blank(model))
    assert not diff.complete and (params["stage1"]["conv1"]["kernel"] == 7).all()


def test_arguments_of_the_architecture_win(tmp_path, capsys):
    file, out = vgg19(tmp_path / "net.safetensors"), tmp_path / "out"
    assert command(file, "vgg19(channels=1, normalize='unit')", out) == 0
    assert "3 input channels summed to 1" in capsys.readouterr().out
    options = load_converted(out).facts["options"]
    assert options == {"normalize": "unit", "channels": 1}


@pytest.mark.parametrize(
    ("arch", "why"),
    [
        ("vgg20", "unknown model 'vgg20'"),
        ("vgg19(depth=3)", "unexpected keyword argument 'depth'"),
        ("densenet121", "none of its 35 arrays fits densenet121"),
        ("linear", "unexpected keyword argument"),
        ("cnn", "has no Keras config"),
    ],
)
def test_bad_input_is_one_line(arch, why, tmp_path, capsys):
    file = vgg19(tmp_path / "net.safetensors")
    assert command(file, arch, tmp_path / "out") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and why in lines[0]
    assert not (tmp_path / "out").exists()


def test_folders_of_others_are_refused(tmp_path, capsys):
    assert command(tmp_path / "none.pth", "vgg19", tmp_path / "out") == 2
    assert "no such file" in capsys.readouterr().err
    with pytest.raises(InputError, match="not a folder that scripts.convert_weights"):
        load_converted(tmp_path)
    (tmp_path / "file").write_text("x", "utf-8")
    file = vgg19(tmp_path / "net.safetensors")
    assert command(file, "vgg19", tmp_path / "file") == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.realdata
def test_the_real_covid_net_is_converted_whole(real, tmp_path, capsys):
    assert command(real / COVIDCXNET, "cnn", tmp_path) == 0
    assert "matched    16 of 16 leaves, 76,675 of 76,675" in capsys.readouterr().out
    found, file = load_converted(tmp_path), read(real / COVIDCXNET)
    assert found.facts["config"] == file.facts["config"]
    head = found.arrays["params/head/dense/kernel"]
    np.testing.assert_array_equal(head, file.arrays["output_layer/kernel"])
    assert len(leaves(Checkpoint(tmp_path).load("weights"))) == 16
