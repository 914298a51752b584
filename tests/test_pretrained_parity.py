"""Whole networks through their makers' files: the same logits, the same stages.

Weights are random, running statistics too, so that a wrong epsilon, order or stride
would show. Images are small; widths and depths are the real ones.
"""

import jax
import numpy as np
import pytest

from equity_jax.keys import generator
from equity_jax.models import MODELS
from equity_jax.models.pretrained import expects, load, read
from equity_jax.models.resnet import resnet

SIZE, OUTPUTS = 64, 5
DEPTHS = {
    "vgg19": (2, 2, 4, 4, 4),
    "vgg19_bn": (2, 2, 4, 4, 4),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "densenet121": (6, 12, 24, 16),
    "densenet201": (6, 12, 48, 32),
}
PIXELS = generator(0, "parity").uniform(-1, 1, (2, SIZE, SIZE, 3)).astype(np.float32)


@pytest.fixture
def torch_nets():
    pytest.importorskip("torch", reason="the extra bench brings torch")
    import torch_nets

    return torch_nets


@pytest.fixture
def keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    return pytest.importorskip("keras", reason="the extra bench brings keras")


def ours(path, arch, model, x=PIXELS):
    shapes = jax.eval_shape(model.init, jax.random.key(0), x[:1])
    start = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    params, stats, diff = load(path, arch, model, *start, head=True)
    assert not (diff.fresh or diff.left_over or diff.adapted), str(diff)
    apply = jax.jit(lambda p, s, x: model.apply(p, s, x, False, None)[0])
    return apply(params, stats, x)


def same(found, wanted, what):
    """Equal to 1e-4 of the largest value."""
    assert found.shape == wanted.shape
    scale = np.abs(wanted).max()
    assert scale > 1e-3, f"{what}: nothing to compare"
    np.testing.assert_allclose(found / scale, wanted / scale, atol=1e-4, err_msg=what)


def judge(output, logits, stages):
    same(output.logits, logits, "logits")
    for tap, wanted in stages.items():
        same(output.taps[tap], wanted, tap)


def keras_stages(arch) -> dict[str, str]:
    """Our tap -> the Keras layer that gives the same maps."""
    last = dict(enumerate(DEPTHS[arch], 1))
    if arch.startswith("vgg"):
        return {f"stage{i}": f"block{i}_conv{n}" for i, n in last.items()}
    if arch.startswith("resnet"):
        blocks = {f"stage{i}": f"conv{i + 1}_block{n}_out" for i, n in last.items()}
        return {"stem": "conv1_relu", **blocks}
    blocks = {f"dense{i}": f"conv{i + 1}_block{n}_concat" for i, n in last.items()}
    pools = {f"transition{i}": f"pool{i + 1}_pool" for i in (1, 2, 3)}
    return {"stem": "conv1_relu", **blocks, **pools, "norm": "relu"}


def keras_net(keras, arch):
    name = {"resnet": "ResNet", "densen": "DenseNet", "vgg19": "VGG"}[arch[:6]]
    make = getattr(keras.applications, name + arch.lstrip("abcdefghijklmnopqrstuvwxyz"))
    net = make(
        weights=None,
        input_shape=(SIZE, SIZE, 3),
        classes=OUTPUTS,
        classifier_activation=None,
    )
    rng = generator(0, "weights")
    values = []
    for weight in net.weights:
        value = np.asarray(weight)
        if value.ndim == 1:
            positive = weight.name in ("gamma", "moving_variance")
            low, high = (0.5, 1.5) if positive else (-0.3, 0.3)
            value = rng.uniform(low, high, value.shape)
        values.append(value)
    net.set_weights(values)
    return net


@pytest.mark.filterwarnings("ignore")  # Keras on its own formats
@pytest.mark.parametrize(
    ("arch", "names"),
    [
        ("vgg19", ["net.keras"]),
        ("resnet50", ["net.weights.h5"]),
        ("densenet121", ["net.h5", "net.keras", "net.weights.h5"]),
    ],
)
def test_keras_applications(arch, names, keras, tmp_path):
    net, stages = keras_net(keras, arch), keras_stages(arch)
    for name in names:
        path = tmp_path / name
        (net.save_weights if "weights" in name else net.save)(path)
    first, *others = (read(tmp_path / name) for name in names)
    for other in others:
        assert set(other.arrays) == set(first.arrays)
        for name, value in first.arrays.items():
            np.testing.assert_array_equal(other.arrays[name], value, name)
    expected = expects(first, arch, whole=True)
    assert expected.outputs == OUTPUTS
    wanted = "imagenet" if arch.startswith("dense") else "caffe"
    assert expected.options["normalize"] == wanted
    model = MODELS[arch](OUTPUTS, 0, **{**expected.options, "normalize": "none"})
    output = ours(first, arch, model)
    shown = [net.get_layer(name).output for name in stages.values()]
    with jax.numpy_rank_promotion("allow"):
        both = keras.Model(net.input, [net.output, *shown])
        logits, *maps = both.predict(PIXELS, verbose=0)
    judge(output, logits, dict(zip(stages, maps, strict=True)))


def torch_stages(arch) -> dict[str, str]:
    """Our tap -> the torch module that gives the same maps."""
    if arch.startswith("resnet"):
        return {f"stage{i}": f"layer{i}" for i in (1, 2, 3, 4)}
    if arch.startswith("densenet"):
        blocks = {f"dense{i}": f"features.denseblock{i}" for i in (1, 2, 3, 4)}
        pools = {f"transition{i}": f"features.transition{i}" for i in (1, 2, 3)}
        return {**blocks, **pools}
    at, found = 0, {}
    for stage, n in enumerate(DEPTHS[arch], 1):
        at += n * (3 if arch.endswith("bn") else 2)
        found[f"stage{stage}"] = f"features.{at - 1}"
        at += 1
    return found


@pytest.mark.parametrize(
    ("arch", "file"),
    [
        ("vgg19_bn", "net.pth"),
        ("resnet101", "net.safetensors"),
        ("densenet121", "legacy.pth"),
        ("densenet201", "net.pth"),
    ],
)
def test_torchvision(arch, file, torch_nets, tmp_path):
    torch = torch_nets.torch
    torch.manual_seed(0)
    net = torch_nets.randomize(torch_nets.build(arch, OUTPUTS))
    path = tmp_path / file
    if file.endswith("safetensors"):
        import safetensors.torch

        safetensors.torch.save_file(net.state_dict(), path)
    else:
        zipped = file == "net.pth"
        torch.save(net.state_dict(), path, _use_new_zipfile_serialization=zipped)
    expected = expects(read(path), arch, whole=True)
    assert expected.outputs == OUTPUTS
    assert expected.options["normalize"] == "imagenet"
    model = MODELS[arch](OUTPUTS, 0, **{**expected.options, "normalize": "none"})
    output = ours(path, arch, model)
    stages = torch_stages(arch)
    logits, maps = torch_nets.stages(net, PIXELS, stages.values())
    judge(output, logits, {tap: maps[name] for tap, name in stages.items()})


@pytest.mark.realdata
def test_the_real_cifar_resnet(real, torch_nets):
    path = real / "checkpoints/resnet20-12fca82f.safetensors"
    found, torch = read(path), torch_nets.torch
    model = resnet(
        10,
        stages=(3, 3, 3),
        width=16,
        block="basic",
        shortcut="A",
        stem="small",
        channels=3,
        normalize="none",
    )
    x = generator(0, "cifar").normal(size=(8, 32, 32, 3)).astype(np.float32)
    output = ours(found, "resnet20", model, x)
    net = torch_nets.CifarResNet().eval()
    state = {
        k.removeprefix("module."): torch.tensor(v) for k, v in found.arrays.items()
    }
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert not unexpected and all("num_batches" in name for name in missing)
    stages = {f"stage{i}": f"layer{i}" for i in (1, 2, 3)}
    logits, maps = torch_nets.stages(net, x, stages.values())
    judge(output, logits, {tap: maps[name] for tap, name in stages.items()})
