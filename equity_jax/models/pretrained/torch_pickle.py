"""Reads a pickle without running it: a small machine that builds plain values only.

A pickle is a program; Python's own machine imports and calls whatever the program
names. This one knows a list of names (torch_values.py), each of which stands for a
function of ours that makes a plain value. Nothing is imported, and any other name is
refused before anything is made of it. Operations are told apart by the standard
library's `pickletools`, which only parses.
"""

import pickletools
from collections.abc import Callable
from typing import Any

from equity_jax.models.pretrained.torch_values import (
    STORAGES,
    Known,
    Shell,
    Storage,
    known,
    mapping,
)
from equity_jax.types import InputError

MANY = 10_000_000  # values copied by one pickle


def unpickle(stream: Any, file: str, storages: dict[str, Storage] | None = None) -> Any:
    """One pickle from a binary stream, which is left just behind it.

    storages: filled with every storage that the pickle names, under its key.
    Returns None, bool, numbers, text, lists, tuples, dicts, Tensor and Shell.

    Raises:
        InputError: a name that is not on the list (given in full), an operation that
            plain values do not need, a damaged pickle.

    Example:
        >>> import io, pickle
        >>> unpickle(io.BytesIO(pickle.dumps({"a": 1}, 2)), "x.pt")
        {'a': 1}
    """
    machine = _Machine(file, {} if storages is None else storages)
    try:
        for operation, argument, _ in pickletools.genops(stream):
            machine.step(operation.name, argument)
        return machine.stack.pop()
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise InputError(f"{file} is damaged: its pickle ends in nonsense") from error


class _Machine:
    """The stack, the memo, and what each operation does to them."""

    def __init__(self, file: str, storages: dict[str, Storage]):
        self.file, self.storages, self.copied = file, storages, 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        if name in _PUSH:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name not in ("PROTO", "FRAME", "STOP"):
            action = getattr(self, f"on_{name.lower()}", None)
            if action is None:
                raise self.refused(name)
            action(argument)

    def since_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def find(self, name: str) -> Any:
        found = known(name)
        if found is None:
            raise self.refused(name)
        return found

    def refused(self, name: str) -> InputError:
        shown = ascii(name[:100])[1:-1]  # a name may hold anything
        return InputError(f"{self.file} asks for {shown}; {_WHY}")

    def call(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, Known):
            raise TypeError("not a function")
        self.copied += sum(len(a) for a in arguments if isinstance(a, list | dict))
        if self.copied > MANY:
            raise ValueError("one list copied without end")
        return function.make(*arguments)

    def on_mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def on_pop(self, _: Any) -> None:
        self.stack.pop()

    def on_dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def on_memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def on_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.since_mark()))

    def on_tuple1(self, _: Any) -> None:
        self.stack[-1:] = [(self.stack[-1],)]

    def on_tuple2(self, _: Any) -> None:
        self.stack[-2:] = [(self.stack[-2], self.stack[-1])]

    def on_tuple3(self, _: Any) -> None:
        self.stack[-3:] = [(self.stack[-3], self.stack[-2], self.stack[-1])]

    def on_list(self, _: Any) -> None:
        self.stack.append(self.since_mark())

    def on_append(self, _: Any) -> None:
        value = self.stack.pop()
        self.stack[-1].append(value)

    def on_appends(self, _: Any) -> None:
        items = self.since_mark()
        self.stack[-1].extend(items)

    on_additems = on_appends  # a set is kept as a list

    def on_dict(self, _: Any) -> None:
        items = self.since_mark()
        self.stack.append(mapping(zip(items[::2], items[1::2], strict=True)))

    def on_setitem(self, _: Any) -> None:
        value, name = self.stack.pop(), self.stack.pop()
        self.stack[-1].update(mapping([(name, value)]))

    def on_setitems(self, _: Any) -> None:
        items = self.since_mark()
        self.stack[-1].update(mapping(zip(items[::2], items[1::2], strict=True)))

    def on_global(self, argument: str) -> None:
        self.stack.append(self.find(argument.replace(" ", ".")))

    def on_stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("a name is text")
        self.stack.append(self.find(f"{module}.{name}"))

    def on_reduce(self, _: Any) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self.call(self.stack[-1], arguments)

    on_newobj = on_reduce

    def on_build(self, _: Any) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Shell) and isinstance(state, dict):
            self.stack[-1].state = state  # else: an OrderedDict's own extras

    def on_binpersid(self, _: Any) -> None:
        parts = self.stack.pop()
        if parts[0] == "module":  # old whole networks: the class and its source text
            self.stack.append(parts[1])
            return
        storage = Storage(parts[1], parts[2], parts[4])
        text, number = isinstance(parts[2], str), isinstance(parts[4], int)
        known_type = isinstance(parts[1], str) and parts[1] in STORAGES.values()
        if not (text and number and known_type) or any(parts[5:]):
            raise ValueError("not a storage")
        self.storages[storage.key] = storage
        self.stack.append(storage)


_WHY = "nothing in a file is ever run. Tensors alone are read: save its state_dict()"
_PUSH = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_DICT": dict,
}
