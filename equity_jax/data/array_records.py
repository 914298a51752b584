"""A tfds data set written in order, in array_record and without TensorFlow.

A tfds GeneratorBasedBuilder shuffles its records, and beyond one gigabyte it does so by
files of TensorFlow's; a SequentialWriter takes data of any length in any memory.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
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
    info = _info(folder, named, description, features)
    writer = tfds.core.SequentialWriter(info, shard, file_format="array_record")
    writer.initialize_splits([SPLIT])
    for some in examples:
        writer.add_examples({SPLIT: some})
    writer.close_all()


def shard(name: str, number: int) -> str:
    """The file name of a shard, as tfds and its SequentialWriter give it.

    Example:
        >>> shard("cxr", 3)
        'cxr-images.array_record-00003'
    """
    return f"{name}-{SPLIT}.array_record-{number:05d}"


def write_shard(path: str | os.PathLike, payloads: Iterable[bytes]) -> None:
    """One file of records; payloads: bytes of tf.train.Example.

    Example:
        >>> write_shard(shard("cxr", 0), [example({"row": 0})])  # doctest: +SKIP
    """
    writer = ArrayRecordWriter(os.fspath(path), "group_size:1")
    for payload in payloads:
        writer.write(payload)
    writer.close()


def describe(
    folder: Path,
    named: tuple[str, str],
    description: str,
    features: Mapping[str, Any],
    lengths: Sequence[int],
    size: int,
) -> None:
    """Makes a tfds data set of the shards that are in `folder`: writes its facts.

    lengths: records of shard 0, 1, ...; size: their bytes; the rest as for
    `write_in_order`.

    Example:
        >>> describe(folder, ("a", "1.0.0"), "", words, [2], 9)  # doctest: +SKIP
    """
    info = _info(folder, named, description, features)
    info.set_file_format("array_record")
    template = tfds.core.ShardedFileTemplate(
        dataset_name=named[0],
        data_dir=folder,
        split=SPLIT,
        filetype_suffix="array_record",
        template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}",
    )
    split = tfds.core.SplitInfo(
        name=SPLIT, shard_lengths=lengths, num_bytes=size, filename_template=template
    )
    info.set_splits(tfds.core.splits.SplitDict([split]))
    info.write_to_directory(folder)


def _info(
    folder: Path,
    named: tuple[str, str],
    description: str,
    features: Mapping[str, Any],
) -> tfds.core.DatasetInfo:
    name, version = named
    identity = DatasetIdentity(name, tfds.core.Version(version), str(folder), __name__)
    return tfds.core.DatasetInfo(
        builder=identity,
        description=description,
        features=tfds.features.FeaturesDict(features),
    )
