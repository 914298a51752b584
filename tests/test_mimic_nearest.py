"""The nearest record of the same patient, held against all of them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from equity_jax.data.mimic_nearest import nearest

moment = st.integers(0, 40)
stays = st.lists(
    st.tuples(st.sampled_from("abc"), moment, st.integers(0, 9)), max_size=9
)


@settings(max_examples=60, deadline=None)
@given(stays, st.lists(st.tuples(st.sampled_from("abcd"), moment), max_size=6))
def test_nearest_is_the_nearest(records, questions):
    who, day = (
        np.array([q[i] for q in questions], t) for i, t in ((0, "U1"), (1, int))
    )
    subject, start, length = (
        np.array([r[i] for r in records], t) for i, t in ((0, "U1"), (1, int), (2, int))
    )
    found = nearest(who, day, subject, start, start + length)
    for n, (name, when) in enumerate(questions):
        away = [
            (max(s - when, when - s - more, 0), s, row)
            for row, (other, s, more) in enumerate(records)
            if other == name
        ]
        expected = min(away) if away else (0, 0, -1)
        assert (found.days[n], found.row[n]) == (expected[0], expected[2])
