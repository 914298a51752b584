"""X-rays prepared once: the parts, then what makes a data set of them.

The parts lie in a hidden folder until all are there; then table and facts are written
beside the shards, and the folder gets its name. A run that was killed goes on.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from equity_jax.config import Records
from equity_jax.data import cxr_builder, image_records
from equity_jax.data.cxr_parts import SHARDS, Job, Part, Work, here
from equity_jax.data.cxr_pixels import Limit
from equity_jax.data.cxr_source import VERSION, Source
from equity_jax.files import write_csv
from equity_jax.types import InputError

QUARANTINE = "quarantine.csv"
FOLDERS = {"array_record": VERSION, "tfrecord": "tfrecord"}


def prepare(
    source: Source,
    work: Work,
    data_dir: str,
    quarantine: float,
    *,
    records: Records | None = None,
    run: Callable[[Job, Iterable[Part]], Iterable[Part]] = here,
    far: str = "",
    quiet: bool = False,
) -> tuple[Path, int, int]:
    """Prepares every image of `source` once: (folder, images, unreadable ones).

    Unreadable files are listed in data_dir/NAME/quarantine.csv, also where they are
    too many. A folder that holds the same is left as it is. work: what is made of an
    image; quarantine: the share of unreadable files that is borne; records: how the
    features of TFRecords are called (None: the usual names); run: who makes the parts,
    each near when it is given back; far: an fsspec URL for the parts, where workers
    elsewhere make them.

    Raises:
        InputError: too many unreadable files; data_dir holds another data set.

    Example:
        >>> work = Work("cxr", "array_record", 224)
        >>> prepare(find("cxr"), work, "prepared", 0.05)  # doctest: +SKIP
    """
    if source.size:
        raise InputError(f"{source.name} is prepared already; give --source its source")
    n = int((source.frame["lost"] == "").sum())
    if not n:
        raise InputError(f"{source.name}: no image is there to prepare")
    if work.kind == "tfrecord":  # other names, other files
        names = "|".join((source.fingerprint, *asdict(records or Records()).values()))
        own = hashlib.sha256(names.encode()).hexdigest()[:16]
        source = source._replace(fingerprint=own)
    target = Path(data_dir, work.name, FOLDERS[work.kind])
    lists = target.parent / QUARANTINE
    if not cxr_builder.holds(target, source, work):
        how = f"{work.size}-{work.equalize}-{work.kind}"
        near = target.parent / f".parts-{source.fingerprint}-{how}"
        (near / SHARDS).mkdir(parents=True, exist_ok=True)
        said = image_records.said if work.kind == "tfrecord" else cxr_builder.said
        told = said(source, records or Records(), work.size)
        folder = f"{far.rstrip('/')}/{near.name}" if far else str(near)
        job = Job(source, work, told, near, folder)
        limit = Limit(n, quarantine, source.name)
        try:
            _parts(job, run, limit, quiet)
        finally:
            write_csv(lists, pd.DataFrame(limit.found, columns=["file", "reason"]))
        cxr_builder.write(job)
        (near / SHARDS).rename(target)
    for old in target.parent.glob(".parts-*"):
        shutil.rmtree(old)
    return target, n, len(pd.read_csv(lists))


def _parts(job: Job, run: Callable, limit: Limit, quiet: bool) -> None:
    """Makes what is not there yet; counts what cannot be read as soon as it is near."""
    told: set[int] = set()

    def tell(part: Part) -> None:
        if part.number in told:
            return
        told.add(part.number)
        for row, reason in zip(part.rows, job.seen_of(part)["reason"], strict=True):
            limit.met(row["file"], str(reason))
        bar.update(len(part.rows))

    def todo() -> Iterator[Part]:
        for part in job.parts():
            if (job.near / part.seen).exists():  # of the run before
                tell(part)
            else:
                yield part

    with tqdm(None, "images", limit.total, disable=quiet) as bar:
        for part in run(job, todo()):
            tell(part)
        for part in job.parts():
            tell(part)
