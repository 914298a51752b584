"""What a checkpoint expects of the model that takes it: pixels, channels, style."""

from typing import Any, NamedTuple

from equity_jax.models.pretrained.fit import family, placed_in
from equity_jax.models.pretrained.readers import Checkpoint

STEMS = (("params", "stem", "conv", "kernel"), ("params", "stage1", "conv1", "kernel"))


class Expected(NamedTuple):
    """outputs: the head's own width (0: it has none); options: the factory's words."""

    outputs: int
    options: dict[str, Any]


def expects(checkpoint: Checkpoint, arch: str, *, whole: bool = False) -> Expected:
    """The factory's arguments with which the network is the one that was trained.

    normalize: "imagenet" for torchvision and for DenseNets of Keras Applications,
    "caffe" for their VGGs and ResNets, "xrv" for torch DenseNets and ResNets of one
    input channel (torchxrayvision), as their own preprocessing functions do; channels:
    the file's; style and eps: as the maker's layers have them. `channels=1` instead is
    fine: the stem is then summed. whole: also the fully connected layers of a VGG that
    has them.

    Example:
        >>> expects(read("xrv.pt"), "densenet121").options  # doctest: +SKIP
        {'normalize': 'xrv', 'channels': 1}
    """
    if checkpoint.kind == "ours":
        options = dict(checkpoint.facts["options"])
        if not whole:
            options.pop("top", None)
        return Expected(checkpoint.facts["outputs"], options)
    kind, keras = family(arch), checkpoint.kind == "keras"
    placed = placed_in(checkpoint, kind)
    stem = next((placed[path] for path in STEMS if path in placed), None)
    channels = 3
    if stem is not None:
        channels = checkpoint.arrays[stem].shape[2 if keras else 1]
    normalize = "caffe" if keras and kind != "densenet" else "imagenet"
    if not keras and channels == 1 and not kind.startswith("vgg"):
        normalize = "xrv"
    options: dict[str, Any] = {"normalize": normalize, "channels": channels}
    if keras:
        options |= {"eps": 1.001e-5} if kind == "densenet" else {"style": "keras"}
    if whole and ("params", "fc", "fc1", "kernel") in placed:
        options["top"] = True
    head = placed.get(("params", "head", "dense", "kernel"))
    outputs = 0
    if head is not None:
        outputs = checkpoint.arrays[head].shape[1 if keras else 0]
    return Expected(outputs, options)
