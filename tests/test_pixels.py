"""Reading one image: every kind, the odd ones, and what a quick decode costs."""

import io
import struct
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from equity_jax.data import pixels
from equity_jax.data.pixels import (
    Facts,
    Unreadable,
    decode,
    encode,
    facts,
    prepare,
    read,
)
from equity_jax.types import InputError


@pytest.fixture(scope="module")
def gray():
    """A smooth picture of 120 × 90, with some grain."""
    y, x = np.mgrid[:90, :120]
    wave = 120 + 70 * np.sin(x / 17) * np.cos(y / 11)
    return (wave + np.random.default_rng(0).normal(0, 3, wave.shape)).astype(np.uint8)


def file(image, kind, **more):
    """The bytes of a Pillow image or an array."""
    out = io.BytesIO()
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    image.save(out, kind, **more)
    return out.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_of_any_channels_is_what_pillow_shows(gray, mode):
    image = Image.fromarray(gray).convert(mode)
    data = file(image, "PNG")
    np.testing.assert_array_equal(decode(data, "a"), np.asarray(image.convert("L")))
    assert facts(data) == Facts(120, 90, "L" if mode == "1" else mode)


def test_colors_become_luma(gray):
    rng = np.random.default_rng(1)
    color = rng.integers(0, 256, (64, 64, 3), np.uint8)
    ours = decode(file(color, "PNG"), "a").astype(float)
    assert abs(ours - color @ np.array([0.299, 0.587, 0.114])).max() < 1.01
    smooth = cv2.resize(cv2.resize(color, (8, 8)), (64, 64))
    data = file(smooth, "JPEG", quality=95)
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    assert facts(data) == Facts(64, 64, "RGB")
    assert abs(decode(data, "a").astype(int) - theirs).max() <= 2


def test_alpha_is_ignored(gray):
    alpha = np.where(gray > 128, 255, 0).astype(np.uint8)
    data = file(np.dstack([gray, gray, gray, alpha]), "PNG")
    np.testing.assert_array_equal(decode(data, "a"), gray)


def test_sixteen_bits_are_stretched_over_their_own_range(gray):
    """Twelve bits in sixteen: on the full scale they would be nearly black."""
    deep = gray.astype(np.uint16) * 12 + 100
    low, high = deep.min(), deep.max()
    expected = (deep - low) / (high - low) * 255
    data = file(deep, "PNG")
    assert facts(data).mode == "L;16"
    assert abs(decode(data, "a") - expected).max() <= 0.5 + 1e-6
    for channels, mode in ((3, "RGB;16"), (4, "RGBA;16")):
        _, data = cv2.imencode(".png", np.dstack([deep] * channels))
        assert facts(data.tobytes()).mode == mode
        assert abs(decode(data.tobytes(), "a") - expected).max() <= 1.0
    flat = file(np.full((32, 32), 700, np.uint16), "PNG")
    assert not decode(flat, "a").any()


def test_cmyk_is_what_pillow_shows(gray):
    data = file(Image.fromarray(gray).convert("CMYK"), "JPEG", quality=95)
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(int)
    assert facts(data) == Facts(120, 90, "CMYK")
    assert abs(decode(data, "a") - theirs).max() <= 1
    color = cv2.applyColorMap(gray, cv2.COLORMAP_JET)
    data = file(Image.fromarray(color).convert("CMYK"), "JPEG", quality=95)
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(int)
    assert abs(decode(data, "a") - theirs).max() <= 2
    assert decode(data, "a", size=20).shape == (45, 60)


def test_gray_jpeg_is_what_pillow_shows(gray):
    for more in ({}, {"progressive": True}):
        data = file(gray, "JPEG", quality=90, **more)
        theirs = np.asarray(Image.open(io.BytesIO(data)))
        np.testing.assert_array_equal(decode(data, "a"), theirs)
        assert facts(data) == Facts(120, 90, "L")


@pytest.mark.parametrize("size", [16, 20, 60, 100, 150, 210, 500])
def test_a_fraction_of_a_jpeg_leaves_twice_the_size(size):
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (9, 7), np.uint8), (420, 500))
    data = file(image, "JPEG", quality=90)
    whole, part = decode(data, "a"), decode(data, "a", size=size)
    assert min(part.shape) >= min(2 * size, 420)
    if size <= 100:
        assert part.size < 0.3 * whole.size
    far = prepare(part, size).astype(int) - prepare(whole, size)
    assert abs(far).mean() < 3  # coarse blocks of full contrast: the worst of cases
    assert read(data, "a", size).shape == (size, size)


def refused(data, name="x.png", **more):
    with pytest.raises(Unreadable) as caught:
        decode(data, name, **more)
    said = str(caught.value)
    assert said.startswith(f"{name}: ") and "\n" not in said
    return said


def test_a_truncated_file_is_refused_not_half_gray(gray, capfd):
    for kind, says in (("PNG", "a truncated PNG"), ("JPEG", "")):
        data = file(gray, kind)
        for keep in (len(data) - 1, len(data) // 2, 200, 40, 30, 20, 9, 4):
            assert says in refused(data[:keep]) or keep < 40
    assert capfd.readouterr().err == ""  # the libraries stay quiet


def test_a_truncated_jpeg_is_refused_at_a_fraction_too(gray):
    data = file(np.tile(gray, (4, 4)), "JPEG")
    refused(data[: len(data) // 2], size=32)
    data = file(np.tile(gray, (4, 4)), "JPEG", progressive=True)
    refused(data[: len(data) // 2], size=32)


def test_what_is_no_picture_is_refused(gray):
    assert "an empty file" in refused(b"")
    assert "expected a PNG, JPEG or DICOM" in refused(b"patient,label\n1,COVID\n")
    assert "expected a PNG, JPEG or DICOM" in refused(file(gray, "GIF"))
    data = bytearray(file(gray, "PNG"))
    data[len(data) // 2] ^= 255
    assert "checksum" in refused(bytes(data))
    with pytest.raises(Unreadable, match=r"^x.png: an empty file"):
        facts(b"", "x.png")


def test_an_image_of_one_pixel_is_refused():
    for kind in ("PNG", "JPEG"):
        said = refused(file(np.zeros((1, 1), np.uint8), kind))
        assert "1×1 pixels; expected 16 pixels a side or more" in said
    assert "15×300" in refused(file(np.zeros((300, 15), np.uint8), "PNG"))


def chunk(kind, body):
    check = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + check


def test_a_bomb_is_refused_by_its_header(gray):
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    bomb = pixels.PNG + chunk(b"IHDR", header)
    assert "3600 megapixels; expected 128 or fewer" in refused(bomb)
    data = bytearray(file(gray, "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    assert "4225 megapixels" in refused(bytes(data))
    assert "0 megapixels; expected 0.01" in refused(file(gray, "PNG"), megapixels=0.01)


def test_a_hundred_megapixels_are_read():
    rows = np.linspace(0, 255, 10_000).astype(np.uint8)
    image = np.broadcast_to(rows, (10_000, 10_000))
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    assert decode(jpeg, "a", size=224).shape == (1250, 1250)  # of 100 MB: 1.6
    png = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    for data in (jpeg, png):
        small = read(data, "a", 32).astype(int)
        np.testing.assert_allclose(small[0], np.linspace(4, 251, 32), atol=2)


def test_prepare_squeezes_by_areas():
    image = np.arange(8 * 4, dtype=np.uint8).reshape(8, 4)
    by_area = image.reshape(2, 4, 2, 2).mean((1, 3))
    np.testing.assert_allclose(prepare(image, 2), by_area, atol=0.51)
    assert prepare(image, 4)[0].tolist() == [2, 3, 4, 5]
    grown = prepare(np.array([[0, 100]], np.uint8), 4)
    assert grown.shape == (4, 4) and (np.diff(grown[0].astype(int)) >= 0).all()


def test_equalization(gray):
    dull = (gray // 4 + 90).astype(np.uint8)
    plain, even, local = (prepare(dull, 90, e) for e in ("", "global", "clahe"))
    assert plain.std() < even.std() and plain.std() < local.std()
    shares = np.histogram(even, 8, (0, 256))[0] / even.size
    assert abs(shares - 1 / 8).max() < 0.05  # flat
    values, counts = np.unique(plain, return_counts=True)
    below = np.cumsum(counts)
    table = (below - below[0]) / (below[-1] - below[0]) * 255
    np.testing.assert_allclose(even, table[np.searchsorted(values, plain)], atol=0.51)
    with pytest.raises(InputError, match="equalize='no'; expected one of '', 'global'"):
        prepare(gray, 32, "no")


@pytest.mark.parametrize("equalize", pixels.EQUALIZE)
def test_prepared_once_or_read_now_is_the_same(gray, equalize):
    data = file(gray, "PNG")
    stored = encode(read(data, "a", 48))
    now = read(data, "a", 48, equalize)
    np.testing.assert_array_equal(read(stored, "a", 48, equalize), now)


def dicom(stored, photometric="MONOCHROME2", bits=12, **more):
    """A DICOM file's bytes: one frame."""
    pydicom = pytest.importorskip("pydicom", reason="the extra dicom brings pydicom")
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    data.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["a"])
    data.Rows, data.Columns = stored.shape
    data.SamplesPerPixel, data.PixelRepresentation = 1, int(stored.dtype.kind == "i")
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, bits, bits - 1
    data.PhotometricInterpretation = photometric
    for name, value in more.items():
        setattr(data, name, value)
    data.PixelData = stored.tobytes()
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_dicom(gray):
    stored = gray.astype(np.uint16) * 10 + 50
    low, high = stored.min(), stored.max()
    expected = (stored - low) / (high - low) * 255
    data = dicom(stored)
    assert facts(data) == Facts(120, 90, "MONOCHROME2")
    assert abs(decode(data, "a") - expected).max() <= 0.51
    negative = decode(dicom(stored, "MONOCHROME1"), "a")
    assert abs(negative - (255 - expected)).max() <= 0.51
    signed = stored.astype(np.int16) - 1000
    assert abs(decode(dicom(signed, bits=16), "a") - expected).max() <= 0.51


def test_the_window_of_a_dicom_is_applied(gray):
    stored = gray.astype(np.uint16) * 10
    scale = {"RescaleSlope": 0.5, "RescaleIntercept": -100.0}
    window = {"WindowCenter": 500.0, "WindowWidth": 401.0}
    shown = decode(dicom(stored, **scale, **window), "a")
    values = stored * 0.5 - 100  # PS3.3 C.11.2.1.2.1
    expected = (((values - 499.5) / 400 + 0.5) * 255).clip(0, 255)
    assert expected.min() == 0 and expected.max() == 255
    assert abs(shown - expected).max() <= 0.51


def test_odd_dicoms(gray, monkeypatch):
    stored = gray.astype(np.uint16)
    data = dicom(stored)
    refused(data[: len(data) // 2], "a.dcm")
    refused(data[:140], "a.dcm")
    assert "1×1" in refused(dicom(stored[:1, :1]), "a.dcm")
    assert "megapixels" in refused(data, "a.dcm", megapixels=0.01)
    frames = dicom(stored, NumberOfFrames=2, Rows=45)
    assert "expected one frame" in refused(frames, "a.dcm")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(InputError, match=r"a.dcm: .*pip install 'equity_jax\[dicom\]'"):
        decode(data, "a.dcm")


@pytest.mark.realdata
def test_real_files(real):
    """All of them are whole; a fraction of one differs by little."""
    paths = sorted((real / "cxr_covid" / "images").iterdir())[:200]
    paths += sorted((real / "cxr_radiography").glob("*/*"))[::10]
    far = []
    for path in paths:
        data = path.read_bytes()
        part = read(data, path.name, 96).astype(int)
        whole = prepare(decode(data, path.name), 96)
        far.append(abs(part - whole).mean())
    assert np.mean(far) < 0.8 and np.max(far) < 3
