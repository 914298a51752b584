"""torchvision's names (and its followers') -> our paths.

A rule is a pattern of a module's dotted name, and what it is here. What a leaf of a
module is called follows from its rank: a `weight` of one dimension is a norm's scale.
"""

import re
from collections.abc import Callable, Mapping

from equity_jax.types import Path

Rule = tuple[str, Callable[..., str]]
WRAPPERS = re.compile(
    r"^(?:module|model|state_dict|backbone|encoder|net|network|_orig_mod"
    r"|densenet121|densenet201|resnet50|resnet101|vgg19|vgg19_bn)\."
)
HEAD = r"(?:classifier|fc|linear|head)(?:\.\d)?"
DENSENET: tuple[Rule, ...] = (
    (r"features\.(conv|norm)0", lambda kind: f"stem/{kind}"),
    (
        r"features\.denseblock(\d+)\.denselayer(\d+)\.(norm|conv)\.?(\d)",
        lambda block, layer, kind, i: f"dense{block}/layer{layer}/{kind}{i}",
    ),
    (
        r"features\.transition(\d+)\.(norm|conv)",
        lambda i, kind: f"transition{i}/{kind}",
    ),
    (r"features\.norm5", lambda: "norm"),
    (HEAD, lambda: "head/dense"),
)
RESNET: tuple[Rule, ...] = (
    (r"conv1", lambda: "stem/conv"),
    (r"bn1", lambda: "stem/norm"),
    (
        r"layer(\d+)\.(\d+)\.conv(\d)",
        lambda stage, block, i: f"stage{stage}/block{int(block) + 1}/conv{i}",
    ),
    (
        r"layer(\d+)\.(\d+)\.bn(\d)",
        lambda stage, block, i: f"stage{stage}/block{int(block) + 1}/norm{i}",
    ),
    (
        r"layer(\d+)\.(\d+)\.(?:downsample|shortcut)\.([01])",
        lambda stage, block, i: (
            f"stage{stage}/block{int(block) + 1}/{('proj', 'proj_norm')[int(i)]}"
        ),
    ),
    (HEAD, lambda: "head/dense"),
)
LEAVES = {
    "bias": ("params", "bias"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
}
SILENT = "num_batches_tracked"  # a counter that nothing reads


def vgg(norm: bool, convs: tuple[int, ...] = (2, 2, 4, 4, 4)) -> tuple[Rule, ...]:
    """Rules of a VGG, whose convolutions are numbered with everything between them.

    Example:
        >>> vgg(False)[1][1]()
        'stage1/conv2'
    """
    rules, at = [], 0
    for stage, n in enumerate(convs, 1):
        for i in range(1, n + 1):
            kinds = ("conv", "norm") if norm else ("conv",)
            for step, kind in enumerate(kinds):
                target = f"stage{stage}/{kind}{i}"
                rules.append((rf"features\.{at + step}", lambda t=target: t))
            at += 3 if norm else 2  # convolution, (norm,) relu
        at += 1  # pooling
    rules.append((r"classifier\.0", lambda: "fc/fc1"))
    rules.append((r"classifier\.3", lambda: "fc/fc2"))
    rules.append((r"classifier(?:\.6)?|fc|head", lambda: "head/dense"))
    return tuple(rules)


FAMILIES: Mapping[str, tuple[Rule, ...]] = {
    "densenet": DENSENET,
    "resnet": RESNET,
    "vgg19": vgg(False),
    "vgg19_bn": vgg(True),
}


def bare(name: str) -> str:
    """Without what wrappers put before a name.

    Example:
        >>> bare("state_dict.module.features.conv0.weight")
        'features.conv0.weight'
    """
    while True:
        shorter = WRAPPERS.sub("", name)
        if shorter == name:
            return name
        name = shorter


def place(name: str, rank: int, family: str) -> Path | None:
    """Where an array of a state_dict belongs; None: nowhere in this family.

    Example:
        >>> place("module.layer1.0.bn1.running_mean", 1, "resnet")
        ('batch_stats', 'stage1', 'block1', 'norm1', 'mean')
    """
    module, _, leaf = bare(name).rpartition(".")
    here = found(module, FAMILIES.get(family, ()))
    if leaf == "weight":
        top, last = "params", "scale" if rank == 1 else "kernel"
    elif leaf in LEAVES:
        top, last = LEAVES[leaf]
    else:
        return None
    return None if here is None else (top, *here.split("/"), last)


def found(name: str, rules: tuple[Rule, ...]) -> str | None:
    """The path that the first fitting rule gives.

    Example:
        >>> found("features.norm0", DENSENET)
        'stem/norm'
    """
    for pattern, target in rules:
        match = re.fullmatch(pattern, name)
        if match:
            return target(*match.groups())
    return None
