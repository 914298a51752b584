"""Turns a checkpoint of torchvision, torchxrayvision or Keras into one of ours.

    python -m scripts.convert_weights --source=FILE --arch=densenet121 --out=DIR

FILE: .pth, .pt, .safetensors, .h5, .weights.h5 or .keras; nothing in it is executed.
ARCH: a model of the shelf, or "cnn" for a Keras model of layers in a row. The diff that
is printed (what matched, was adapted, is fresh, was left over) is kept beside the
weights as diff.txt and diff.json. A study takes DIR, or FILE itself, as its start.
"""

import json
import sys
from collections.abc import Sequence

from absl import flags

from equity_jax.train.converted import convert, load_converted
from equity_jax.types import InputError
from experiments.launch import exit_codes, parse


def main(argv: Sequence[str]) -> None:
    """Reads the flags, converts, prints the diff and what the pixels must be."""
    values = flags.FlagValues()
    for name, text in (
        ("source", "the checkpoint to read"),
        ("arch", "the model it belongs to, such as densenet121"),
        ("out", "the folder to write"),
    ):
        flags.DEFINE_string(name, None, text, flag_values=values)
    rest = parse(values, argv, __doc__, ("source", "arch", "out"))
    if rest:
        raise InputError(f"unexpected argument {json.dumps(rest[0])}")
    print(convert(values.source, values.arch, values.out))
    options = load_converted(values.out).facts["options"]
    words = ", ".join(f"{name}={value!r}" for name, value in options.items())
    print(f"in {values.out}; expects {words}")


if __name__ == "__main__":
    sys.exit(exit_codes(main))
