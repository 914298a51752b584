"""Image networks: kept by a run, found again, called on anything, exported."""

import json
import subprocess
import sys

import cv2
import jax
import numpy as np
import pandas as pd
import pytest
from networks import CLASSES, SIZE, finished_run, untrained

import equity_jax as ej
from equity_jax import calibration, inference
from equity_jax.config import Config
from equity_jax.data import pixels
from equity_jax.store import open_run
from equity_jax.types import InputError

EXACT = {"rtol": 0, "atol": 0}


def picture(seed: int, *shape: int, dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype)


def prob(table: pd.DataFrame, head: str = "prob") -> np.ndarray:
    return table[[f"{head}_{c}" for c in CLASSES]].to_numpy()


@pytest.fixture(scope="module")
def kept():
    """Two networks, as a run lists them."""
    return [untrained(0), untrained(1, "cnn_small(normalize='imagenet')", "clahe")]


@pytest.fixture(scope="module")
def run(kept, tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("networks") / "run", kept)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of pictures of many sizes and depths, two of which are none."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "deep" / "er").mkdir(parents=True)
    for name, made in (
        ("a.png", picture(0, 40, 50)),
        ("deep/b.jpg", picture(1, 300, 200, 3)),
        ("deep/er/c.PNG", picture(2, 64, 64, dtype=np.uint16)),
        ("deep/er/d.png", picture(3, 32, 32, 4)),
        ("tiny.png", picture(4, 1, 1)),
    ):
        cv2.imwrite(str(folder / name), made)
    (folder / "deep" / "text.png").write_text("not a picture")
    (folder / "metadata.csv").write_text("file,label\n")
    (folder / ".hidden").write_text("")
    return folder


def test_a_run_gives_back_what_it_was_given(run, kept):
    for name, other in (("", kept[0]), (kept[1].name, kept[1])):
        found = ej.load_run(str(run), name)
        assert found.fingerprint == other.fingerprint
        assert found.classes == CLASSES and found.name == other.name
        jax.tree.map(np.testing.assert_array_equal, found.weights, other.weights)
    found = ej.load_run(str(run), "cnn_small")
    assert found.name == kept[0].name and found.fingerprint in repr(found)
    assert len(repr(found)) < 100


def test_the_fingerprint_changes_with_any_parameter(kept):
    params, stats = kept[0].weights
    shifted = jax.tree.map(np.copy, params)
    shifted["head"]["dense"]["bias"][0] += 1e-6
    from equity_jax.networks import digest

    assert kept[0].fingerprint != kept[1].fingerprint
    changed = digest("cnn_small", type(kept[0].weights)(shifted, stats))
    assert changed != kept[0].fingerprint


def test_a_folder_of_anything(run, images):
    network = ej.load_run(str(run))
    table = network.predict(str(images))
    assert list(table["id"]) == [
        "a.png",
        "deep/b.jpg",
        "deep/er/c.PNG",
        "deep/er/d.png",
    ]
    unreadable = table.attrs["unreadable"]
    assert list(unreadable) == ["deep/text.png", "tiny.png"]
    assert unreadable["tiny.png"].startswith("1×1 pixels")
    assert unreadable["deep/text.png"].startswith("starts with b'not a pi'")
    np.testing.assert_allclose(prob(table).sum(1), 1, rtol=1e-5)
    assert list(table["predicted"]) == [CLASSES[i] for i in prob(table).argmax(1)]


def test_one_image_or_many_gives_the_same_numbers(kept, images):
    network, names = kept[0], ["a.png", "deep/b.jpg"]
    together = network.predict(images)
    for i, name in enumerate(names):
        alone = network.predict(images / name)
        assert list(alone["id"]) == [name.split("/")[-1]]
        np.testing.assert_allclose(prob(alone)[0], prob(together)[i], rtol=1e-5)
    listed = network.predict([images / n for n in names] + [images / "none.png"])
    np.testing.assert_allclose(prob(listed), prob(together)[:2], rtol=1e-5)
    gone = {str(images / "none.png"): "No such file or directory"}
    assert listed.attrs["unreadable"] == gone


def test_the_numbers_are_those_of_the_model_on_prepared_pixels(kept, images):
    network = kept[1]  # with CLAHE
    data = (images / "deep/b.jpg").read_bytes()
    x = pixels.read(data, "b", SIZE, "clahe")[None, ..., None]
    output, _ = network.model.apply(*network.weights, x, False, jax.random.key(0))
    table = network.predict(images / "deep/b.jpg")
    expected = jax.nn.softmax(output.logits)
    np.testing.assert_allclose(prob(table), expected, rtol=1e-5)
    better = calibration.apply(output.logits, network.calibration)
    np.testing.assert_allclose(prob(table, "calibrated"), better, rtol=1e-5)


def test_more_images_than_a_batch_come_in_their_order(kept, monkeypatch):
    monkeypatch.setattr(inference, "BATCH", 4)
    x = picture(5, 11, SIZE, SIZE)
    seen = []
    table = kept[0].predict(x, each=lambda part: seen.append(len(part.id)))
    assert seen == [4, 4, 3]
    assert list(table["id"]) == [str(i) for i in range(11)]
    np.testing.assert_allclose(prob(table)[9:10], prob(kept[0].predict(x[9:10])), 1e-5)


@pytest.mark.parametrize("kind", ["gray", "channel", "rgb", "rgba", "uint16", "float"])
def test_arrays_of_every_kind(kept, kind):
    x = picture(6, 2, 48, 40)
    x[:, 0, :2] = 0, 255  # the full range: stretching changes nothing
    made = {
        "gray": x,
        "channel": x[..., None],
        "rgb": np.repeat(x[..., None], 3, -1),
        "rgba": np.concatenate([np.repeat(x[..., None], 3, -1), x[..., None]], -1),
        "uint16": x.astype(np.uint16) * 16,
        "float": x / 255.0,
    }[kind]
    expected = prob(kept[0].predict(x))
    np.testing.assert_allclose(prob(kept[0].predict(made)), expected, rtol=1e-4)
    listed = kept[0].predict(list(made))
    np.testing.assert_allclose(prob(listed), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ([], "the list holds no image"),
        (np.zeros((3, 3), np.uint8), r"shape \[3, 3\]; expected \[N, H, W\]"),
        ([3], "image 0 is of type int; expected a path or an array"),
        (np.zeros((2, 4, 4), np.uint8), "none of 2 images can be read; the first is 0"),
    ],
)
def test_nothing_to_read(kept, given, words):
    with pytest.raises(InputError, match=words):
        kept[0].predict(given)


def test_a_run_without_networks_an_unfinished_one_a_wrong_name(run, kept, tmp_path):
    with pytest.raises(InputError, match="no network 'vgg'; known: cnn_small scratch"):
        ej.load_run(str(run), "vgg")
    with pytest.raises(InputError, match="not a run directory"):
        ej.load_run(str(tmp_path))
    store = open_run(str(tmp_path / "begun"), Config())
    store.write_text("log.csv", "")
    with pytest.raises(InputError, match="not finished"):
        ej.load_run(str(store.path))
    store.write_text("DONE", "")
    with pytest.raises(InputError, match="no image network.*deaths_transfer on deaths"):
        ej.load_run(str(store.path))


def test_other_parameters_than_the_run_wrote_are_refused(kept, tmp_path):
    run = finished_run(tmp_path / "run", kept[:1])
    listed = run / "checkpoints" / "networks.json"
    listed.write_text(listed.read_text().replace(kept[0].fingerprint, "0" * 12))
    with pytest.raises(InputError, match="network_000 holds other parameters"):
        ej.load_run(str(run))


def test_an_exported_network_answers_the_same(kept, tmp_path):
    path = tmp_path / "network.stablehlo"
    kept[0].export(path)
    loaded = jax.export.deserialize(bytearray(path.read_bytes()))
    assert set(loaded.platforms) == {"cpu", "cuda"}
    for n in (1, 5):
        x = picture(n, n, SIZE, SIZE, 1)
        table, found = kept[0].predict(x), loaded.call(x)
        np.testing.assert_allclose(found["prob"], prob(table), rtol=1e-5)
        better = prob(table, "calibrated")
        np.testing.assert_allclose(found["calibrated"], better, rtol=1e-5)
    facts = json.loads((tmp_path / "network.stablehlo.json").read_text())
    assert facts["classes"] == list(CLASSES) and facts["recipe"]["size"] == SIZE
    assert facts["fingerprint"] == kept[0].fingerprint


@pytest.mark.parametrize(
    "architecture",
    [
        "densenet121(layers=(1, 1), growth=4)",
        "resnet50(stages=(1, 1), width=4)",
        "vgg19(width=2, convs=(1, 1), top=True, hidden=4)",
    ],
)
def test_every_family_can_be_exported(architecture, tmp_path):
    network = untrained(0, architecture)
    network.export(tmp_path / "f")
    loaded = jax.export.deserialize(bytearray((tmp_path / "f").read_bytes()))
    x = picture(9, 3, SIZE, SIZE, 1)
    expected = prob(network.predict(x))
    np.testing.assert_allclose(loaded.call(x)["prob"], expected, rtol=1e-4)


def test_an_export_is_loaded_by_jax_alone(kept, tmp_path):
    kept[0].export(tmp_path / "f")
    x = picture(8, 3, SIZE, SIZE, 1)
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy as np; from jax import export\n"
        "data = bytearray(open('f', 'rb').read())\n"
        "y = export.deserialize(data).call(np.load('x.npy'))['prob']\n"
        "np.save('y.npy', y)\n"
        "assert not {'equity_jax', 'flax'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    expected = prob(kept[0].predict(x))
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, rtol=1e-5)
