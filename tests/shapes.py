"""What the tests of padded perceptrons share."""

from equity_jax.models.shaped import SHAPES


def trim(params, shape):
    """Of padded parameters those of the plain mlp of that shape."""
    widths, made = SHAPES.get(shape).widths, {}
    inputs = params["layer0"]["kernel"].shape[0]
    for i, width in enumerate(widths):
        layer = params[f"layer{i}"]
        kernel, bias = layer["kernel"][:inputs, :width], layer["bias"][:width]
        made[f"layer{i}"], inputs = {"kernel": kernel, "bias": bias}, width
    dense = params["head"]["dense"]
    dense = {**dense, "kernel": dense["kernel"][:inputs]}
    return {**made, "head": {**params["head"], "dense": dense}}
