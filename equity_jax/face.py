"""For names that are a module and a function at once: `ej.audit(...)`, `ej.run(...)`.

Importing `equity_jax.audit` puts the module where the face has the function; so the
module itself answers a call.
"""

import sys
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """A module that passes a call on to its function of the same name."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        """See the function."""
        return getattr(self, self.__name__.rsplit(".", 1)[-1])(*args, **named)


def answer_calls(name: str) -> None:
    """Makes the module `name` callable; its last line is `answer_calls(__name__)`.

    Example:
        >>> import equity_jax.audit
        >>> callable(equity_jax.audit)
        True
    """
    sys.modules[name].__class__ = CallableModule
