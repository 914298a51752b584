"""Features streamed to disk: as from memory, resumed, never of another network."""

import json
import sys

import jax
import numpy as np
import pytest
from xrays import picture

from equity_jax.data.stream import Stream
from equity_jax.models import MODELS
from equity_jax.train import Weights, features, harvest
from equity_jax.train.harvest import BEGUN, NOTE

NET = MODELS.get("densenet(layers=(1, 1), growth=4)", 3, 0)
X = np.stack([picture(i, 32) for i in range(21)])[..., None]
TAPS = ("dense1", "dense2")


def weights(seed=0):
    return Weights(*NET.init(jax.random.key(seed), X[:1]))


def images():
    return Stream(lambda row: X[row, ..., 0], np.arange(len(X)), X.shape[1])


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_numbers_as_from_memory(tmp_path, stream):
    x = images() if stream else X
    found = harvest(NET, weights(), x, tmp_path / "a", TAPS, batch=8)
    logits, seen = features(NET, weights(), X, 8)
    np.testing.assert_array_equal(found.logits, logits)
    np.testing.assert_array_equal(found.features, seen)
    taps = jax.jit(lambda *w: NET.apply(*w, X, False, None)[0].taps)(*weights())
    for name in TAPS:
        mean = np.asarray(taps[name]).mean((1, 2))
        np.testing.assert_allclose(found.taps[name], mean, rtol=1e-4, atol=1e-5)
    assert isinstance(found.features, np.memmap) and not found.features.flags.writeable
    assert found.features.dtype == np.float32
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted(
        [NOTE, *(f"{name}.npy" for name in ("logits", "features", *TAPS))]
    )


class Killed(Exception):
    """Stands for the end of the process."""


def test_killed_it_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[harvest.__module__], "OFTEN", 1)
    whole = harvest(NET, weights(), X, tmp_path / "whole", TAPS, batch=4)
    asked = []

    def until(row):
        asked.append(row)
        if len(asked) > 13:
            raise Killed
        return X[row, ..., 0]

    x = Stream(until, np.arange(len(X)), X.shape[1], threads=1)
    monkeypatch.setattr("equity_jax.data.stream.AHEAD", 1)
    with pytest.raises(Killed):
        harvest(NET, weights(), x, tmp_path / "killed", TAPS, batch=4)
    done = json.loads((tmp_path / "killed" / NOTE).read_text())["rows"]
    assert 4 <= done < len(X)
    assert not (tmp_path / "killed" / "features.npy").exists()
    read = []

    def rest(row):
        read.append(row)
        return X[row, ..., 0]

    x = Stream(rest, np.arange(len(X)), X.shape[1])
    harvest(NET, weights(), x, tmp_path / "killed", TAPS, batch=4)
    assert min(read) == done
    for file in (tmp_path / "whole").iterdir():
        other = tmp_path / "killed" / file.name
        assert other.read_bytes() == file.read_bytes(), file.name
    again = harvest(NET, weights(), x, tmp_path / "killed", TAPS, batch=4)
    assert read.count(done) == 1  # whole: nothing was read again
    np.testing.assert_array_equal(again.features, whole.features)


def test_another_network_replaces_what_is_there(tmp_path):
    harvest(NET, weights(), X, tmp_path, batch=8)
    other = harvest(NET, weights(1), X, tmp_path, batch=8)
    np.testing.assert_array_equal(other.features, features(NET, weights(1), X, 8)[1])
    (tmp_path / "features.npy").rename(tmp_path / f"{BEGUN}features.npy")
    again = harvest(NET, weights(1), X, tmp_path, batch=8)
    np.testing.assert_array_equal(again.features, other.features)
