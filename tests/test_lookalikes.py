"""The same picture is found in other clothes; other pictures are not."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equity_jax.config import Phantom
from equity_jax.data import lookalikes, phantom, pixels


@pytest.fixture(scope="module")
def drawn():
    return phantom.draw(Phantom(patients=40, size=96), 0)[0]


def thumbs(images):
    return np.stack([lookalikes.thumbnail(image) for image in images])


def clothes(image):
    """One picture re-encoded, scaled, made brighter, and with more contrast."""
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes()
    larger = cv2.resize(image, (250, 180), interpolation=cv2.INTER_LINEAR)
    brighter = cv2.convertScaleAbs(image, alpha=0.8, beta=30)
    return [pixels.decode(jpeg, "x.jpg"), larger, brighter]


def test_a_picture_is_found_in_other_clothes(drawn):
    copies = clothes(drawn[5])
    found = lookalikes.pairs(thumbs([*drawn, *copies]), 4)
    n = len(drawn)
    linked = {(5, n), (5, n + 1), (5, n + 2), (n, n + 1), (n, n + 2), (n + 1, n + 2)}
    assert linked == {tuple(pair) for pair in found.tolist()}
    assert not len(lookalikes.pairs(thumbs(drawn), -1))


def test_other_phantoms_are_other_pictures(drawn):
    assert not len(lookalikes.pairs(thumbs(drawn), 8))


def test_blocks_change_nothing(drawn, monkeypatch):
    some = thumbs([*drawn[:20], *clothes(drawn[3]), *drawn[:20]])
    whole = lookalikes.pairs(some, 10, similar=0.5)
    monkeypatch.setattr(lookalikes, "BLOCK", 16)
    np.testing.assert_array_equal(lookalikes.pairs(some, 10, similar=0.5), whole)
    codes = lookalikes.hashes(some)
    near = np.bitwise_count(codes[:, None] ^ codes) <= 10
    assert len(whole) <= np.triu(near, 1).sum() and len(whole) >= 20


def test_the_hash_is_the_cosine_transform_s(drawn):
    image = lookalikes.thumbnail(drawn[0])
    low = cv2.dct(image.astype(np.float32))[:8, :8]
    low = low * np.where(np.arange(8) == 0, np.sqrt(2), 1)  # cv2's is orthonormal
    low = low * np.where(np.arange(8) == 0, np.sqrt(2), 1)[:, None]
    bits = (low > np.median(low.ravel()[1:])).ravel()
    assert np.packbits(bits).view(np.uint64)[0] == lookalikes.hashes(image[None])[0]


def test_even_images_and_nobody():
    even = np.zeros((2, 32, 32), np.uint8)
    assert lookalikes.pairs(even, 0).tolist() == [[0, 1]]
    even[1] = 9
    assert not len(lookalikes.pairs(even, 0))
    assert lookalikes.pairs(even[:0], 4).shape == (0, 2)


LINKS = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=15)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=20, max_size=20), LINKS)
def test_together_is_the_closure_of_patients_and_links(patient, links):
    alike = np.array(links, np.int64).reshape(-1, 2)
    made = lookalikes.together(np.array(patient), alike)
    for a, b in links:
        assert made[a] == made[b]
    for value in set(patient):
        assert len({made[i] for i, p in enumerate(patient) if p == value}) == 1
    if not links:
        assert len(set(made.tolist())) == len(set(patient))
