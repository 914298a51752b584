"""Names become values: literals only, and mistakes are said in one line."""

import pytest

from equity_jax.registry import Registry
from equity_jax.types import InputError


def scale(base, factor=1.0, *, shift=0):
    """A factory that takes something from the caller first."""
    return base * factor + shift


@pytest.fixture
def shelf():
    return Registry("method", {"twice": lambda x=1: 2 * x, "words": lambda *w: w})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("twice", 2),
        ("twice()", 2),
        ("twice(4)", 8),
        (" twice( x = -4 ) ", -8),
        ("twice(2.5)", 5.0),
        ("words", ()),
        ("words('full', 2, (1, 2))", ("full", 2, (1, 2))),
    ],
)
def test_a_name_with_literals(shelf, text, value):
    assert shelf.get(text) == value


def test_the_callers_arguments_come_first():
    shelf = Registry("scale", {"scale": scale})
    assert shelf.get("scale", 10) == 10
    assert shelf.get("scale(2, shift=1)", 10) == 21


@pytest.mark.parametrize("text", ["thrice", "Twice", "thrice(2)", "__class__"])
def test_an_unknown_name_lists_the_known_ones(shelf, text):
    with pytest.raises(InputError, match="unknown method .*; known: twice, words"):
        shelf.get(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "twice(",
        "twice(1)(2)",
        "1",
        "a b",
        "twice.x",
        "twice(full)",
        "(lambda: 1)()",
    ],
)
def test_what_cannot_be_read_is_said(shelf, text):
    with pytest.raises(InputError, match="cannot be read; write name or name"):
        shelf.get(text)


@pytest.mark.parametrize("text", ["twice(1, 2)", "twice(y=1)", "twice(**{'x': 1})"])
def test_wrong_arguments_are_said(shelf, text):
    with pytest.raises(InputError, match="^method .*twice"):
        shelf.get(text)


def test_nothing_is_evaluated(shelf, tmp_path):
    trap = tmp_path / "trap"
    with pytest.raises(InputError):
        shelf.get(f"twice(open({str(trap)!r}, 'w'))")
    assert not trap.exists()


def test_an_error_inside_a_factory_is_not_hidden():
    shelf = Registry("method", {"broken": lambda: [][0]})
    with pytest.raises(IndexError):
        shelf.get("broken")


def test_it_is_a_plain_dict_beside(shelf):
    assert sorted(shelf) == ["twice", "words"] and "twice" in shelf
    assert shelf["twice"](3) == 6 and shelf.noun == "method"
