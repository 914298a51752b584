"""Parts made elsewhere are those made here, byte for byte; what travels is plain."""

import json
import pickle

import fsspec
import numpy as np
import pytest
from xrays import folders, odd

from equity_jax.config import Data, Images
from equity_jax.data import cxr, cxr_far, cxr_parts, cxr_prepare
from equity_jax.data.cxr_layouts import find
from equity_jax.types import InputError

WORK = cxr_parts.Work("cxr", "array_record", 32, "borders+clahe")


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(cxr_parts, "ROWS", 8)
    root = folders(tmp_path / "in", each=9)
    odd(root / "COVID")
    for i in range(10):  # a part of which nothing can be read
        (root / "Normal" / f"Normal-0{i}.png").write_bytes(b"")
    return find(str(root))


def files(folder):
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


def elsewhere(images, left=0):
    """Who makes the parts as workers do; `left` of them are not made."""

    def run(job, todo):
        cxr_far.fetch(job)
        places = cxr_far.send(job, todo)
        asked.append(len(places))
        for place in places[: len(places) - left]:
            work = pickle.loads(pickle.dumps(job.work))
            cxr_far.work_at(place, images, work, job.folder)
        if left:
            raise KeyboardInterrupt
        cxr_far.fetch(job)
        yield from ()

    asked: list[int] = []
    run.asked = asked
    return run


def test_far_is_near(source, tmp_path):
    cxr_prepare.prepare(source, WORK, str(tmp_path / "near"), 0.9, quiet=True)
    run, out = elsewhere(source.name), str(tmp_path / "far")
    far = {"run": run, "far": "memory://bucket/parts/", "quiet": True}
    folder, n, bad = cxr_prepare.prepare(source, WORK, out, 0.9, **far)
    assert files(tmp_path / "far") == files(tmp_path / "near")
    assert (n, bad, run.asked) == (33, 15, [5])
    lengths = json.loads((folder / "dataset_info.json").read_text())["splits"][0]
    assert "0" in lengths["shardLengths"]  # of the part of which nothing can be read
    options = Images(size=32, equalize="borders+clahe", quarantine=0.9)
    a, b = (
        cxr.load(Data(name="cxr", source=where, images=options))
        for where in (out, source.name)
    )
    assert a.id.tolist() == b.id.tolist()
    np.testing.assert_array_equal(a.x, b.x)


def test_a_stopped_run_goes_on_where_workers_write(source, tmp_path):
    out, far = str(tmp_path / "far"), "memory://other/parts"
    with pytest.raises(KeyboardInterrupt):
        run = elsewhere(source.name, left=1)
        cxr_prepare.prepare(source, WORK, out, 0.9, run=run, far=far, quiet=True)
    run = elsewhere(source.name)
    cxr_prepare.prepare(source, WORK, out, 0.9, run=run, far=far, quiet=True)
    assert run.asked == [1]
    assert [p.name for p in (tmp_path / "far" / "cxr").iterdir() if p.is_dir()] == [
        "1.0.0"
    ]


def test_a_file_that_went_is_unreadable_other_trouble_is_an_error(tmp_path):
    row = {"row": 0, "file": "gone.png", "said": {"row": 0}}
    part = cxr_parts.Part(0, [row])
    place = f"{tmp_path}/rows.json"
    with fsspec.open(place, "wt") as file:
        json.dump(part._asdict(), file)
    (tmp_path / "shards").mkdir()
    cxr_far.work_at(place, str(tmp_path), WORK, str(tmp_path))
    assert (tmp_path / "00000.npz").exists()
    (tmp_path / "gone.png").mkdir()
    with pytest.raises(IsADirectoryError):
        cxr_far.work_at(place, str(tmp_path), WORK, str(tmp_path))


def test_records_have_no_files_to_send(source):
    held = source._replace(layout="records")
    job = cxr_parts.Job(held, WORK, lambda row: {}, None, "memory://x")
    with pytest.raises(InputError, match="images within TFRecords; expected files"):
        cxr_far.send(job, [])
