"""TFRecord files and their Examples: framing, checksums, damage, order of fields."""

import contextlib
import gzip
import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equity_jax.data import examples, tfrecord
from equity_jax.types import InputError

SAMPLE = {  # Google's own test values
    "00000001_000": [3, 0, 4, 0, 3],
    "00000001_001": [2, 1, 0, 3, 2],
    "00000001_002": [1, 3, 1, 1, 4],
    "00000002_000": [2, 3, 0, 4, 4],
    "00000003_000": [0, 0, 3, 1, 1],
}
X = np.arange(3, dtype=np.float32)
GOOD = examples.example({"image/id": b"a.png", "embedding": X})
FILE = tfrecord.frame(GOOD) + tfrecord.frame(b"") + tfrecord.frame(GOOD)
STARTS = [0, len(GOOD) + 16, len(GOOD) + 32]


def scanned(data):
    return list(tfrecord.scan(io.BytesIO(data)))


@pytest.mark.realdata
def test_the_sample_records_are_google_s(real):
    folder = real / "embeddings_tfrecord_sample"
    for name, expected in SAMPLE.items():
        path = folder / f"{name}.tfrecord"
        [(offset, payload)] = tfrecord.records(path)
        found = examples.features(payload)
        image = f"gs://superrad/inputs/cxr14/{name}.png".encode()
        assert offset == 0 and found["image/id"] == [image]
        assert found["embedding"].tolist() == expected
        # our writer gives the same bytes, in the order of the file
        again = {k: image if k == "image/id" else found[k] for k in found}
        assert tfrecord.frame(examples.example(again)) == path.read_bytes()


@pytest.mark.realdata
def test_a_flipped_byte_is_reported_with_file_and_offset(real, tmp_path):
    data = (real / "embeddings_tfrecord_sample/00000001_000.tfrecord").read_bytes()
    path = tmp_path / "flipped.tfrecord"
    for at in range(len(data)):
        flipped = bytearray(data * 2)
        flipped[len(data) + at] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(InputError, match=rf"flipped.tfrecord, byte {len(data)}: "):
            list(tfrecord.records(path))


def test_round_trip_plain_and_gzip(tmp_path):
    for name in ("a.tfrecord", "a.tfrecord.gz"):
        tfrecord.write(tmp_path / name, [GOOD, b"", GOOD])
        found = list(tfrecord.records(tmp_path / name))
        assert found == list(zip(STARTS, [GOOD, b"", GOOD], strict=True))
        with open(tmp_path / name, "rb") as file:
            assert list(tfrecord.records(file)) == found
    assert (tmp_path / "a.tfrecord").read_bytes() == FILE
    zipped = (tmp_path / "a.tfrecord.gz").read_bytes()
    assert gzip.decompress(zipped) == FILE
    tfrecord.write(tmp_path / "b.tfrecord.gz", [GOOD, b"", GOOD])
    assert (tmp_path / "b.tfrecord.gz").read_bytes() == zipped
    assert len(list(tmp_path.iterdir())) == 3


def test_a_bad_payload_is_passed_over_a_bad_length_is_the_end():
    bad = bytearray(FILE)
    bad[20] ^= 4
    assert [reason for *_, reason in scanned(bad)] == [tfrecord.CHECKSUM, "", ""]
    unchecked = list(tfrecord.scan(io.BytesIO(bad), verify=False))
    assert [reason for *_, reason in unchecked] == ["", "", ""]
    bad = bytearray(FILE)
    bad[STARTS[1]] ^= 4
    found = scanned(bad)
    assert [(at, why) for at, _, why in found] == [
        (0, ""),
        (STARTS[1], tfrecord.LENGTH),
    ]
    found = scanned(FILE[:-1])
    assert found[-1] == (STARTS[2], b"", tfrecord.SHORT) and len(found) == 3
    zipped = gzip.compress(FILE)
    for broken in (zipped[:-9], zipped[:30] + b"\xff" + zipped[31:]):
        assert scanned(broken)[-1][2] == tfrecord.UNZIPPED


def test_records_longer_than_a_block(monkeypatch):
    monkeypatch.setattr(tfrecord, "BLOCK", 7)
    assert [payload for _, payload, _ in scanned(FILE)] == [GOOD, b"", GOOD]
    assert [payload for _, payload, _ in scanned(gzip.compress(FILE))][2] == GOOD


def test_a_length_that_looks_like_gzip_is_a_length():
    payload = bytes(0x088B1F)
    data = tfrecord.frame(payload)
    assert data.startswith(tfrecord.GZIP)
    assert scanned(data) == [(0, payload, "")]


def field(number, wire, data):
    size = bytes([len(data)]) if wire == 2 else b""
    return bytes([number << 3 | wire]) + size + data


def message(values):
    """An Example of one feature `e` whose float list holds these bytes."""
    feature = field(2, 2, values)
    entry = field(1, 2, b"e") + field(2, 2, feature)
    return field(1, 2, field(1, 2, entry))


def test_floats_packed_or_one_by_one():
    one = [field(1, 5, struct.pack("<f", x)) for x in (1.5, -2.0, 3.25)]
    packed = field(1, 2, struct.pack("<2f", 4.0, 5.0))
    for data, expected in (
        (b"".join(one), [1.5, -2, 3.25]),
        (packed, [4, 5]),
        (one[0] + packed + one[1], [1.5, 4, 5, -2]),
        (field(9, 0, b"\x05") + packed, [4, 5]),  # a field that nobody knows
        (b"", []),
    ):
        found = examples.features(message(data))["e"]
        assert found.dtype == np.float32 and found.tolist() == expected
    with pytest.raises(InputError, match="floats of 3 bytes"):
        examples.features(message(field(1, 2, b"abc")))


def test_other_kinds_and_orders():
    both = field(1, 2, b"\x07\x80\x01") + field(1, 0, b"\x05")  # packed, and one alone
    integers = field(1, 2, b"n") + field(2, 2, field(3, 2, both))
    text = field(1, 2, b"t") + field(2, 2, field(1, 2, field(1, 2, b"x") * 2))
    swapped = field(2, 2, field(1, 2, field(1, 2, b"y"))) + field(1, 2, b"s")
    whole = field(1, 2, b"".join(field(1, 2, e) for e in (integers, text, swapped)))
    found = examples.features(whole)
    assert found.pop("n").tolist() == [7, 128, 5]
    assert found == {"t": [b"x", b"x"], "s": [b"y"]}
    assert examples.features(b"") == {}
    last = examples.example({"a": b"1"}) + examples.example({"a": b"2"})
    assert examples.features(last) == {"a": [b"2"]}  # as protobuf merges maps
    cube = examples.features(examples.example({"e": np.ones((1, 2, 2, 3))}))["e"]
    assert cube.tolist() == [1.0] * 12


def test_examples_are_those_of_protobuf():
    pb2 = pytest.importorskip(
        "tfrecord.example_pb2", reason="the extra bench brings it"
    )
    theirs = pb2.Example()
    theirs.features.feature["embedding"].float_list.value.extend(X.tolist())
    theirs.features.feature["image/id"].bytes_list.value.append(b"a.png")
    found = examples.features(theirs.SerializeToString())
    assert found["embedding"].tolist() == X.tolist() and found["image/id"] == [b"a.png"]
    assert pb2.Example.FromString(GOOD) == theirs
    theirs.features.feature["n"].int64_list.value.extend([-(2**63)])
    found = examples.features(theirs.SerializeToString())
    assert found["n"].tolist() == [-(2**63)]
    ours = {"image/id": "a.png", "embedding": X, "n": -(2**63)}
    assert pb2.Example.FromString(examples.example(ours)) == theirs


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_example_or_refused(data):
    try:
        examples.features(data)
    except InputError as error:
        assert "byte" in str(error)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_file_is_read_or_refused(data):
    whole = data.draw(st.sampled_from([FILE, gzip.compress(FILE), b""]))
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    changed = bytearray(cut + data.draw(st.binary(max_size=30)))
    for at in data.draw(st.lists(st.integers(0, max(0, len(changed) - 1)), max_size=3)):
        if changed:
            changed[at] = data.draw(st.integers(0, 255))
    for _, payload, reason in scanned(bytes(changed)):
        if not reason:
            with contextlib.suppress(InputError):
                examples.features(payload)
    try:
        list(tfrecord.records(io.BytesIO(bytes(changed))))
    except InputError as error:
        assert ", byte " in str(error)
