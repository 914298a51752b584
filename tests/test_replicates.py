import numpy as np
import pytest

from equity_jax.audit.resampling import replicates


def gathered(made):
    found = np.zeros((made.count, made.blocks), int)

    def work(where, drawn):
        found[where] = drawn.T

    made.run(work)
    return found


def test_every_replicate_draws_as_many_blocks_as_there_are():
    found = gathered(replicates.resampled(30, 200, 0, "bootstrap"))
    assert (found.sum(axis=1) == 30).all()
    assert found.var() == pytest.approx(1 - 1 / 30, abs=0.05)  # multinomial


def test_chunks_and_memory_change_nothing(monkeypatch):
    whole = gathered(replicates.resampled(30, 50, 1, "bootstrap"))
    monkeypatch.setattr(replicates, "CHUNK", 64)
    monkeypatch.setattr(replicates, "KEPT", 0)
    made = replicates.resampled(30, 50, 1, "bootstrap")
    assert made.step == 8 and not made.kept
    assert (gathered(made) == whole).all() and not made.kept


def test_seed_and_purpose_change_the_draw():
    base = gathered(replicates.resampled(30, 5, 0, "bootstrap"))
    for other in ((1, "bootstrap"), (0, "bootstrap/validation")):
        assert (gathered(replicates.resampled(30, 5, *other)) != base).any()


def test_an_error_in_a_thread_is_not_swallowed(monkeypatch):
    monkeypatch.setattr(replicates, "CHUNK", 64)

    def fail(where, drawn):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        replicates.resampled(30, 50, 1, "bootstrap").run(fail)
