"""Names become values here: an explicit dict whose keys can take arguments."""

import ast
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from equity_jax.types import InputError


def spelled(name: str, named: Mapping[str, Any]) -> str:
    """A registry string of a name and named arguments; `get` reads it back.

    Example:
        >>> spelled("focal", {"gamma": 2.0})
        'focal(gamma=2.0)'
    """
    return f"{name}({', '.join(f'{k}={v!r}' for k, v in named.items())})"


class Registry(dict[str, Callable[..., Any]]):
    """A shelf of factories. `get("focal(2.0)")` calls `self["focal"](2.0)`.

    Arguments are Python literals, positional or by name; nothing is evaluated.

    Raises:
        InputError: an unknown name (the known ones are listed) or bad arguments.

    Example:
        >>> shelf = Registry("method", {"twice": lambda x=1: 2 * x})
        >>> shelf.get("twice"), shelf.get("twice(4)")
        (2, 8)
    """

    def __init__(self, noun: str, entries: dict[str, Callable[..., Any]]):
        super().__init__(entries)
        self.noun = noun

    def get(self, text: str, *args: Any) -> Any:  # type: ignore[override]
        """The value that `text` names; `args` come before the literal arguments."""
        name, literals, named = self.parse(text)
        factory = self[name]
        try:
            bound = inspect.signature(factory).bind(*args, *literals, **named)
        except TypeError as error:
            raise InputError(f"{self.noun} {text!r}: {error}") from error
        return factory(*bound.args, **bound.kwargs)

    def parse(self, text: str) -> tuple[str, list[Any], dict[str, Any]]:
        """Splits "name(1, b=2)" into ("name", [1], {"b": 2}) and checks the name."""
        try:
            node = ast.parse(text.strip(), mode="eval").body
            call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
            name = call.func.id  # type: ignore[attr-defined]
            literals = [ast.literal_eval(a) for a in call.args]
            named = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
        except (SyntaxError, ValueError, AttributeError) as error:
            message = f"{self.noun} {text!r} cannot be read; write name or name(1, b=2)"
            raise InputError(message) from error
        if name not in self:
            known = ", ".join(sorted(self))
            raise InputError(f"unknown {self.noun} {name!r}; known: {known}")
        return name, literals, named
