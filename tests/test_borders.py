"""Burnt-in borders are cut off, and nothing that is not one."""

import numpy as np
import pytest
from xrays import picture

from equity_jax.data import borders, pixels

FILM = picture(3, 120).clip(30, 220)


def framed(top, bottom, left, right, value, image=FILM):
    return np.pad(image, ((top, bottom), (left, right)), constant_values=value)


@pytest.mark.parametrize("value", [0, 4, 250, 255])
def test_frames_of_any_width_on_any_side(value):
    for sides in ((9, 0, 0, 0), (0, 5, 3, 0), (20, 20, 20, 20), (0, 0, 0, 40)):
        np.testing.assert_array_equal(borders.cut(framed(*sides, value)), FILM)


def test_a_white_frame_around_a_black_one_and_letters_in_it():
    inner = framed(8, 8, 30, 8, 0)
    inner[40:46, 8:12] = 255  # a letter: a small part of its columns
    both = framed(12, 12, 12, 12, 255, inner)
    np.testing.assert_array_equal(borders.cut(both), FILM)


def test_what_is_no_border_stays():
    noisy = np.random.default_rng(0).integers(0, 40, (64, 64)).astype(np.uint8)
    dark = np.zeros((64, 64), np.uint8)
    dark[30:34, 30:34] = 99  # less than half of a side would be left
    for image in (FILM, noisy, dark, np.zeros((20, 30), np.uint8)):
        np.testing.assert_array_equal(borders.cut(image), image)


def test_borders_are_cut_before_resizing_and_equalizing():
    image = framed(10, 6, 4, 8, 0)
    for tone in pixels.EQUALIZE:
        wanted = "borders" + "+" * bool(tone) + tone
        found = pixels.prepare(image, 48, wanted)
        np.testing.assert_array_equal(found, pixels.prepare(FILM, 48, tone))
