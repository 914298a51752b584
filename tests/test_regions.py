"""Shares of maps on masks, and images without lungs."""

import numpy as np
import pytest

from equity_jax.audit import NOT_ESTIMABLE
from equity_jax.audit.images.regions import blank, central_share, lungs, share_on
from equity_jax.types import InputError


def test_the_lungs_area_is_where_it_is_said_to_be():
    mask = lungs(100, 200)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (rows[0], rows[-1]) == (12, 87) and (columns[0], columns[-1]) == (20, 179)
    assert mask.mean() == pytest.approx(2 * np.pi * 0.38 * 0.2, abs=0.002)
    np.testing.assert_array_equal(mask, mask[::-1, ::-1])


def test_an_even_map_has_the_share_of_the_area():
    found = central_share(np.ones((30, 64, 64)), level=0.9).iloc[0]
    assert found.value == pytest.approx(found.chance)
    assert found.chance == pytest.approx(lungs(64, 64).mean())
    assert found.what == "Grad-CAM in the lungs' area" and found.n == 30


def test_a_share_is_a_mean_over_images_with_the_patient_as_the_unit():
    rng = np.random.default_rng(0)
    maps = rng.random((60, 8, 8)) * rng.random((60, 1, 1))
    mask = rng.random((60, 8, 8)) < 0.3
    share = (maps * mask).sum((1, 2)) / maps.sum((1, 2))
    each = share_on(maps, mask).iloc[0]
    assert each.value == pytest.approx(share.mean()) and each.patients == 60
    half = 1.96 * share.std(ddof=1) / np.sqrt(60)
    assert each.high - each.value == pytest.approx(half, rel=0.2)
    twice, again = np.repeat(maps, 4, axis=0), np.repeat(mask, 4, axis=0)
    one = share_on(twice, again, np.repeat(np.arange(60), 4)).iloc[0]
    assert one.patients == 60 and one.n == 240
    assert one.high - one.low == pytest.approx(each.high - each.low, rel=0.15)


def test_maps_of_nothing_and_empty_masks_are_counted():
    maps, mask = np.ones((20, 4, 4)), np.zeros((20, 4, 4), bool)
    mask[:15, 0] = True
    maps[0] = 0
    found = share_on(maps, mask).iloc[0]
    assert (found.n, found.value, found.chance) == (14, 0.25, 0.25)
    assert found.reason == "6 images left out"
    lost = share_on(0 * maps, mask).iloc[0]
    assert lost.status == NOT_ESTIMABLE and np.isnan(lost.value)
    assert lost.reason == "fewer than 5 effective patients"
    with pytest.raises(InputError, match="does not fit"):
        share_on(maps, mask[:3])


def test_blank_takes_one_area_and_leaves_the_other():
    x = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 1)).astype(np.uint8)
    mask, before = lungs(32, 32), x.copy()
    for area, gone in (("lungs", mask), ("border", ~mask)):
        found = blank(x, area)
        assert found.dtype == np.uint8 and found.shape == x.shape
        np.testing.assert_array_equal(found[:, ~gone], x[:, ~gone])
        gray = np.rint(x.mean((1, 2, 3)))
        assert (found[:, gone] == gray[:, None, None]).all()
    np.testing.assert_array_equal(x, before)
    with pytest.raises(InputError, match="lungs or border"):
        blank(x, "heart")
