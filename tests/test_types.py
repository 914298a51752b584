"""The nouns: arrays in, arrays out, and the two places where they compute."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equity_jax import nouns, types
from equity_jax.types import Batch, Counted, Counts, Dataset, InputError, Spec, State


def spec(**changes) -> Spec:
    fields = {
        "name": "toy",
        "task": "binary",
        "features": ("age",),
        "targets": ("y",),
        "classes": ("no", "yes"),
        "group": "race",
        "groups": ("White", "Black", "Asian"),
        "reference": "White",
        "unit": "patient",
        "simulated": True,
        "fingerprint": "0",
    }
    return Spec(**{**fields, **changes})


def dataset(race: list[str], **changes) -> Dataset:
    n = len(race)
    return Dataset(
        spec=spec(**changes),
        x=np.zeros((n, 1), np.float32),
        y=np.zeros((n, 1)),
        mask=np.ones((n, 1), np.float32),
        attributes={"race": np.array(race), "sex": np.array(["F"] * n)},
        split=np.zeros(n, np.int8),
        id=np.array([str(i) for i in range(n)]),
        patient=np.arange(n),
    )


def test_groups_are_coded_in_their_order_and_the_rest_is_minus_one():
    group = dataset(["Asian", "", "White", "Unknown", "Black"]).group
    assert group.tolist() == [2, -1, 0, -1, 1] and group.dtype == np.int32
    assert dataset(["x", "y"], group="sex", groups=("F",)).group.tolist() == [0, 0]


def test_a_code_of_minus_one_reaches_the_last_slot_of_a_table():
    table = jnp.arange(4.0)  # three groups and "not recorded"
    codes = dataset(["Asian", "", "White"]).group
    assert table[codes].tolist() == [2.0, 3.0, 0.0]


def test_counts_by_class_and_group():
    table = np.arange(12.0).reshape(1, 3, 4)  # K=1, C=2, G=3, and the last slots
    counts = Counts(table)
    assert counts.n.shape == (1, 2, 3) and counts.n[0, 1, 2] == 6
    assert counts.by_class.tolist() == [[0 + 1 + 2 + 3, 4 + 5 + 6 + 7]]
    assert counts.by_group.tolist() == [[0 + 4 + 8, 1 + 5 + 9, 2 + 6 + 10]]


def test_a_batch_of_counts_is_a_tree_that_vmaps():
    column = jnp.ones((4, 1))
    y = Counted(column, column * 2, column * 9, column * 0)
    rows = jnp.arange(4)
    batch = Batch(column, y, column, rows, column[:, 0], rows)
    total = jax.jit(jax.vmap(lambda b: b.y.high.sum() + b.weight))(batch)
    assert total.tolist() == [3.0] * 4


def test_a_state_holds_arrays_only_and_passes_through_jit():
    zero = jnp.zeros(())
    state = State(zero, jax.random.key(0), {"w": zero}, {}, (), zero)
    later = jax.jit(lambda s: s.replace(step=s.step + 1))(state)
    assert later.step == 1 and len(jax.tree.leaves(state)) == 4


def test_bad_input_is_a_value_error():
    with pytest.raises(ValueError, match="line 3"):
        raise InputError("x.csv, line 3: expected a count")


def test_the_split_codes_are_the_published_ones():
    assert types.SPLITS == {"train": 0, "valid": 1, "test": 2}
    assert types.LEFT_OUT == -1


def test_every_noun_says_what_its_fields_are():
    found = [
        noun
        for module in (types, nouns)
        for _, noun in inspect.getmembers(module, inspect.isclass)
        if noun.__module__ == module.__name__ and hasattr(noun, "_fields")
    ]
    assert len(found) >= 12
    for noun in found:
        # A NamedTuple without a docstring of its own gets "Name(field, ...)".
        assert not noun.__doc__.startswith(noun.__name__ + "("), noun
