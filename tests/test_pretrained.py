"""Names, layouts and diffs of foreign checkpoints, on networks of a few layers."""

import io
import json
import zipfile

import h5py
import jax
import numpy as np
import pytest
import safetensors.numpy

from equity_jax.keys import generator
from equity_jax.models.cnn import Act, Conv, Dense, Flatten, cnn
from equity_jax.models.densenet import densenet
from equity_jax.models.pretrained import Checkpoint, expects, from_tree, load, read
from equity_jax.models.pretrained.fit import family
from equity_jax.models.pretrained.names_keras import places
from equity_jax.models.pretrained.names_torch import place
from equity_jax.models.pretrained.readers import leaves
from equity_jax.models.vgg import vgg
from equity_jax.types import InputError

RNG = generator(0, "pretrained")


def fresh(model, shape=(1, 32, 32, 1)):
    found = jax.eval_shape(model.init, jax.random.key(0), np.zeros(shape, np.uint8))
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), found)


def small(channels=1, outputs=2):
    return densenet(outputs, layers=(1, 1), growth=4, channels=channels)


def torch_arrays(channels=3, outputs=18, old=False) -> dict[str, np.ndarray]:
    """A state_dict of `small`, with torchvision's names."""

    def norm(name, n):
        state = {
            "weight": (n,),
            "bias": (n,),
            "running_mean": (n,),
            "running_var": (n,),
        }
        return {f"{name}.{k}": s for k, s in state.items()} | {
            f"{name}.num_batches_tracked": ()
        }

    dot = "." if old else ""
    shapes = {"features.conv0.weight": (8, channels, 7, 7)} | norm("features.norm0", 8)
    for block, n in ((1, 8), (2, 6)):
        layer = f"features.denseblock{block}.denselayer1"
        shapes |= norm(f"{layer}.norm{dot}1", n) | norm(f"{layer}.norm{dot}2", 16)
        shapes[f"{layer}.conv{dot}1.weight"] = (16, n, 1, 1)
        shapes[f"{layer}.conv{dot}2.weight"] = (4, 16, 3, 3)
    shapes |= norm("features.transition1.norm", 12)
    shapes["features.transition1.conv.weight"] = (6, 12, 1, 1)
    shapes |= norm("features.norm5", 10)
    shapes |= {"classifier.weight": (outputs, 10), "classifier.bias": (outputs,)}
    return {k: RNG.normal(size=s).astype(np.float32) for k, s in shapes.items()}


def checkpoint(arrays, kind="torch", **facts):
    return Checkpoint(kind, arrays, {"file": "net.pth", **facts})


def test_every_leaf_of_a_densenet_is_found_and_turned():
    arrays, model = torch_arrays(), small(3, 18)
    params, stats, diff = load(
        checkpoint(arrays), "densenet121", model, *fresh(model), head=True
    )
    assert diff.complete and not (diff.fresh or diff.left_over or diff.adapted)
    assert len(diff.matched) == sum("batches" not in name for name in arrays)
    np.testing.assert_array_equal(
        params["stem"]["conv"]["kernel"][2, 3],
        arrays["features.conv0.weight"][:, :, 2, 3].T,
    )
    head = arrays["classifier.weight"]
    np.testing.assert_array_equal(params["head"]["dense"]["kernel"], head.T)
    var = stats["batch_stats"]["dense2"]["layer1"]["norm2"]["var"]
    name = "features.denseblock2.denselayer1.norm2.running_var"
    np.testing.assert_array_equal(var, arrays[name])


def test_the_older_spelling_and_every_wrapper_give_the_same():
    model, arrays = small(3, 18), torch_arrays()
    spelled = {
        k.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): v
        for k, v in arrays.items()
    }
    plain = load(checkpoint(arrays), "densenet121", model, *fresh(model), head=True)
    for prefix in ("", "module.", "model.", "state_dict.module.", "backbone."):
        wrapped = {prefix + k: v for k, v in spelled.items()}
        found = load(
            checkpoint(wrapped), "densenet121", model, *fresh(model), head=True
        )
        jax.tree.map(np.testing.assert_array_equal, found[:2], plain[:2])


def test_a_stem_of_three_is_summed_and_the_head_is_fresh():
    model, arrays = small(), torch_arrays()
    params, _, diff = load(checkpoint(arrays), "densenet121", model, *fresh(model))
    kernel = arrays["features.conv0.weight"].sum(1).transpose(1, 2, 0)
    np.testing.assert_allclose(
        params["stem"]["conv"]["kernel"][:, :, 0], kernel, rtol=1e-5, atol=1e-6
    )
    assert not params["head"]["dense"]["kernel"].any()
    assert diff.complete
    lines = str(diff).splitlines()
    assert len(lines) == 5 and lines[0] == "net.pth -> densenet121"
    assert "stem/conv/kernel (7, 7, 1, 8) (3 input channels summed to 1)" in lines[2]
    assert "params/head/dense/bias (2,)" in lines[3] and "is fresh unless" in lines[3]
    assert "classifier.bias (18,)" in lines[4]


def test_a_stem_of_one_serves_a_net_of_three():
    model, arrays = small(3), torch_arrays(channels=1)
    params, _, diff = load(checkpoint(arrays), "densenet121", model, *fresh(model))
    kernel = arrays["features.conv0.weight"][:, 0].transpose(1, 2, 0)
    np.testing.assert_allclose(
        params["stem"]["conv"]["kernel"].sum(2), kernel, rtol=1e-5, atol=1e-6
    )
    assert [leaf.note for leaf in diff.adapted] == ["1 input channel shared among 3"]


def test_what_lacks_and_what_does_not_fit_is_named():
    model, arrays = small(3, 2), torch_arrays()
    arrays["features.transition1.conv.weight"] = np.zeros((7, 12, 1, 1), np.float32)
    del arrays["features.norm5.bias"]
    arrays["extra.weight"] = np.zeros(3, np.float32)
    *_, diff = load(checkpoint(arrays), "densenet121", model, *fresh(model), head=True)
    assert not diff.complete
    notes = {leaf.name: leaf.note for leaf in diff.fresh}
    assert notes["params/transition1/conv/kernel"] == "the file has shape (1, 1, 12, 7)"
    assert notes["params/norm/bias"] == "not in the file"
    assert notes["params/head/dense/bias"] == "the file has shape (18,)"
    over = {leaf.name for leaf in diff.left_over}
    assert {"extra.weight", "features.transition1.conv.weight"} <= over
    assert all(name in str(diff) for name in ("extra.weight (3,)", "(1, 1, 12, 7)"))


def test_nothing_that_fits_is_an_error_with_the_closest_names():
    model = small()
    with pytest.raises(InputError) as error:
        arrays = {"features.conv_0.weight": np.zeros(3), "x": np.zeros(2)}
        load(checkpoint(arrays), "densenet121", model, *fresh(model))
    expected = "expected names such as features.conv0.weight, found features.conv_0"
    assert expected in str(error.value)


def test_values_that_are_not_finite_and_twins_are_refused():
    model, arrays = small(3), torch_arrays()
    twins = {**arrays, **{f"module.{k}": v for k, v in arrays.items()}}
    with pytest.raises(InputError, match="are both"):
        load(checkpoint(twins), "densenet121", model, *fresh(model))
    arrays["features.norm0.running_var"][3] = np.nan
    with pytest.raises(InputError, match="features.norm0.running_var .* not finite"):
        load(checkpoint(arrays), "densenet121", model, *fresh(model))


@pytest.mark.parametrize(
    ("name", "rank", "kind", "path"),
    [
        ("conv1.weight", 4, "resnet", "params/stem/conv/kernel"),
        ("bn1.weight", 1, "resnet", "params/stem/norm/scale"),
        ("layer3.22.conv3.weight", 4, "resnet", "params/stage3/block23/conv3/kernel"),
        (
            *("layer2.0.downsample.0.weight", 4, "resnet"),
            "params/stage2/block1/proj/kernel",
        ),
        (
            *("layer2.0.downsample.1.running_var", 1, "resnet"),
            "batch_stats/stage2/block1/proj_norm/var",
        ),
        ("fc.weight", 2, "resnet", "params/head/dense/kernel"),
        ("features.0.weight", 4, "vgg19", "params/stage1/conv1/kernel"),
        ("features.34.bias", 1, "vgg19", "params/stage5/conv4/bias"),
        ("features.49.weight", 4, "vgg19_bn", "params/stage5/conv4/kernel"),
        ("features.50.running_mean", 1, "vgg19_bn", "batch_stats/stage5/norm4/mean"),
        ("classifier.0.weight", 2, "vgg19", "params/fc/fc1/kernel"),
        ("classifier.6.bias", 1, "vgg19", "params/head/dense/bias"),
        ("features.norm5.bias", 1, "densenet", "params/norm/bias"),
        ("module.classifier.0.weight", 2, "densenet", "params/head/dense/kernel"),
        ("features.5.weight", 4, "densenet", None),
        ("features.norm0.num_batches_tracked", 0, "densenet", None),
    ],
)
def test_torch_names(name, rank, kind, path):
    assert place(name, rank, kind) == (path and tuple(path.split("/")))


@pytest.mark.parametrize(
    ("name", "kind", "path"),
    [
        ("conv1_conv/kernel", "densenet", "params/stem/conv/kernel"),
        ("conv1_bn/moving_variance", "resnet", "batch_stats/stem/norm/var"),
        ("conv5_block16_1_bn/beta", "densenet", "params/dense4/layer16/norm2/bias"),
        ("pool4_conv/kernel", "densenet", "params/transition3/conv/kernel"),
        ("bn/gamma", "densenet", "params/norm/scale"),
        ("conv4_block23_0_conv/bias", "resnet", "params/stage3/block23/proj/bias"),
        ("conv2_block1_3_bn/gamma", "resnet", "params/stage1/block1/norm3/scale"),
        ("block5_conv4/kernel", "vgg19", "params/stage5/conv4/kernel"),
        ("fc2/bias", "vgg19", "params/fc/fc2/bias"),
        ("predictions/kernel", "vgg19", "params/head/dense/kernel"),
        ("dense_7/kernel", "resnet", "params/head/dense/kernel"),
        ("input_1/kernel", "resnet", None),
    ],
)
def test_keras_names(name, kind, path):
    rank = 2 if "dense" in name or "predictions" in name else 1
    found = places({name: np.zeros((1,) * rank)}, kind, ()).get(name)
    assert found == (path and tuple(path.split("/")))


def test_families():
    names = "densenet201 resnet101(style='keras') vgg19 vgg19_bn cnn cnn_small mlp(4)"
    found = [family(name) for name in names.split()]
    assert found == ["densenet", "resnet", "vgg19", "vgg19_bn", "cnn", "cnn", "mlp"]


def test_flattened_maps_are_put_in_the_order_of_pixels():
    model = vgg(2, convs=(1,), width=4, top=True, hidden=5, channels=3)
    # One input each for channel c, row h, column w, in torch's order.
    order = np.arange(4 * 7 * 7, dtype=np.float32)
    arrays = {
        "features.0.weight": np.ones((4, 3, 3, 3), np.float32),
        "classifier.0.weight": np.tile(order, (5, 1)),
    }
    params, *_ = load(checkpoint(arrays), "vgg19", model, *fresh(model))
    found = params["fc"]["fc1"]["kernel"][:, 0].reshape(7, 7, 4)
    np.testing.assert_array_equal(found, order.reshape(4, 7, 7).transpose(1, 2, 0))


def test_what_a_checkpoint_expects():
    xrv = checkpoint(torch_arrays(channels=1))
    options = {"normalize": "xrv", "channels": 1}
    assert expects(xrv, "densenet121") == (18, options)
    options = {"normalize": "imagenet", "channels": 3}
    assert expects(checkpoint(torch_arrays()), "densenet121") == (18, options)
    keras = checkpoint({"conv1_conv/kernel": np.zeros((7, 7, 3, 8))}, "keras")
    caffe = {"normalize": "caffe", "channels": 3, "style": "keras"}
    assert expects(keras, "resnet101") == (0, caffe)
    assert expects(keras, "densenet201") == (0, {**options, "eps": 1.001e-5})
    top = {
        "block1_conv1/kernel": np.zeros((3, 3, 3, 8)),
        "fc1/kernel": np.zeros((4, 2)),
    }
    vgg_top = checkpoint(top, "keras")
    assert expects(vgg_top, "vgg19", whole=True) == (0, {**caffe, "top": True})
    assert expects(vgg_top, "vgg19") == (0, caffe)


def test_our_own_trees_are_read_back():
    model = small(3, 4)
    tree = jax.tree.map(lambda x: RNG.normal(size=x.shape), fresh(model))
    ours = from_tree({"params": tree[0], **tree[1]}, {"arch": "densenet121"})
    params, stats, diff = load(ours, "densenet121", model, *fresh(model), head=True)
    assert not diff.fresh and not diff.left_over
    jax.tree.map(np.testing.assert_allclose, (params, stats), tree)
    with pytest.raises(InputError, match="was converted as densenet121"):
        load(ours, "densenet201", model, *fresh(model))


# Files.


def refusal(path) -> str:
    with pytest.raises(InputError) as error:
        read(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_safetensors_of_torch_and_of_keras(tmp_path):
    arrays = {
        k: np.ones(s, np.float32) for k, s in {"a.weight": 3, "b.bias": 2}.items()
    }
    path = tmp_path / "net.safetensors"
    safetensors.numpy.save_file(arrays, path)
    assert read(path).kind == "torch" and set(read(path).arrays) == set(arrays)
    safetensors.numpy.save_file({"conv/kernel:0": np.ones(3)}, path, {"license": "MIT"})
    (tmp_path / "net.config.json").write_text('{"class_name": "Model"}')
    found = read(path)
    assert found.kind == "keras" and set(found.arrays) == {"conv/kernel"}
    assert found.facts["license"] == "MIT"
    assert found.facts["config"] == {"class_name": "Model"}
    path.write_bytes(path.read_bytes()[:-5])
    assert "damaged safetensors" in refusal(path)


@pytest.mark.parametrize("text", [b"", b"hello, I am a text\n", b"\x89PNG\r\n\x1a\n"])
def test_other_files_are_refused(text, tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(text)
    assert "is no checkpoint" in refusal(path)
    assert "no such file" in refusal(tmp_path / "none.pth")
    assert "no such file" in refusal(tmp_path)


def hdf5(path, fill):
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def legacy(file):
    file.attrs["layer_names"] = ["conv1/conv", "fc"]
    file["conv1/conv/conv1/conv/kernel:0"] = np.ones((1, 1, 2, 3))
    file["fc/fc/bias:0"] = np.ones(3)


def test_weights_of_older_keras(tmp_path):
    found = read(hdf5(tmp_path / "w.h5", legacy))
    assert set(found.arrays) == {"conv1_conv/kernel", "fc/bias"}


def unnamed(file):
    file["layers/conv2d/vars/0"] = np.ones((1, 1, 2, 3))
    file["layers/batch_normalization_1/vars/3"] = np.ones(3)
    for i in range(3):
        file[f"layers/batch_normalization_1/vars/{i}"] = np.ones(3)
    file["optimizer/vars/0"] = np.ones(3)


def test_layers_without_names_need_the_config(tmp_path):
    bare = hdf5(tmp_path / "net.weights.h5", unnamed)
    assert "does not say which layer layers/" in refusal(bare)
    kinds = "BatchNormalization Conv2D BatchNormalization".split()
    config = {
        "class_name": "Functional",
        "config": {
            "layers": [
                {"class_name": kind, "config": {"name": f"my_{i}"}}
                for i, kind in enumerate(kinds)
            ]
        },
    }
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.write(bare, "model.weights.h5")
    found = read(tmp_path / "net.keras")
    assert found.facts["config"] == config
    assert set(found.arrays) == {"my_1/kernel"} | {
        f"my_2/{v}" for v in ("gamma", "beta", "moving_mean", "moving_variance")
    }


def external_link(file):
    file["secret"] = h5py.ExternalLink("other.h5", "/x")


def external_weights(file):
    file["model_weights"] = h5py.ExternalLink("other.h5", "/x")


def many_ways(file):
    file["0/x"] = np.ones(2)
    for i in range(1, 40):
        file[f"{i}/a"] = file[f"{i}/b"] = file[f"{i - 1}"]


def soft_link(file):
    file["a"] = np.ones(2)
    file["b"] = h5py.SoftLink("/a")


def external_data(file):
    file.create_dataset("a", (4,), "f4", external=[("secret.bin", 0, 16)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file.create_virtual_dataset("a", layout)


def huge(file):
    file.create_dataset("a", (10**12,), "f4", chunks=(1000,), compression="gzip")


def circle(file):
    file["a/b"] = np.ones(2)
    file["a/c"] = file["a"]


def not_json(file):
    legacy(file)
    file.attrs["model_config"] = "{"


@pytest.mark.parametrize(
    ("fill", "why"),
    [
        (external_link, "secret points elsewhere"),
        (external_weights, "model_weights points elsewhere"),
        (many_ways, "contain each other"),
        (soft_link, "b points elsewhere"),
        (external_data, "a lies in another file"),
        (virtual, "a lies in another file"),
        (huge, "more numbers than the file"),
        (circle, "contain each other"),
        (not_json, "config is no JSON"),
        (lambda file: file.update({"a\nb": np.ones(2)}), "cannot be printed"),
        (lambda file: None, "holds no arrays"),
    ],
)
def test_an_hdf5_file_stays_inside_itself(fill, why, tmp_path):
    assert why in refusal(hdf5(tmp_path / "net.h5", fill))


def test_damaged_hdf5_and_keras_files(tmp_path):
    whole = hdf5(tmp_path / "net.h5", legacy).read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[:900])
    assert "damaged HDF5" in refusal(tmp_path / "cut.h5")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("config.json", "[]")
        archive.writestr("model.weights.h5", whole)
    (tmp_path / "net.keras").write_bytes(stream.getvalue())
    assert "no JSON object" in refusal(tmp_path / "net.keras")


def test_layers_of_a_cnn_keep_their_names():
    layers = Conv(2, name="c1"), Act("relu"), Flatten(), Dense(3, name="d1")
    model = cnn(1, layers=layers)
    arrays = {
        "c1/kernel": np.ones((3, 3, 1, 2)),
        "c1/bias": np.ones(2),
        "d1/kernel": np.ones((2048, 3)),
        "d1/bias": np.ones(3),
        "anything/kernel": np.ones((3, 1)),
        "anything/bias": np.ones(1),
    }
    found = checkpoint(arrays, "keras")
    params, _, diff = load(found, "cnn", model, *fresh(model), head=True)
    assert not diff.fresh and not diff.left_over
    assert all((leaf == 1).all() for _, leaf in leaves(params))
