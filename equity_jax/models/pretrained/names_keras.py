"""Keras Applications' names -> our paths; layers of a `cnn` keep their own names.

A head may be called anything: the one dense layer that no rule knows is the head.
"""

from collections.abc import Collection, Mapping

from equity_jax.models.pretrained.names_torch import Rule, found
from equity_jax.types import Array, Path

HEAD: Rule = (r"predictions|head", lambda: "head/dense")
STEM: tuple[Rule, ...] = (
    (r"conv1_conv", lambda: "stem/conv"),
    (r"conv1_bn", lambda: "stem/norm"),
)
DENSE_LAYER = {"0_bn": "norm1", "1_conv": "conv1", "1_bn": "norm2", "2_conv": "conv2"}
FAMILIES: Mapping[str, tuple[Rule, ...]] = {
    "densenet": (
        *STEM,
        (
            r"conv(\d)_block(\d+)_(0_bn|1_conv|1_bn|2_conv)",
            lambda i, j, kind: f"dense{int(i) - 1}/layer{j}/{DENSE_LAYER[kind]}",
        ),
        (r"pool(\d)_bn", lambda i: f"transition{int(i) - 1}/norm"),
        (r"pool(\d)_conv", lambda i: f"transition{int(i) - 1}/conv"),
        (r"bn", lambda: "norm"),
        HEAD,
    ),
    "resnet": (
        *STEM,
        (
            r"conv(\d)_block(\d+)_0_conv",
            lambda i, j: f"stage{int(i) - 1}/block{j}/proj",
        ),
        (
            r"conv(\d)_block(\d+)_0_bn",
            lambda i, j: f"stage{int(i) - 1}/block{j}/proj_norm",
        ),
        (
            r"conv(\d)_block(\d+)_(\d)_conv",
            lambda i, j, k: f"stage{int(i) - 1}/block{j}/conv{k}",
        ),
        (
            r"conv(\d)_block(\d+)_(\d)_bn",
            lambda i, j, k: f"stage{int(i) - 1}/block{j}/norm{k}",
        ),
        HEAD,
    ),
    "vgg19": (
        (r"block(\d)_conv(\d)", lambda i, j: f"stage{i}/conv{j}"),
        (r"fc([12])", lambda i: f"fc/fc{i}"),
        HEAD,
    ),
}
LEAVES = {
    "kernel": ("params", "kernel"),
    "bias": ("params", "bias"),
    "gamma": ("params", "scale"),
    "beta": ("params", "bias"),
    "moving_mean": ("batch_stats", "mean"),
    "moving_variance": ("batch_stats", "var"),
}


def places(
    arrays: Mapping[str, Array], family: str, blocks: Collection[str]
) -> dict[str, Path]:
    """Where each array of "LAYER/variable" belongs; those that belong nowhere are out.

    blocks: the model's own, which name the layers of a `cnn`.

    Example:
        >>> places({"conv1_bn/gamma": np.ones(1)}, "densenet", ())
        {'conv1_bn/gamma': ('params', 'stem', 'norm', 'scale')}
    """
    rules = FAMILIES.get(family, ())
    layers: dict[str, str | None] = {}
    for name in arrays:
        layer = name.rpartition("/")[0]
        layers[layer] = layer if layer in blocks else found(layer, rules)
    strangers = [n for n, to in layers.items() if to is None and _dense(n, arrays)]
    if len(strangers) == 1 and "head/dense" not in layers.values():
        layers[strangers[0]] = "head/dense"
    placed = {}
    for name in arrays:
        layer, _, variable = name.rpartition("/")
        to = layers[layer]
        if to is not None and variable in LEAVES:
            top, last = LEAVES[variable]
            placed[name] = (top, *to.split("/"), last)
    return placed


def _dense(layer: str, arrays: Mapping[str, Array]) -> bool:
    kernel = arrays.get(f"{layer}/kernel")
    return kernel is not None and kernel.ndim == 2
