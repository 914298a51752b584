"""The list: every name that a torch pickle may ask for, and what it makes here.

Tensors stay descriptions until their bytes are checked. A class of networks becomes a
`Shell`, a name with a state, so that a network that was pickled whole, as those of
torchxrayvision are, still gives up its tensors.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
NETWORKS = ("torch.nn.modules.", "torchvision.models.", "torchxrayvision.models.")


class Storage(NamedTuple):
    """A run of numbers elsewhere in the file: its type, key and length."""

    dtype: str
    key: str
    length: int


class Tensor(NamedTuple):
    """A view of a storage, in elements, as yet unread and unchecked."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Shell:
    """An object of a class that we do not have: the class's name and a state."""

    def __init__(self, name: str):
        self.name = name
        self.state: dict[str, Any] = {}


class Known(NamedTuple):
    """A name on the list, and what a call of it makes here."""

    name: str
    make: Callable[..., Any]


def _tensor(storage: Any, offset: int, shape: Any, strides: Any, *_: Any) -> Tensor:
    return Tensor(storage, offset, shape, strides)


def mapping(items: Any = ()) -> dict:
    """A dict of (key, value) pairs whose keys are text or numbers.

    Raises:
        TypeError: another key: hashing what a hostile file has nested a million deep
            would end the process.

    Example:
        >>> mapping([("a", 1)])
        {'a': 1}
    """
    found = {}
    for name, value in items:
        if not isinstance(name, str | int | float | None):
            raise TypeError("a key is text or a number")
        found[name] = value
    return found


KNOWN: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch.Size": lambda size: size,
    "torch.device": lambda *name: name,
    "collections.OrderedDict": mapping,
    "__builtin__.set": lambda *_: [],  # networks keep names of buffers in sets
    "builtins.set": lambda *_: [],
}


def known(name: str) -> Any:
    """What a name on the list stands for; None: it is not on the list.

    Example:
        >>> known("torch.FloatStorage"), known("posix.system")
        ('float32', None)
    """
    if name in KNOWN:
        return Known(name, KNOWN[name])
    short = name.removeprefix("torch.").removeprefix("cuda.")
    if name.startswith("torch.") and short in STORAGES:
        return STORAGES[short]
    if name.startswith("torch.") and short in STORAGES.values():
        return short
    if name.startswith(NETWORKS):
        return Known(name, lambda *_: Shell(name))
    return None
