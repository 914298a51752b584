"""New images: what is listed, how arrays become gray, how far ahead is read."""

import numpy as np
import pytest

from equity_jax.data import incoming
from equity_jax.types import InputError


def test_a_folder_is_listed_with_all_below_it_by_name(tmp_path):
    for name in ("b/2.png", "b/.git/x.png", "a.dcm", ".hidden", "t.CSV", "b/read.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [name for name, _ in incoming.listed(tmp_path)] == ["a.dcm", "b/2.png"]
    assert incoming.listed(str(tmp_path / "b/2.png"))[0][0] == "2.png"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no image"):
        incoming.listed(tmp_path / "empty")


def test_colors_become_luma_and_alpha_is_ignored():
    rgb = np.zeros((16, 16, 3), np.uint8)
    rgb[..., 1] = 100
    rgba = np.concatenate([rgb, np.full((16, 16, 1), 7, np.uint8)], 2)
    for image in (rgb, rgba):
        assert set(incoming.gray(image, "0").ravel()) == {round(0.587 * 100)}
    pair = np.stack([rgb[..., 1], rgb[..., 0]], 2)
    assert set(incoming.gray(pair, "0").ravel()) == {100}


def test_deep_arrays_are_stretched_and_flat_ones_are_black():
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16)
    for deep in (1000 + 16 * ramp, ramp / 1e6 - 3, (ramp * 2.0).astype(np.float16)):
        np.testing.assert_array_equal(incoming.gray(deep, "0"), ramp)
    assert not incoming.gray(np.full((16, 16), 9, np.uint16), "0").any()


def test_an_array_that_is_no_image_is_named():
    nan = np.full((32, 32), np.nan)
    bad = [nan, np.zeros((32, 32), int), np.zeros((32, 32, 7), np.uint8)]
    reasons = [incoming.read("0", one, 32, "").reason for one in bad]
    assert reasons[0].startswith("a NaN or an infinity")
    assert reasons[1].startswith("values of type int64; expected uint8")
    assert reasons[2].startswith("an array of shape [32, 32, 7]")


def test_reading_runs_only_so_far_ahead(monkeypatch):
    read, real = [], incoming.read

    def counted(name, *args):
        read.append(name)
        return real(name, *args)

    monkeypatch.setattr(incoming, "read", counted)
    monkeypatch.setattr(incoming, "AHEAD", 8)
    stream = incoming.stream(incoming.listed(np.zeros((100, 32, 32), np.uint8)), 32)
    next(stream)
    assert len(read) <= 9
    stream.close()


def test_unreadable_ones_travel_with_the_batch_they_were_met_in():
    x = [np.zeros((n, n), np.uint8) for n in (20, 4, 20, 20, 4)]
    parts = list(incoming.batches(incoming.listed(x), 16, "", 2))
    assert [part.id for part in parts] == [["0", "2"], ["3"]]
    assert [list(part.unreadable) for part in parts] == [["1"], ["4"]]
    assert parts[1].x.shape == (1, 16, 16, 1)
