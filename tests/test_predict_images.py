"""scripts.predict on images: the table, the overlays, other weights, the export."""

import subprocess
import sys
from pathlib import Path

import cv2
import jax
import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from networks import CLASSES, SIZE, finished_run, untrained

import equity_jax as ej
from equity_jax.audit.images.saliency import grad_cam
from equity_jax.config import Config
from equity_jax.store import open_run
from experiments.launch import exit_codes
from scripts import predict as script
from scripts.predict_images import beside

PROB = [f"prob_{c}" for c in CLASSES]
VGG = "vgg19_bn(width=2)"
CALIBRATED = [f"calibrated_{c}" for c in CLASSES]


@pytest.fixture(autouse=True)
def cache(monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")  # the session has its own


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """run: two networks; images: three pictures and a text that is called one."""
    folder = tmp_path_factory.mktemp("made")
    finished_run(folder / "run", [untrained(0), untrained(1, VGG)])
    (folder / "images" / "ward").mkdir(parents=True)
    for name, shape in (("a.png", (40, 50)), ("b.jpg", (200, 90)), ("c.png", (32, 32))):
        picture = np.random.default_rng(len(name)).integers(0, 255, shape, np.uint8)
        cv2.imwrite(str(folder / "images" / "ward" / name), picture)
    (folder / "images" / "text.png").write_text("not a picture")
    return folder


def call(made: Path, capfd, **flags: object) -> tuple[int, str]:
    """(exit code, what was printed) of scripts.predict on `made`."""
    named = {"run": made / "run", **flags}
    words = [f"--{name}={value}" for name, value in named.items() if value is not None]
    code = exit_codes(script.main, ["predict", *words])
    return code, "".join(capfd.readouterr())


def score(made: Path, out: Path, capfd, **flags: object) -> tuple[pd.DataFrame, str]:
    code, said = call(made, capfd, **{"source": made / "images", "out": out, **flags})
    assert code == 0, said
    return pd.read_csv(out), said


def test_a_folder_becomes_a_table(made, tmp_path, capfd):
    table, said = score(made, tmp_path / "f.csv", capfd)
    network = ej.load_run(str(made / "run"))
    names = ["id", "model", "fingerprint", *PROB, *CALIBRATED, "predicted"]
    assert list(table) == names
    assert list(table["id"]) == ["ward/a.png", "ward/b.jpg", "ward/c.png"]
    assert set(table["fingerprint"].astype(str)) == {network.fingerprint}
    expected = network.predict(made / "images")
    for column in (*PROB, *CALIBRATED):
        np.testing.assert_allclose(table[column], expected[column], rtol=1e-6)
    lost = pd.read_csv(tmp_path / "f.unreadable.csv")
    assert list(lost["id"]) == ["text.png"] and "expected a PNG" in lost["reason"][0]
    assert "3 images in" in said and "1 unreadable, listed in" in said
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == ["f.csv", "f.unreadable.csv"]


def test_one_file_by_another_network(made, tmp_path, capfd):
    asked = {"source": made / "images/ward/b.jpg", "network": VGG}
    table, said = score(made, tmp_path / "f.csv", capfd, **asked)
    assert list(table["id"]) == ["b.jpg"] and "unreadable" not in said
    assert set(table["model"]) == {f"{VGG} scratch | seed 1"}
    assert len(pd.read_csv(tmp_path / "f.unreadable.csv")) == 0


@pytest.mark.parametrize("asked", [{}, {"layer": "block2", "plus_plus": True}])
def test_overlays_show_the_image_beside_where_the_network_looked(
    asked, made, tmp_path, capfd
):
    maps = tmp_path / "maps"
    score(made, tmp_path / "f.csv", capfd, gradcam=maps, **asked)
    found = sorted(p.relative_to(maps).as_posix() for p in maps.rglob("*.*"))
    assert found == [f"ward/{name}.png" for name in ("a.png", "b.jpg", "c.png")]
    network = ej.load_run(str(made / "run"))
    part = next(network.scored(made / "images" / "ward" / "c.png"))
    args = *network.weights, part.x, part.logits.argmax(1), asked.get("layer", "")
    heat = grad_cam(network.model, *args, plus_plus="plus_plus" in asked)
    picture = cv2.imread(str(maps / "ward" / "c.png.png"))[..., ::-1]
    assert picture.shape == (256, 512, 3)
    gray = np.repeat(part.x[0].repeat(8, 0).repeat(8, 1), 3, 2)
    np.testing.assert_array_equal(picture[:, :256], gray)
    expected = beside(part.x[0, ..., 0], heat[0])
    assert np.abs(expected.astype(int) - picture).max() <= 2


def test_a_map_of_zeros_leaves_the_image_gray():
    x = np.arange(64, dtype=np.uint8).reshape(8, 8)
    picture = beside(x, np.zeros((8, 8)))
    np.testing.assert_array_equal(picture[:, :256], picture[:, 256:])
    hot = np.zeros((8, 8))
    hot[2, 3] = 1
    changed = (beside(x, hot) != picture).any(-1)
    assert changed.sum() == 32**2 and changed[64:96, 256 + 96 : 256 + 128].all()


def test_weights_from_elsewhere(made, tmp_path, capfd):
    """The run's VGG with the parameters of another, in torch's names and order."""
    other = untrained(7, VGG)
    file = tmp_path / "elsewhere.safetensors"
    safetensors.numpy.save_file(torch_names(other), file)
    asked = {"network": VGG, "checkpoint": file}
    table, said = score(made, tmp_path / "f.csv", capfd, **asked)
    assert table[CALIBRATED].isna().to_numpy().all() and "none is calibrated" in said
    assert "matched" in said
    expected = other.predict(made / "images")
    np.testing.assert_allclose(table[PROB], expected[PROB], rtol=1e-4)
    assert set(table["model"]) == {"vgg19_bn from elsewhere.safetensors"}
    # a word of --arch wins over what the file expects
    plain, _ = score(
        made, tmp_path / "g.csv", capfd, **asked, arch=f"{VGG[:-1]}, normalize='unit')"
    )
    assert (plain[PROB] - table[PROB]).abs().to_numpy().max() > 1e-3
    mine = ej.load_run(str(made / "run"), VGG).fingerprint
    assert set(table["fingerprint"]) != {mine}


def torch_names(network) -> dict[str, np.ndarray]:
    """A VGG with batch norm as torchvision names it."""
    params, stats = network.weights
    found, at = {}, 0
    for stage in sorted(name for name in params if name.startswith("stage")):
        for n in range(1, 1 + sum(k.startswith("conv") for k in params[stage])):
            conv, norm = params[stage][f"conv{n}"], params[stage][f"norm{n}"]
            moved = stats["batch_stats"][stage][f"norm{n}"]
            for k, name, value in (
                (at, "weight", conv["kernel"].transpose(3, 2, 0, 1)),
                (at, "bias", conv["bias"]),
                (at + 1, "weight", norm["scale"]),
                (at + 1, "bias", norm["bias"]),
                (at + 1, "running_mean", moved["mean"]),
                (at + 1, "running_var", moved["var"]),
            ):
                found[f"features.{k}.{name}"] = np.ascontiguousarray(value)
            at += 3
        at += 1
    head = params["head"]["dense"]
    found["classifier.6.weight"] = np.ascontiguousarray(head["kernel"].T)
    return found | {"classifier.6.bias": np.ascontiguousarray(head["bias"])}


def test_a_checkpoint_with_another_head_is_refused(made, tmp_path, capfd):
    arrays = torch_names(untrained(7, VGG))
    arrays["classifier.6.weight"] = np.zeros((18, 16), np.float32)
    safetensors.numpy.save_file(arrays, tmp_path / "x.safetensors")
    code, said = call(
        made,
        capfd,
        source=made / "images",
        out=tmp_path / "f.csv",
        network=VGG,
        checkpoint=tmp_path / "x.safetensors",
    )
    assert code == 2 and said.count("\n") == 1
    assert "params/head/dense/kernel [16, 3]" in said and "(16, 18)" in said
    assert not (tmp_path / "f.csv").exists()


def test_the_export_alone_and_beside_a_table(made, tmp_path, capfd):
    code, said = call(made, capfd, export=tmp_path / "net")
    assert code == 0 and "in " in said
    answer = jax.export.deserialize(bytearray((tmp_path / "net").read_bytes())).call
    x = np.zeros((2, SIZE, SIZE, 1), np.uint8)
    expected = ej.load_run(str(made / "run")).predict(x)[PROB]
    np.testing.assert_allclose(answer(x)["prob"], expected, rtol=1e-5)
    score(made, tmp_path / "f.csv", capfd, export=tmp_path / "again")
    assert (tmp_path / "again.json").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"run": "nowhere"}, "nowhere is not a run directory"),
        ({"run": "images"}, "images is not a run directory"),
        ({"run": "begun"}, "begun is not finished"),
        ({"run": "deaths", "gradcam": "maps"}, "--gradcam is for runs on images"),
        ({"network": "vgg"}, "no network 'vgg'; known: cnn_small scratch"),
        ({"source": "nowhere"}, "nowhere: no such file or folder"),
        ({"source": "empty"}, "empty holds no image"),
        ({"source": "images/text.png"}, "none of 1 images can be read; the first is"),
        ({"source": None}, "--source=... is missing"),
        ({"out": None}, "--out=... is missing"),
        ({"source": None, "out": None, "export": "images"}, "--export="),
        ({"out": "images"}, "images must be a file in a folder that exists"),
        ({"out": "no/f.csv"}, "must be a file in a folder that exists"),
        ({"gradcam": "images/text.png"}, "is a file; expected a folder"),
        ({"gradcam": "maps", "layer": "block9"}, "no tap 'block9'; the model has: "),
        ({"gradcam": "images/text.png/in"}, "cannot be made"),
        ({"arch": "vgg19"}, "--arch=vgg19 needs --checkpoint"),
        ({"checkpoint": "images/text.png"}, "text.png is no checkpoint"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(made, flags, words, tmp_path, capfd):
    (made / "empty").mkdir(exist_ok=True)
    for name, end in (("begun", "log.csv"), ("deaths", "DONE")):
        if not (made / name).exists():
            open_run(str(made / name), Config()).write_text(end, "")
    usual = {"run": "run", "source": "images", "out": "f.csv"}
    named = {
        k: v and (v if k in ("network", "arch", "layer") else made / v)
        for k, v in (usual | flags).items()
    }
    before = sorted(made.rglob("*"))
    code, said = call(made, capfd, **named)
    assert code == 2 and words in said and said.count("\n") == 1, said
    assert sorted(made.rglob("*")) == before


def test_overlay_folders_of_a_failure_are_taken_back(made, tmp_path, capfd):
    source, out, maps = made / "images/text.png", tmp_path / "f.csv", tmp_path / "a/b"
    code, _ = call(made, capfd, source=source, out=out, gradcam=maps)
    assert code == 2 and list(tmp_path.iterdir()) == []


def test_as_a_command(made, tmp_path):
    words = [f"--run={made / 'run'}", f"--source={made / 'images'}"]
    command = [sys.executable, "-m", "scripts.predict", *words]
    command += [f"--out={tmp_path / 'f.csv'}", "--quiet"]
    root = Path(script.__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(pd.read_csv(tmp_path / "f.csv")) == 3
