"""Parts of X-rays that are made on other machines, and what travels there and back.

What a worker must know of a part is a small file beside the parts, since the names of
all images of a hospital are more than a job may hold. Only plain facts travel.
"""

import json
from collections.abc import Iterable
from typing import Any

import fsspec

from equity_jax.data.cxr_parts import Job, Part, Work, make
from equity_jax.data.pixels import Unreadable
from equity_jax.files import atomic
from equity_jax.types import InputError

SENT = ".json"


def send(job: Job, todo: Iterable[Part]) -> list[str]:
    """Writes what there is to do of each part; the URLs (or paths) of these files.

    Raises:
        InputError: the images are not files of their own.

    Example:
        >>> places = send(job, job.parts())  # doctest: +SKIP
    """
    if job.source.layout == "records":
        raise InputError(f"{job.source.name}: images within TFRecords; expected files")
    system, root = fsspec.core.url_to_fs(job.folder)
    system.makedirs(root, exist_ok=True)
    places = []
    for part in todo:
        places.append(f"{job.folder}/{part.number:05d}{SENT}")
        with fsspec.open(places[-1], "wt", encoding="utf-8") as file:
            json.dump(part._asdict(), file)
    return places


def work_at(place: str, images: str, work: Work, folder: str) -> None:
    """Makes the part whose rows are in the file `place`: what a worker is asked.

    images: the folder or fsspec URL below which the images are. Workers are many a
    machine, so each uses one thread. A file that is not there is unreadable; any other
    trouble with the place is an error, and the worker is asked again.

    Example:
        >>> work_at("gs://b/parts/00000.json", "gs://b", work, folder)  # doctest: +SKIP
    """
    with fsspec.open(place, "rt", encoding="utf-8") as file:
        part = Part(**json.load(file))
    system, root = fsspec.core.url_to_fs(images)

    def get(row: dict[str, Any]) -> bytes:
        try:
            return system.cat_file(f"{root}/{row['file']}")
        except FileNotFoundError as error:
            raise Unreadable(f"{row['file']}: no such file") from error

    make(part, get, work, folder, threads=1)


def fetch(job: Job) -> None:
    """Brings near what was made far away and is not here yet, shards first.

    Example:
        >>> fetch(job)  # doctest: +SKIP
    """
    if job.folder == str(job.near):
        return
    system, root = fsspec.core.url_to_fs(job.folder)
    for path in sorted(system.find(root), reverse=True):
        here = job.near / path.removeprefix(root).lstrip("/")
        if here.suffix != SENT and not here.exists():
            with atomic(here) as temporary:
                system.get_file(path, str(temporary))
