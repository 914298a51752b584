"""Streams: the same bytes as in memory, in the order asked, whatever the threads."""

import threading
import time

import numpy as np
import pytest

from equity_jax.config import Phantom
from equity_jax.data import phantom, pixels
from equity_jax.data.stream import Stream, files


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twin")
    table = phantom.write(folder, Phantom(patients=12, size=40), seed=0)
    return [folder / file for file in table["file"]]


@pytest.mark.parametrize("equalize", pixels.EQUALIZE)
def test_a_stream_gives_the_bytes_of_memory(paths, equalize):
    stream = files(paths, 24, equalize)
    memory = np.stack(
        [pixels.read(p.read_bytes(), p.name, 24, equalize) for p in paths]
    )[..., None]
    assert (len(stream), stream.shape) == (len(paths), memory.shape)
    assert (stream.ndim, stream.dtype) == (memory.ndim, memory.dtype)
    np.testing.assert_array_equal(np.asarray(stream), memory)
    index = np.random.default_rng(0).integers(0, len(paths), (5, 4))
    found = list(stream.batches(index))
    assert len(found) == 5
    for batch, rows in zip(found, index, strict=True):
        assert batch.dtype == np.uint8
        np.testing.assert_array_equal(batch, memory[rows])


def test_some_rows_of_a_stream(paths):
    stream = files(paths, 24)
    memory = np.asarray(stream)
    rows = np.array([5, 1, 1, 8])
    for which in (rows, np.arange(len(paths)) % 3 == 0, slice(2, 9, 2)):
        some = stream[which]
        assert isinstance(some, Stream) and some.shape == memory[which].shape
        np.testing.assert_array_equal(np.asarray(some), memory[which])
    again = stream[rows][np.array([3, 0])]
    np.testing.assert_array_equal(np.asarray(again), memory[[8, 5]])
    [batch] = stream[rows].batches(np.array([[2, 3]]))
    np.testing.assert_array_equal(batch, memory[[1, 8]])
    assert np.asarray(stream[:0]).shape == (0, 24, 24, 1)
    assert np.asarray(stream[:2], np.float32).dtype == np.float32


def lazy(threads, rest=0.0):
    """A stream of numbered images that notes what it reads; odd ones take longer."""
    read = []

    def get(row):
        time.sleep(rest * (row % 2))
        read.append((row, threading.get_ident()))
        return np.full((16, 16), row, np.uint8)

    return Stream(get, np.arange(200), 16, threads), read


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_the_order_does_not_depend_on_the_threads(threads):
    stream, _ = lazy(threads, 0.001)
    index = np.random.default_rng(1).integers(0, 200, (6, 10))
    found = np.stack([batch[:, 0, 0, 0] for batch in stream.batches(index)])
    np.testing.assert_array_equal(found, index)


def test_resuming_gives_the_rest_of_the_batches():
    stream, _ = lazy(3)
    index = np.random.default_rng(2).integers(0, 200, (8, 5))
    whole = list(stream.batches(index))
    rest = list(stream.batches(index[5:]))
    np.testing.assert_array_equal(np.stack(whole[5:]), np.stack(rest))


def test_nothing_is_read_before_it_is_asked_and_ahead_is_bounded():
    stream, read = lazy(2)
    some = stream[np.arange(150)]
    assert len(some) == 150 and some.shape == (150, 16, 16, 1) and read == []
    many = np.tile(np.arange(150), 20)[:, None]
    batches = some.batches(many)
    next(batches)
    time.sleep(0.2)
    assert 1 <= len(read) < 500  # of 3000
    assert threading.get_ident() not in {thread for _, thread in read}
    before = threading.active_count()
    batches.close()
    time.sleep(0.2)
    assert threading.active_count() <= before


def test_an_unreadable_file_is_named(paths, tmp_path):
    bad = tmp_path / "half.png"
    bad.write_bytes(paths[0].read_bytes()[:300])
    gone = tmp_path / "gone.png"
    stream = files([*paths[:3], bad, *paths[3:]], 24)
    batches = stream.batches(np.array([[0, 1], [2, 3], [4, 5]]))
    assert next(batches).shape == (2, 24, 24, 1)
    with pytest.raises(pixels.Unreadable, match=r"half\.png: a truncated PNG"):
        next(batches)
    with pytest.raises(FileNotFoundError, match="gone"):
        np.asarray(files([gone], 24))
