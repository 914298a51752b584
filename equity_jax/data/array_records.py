"""A tfds data set written in order, in array_record and without TensorFlow.

A tfds GeneratorBasedBuilder shuffles its records, and beyond one gigabyte it does so by
files of TensorFlow's; a SequentialWriter takes data of any length in any memory.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core.dataset_info import DatasetIdentity

SPLIT = "images"


def write_in_order(
    folder: Path,
    named: tuple[str, str],
    description: str,
    features: Mapping[str, Any],
    examples: Iterable[Sequence[Mapping[str, Any]]],
    shard: int,
) -> None:
    """Records to `folder`, which exists; the only split is SPLIT.

    named: name and version; features: of tfds; examples: in pieces of any length;
    shard: records in a file.

    Example:
        >>> words = {"word": tfds.features.Text()}
        >>> some = [[{"word": "a"}, {"word": "b"}]]
        >>> write_in_order(folder, ("a", "1.0.0"), "", words, some, 9)  # doctest: +SKIP
    """
    name, version = named
    identity = DatasetIdentity(name, tfds.core.Version(version), str(folder), __name__)
    info = tfds.core.DatasetInfo(
        builder=identity,
        description=description,
        features=tfds.features.FeaturesDict(features),
    )
    writer = tfds.core.SequentialWriter(info, shard, file_format="array_record")
    writer.initialize_splits([SPLIT])
    for some in examples:
        writer.add_examples({SPLIT: some})
    writer.close_all()
