"""Prepared embeddings are the same ones, mapped into memory; a killed run goes on."""

import numpy as np
import pandas as pd
import pytest
import tensorflow_datasets as tfds

from equity_jax.config import Embeddings
from equity_jax.data import (
    embedding_parts,
    embedding_places,
    embeddings_builder,
    tfrecord,
)
from equity_jax.data.embedded import PRECISIONS
from equity_jax.data.embedding_files import read
from equity_jax.data.embedding_records import IMAGE
from equity_jax.data.examples import example
from equity_jax.types import InputError
from experiments.launch import exit_codes
from scripts import prepare

N, WIDTH, CHUNK = 40, 5, 8
X = np.random.default_rng(0).normal(size=(N, WIDTH)).astype(np.float32)
BORNE = Embeddings(quarantine=0.2)


@pytest.fixture
def source(tmp_path, monkeypatch):
    """PhysioNet's tree, read in parts of 8; the last image is there twice."""
    monkeypatch.setattr(embedding_places, "CHUNK", CHUNK)
    root = tmp_path / "in"
    for k in range(N):
        record = example({IMAGE: b"x", "embedding": X[k]})
        folder = root / f"files/p10/p10{k // 4:03d}/s5{k:03d}"
        folder.mkdir(parents=True)
        (folder / f"d{k:02d}.tfrecord").write_bytes(tfrecord.frame(record))
    twin = root / "files/p10/p10999/s5999"
    twin.mkdir(parents=True)
    (twin / f"d{N - 1:02d}.tfrecord").write_bytes(tfrecord.frame(record))
    return root


def command(source, data_dir, *more):
    flags = ("--dataset=embeddings", f"--source={source}", f"--data_dir={data_dir}")
    return exit_codes(prepare.main, ["prepare", *flags, *more])


def same(a, b):
    np.testing.assert_array_equal(a.x, b.x)
    for name in ("id", "subject", "study"):
        assert getattr(a, name).tolist() == getattr(b, name).tolist()
    assert a[4:] == b[4:]  # left_out, fingerprint, notes


def test_prepared_is_what_a_direct_read_gives(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert command(source, out) == 0
    said, bars = capsys.readouterr()
    assert f"{N} embeddings of {source}\n" in said
    for bar in ("embeddings: 100%", "records: 100%", "matrix: 100%"):
        assert bar in bars
    direct = read(str(source), Embeddings())
    for folder in (out, out / "embeddings", out / "embeddings/1.0.0"):
        found = read(str(folder), Embeddings())
        same(direct, found)
        assert isinstance(found.x, np.memmap) and not found.x.flags.writeable
    assert len(found.id) == N and found.left_out  # the twin
    assert sorted(p.name for p in (out / "embeddings").iterdir()) == [
        "1.0.0",
        "quarantine.csv",
    ]


def test_tfds_reads_the_records(source, tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings_builder, "SHARD", 16)
    assert command(source, tmp_path, "--quiet") == 0
    folder = tmp_path / "embeddings/1.0.0"
    assert len(list(folder.glob("*.array_record*"))) == 3
    records = tfds.builder_from_directory(folder).as_data_source(split="images")
    assert len(records) == N
    for at in (0, 17, 39):
        found = records[at]
        assert found["id"] == f"d{at:02d}".encode()
        np.testing.assert_array_equal(found["embedding"], X[at])
    same(read(str(source), Embeddings()), read(str(tmp_path), Embeddings()))


def test_the_matrix_is_made_once_for_each_precision(source, tmp_path, monkeypatch):
    assert command(source, tmp_path / "out", "--quiet", "--precision=bfloat16") == 0
    folder = tmp_path / "out/embeddings/1.0.0"
    assert [p.name for p in folder.glob("*.npy")] == ["x-bfloat16.npy"]
    half = Embeddings(precision="bfloat16")
    same(read(str(source), half), read(str(folder), half))
    monkeypatch.setattr(embeddings_builder.os, "access", lambda *_: False)
    held = read(str(folder), Embeddings())  # in a folder that cannot be written
    assert not isinstance(held.x, np.memmap) and len(list(folder.glob("*.npy"))) == 1
    monkeypatch.undo()
    same(held, read(str(folder), Embeddings()))
    assert len(list(folder.glob("*.npy"))) == 2

    def never(*_):
        raise AssertionError("the records were read again")

    monkeypatch.setattr(embeddings_builder, "_fill", never)
    same(held, read(str(folder), Embeddings()))
    assert read(str(folder), half).x.dtype == PRECISIONS["bfloat16"]


def test_a_killed_run_goes_on(source, tmp_path, monkeypatch):
    read_unit, units = embedding_parts.Reader.__call__, []

    def killed(self, unit):
        if len(units) == 3:
            raise KeyboardInterrupt
        units.append(unit[0].path)
        return read_unit(self, unit)

    monkeypatch.setattr(embedding_parts.Reader, "__call__", killed)
    out = str(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        embedding_parts.prepare(str(source), Embeddings(), out, quiet=True)
    first, units[:] = list(units), []

    def counted(self, unit):
        units.append(unit[0].path)
        return read_unit(self, unit)

    monkeypatch.setattr(embedding_parts.Reader, "__call__", counted)
    folder, n, bad = embedding_parts.prepare(str(source), Embeddings(), out, quiet=True)
    assert (n, bad) == (N, 0) and len(first) == 3
    assert len(units) == -(-(N + 1) // CHUNK) - 3 and not set(first) & set(units)
    same(read(str(source), Embeddings()), read(out, Embeddings()))
    left = sorted(p.name for p in folder.parent.iterdir())
    assert left == ["1.0.0", "quarantine.csv"]
    again = [path.stat().st_mtime_ns for path in sorted(folder.iterdir())]
    embedding_parts.prepare(str(source), Embeddings(), out, quiet=True)
    assert again == [path.stat().st_mtime_ns for path in sorted(folder.iterdir())]


def test_what_cannot_be_read_is_listed_and_read_again(source, tmp_path, capsys):
    [bad] = source.glob("files/*/*/*/d07.tfrecord")
    whole = bad.read_bytes()
    bad.write_bytes(whole[:20] + b"\0" + whole[21:])
    out = tmp_path / "out"
    assert command(source, out) == 2  # the usual 1 %
    said = capsys.readouterr().err
    assert (
        "1 of 41 embeddings cannot be used" in said and "d07.tfrecord, byte 0" in said
    )
    listed = pd.read_csv(out / "embeddings/quarantine.csv")
    assert listed["file"].tolist() == [bad.relative_to(source).as_posix()]
    assert listed["offset"].tolist() == [0] and "checksum" in listed["reason"][0]
    assert not (out / "embeddings/1.0.0").exists()
    borne = tmp_path / "borne"
    assert command(source, borne, "--quarantine=0.2", "--quiet") == 0
    same(read(str(source), BORNE), read(str(borne), Embeddings()))
    bad.write_bytes(whole)  # fetched again: the part with a problem is not kept
    assert command(source, out) == 0
    assert "1 unreadable" not in capsys.readouterr().out
    assert len(read(str(out), Embeddings()).id) == N


def test_other_sources_and_places_are_refused(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert command(source, out, "--quiet") == 0
    assert command(tmp_path / "none", tmp_path / "x") == 2
    assert "none does not exist" in capsys.readouterr().err
    [file] = source.glob("files/*/*/*/d00.tfrecord")
    file.unlink()
    assert command(source, out) == 2
    assert "was prepared from other files" in capsys.readouterr().err
    assert command(source, file.parent.parent / "s5001/d01.tfrecord") == 2
    assert "is a file; expected a folder" in capsys.readouterr().err
    assert command(source, tmp_path / "y", "--precision=half") == 2
    assert "known: float32, bfloat16" in capsys.readouterr().err
    assert not (tmp_path / "y").exists()
    assert command(source, tmp_path / "y", "--download") == 2
    assert "embeddings is not fetched" in capsys.readouterr().err


def test_an_id_with_two_embeddings_is_refused(source, tmp_path):
    record = example({IMAGE: b"x", "embedding": X[0]})
    [twin] = source.glob("files/p10/p10999/*/*.tfrecord")
    twin.write_bytes(tfrecord.frame(record))
    with pytest.raises(InputError, match="d39 has two embeddings that differ: files/"):
        embedding_parts.prepare(
            str(source), Embeddings(), str(tmp_path / "o"), quiet=True
        )
    assert [p.name for p in (tmp_path / "o/embeddings").glob("1*")] == []


def test_damage_is_seen(source, tmp_path):
    out = tmp_path / "out"
    assert command(source, out, "--quiet") == 0
    folder = out / "embeddings/1.0.0"
    matrix = folder / "x-float32.npy"
    matrix.write_bytes(matrix.read_bytes()[:200])
    with pytest.raises(InputError, match="1.0.0: damaged, prepare it again"):
        read(str(out), Embeddings())
    np.save(matrix, X[:3])
    with pytest.raises(InputError, match=r"holds \(3, 5\), expected \(40, 5\)"):
        read(str(out), Embeddings())
    matrix.unlink()
    [file] = folder.glob("*.array_record*")
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    with pytest.raises(InputError, match="damaged, prepare it again"):
        read(str(out), Embeddings())
    file.unlink()
    with pytest.raises(InputError, match="0 records, expected 40"):
        read(str(out), Embeddings())
    assert not matrix.exists()
    (folder / "about.json").unlink()
    with pytest.raises(InputError, match="damaged, prepare it again"):
        read(str(out), Embeddings())
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace('"embeddings"', '"cxr"'))
    with pytest.raises(InputError, match="holds cxr, not embeddings"):
        read(str(out), Embeddings())
