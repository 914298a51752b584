"""Embeddings from every layout; each kind of bad input has its stated outcome."""

import hashlib
import io

import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equity_jax.config import Embeddings
from equity_jax.data import (
    embedded,
    embedding_places,
    embedding_records,
    embedding_units,
    tfrecord,
)
from equity_jax.data.embedding_files import read
from equity_jax.data.embedding_records import IMAGE, Parser, Rows, name_of
from equity_jax.data.embedding_units import arrays
from equity_jax.data.examples import example, features
from equity_jax.types import InputError

N, WIDTH = 30, 6
LOOSE = Embeddings(quarantine=0.2)
X = np.random.default_rng(0).normal(size=(N, WIDTH)).astype(np.float32)
PATHS = [f"files/p1{k % 3}/p1{k % 3}00{k // 4}/s5{k:04d}/d{k:03d}" for k in range(N)]
IDS = [path.rsplit("/")[-1] for path in PATHS]


def payload(k, x=None, image=None):
    """Image k, the features in an order of its own."""
    image = f"{PATHS[k]}.dcm" if image is None else image
    values = {IMAGE: image.encode(), "embedding": X[k] if x is None else x}
    return example(dict(reversed(values.items())) if k % 2 else values)


def tree(folder, changes=(), sums=True):
    """PhysioNet's layout; changes: index -> bytes instead, None = not there."""
    changes, lines = dict(changes), ["1234abcd LICENSE.txt"]
    for k in range(N):
        data = tfrecord.frame(payload(k))
        lines.append(f"{hashlib.sha256(data).hexdigest()} {PATHS[k]}.tfrecord")
        data = changes.get(k, data)
        path = folder / f"{PATHS[k]}.tfrecord"
        path.parent.mkdir(parents=True, exist_ok=True)
        if data is not None:
            path.write_bytes(data)
    if sums:
        (folder / "SHA256SUMS.txt").write_text("\n".join(lines) + "\n")
    return str(folder)


def flipped(data, at):
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def check_all(found, order=slice(None)):
    by_id = np.argsort(found.id)
    assert found.id[by_id].tolist() == IDS
    np.testing.assert_array_equal(found.x[by_id], X)
    assert found.x.dtype == np.float32
    names = [name_of(path) for path in PATHS]
    assert found.subject[by_id].tolist() == [name.subject for name in names]
    assert found.study[by_id].tolist() == [name.study for name in names]


@pytest.mark.realdata
def test_the_sample_folder(real):
    found = read(str(real / "embeddings_tfrecord_sample"), Embeddings())
    assert found.x.tolist() == [
        [3, 0, 4, 0, 3],
        [2, 1, 0, 3, 2],
        [1, 3, 1, 1, 4],
        [2, 3, 0, 4, 4],
        [0, 0, 3, 1, 1],
    ]
    patients = ["00000001", "00000001", "00000001", "00000002", "00000003"]
    numbers = ["000", "001", "002", "000", "000"]
    assert found.id.tolist() == [
        f"{p}_{k}" for p, k in zip(patients, numbers, strict=True)
    ]
    assert set(found.subject) == {""} and not found.left_out and not found.notes


@pytest.mark.parametrize("sums", [True, False])
def test_physionet(tmp_path, sums):
    found = read(tree(tmp_path, sums=sums), Embeddings(sha256=sums))
    check_all(found)
    assert not found.left_out and not found.notes
    again = read(str(tmp_path), Embeddings())
    assert again.fingerprint == found.fingerprint
    other = read(str(tmp_path), Embeddings(precision="bfloat16"))
    assert other.x.dtype == embedded.PRECISIONS["bfloat16"]
    np.testing.assert_array_equal(other.x, found.x.astype(other.x.dtype))


def test_shards_plain_gzip_and_ids_without_folders(tmp_path):
    tfrecord.write(tmp_path / "a.tfrecord", map(payload, range(10)))
    tfrecord.write(tmp_path / "b.tfrecord-00000-of-00001", map(payload, range(10, 20)))
    (tmp_path / "c").mkdir()
    tfrecord.write(tmp_path / "c/c.tfrecord.gz", map(payload, range(20, N)))
    check_all(read(str(tmp_path), Embeddings()))
    tfrecord.write(
        tmp_path / "bare.tfrecord", (payload(k, image=IDS[k]) for k in range(N))
    )
    found = read(str(tmp_path / "bare.tfrecord"), Embeddings())
    assert found.id.tolist() == IDS and set(found.study) == {""}


def test_any_fsspec_url(tmp_path):
    memory = fsspec.filesystem("memory")
    tree(tmp_path)
    memory.put(f"{tmp_path}/", "/embeddings-test", recursive=True)
    memory.pipe_file("/embeddings-one/a.tfrecord", tfrecord.frame(payload(0)))
    try:
        found = read("memory://embeddings-test", Embeddings(sha256=True))
        check_all(found)
        assert found.fingerprint == read(str(tmp_path), Embeddings()).fingerprint
        one = read("memory://embeddings-one/a.tfrecord", Embeddings())
        assert one.id.tolist() == ["d000"]
        with pytest.raises(InputError, match="memory://none does not exist"):
            read("memory://none", Embeddings())
    finally:
        memory.rm("/embeddings-test", recursive=True)
        memory.rm("/embeddings-one", recursive=True)
    with pytest.raises(InputError, match="nowhere://x cannot be read: Protocol not"):
        read("nowhere://x", Embeddings())


def test_npz_one_image_a_file_or_many(tmp_path):
    for k in range(N):
        path = tmp_path / f"{PATHS[k]}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, img_emb=X[k].reshape(1, 2, 3))
    check_all(read(str(tmp_path), Embeddings(key="img_emb")))
    with pytest.raises(InputError, match=r"no array 'embedding'; its arrays: img_emb"):
        read(str(tmp_path), Embeddings())
    names = [name_of(path) for path in PATHS]
    many = tmp_path / "many.npz"
    np.savez_compressed(
        many,
        id=IDS,
        embedding=X.astype(float),
        subject=[name.subject for name in names],
        study=[int(name.study) for name in names],
    )
    check_all(read(str(many), Embeddings()))
    np.savez(many, id=[], embedding=X[:0])
    with pytest.raises(InputError, match="cannot reshape"):
        read(str(many), Embeddings())
    np.savez(many, id=IDS[:-1], embedding=X)
    with pytest.raises(InputError, match="30 embeddings, but names of shape"):
        read(str(many), Embeddings())


def test_shapes_of_the_second_version_are_flattened(tmp_path):
    x = np.arange(64.0).reshape(1, 4, 4, 4)
    tfrecord.write(tmp_path / "a.tfrecord", [payload(0, x), payload(1, 2 * x)])
    found = read(str(tmp_path), Embeddings())
    np.testing.assert_array_equal(found.x, [x.reshape(-1), 2 * x.reshape(-1)])


BAD = {
    embedding_records.NO_EXAMPLE: tfrecord.frame(b"not an example"),
    tfrecord.CHECKSUM: flipped(tfrecord.frame(payload(7)), 40),
    tfrecord.LENGTH: flipped(tfrecord.frame(payload(7)), 3),
    tfrecord.SHORT: tfrecord.frame(payload(7))[:-5],
    embedding_records.WIDTH: tfrecord.frame(payload(7, X[7, :-1])),
    embedding_records.ENDLESS: tfrecord.frame(
        payload(7, X[7] * [1, 1, np.nan, 1, 1, 1])
    ),
    "another number of records than one": tfrecord.frame(payload(7)) * 2,
    embedded.MISSING: None,
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_file_of_physionet_is_left_out_and_counted(tmp_path, reason):
    source = tree(tmp_path, {7: BAD[reason]})
    found = read(source, LOOSE)
    assert len(found.id) == N - 1 and "d007" not in found.id
    assert found.left_out == {reason: 1}
    [note] = found.notes
    assert f"{PATHS[7]}.tfrecord, byte 0: {reason}" in note
    with pytest.raises(InputError) as error:
        read(source, Embeddings())
    said = str(error.value)
    assert "1 of 30 embeddings cannot be used (3.3%" in said
    assert f"first {PATHS[7]}.tfrecord, byte 0: {reason}" in said


def test_details_are_said(tmp_path):
    changes = {k: bad for k, bad in enumerate(BAD.values())}
    changes[20] = b""
    source = tree(tmp_path, changes)
    found = read(source, Embeddings(quarantine=0.5))
    assert len(found.id) == N - 9 and sum(found.left_out.values()) == 9
    with pytest.raises(InputError, match="9 of 30"):
        read(source, LOOSE)
    for k, expected in ((4, "5 numbers, expected 6"), (5, "number 3 is nan")):
        single = tree(tmp_path / str(k), {k: changes[k]})
        assert expected in read(single, LOOSE).notes[0]


def test_another_file_than_listed_is_found_if_asked(tmp_path):
    source = tree(tmp_path, {3: tfrecord.frame(payload(3, X[3] + 1))})
    assert not read(source, Embeddings()).left_out
    found = read(source, Embeddings(sha256=True, quarantine=0.1))
    assert found.left_out == {"another SHA-256 than SHA256SUMS.txt says": 1}


def test_what_is_not_listed_is_not_read(tmp_path):
    source = tree(tmp_path)
    extra = tmp_path / "files/p10/p10999/s59/extra.tfrecord"
    extra.parent.mkdir(parents=True)
    extra.write_bytes(b"anything")
    found = read(source, Embeddings())
    check_all(found)
    assert found.notes == ("1 files are not in SHA256SUMS.txt and not read.",)
    (tmp_path / "SHA256SUMS.txt").write_text("ab files/p1/p2/s3/../../../../x.tfrecord")
    with pytest.raises(
        InputError, match="SHA256SUMS.txt, line 1: .* outside the folder"
    ):
        read(source, Embeddings())


def test_the_path_says_who_it_is(tmp_path):
    changes = {4: tfrecord.frame(payload(4, image="gs://b/another.png"))}
    changes[5] = tfrecord.frame(example({"embedding": X[5]}))
    found = read(tree(tmp_path, changes), Embeddings())
    check_all(found)
    assert found.notes[0].startswith("1 records name another image than their file")


def test_the_same_id_twice(tmp_path):
    records = [payload(k) for k in (0, 1, 2, 1, 3)]
    path = tmp_path / "a.tfrecord"
    tfrecord.write(path, records)
    found = read(str(path), Embeddings())
    assert found.id.tolist() == IDS[:4] and found.left_out == {embedded.TWICE: 1}
    np.testing.assert_array_equal(found.x, X[:4])
    tfrecord.write(path, [*records, payload(2, X[2] + 1)])
    size = len(tfrecord.frame(records[0]))
    said = f"d002 has two embeddings that differ: a.tfrecord, byte {2 * size} and "
    with pytest.raises(InputError, match=f"{said}a.tfrecord, byte {5 * size}"):
        read(str(path), Embeddings())


def test_bad_records_of_a_shard(tmp_path):
    path = tmp_path / "a.tfrecord"
    frames = [tfrecord.frame(payload(k)) for k in range(N)]
    size = len(frames[0])
    frames[3] = flipped(frames[3], 50)
    frames[8] = tfrecord.frame(payload(8, image=""))
    path.write_bytes(b"".join(frames))
    found = read(str(path), LOOSE)
    assert found.left_out == {tfrecord.CHECKSUM: 1, embedding_records.NO_NAME: 1}
    assert f"a.tfrecord, byte {3 * size}: {tfrecord.CHECKSUM}" in found.notes[0]
    end = len(b"".join(frames[:26]))
    broken = flipped(b"".join(frames), end)  # from here on nothing can be found
    path.write_bytes(broken)
    found = read(str(path), LOOSE)
    assert len(found.id) == 24 and found.left_out[tfrecord.LENGTH] == 4
    assert "about 4 records lost" in found.notes[0]
    with pytest.raises(InputError, match="6 of 30 embeddings cannot be used"):
        read(str(path), Embeddings(quarantine=0.1))


def test_a_missing_shard_counts_its_records(tmp_path):
    for k in range(3):
        tfrecord.write(
            tmp_path / f"{k}.tfrecord", map(payload, range(10 * k, 10 * k + 10))
        )
    names = [f"00 {k}.tfrecord\n" for k in range(4)]
    (tmp_path / "SHA256SUMS.txt").write_text("".join(names))
    found = read(str(tmp_path), Embeddings(quarantine=0.3))
    assert found.left_out == {embedded.MISSING: 10}
    with pytest.raises(InputError, match="10 of 40 .*first 3.tfrecord"):
        read(str(tmp_path), LOOSE)


def test_large_files_are_streamed(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_places, "WHOLE", 200)
    monkeypatch.setattr(embedding_units, "WHOLE", 200)
    monkeypatch.setattr(embedding_records, "HELD", 4)
    path = tmp_path / "a.tfrecord"
    tfrecord.write(path, map(payload, range(N)))
    check_all(read(str(path), Embeddings()))
    tree(tmp_path / "tree")
    check_all(read(str(tmp_path / "tree"), Embeddings()))
    (tmp_path / "SHA256SUMS.txt").write_text("00 a.tfrecord")
    with pytest.raises(InputError, match="a.tfrecord: another SHA-256 than"):
        read(str(tmp_path), Embeddings(sha256=True))
    np.savez(tmp_path / "many.npz", id=IDS, embedding=X)
    assert read(str(tmp_path / "many.npz"), Embeddings()).id.tolist() == IDS


def test_memory_grows_when_files_are_compressed(tmp_path):
    x = np.zeros((N, 4000))
    tfrecord.write(tmp_path / "a.tfrecord.gz", (payload(k, x[k] + k) for k in range(N)))
    found = read(str(tmp_path), Embeddings())
    np.testing.assert_array_equal(found.x[:, 0], np.arange(N))


def test_nothing_to_read_is_said(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read(str(tmp_path / "none"), Embeddings())
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(
        InputError, match=r"no embeddings; expected .*DICOM.tfrecord or"
    ):
        read(str(tmp_path), Embeddings())
    for options, said in (
        (Embeddings(layout="hdf5"), "known: auto, prepared, physionet"),
        (Embeddings(layout="prepared"), "expected the --data_dir of scripts.prepare"),
        (Embeddings(precision="half"), "known: float32, bfloat16"),
    ):
        with pytest.raises(InputError, match=said):
            read(str(tmp_path), options)
    (tmp_path / "a.tfrecord").write_bytes(b"")
    with pytest.raises(InputError, match="no embeddings"):
        read(str(tmp_path), Embeddings())
    tfrecord.write(tmp_path / "a.tfrecord", [payload(0, X[0, :0])])
    with pytest.raises(InputError, match="0 numbers, expected some"):
        read(str(tmp_path), Embeddings())


def walked(data):
    found = features(data)
    x = found["embedding"]
    assert isinstance(x, np.ndarray)
    text = found.get(IMAGE, b"")
    return [text[0] if isinstance(text, list) and text else b""], x.tobytes()


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_what_is_cut_is_what_is_walked(data):
    """A record that looks like one before it is never read in another way."""
    parser = Parser("embedding", (IMAGE,))
    for k in range(4):
        parser(payload(k))
    changed = bytearray(payload(data.draw(st.integers(0, 3))))
    for at in data.draw(st.lists(st.integers(0, len(changed) - 1), max_size=3)):
        changed[at] = data.draw(st.integers(0, 255))
    try:
        texts, numbers = parser(bytes(changed))
    except InputError:
        with pytest.raises((InputError, KeyError, AssertionError)):
            walked(bytes(changed))
        return
    assert (texts, bytes(numbers)) == walked(bytes(changed))


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_any_npz_is_read_or_refused(data):
    file = io.BytesIO()
    np.savez_compressed(file, embedding=X[0], id=["a"])
    changed = bytearray(file.getvalue())
    for at in data.draw(st.lists(st.integers(0, len(changed) - 1), max_size=3)):
        changed[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(changed)))
    for whole in (bytes(changed), bytes(changed[:cut])):
        rows = Rows(Parser("embedding", (IMAGE,)))
        arrays(whole, "a.npz", "embedding", rows)
        assert len(rows) or not whole


def test_a_reader_remembers_few_kinds():
    parser = Parser("embedding", (IMAGE,))
    for k in range(100):
        parser(example({f"{k:02d}": b"", "embedding": X[0]}))
    assert max(map(len, parser.known.values())) == embedding_records.KINDS
