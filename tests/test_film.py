"""One function of bytes: the pixels are those of whoever reads the original."""

import numpy as np
import pytest
from xrays import odd, picture, save

from equity_jax.data import film, lookalikes, pixels


@pytest.mark.parametrize("equalize", ["", "clahe", "borders+global"])
def test_a_film_holds_what_reading_gives(equalize, tmp_path):
    image = np.pad(picture(5, 90).clip(30, 220), 12)
    data = save(tmp_path / "a.png", image).read_bytes()
    made = film.film(data, "a.png", 48, equalize)
    wanted = pixels.read(data, "a.png", 48, equalize)
    np.testing.assert_array_equal(pixels.decode(made.png, "a"), wanted)
    plain = pixels.read(data, "a.png", 48, "borders" * ("borders" in equalize))
    np.testing.assert_array_equal(made.thumb, lookalikes.thumbnail(plain))
    assert made.facts == (114, 114, "L") and made.reason == ""
    again = film.film(data, "a.png", 48, equalize)
    assert again.png == made.png


def test_what_cannot_be_read_has_a_reason(tmp_path):
    for name, why in odd(tmp_path).items():
        with pytest.raises(pixels.Unreadable, match=why or name):
            film.film((tmp_path / name).read_bytes(), name, 48)
    lost = film.lost("an empty file")
    assert (lost.png, lost.reason, lost.thumb.shape) == (b"", "an empty file", (32, 32))
