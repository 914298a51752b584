"""Where embeddings lie: the files of a folder or of any fsspec URL, and their layout.

The list of files is SHA256SUMS.txt, as PhysioNet ships it (hash, path), where there is
one: what it does not name is not read. Otherwise it is what the folder holds, at any
depth.
"""

import contextlib
import hashlib
import posixpath
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import fsspec

from equity_jax.config import Embeddings
from equity_jax.data.cxr_source import LICENSE, MADE_UP
from equity_jax.data.embedding_records import name_of
from equity_jax.types import InputError

SUMS = "SHA256SUMS.txt"
CHUNK = 2048  # small files of a unit: what is read again after a kill
WHOLE = 64 << 20  # bytes of a unit; a larger file is one of its own, and streamed
ABSENT = -1
LAYOUTS = {
    "prepared": "the --data_dir of scripts.prepare",
    "physionet": "files/pNN/pSUBJECT/sSTUDY/DICOM.tfrecord",
    "shards": "*.tfrecord* files of one or many records",
    "npz": "*.npz files",
}


class Listed(NamedTuple):
    """One file. path: below the source's root; size: in bytes, or ABSENT; sha: as
    SHA256SUMS.txt says.
    """

    path: str
    size: int
    sha: str = ""


class Place(NamedTuple):
    """Files to read. root: of `system`, an fsspec file system; unlisted: how many
    embeddings lie there that SHA256SUMS.txt does not name.
    """

    source: str
    system: Any
    root: str
    layout: str
    files: tuple[Listed, ...]
    fingerprint: str
    unlisted: int = 0

    @property
    def single(self) -> bool:
        """Whether a file is one image: then the number of embeddings is known."""
        return self.layout == "physionet"

    @property
    def total(self) -> int | None:
        """How many embeddings there should be, if that is known beforehand."""
        return len(self.files) if self.single else None

    @property
    def missing(self) -> list[Listed]:
        """The files that are listed, but not there."""
        return [file for file in self.files if file.size == ABSENT]

    def units(self) -> Iterator[list[Listed]]:
        """Files that are read together: many small ones, or one that is large."""
        held: list[Listed] = []
        size = 0
        for file in self.files:
            if file.size == ABSENT:
                continue
            if held and (len(held) == CHUNK or size + file.size > WHOLE):
                yield held
                held, size = [], 0
            held.append(file)
            size += file.size
        if held:
            yield held

    def open(self, file: Listed) -> BinaryIO:
        """The file's bytes."""
        return self.system.open(posixpath.join(self.root, file.path), "rb")


def find(source: str, options: Embeddings) -> Place:
    """The files of `source`: a folder, a file or an fsspec URL.

    Raises:
        InputError: nothing is there, or nothing of the layout.

    Example:
        >>> find("gs://bucket/embeddings", Embeddings()).layout  # doctest: +SKIP
        'physionet'
    """
    if options.layout not in ("auto", *LAYOUTS):
        known = ", ".join(("auto", *LAYOUTS))
        raise InputError(
            f"data.embeddings.layout={options.layout!r} is unknown; known: {known}"
        )
    with readable(source):
        system, root = fsspec.core.url_to_fs(source)
        there = _there(system, root)
        text = _text(system, root, SUMS) if SUMS in there else ""
    if not there:
        raise InputError(f"{source} does not exist, or holds no file")
    sums = _sums(text, f"{source}/{SUMS}")
    files = [Listed(path, there.get(path, ABSENT), sha) for path, sha in sums.items()]
    files = files or [Listed(path, size) for path, size in there.items()]
    layout = _layout(source, files, options.layout)
    files = sorted(file for file in files if kind(file.path) == layout)
    seen = sum(kind(path) == layout for path in there)
    unlisted = seen - sum(file.size != ABSENT for file in files)
    root = posixpath.dirname(root) if system.isfile(root) else root
    said = "\n".join([options.key, layout, *map(str, files)])
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    return Place(source, system, root, layout, tuple(files), digest, unlisted)


def remarks(place: Place) -> tuple[str, ...]:
    """Sentences about what lies beside the embeddings: files that SHA256SUMS.txt does
    not name, and a license that calls them SIMULATED.
    """
    said = []
    if place.unlisted:
        said.append(f"{place.unlisted:,} files are not in {SUMS} and not read.")
    there = place.system.exists(posixpath.join(place.root, LICENSE))
    if there and _text(place.system, place.root, LICENSE).startswith(MADE_UP):
        said.append(f"{MADE_UP} embeddings, as their {LICENSE} says.")
    return tuple(said)


@contextlib.contextmanager
def readable(source: str) -> Iterator[None]:
    """An InputError for what a file system cannot do: no such place, no permission,
    a protocol that is unknown or not installed.
    """
    try:
        yield
    except (OSError, ImportError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        why = str(error).split("\n")[0] or type(error).__name__
        raise InputError(f"{source} cannot be read: {why}") from error


def kind(path: str) -> str:
    """The layout of one file by its name; "" = no embedding.

    Example:
        >>> kind("files/p10/p1/s2/a.tfrecord"), kind("a.tfrecord-00000-of-00002")
        ('physionet', 'shards')
    """
    last = posixpath.basename(path)
    if last.startswith("."):
        return ""
    if last.endswith(".npz"):
        return "npz"
    if ".tfrecord" not in last:
        return ""
    return "physionet" if name_of(path).subject else "shards"


def _layout(source: str, files: list[Listed], wanted: str) -> str:
    found = {kind(file.path) for file in files}
    names = [n for n in LAYOUTS if n in found and wanted in ("auto", n)]
    if not names:
        expected = LAYOUTS.get(wanted) or " or ".join(LAYOUTS.values())
        raise InputError(f"{source}: no embeddings; expected {expected}")
    return names[0]


def _there(system: Any, root: str) -> dict[str, int]:
    """Path below the root -> bytes, of every file; of a file itself: its name."""
    found = system.find(root, detail=True)
    top = posixpath.dirname(root) if set(found) == {root} else root
    start = len(top.rstrip("/")) + 1
    return {path[start:]: int(facts["size"]) for path, facts in found.items()}


def _text(system: Any, root: str, name: str) -> str:
    return system.cat_file(posixpath.join(root, name)).decode("utf-8", "replace")


def _sums(text: str, where: str) -> dict[str, str]:
    """Path -> hash. The licence and other files that are no embeddings are left out."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        sha, _, path = line.strip().partition(" ")
        path = path.strip().removeprefix("*").removeprefix("./")
        if not path or not kind(path):
            continue
        if ".." in path.split("/") or path.startswith("/"):
            raise InputError(f"{where}, line {number}: {path} lies outside the folder")
        found[path] = sha.lower()
    return found
