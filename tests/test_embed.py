"""Images become a folder of embeddings: whole, resumed, read back, refused."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from networks import SIZE, finished_run, untrained
from test_predict_images import torch_names

from equity_jax.config import Data, Embeddings
from equity_jax.data import DATASETS
from equity_jax.data.embedding_files import read
from equity_jax.train import features
from equity_jax.types import InputError
from experiments.launch import exit_codes
from scripts import embed as script
from scripts import embed_images
from scripts.embed_images import embed
from scripts.embed_names import place

CLASSES, EACH = ("COVID", "Normal"), 12
VGG = "vgg19_bn(width=2)"
COVIDCXNET = "checkpoints/covidcxnet_v1.0_eps-099_valAcc-0.9672.safetensors"


def draw(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cv2.imwrite(str(path), rng.integers(0, 255, (40, 36), np.uint8))


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Twelve images a class of nine patients; one more that is none; metadata.csv."""
    folder = tmp_path_factory.mktemp("embed") / "images"
    rows = []
    for c, label in enumerate(CLASSES):
        (folder / label).mkdir(parents=True)
        for i in range(EACH):
            draw(folder / label / f"{i}.png", 100 * c + i)
            sex = ("F", "M")[i % 2]
            rows.append((f"{label}/{i}.png", f"p {9 * c + i % 9}", sex, 20 + i))
    (folder / "COVID" / "text.png").write_text("no picture")
    names = ["file", "patientid", "sex", "age"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "metadata.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    nets = [untrained(0), untrained(1, VGG, "clahe")]
    return finished_run(tmp_path_factory.mktemp("embed") / "run", nets)


@pytest.fixture
def small(monkeypatch):
    """Pieces of eight images."""
    monkeypatch.setattr(embed_images, "PIECE", 8)


def call(capfd, **given: object) -> tuple[int, str]:
    words = [f"--{k}={v}" for k, v in given.items() if v is not None]
    code = exit_codes(script.main, ["embed", *words])
    return code, "".join(capfd.readouterr())


def tree(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def fresh(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


@pytest.mark.parametrize("layout", ["physionet", "shards", "npz"])
def test_a_run_embeds_and_the_readers_find_the_same(
    layout, run, images, tmp_path, capfd, small
):
    out = tmp_path / "out"
    asked = {"run": run, "source": images, "out": out, "batch": 4}
    code, said = call(capfd, **asked, layout=layout)
    assert code == 0, said
    assert "24 images by cnn_small" in said and "1 left out" in said
    table = pd.read_csv(out / "table.csv", dtype=str, keep_default_na=False)
    columns = ["id", "patient", "label", "split", "sex", "age", "file"]
    assert list(table) == columns and len(table) == 24
    first = table[table["file"] == "Normal/3.png"].iloc[0]
    assert first["patient"] == "p 12" and first["label"] == "Normal"
    assert (first["sex"], first["age"], first["split"]) == ("Male", "23", "")
    lost = pd.read_csv(out / "unreadable.csv")
    assert list(lost["file"]) == ["COVID/text.png"]
    assert "expected a PNG" in lost["reason"][0]

    found = read(str(out), Embeddings(sha256=True))
    assert found.left_out == {} and sorted(found.id) == sorted(table["id"])
    net = script.of_run(str(run))
    for name, row in zip(found.id, found.x, strict=True):
        file = table.loc[table["id"] == name, "file"].iloc[0]
        x = embed_images.pixels.read((images / file).read_bytes(), file, SIZE)
        _, expected = features(net.model, net.weights, x[None, ..., None], 1)
        np.testing.assert_allclose(row, expected[0], rtol=1e-4, atol=1e-5)


def test_sums_hold_and_the_first_line_is_no_embedding(run, images, tmp_path):
    out = fresh(tmp_path, "out")
    embed(script.of_run(str(run)), str(images), out)
    lines = (out / "SHA256SUMS.txt").read_text().splitlines()
    assert lines[0].endswith(" about.json") and len(lines) == 3 + 24
    for line in lines:
        digest, name = line.split(" ", 1)
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    about = json.loads((out / "about.json").read_text())
    net = script.of_run(str(run))
    facts = {"fingerprint": net.fingerprint, "size": SIZE, "equalize": "", "batch": 32}
    assert {k: about[k] for k in facts} == facts
    assert about["features"] == 256 and "jax" in about["made_with"]["versions"]
    assert str(tmp_path) not in (out / "about.json").read_text()


@pytest.mark.parametrize("layout", ["physionet", "shards", "npz"])
def test_killed_and_started_again_leaves_the_same_bytes(
    layout, run, images, tmp_path, monkeypatch, small
):
    net, whole, out = script.of_run(str(run)), *(fresh(tmp_path, n) for n in "ab")
    embed(net, str(images), whole, layout=layout, batch=4)
    real, calls = embed_images.save, []

    def save(work, number, *rest):
        calls.append(number)
        sums = real(work, number, *rest)
        if len(calls) == 3:  # the kill, within a file
            (out / next(iter(sums))).write_bytes(b"half")
            raise KeyboardInterrupt
        return sums

    monkeypatch.setattr(embed_images, "save", save)
    with pytest.raises(KeyboardInterrupt):
        embed(net, str(images), out, layout=layout, batch=4)
    assert (out / "unfinished").is_dir() and not (out / "SHA256SUMS.txt").exists()
    embed(net, str(images), out, layout=layout, batch=4)
    assert calls == [0, 1, 2, 2, 3]
    assert tree(out) == tree(whole)
    assert "nothing was left" in embed(net, str(images), out, layout=layout, batch=4)
    assert len(calls) == 5


def test_another_network_or_other_images_do_not_go_on(run, images, tmp_path):
    out, net = fresh(tmp_path, "out"), script.of_run(str(run))
    embed(net, str(images), out)
    with pytest.raises(InputError, match="begun otherwise: name is 'cnn_small"):
        embed(script.of_run(str(run), VGG), str(images), out)
    with pytest.raises(InputError, match="begun otherwise: layout"):
        embed(net, str(images), out, layout="npz")
    other = tmp_path / "other"
    other.mkdir()
    draw(other / "1.png", 5)
    with pytest.raises(InputError, match="begun otherwise: images"):
        embed(net, str(other), out)
    with pytest.raises(InputError, match="holds something else"):
        embed(net, str(images), other)


def test_the_study_loads_them_by_label_sex_and_age(run, images, tmp_path):
    out = fresh(tmp_path, "out")
    embed(script.of_run(str(run)), str(images), out)
    config = Data(
        name="embeddings",
        source=str(out),
        group="sex",
        valid=0.3,
        test=0.3,
        embeddings=Embeddings(label="COVID"),
    )
    dataset = DATASETS["embeddings"](config, seed=0)
    assert dataset.x.shape == (24, 256) and not dataset.spec.simulated
    assert dataset.spec.groups == ("Female", "Male")
    assert len(np.unique(dataset.patient)) == 18
    labels = [file.split("/")[0] == "COVID" for file in dataset.table["file"]]
    np.testing.assert_array_equal(dataset.y[:, 0], labels)


def test_plain_images_and_names_as_mimic_has_them(run, tmp_path):
    names = ["p10/p10000032/s50414267/02aa804e-bde0.jpg", "ward/b/odd name (1).png"]
    for seed, name in enumerate(names):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True)
        draw(path, seed)
    out = fresh(tmp_path, "out")
    embed(script.of_run(str(run)), str(tmp_path / "images"), out)
    table = pd.read_csv(out / "table.csv", dtype=str, keep_default_na=False)
    assert list(table["file"]) == sorted(names) and set(table["label"]) == {""}
    known = table[table["file"] == names[0]].iloc[0]
    assert (known["id"], known["patient"]) == ("02aa804e-bde0", "10000032")
    file = "files/p10/p10000032/s50414267/02aa804e-bde0.tfrecord"
    assert (out / file).exists()
    found = read(str(out), Embeddings())
    assert set(found.id) == set(table["id"])
    assert all(name.replace("-", "").isalnum() for name in found.id)


def test_names_are_unique_and_patients_share_a_folder():
    some = [place(f"{a}/{i}.png", "Ann") for a in "ab" for i in range(50)]
    assert len({p.id for p in some}) == 100
    assert {p.subject for p in some} == {some[0].subject}
    assert place("a/1.png", "Bob").subject != some[0].subject


def test_a_torch_checkpoint_with_another_head(images, tmp_path, capfd):
    net = untrained(7, VGG)
    arrays = torch_names(net)
    arrays["classifier.6.weight"] = np.zeros((18, 16), np.float32)
    arrays["classifier.6.bias"] = np.zeros(18, np.float32)
    file, out = tmp_path / "net.safetensors", tmp_path / "out"
    safetensors.numpy.save_file(arrays, file)
    asked = {"checkpoint": file, "source": images, "out": out, "size": SIZE}
    code, said = call(capfd, **asked)
    assert code == 2 and "--arch=... is missing" in said and not out.exists()
    code, said = call(capfd, **asked, arch=VGG)
    assert code == 0, said
    found = read(str(out), Embeddings())
    file = pd.read_csv(out / "table.csv").set_index("id").loc[found.id[0], "file"]
    x = embed_images.pixels.read((images / file).read_bytes(), file, SIZE)
    _, expected = features(net.model, net.weights, x[None, ..., None], 1)
    np.testing.assert_allclose(found.x[0], expected[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"run": None}, "--run=... or --checkpoint=... is needed"),
        ({"checkpoint": "x.pt"}, "only one of them"),
        ({"run": "nowhere"}, "nowhere is not a run directory"),
        ({"network": "vgg"}, "no network 'vgg'"),
        ({"size": 64}, "--size=64 does not go with --run"),
        ({"arch": "vgg19"}, "--arch=vgg19 does not go with --run"),
        ({"run": None, "checkpoint": "no.pt"}, "no.pt: no such file"),
        ({"source": "nowhere"}, "nowhere does not exist"),
        ({"source": None}, "--source=... is missing"),
        ({"out": None}, "--out=... is missing"),
        ({"layout": "heap"}, "--layout=heap"),
        ({"batch": 0}, "a batch >= 1"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    given, words, run, images, tmp_path, capfd
):
    usual = {"run": run, "source": images, "out": tmp_path / "out"}
    code, said = call(capfd, **(usual | given))
    assert code == 2 and words in said and said.count("\n") == 1, said
    assert list(tmp_path.iterdir()) == []


def test_not_one_readable(run, tmp_path, capfd):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_text("x")
    code, said = call(capfd, run=run, source=tmp_path / "images", out=tmp_path / "out")
    assert code == 2 and "none of 1 images can be read; the first is 1.png" in said


def test_as_a_command(run, images, tmp_path):
    words = [f"--run={run}", f"--source={images}", f"--out={tmp_path / 'out'}"]
    command = [sys.executable, "-m", "scripts.embed", *words, "--quiet"]
    root = Path(script.__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "out" / "SHA256SUMS.txt").exists()


@pytest.mark.realdata
def test_the_real_covid_net_embeds_real_images(real, tmp_path):
    source = tmp_path / "images"
    for label in CLASSES:
        (source / label).mkdir(parents=True)
        for path in sorted((real / "cxr_radiography" / label).iterdir())[:3]:
            (source / label / path.name).symlink_to(path)
    net = script.of_checkpoint(str(real / COVIDCXNET))
    assert (net.size, net.architecture) == (400, "cnn")
    out = fresh(tmp_path, "out")
    assert "6 images" in embed(net, str(source), out, batch=3)
    x = read(str(out), Embeddings()).x
    assert x.shape == (6, 10) and (x >= 0).all() and x.std() > 1
