"""TFRecords of X-rays: JPEG, PNG or raw, names by flags, damage, and the way back."""

import io

import numpy as np
import pytest
from PIL import Image
from test_cxr_tables import chexpert
from xrays import SIZE, folders, picture

from equity_jax.config import Data, Images, Records
from equity_jax.data import cxr, pixels, tfrecord
from equity_jax.data.cxr_layouts import find
from equity_jax.data.examples import example
from equity_jax.data.image_records import records
from equity_jax.types import InputError
from experiments.launch import exit_codes
from scripts import prepare

N = 12


def jpeg(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=95)
    return file.getvalue()


def payload(i, kind="png", **more):
    image = picture(i)
    color = np.repeat(image[..., None], 3, axis=2).tobytes()
    data = {
        "png": pixels.encode(image),
        "jpeg": jpeg(image),
        "raw": image.tobytes(),
        "rgb": color,
    }[kind]
    said = {
        "image/encoded": data,
        "image/id": f"image-{i}",
        "image/height": 40,
        "image/width": 40,
        "patient": i // 2,
        "sex": b"FM"[i // 2 % 2 : i // 2 % 2 + 1],
        "age": np.float32(30 + i),
        "split": ("train", "validate", "test")[i // 2 % 3],
        "Edema": i % 2,
        "pleural_effusion": np.float32(-(i % 3 == 0)),
    }
    return example({**said, **more})


def write(root, *shards):
    root.mkdir(exist_ok=True)
    for number, payloads in enumerate(shards):
        tfrecord.write(root / f"x.tfrecord-{number:05d}", payloads)
    return root


def loaded(root, **images):
    options = Images(size=SIZE, uncertain="u-ignore", blank="ignore", **images)
    return cxr.load(Data(name="mimic_cxr", source=str(root), images=options))


@pytest.mark.parametrize("kind", ["png", "jpeg", "raw", "rgb"])
def test_images_of_every_kind(kind, tmp_path):
    some = [payload(i, kind) for i in range(N)]
    dataset = loaded(write(tmp_path / "in", some[:5], some[5:]))
    assert dataset.id.tolist() == [f"image-{i}" for i in range(N)]
    assert dataset.patient.max() == N // 2 - 1
    assert dataset.spec.targets == ("Edema", "Pleural Effusion")
    np.testing.assert_array_equal(dataset.y[:, 0], np.arange(N) % 2)
    np.testing.assert_array_equal(dataset.mask[:, 1], np.arange(N) % 3 > 0)
    assert set(dataset.attributes["sex"]) == {"Female", "Male"}
    np.testing.assert_array_equal(dataset.split, np.arange(N) // 2 % 3)
    wanted = [pixels.prepare(picture(i), SIZE) for i in range(N)]
    away = np.abs(dataset.x[..., 0].astype(int) - wanted)
    assert away.max() <= (4 if kind == "jpeg" else 0)


def test_names_are_flags(tmp_path):
    named = {"img": pixels.encode(picture(0)), "subject": "a", "F": 1, "G": 0}
    root = write(tmp_path / "in", [example(named)])
    options = Records(image="img", id="", patient="subject", labels="F, G")
    source = records(root, options)
    assert source.labels == ("F", "G") and source.raw.tolist() == [[1, 0]]
    assert source.frame[["file", "patient"]].values.tolist() == [
        ["x.tfrecord-00000:0", "a"]
    ]
    with pytest.raises(InputError, match="no bytes 'image/encoded' .*: F, G, img, sub"):
        records(root, Records())
    with pytest.raises(InputError, match="no record has 'H' of data.records.labels"):
        records(root, Records("img", labels="H"))
    bad = write(tmp_path / "bad", [example({**named, "F": 7})])
    with pytest.raises(InputError, match="record 1, feature 'F': 7; expected 1, 0 or"):
        records(bad, options)


def test_damage_is_quarantined(tmp_path):
    root = write(tmp_path / "in", [payload(i) for i in range(N)], [payload(20)])
    first = root / "x.tfrecord-00000"
    data = bytearray(first.read_bytes())
    sizes = [len(payload(i)) + tfrecord.FRAME for i in range(N)]
    data[sum(sizes[:2]) + 40] ^= 1  # within the third record
    first.write_bytes(data[: sum(sizes[:10]) + 9])  # the last two are lost
    short = payload(21, "raw", **{"image/width": 39})
    tfrecord.write(root / "x.tfrecord-00002", [short, example({"a": b"b"})])
    dataset = loaded(root, quarantine=0.5)
    listed = cxr.quarantine(dataset)
    assert len(dataset.id) == 10 and len(listed) == 4
    said = " ".join(listed["reason"])
    for why in (tfrecord.CHECKSUM, tfrecord.SHORT, "1,600 raw bytes", "no bytes"):
        assert why in said
    assert (listed["file"] == "x.tfrecord-00000:2").any()
    with pytest.raises(InputError, match="files are unreadable"):
        loaded(root)


def test_other_files_are_refused_in_one_line(tmp_path):
    assert records(tmp_path, Records()) is None
    tfrecord.write(tmp_path / "a.tfrecord.gz", [payload(0)])
    with pytest.raises(InputError, match="gzip; expected TFRecords as they are"):
        records(tmp_path, Records())


def command(source, out, *more):
    flags = ("--dataset=mimic_cxr", f"--source={source}", f"--data_dir={out}")
    return exit_codes(prepare.main, ["prepare", *flags, f"--size={SIZE}", *more])


def test_written_and_read_back(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    root = chexpert(tmp_path / "in")
    names = ("--format=tfrecord", "--records.image=x", "--records.sex=s", "--quiet")
    assert command(root, tmp_path / "out", *names) == 0
    there = tmp_path / "out" / "mimic_cxr" / "tfrecord"
    assert sorted(p.name for p in there.iterdir()) == [
        "about.json",
        "mimic_cxr.tfrecord-00000",
    ]
    data = Data(source=str(tmp_path / "out"), records=Records(image="x", sex="s"))
    images = Images(size=SIZE, uncertain="u-ignore", blank="ignore", quarantine=0.9)
    data.images = images
    back = cxr.load(data)
    assert back.recipe["equalize"] == "borders+global"
    plain = Data(source=str(root), images=Images(**{**vars(images)}))
    plain.images.equalize = "borders+global"
    direct = cxr.load(plain)
    for name in ("id", "y", "mask", "split", "x"):
        np.testing.assert_array_equal(getattr(back, name), getattr(direct, name))
    assert list(back.attributes) == list(direct.attributes)
    for name, values in direct.attributes.items():
        np.testing.assert_array_equal(back.attributes[name], values)
    assert command(root, tmp_path / "out", *names) == 0  # again: nothing to do
    for other in ("--equalize=", "--records.sex=sex"):
        assert command(root, tmp_path / "out", *names, other) == 2
        assert "otherwise equalized or named" in capsys.readouterr().err
    assert command(there, tmp_path / "twice", *names) == 2
    assert "is prepared already" in capsys.readouterr().err


def test_classes_are_no_findings(tmp_path, capsys):
    root = folders(tmp_path / "in", each=1)
    assert command(root, tmp_path / "out", "--format=tfrecord") == 2
    assert "these images have classes" in capsys.readouterr().err
    assert command(root, tmp_path / "out", "--format=csv") == 2
    assert "--format=csv is unknown; known: array_record" in capsys.readouterr().err
    assert find(str(root)).layout == "folders"
