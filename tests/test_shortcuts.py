"""A planted mark on the border is found; without it the pixels tell nothing."""

import numpy as np
import pytest

from equity_jax.audit import NOT_ESTIMABLE
from equity_jax.audit.images import shortcuts
from equity_jax.types import TEST, TRAIN, VALID

SPLIT = np.repeat([TRAIN, VALID, TEST], [240, 80, 160]).astype(np.int8)
N = len(SPLIT)


def world(mark, size=48, seed=0):
    """Noise; `mark` brightens a corner of source "b" by that many gray values."""
    rng = np.random.default_rng(seed)
    x = rng.normal(120, 30, (N, size, size, 1)).clip(0, 255)
    source = rng.choice(["a", "b"], N)
    x[source == "b", :4, :4] += mark
    label = rng.choice(["sick", "well"], N)
    return x.clip(0, 255).astype(np.uint8), source, label


def told(mark, seed=1, **targets):
    x, source, label = world(mark, seed=seed)
    targets = targets or {"source": source, "class": label}
    patient = np.arange(N) // 2
    return shortcuts.told_from_pixels(x, targets, SPLIT, patient, replicates=100)


def value(table, what, system, metric="macro AUROC"):
    rows = table[(table.what == what) & (table.system == system)]
    return rows[rows.metric == metric].iloc[0]


def test_a_mark_on_the_border_is_found_and_nothing_else():
    table = told(mark=80)
    assert len(table) == 2 * 2 * 3 and (table.status == "OK").all()
    assert (table.n == 160).all() and (table.patients == 80).all()
    for view in ("border pixels", "16 × 16 thumbnail"):
        assert value(table, "source", view).low > 0.9
        assert value(table, "source", view, "accuracy").low > 0.8
        row = value(table, "class", view)
        assert row.low < 0.5 < row.high and row.chance == 0.5


def test_without_a_mark_the_pixels_tell_nothing():
    table = told(mark=0)
    for view in ("border pixels", "16 × 16 thumbnail"):
        for metric, chance in (("macro AUROC", 0.5), ("balanced accuracy", 0.5)):
            row = value(table, "source", view, metric)
            assert row.low < chance < row.high and row.chance == chance
        row = value(table, "source", view, "accuracy")
        assert row.low < 0.55 and 0.5 <= row.chance < 0.6


def test_a_mark_inside_is_not_on_the_border():
    x, source, _ = world(0)
    x[source == "b", 20:28, 20:28] += 60
    found = shortcuts.views(x)
    edge, thumb = found["border pixels"], found["16 × 16 thumbnail"]
    assert edge.shape == (N, 32 * 32 - 26 * 26) and thumb.shape == (N, 256)
    gap = thumb[source == "b"].mean(0) - thumb[source == "a"].mean(0)
    assert np.argsort(gap)[-4:].max() < 11 * 16 and gap.max() > 40
    assert np.abs(edge[source == "b"].mean(0) - edge[source == "a"].mean(0)).max() < 20


@pytest.mark.parametrize(("size", "cells"), [(32, 16), (33, 16), (17, 16), (12, 12)])
def test_a_cell_is_the_mean_of_its_pixels(size, cells):
    x = np.random.default_rng(0).integers(0, 256, (300, size, size, 1), np.uint8)
    found = shortcuts.reduced(x, 16)
    assert found.shape == (300, cells, cells) and found.dtype == np.float32
    edges = np.linspace(0, size, cells + 1).astype(int)
    (a, b), (c, d) = edges[3:5], edges[7:9]
    np.testing.assert_allclose(
        found[:, 3, 7], x[:, a:b, c:d, 0].mean((1, 2)), rtol=1e-5
    )


def test_rare_values_are_left_out_and_said():
    _, source, _ = world(80, seed=1)
    source = source.astype("U9")
    source[:5], source[400:404], source[10:20] = "rare", "new", ""
    table = told(mark=80, source=source)
    assert (table.reason == "fewer than 10 training rows of new, rare").all()
    assert (table.n == 156).all() and value(table, "source", "border pixels").low > 0.9


def test_one_source_cannot_be_told():
    one = told(mark=0, source=np.repeat("a", N)).iloc[0]
    assert one.status == NOT_ESTIMABLE and one.reason == "there is one source only"
    held = np.where(SPLIT == TRAIN, world(0)[1], "")
    lost = told(mark=0, source=held).iloc[0]
    assert lost.status == NOT_ESTIMABLE and lost.reason == "no held-out rows"
