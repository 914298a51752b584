"""Reading embeddings against what a user would write: the suite `embeddings`.

A shard of SIMULATED embeddings, as many records as asked, lies in a temporary folder
and in the machine's memory. Ours gives one matrix and the ids, every checksum verified,
every number looked at. The tfrecord package gives the same arrays one by one, without
verifying anything. What Grain reads are the raw bytes of an array_record file: nothing
is parsed. The target is for parsing alone: ids and numbers one by one, checksums
verified, no matrix, as a stream would take them. `--memory` writes, prepares and loads
the data set of --records embeddings; 240,000 are those of MIMIC-CXR.
"""

import atexit
import importlib.util
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from equity_jax.config import Embeddings
from equity_jax.data import embedding_files, embedding_parts, examples, tfrecord
from equity_jax.data.embedding_records import IMAGE, Parser
from equity_jax.keys import generator
from equity_jax.types import InputError
from scripts.benchmark.race import Contender, Suite

OURS, PARSED = "equity_jax", "equity_jax, parsing"
PEER, RAW = "tfrecord package", "array_record, raw"
RATE = 150_000  # examples a second of one core: the target
SHARD = 10_000  # records of a file, for --memory
DRAWN = 1024  # embeddings drawn at once


class Sizes(NamedTuple):
    """How much work: records of the shard, numbers of an embedding."""

    records: int = 20_000
    width: int = 1376


LEAST: dict[str, int] = {}


def build(sizes: Sizes) -> Suite:
    """The suite: ours, the tfrecord package, and array_record's raw bytes.

    Raises:
        InputError: the tfrecord package is not installed.
    """
    if importlib.util.find_spec("tfrecord") is None:
        how = "pip install 'equity_jax[bench]'"
        raise InputError(
            f"--suite=embeddings compares with tfrecord; install it: {how}"
        )
    folder = _temporary()
    shard, raw = str(folder / "a.tfrecord"), str(folder / "a.array_record")
    tfrecord.write(shard, _records(sizes, range(sizes.records)))
    _array_record(raw, (payload for _, payload in tfrecord.records(shard)))
    rates: dict[str, list[float]] = {}
    ways = {
        OURS: (_ours(shard), "checksums verified; one matrix, ids"),
        PARSED: (_parsed(shard), "checksums verified; one by one, no matrix"),
        PEER: (_peer(shard), "protobuf; no checksum is verified"),
        RAW: (_raw(raw), "what Grain reads: bytes that nobody parsed"),
    }
    contenders = {
        name: Contender(_rated(name, run, rates, sizes), sizes.records, None, note)
        for name, (run, note) in ways.items()
    }

    def agree(answers: Mapping[str, Any]) -> dict[str, Any]:
        (ids, x), (others, y) = answers[OURS], answers[PEER]
        equal = bool(np.array_equal(x, y) and np.array_equal(ids, others))
        equal &= answers[PARSED] == x.nbytes
        whole = {"raw_bytes": answers[RAW], "equal": equal}
        middle = {name: float(np.median(rate)) for name, rate in rates.items()}
        return whole | {"examples_a_cpu_second": middle}

    return Suite(contenders, sizes.records, sizes._asdict(), agree, told, "records")


def told(found: Mapping[str, Any]) -> list[str]:
    """The rates of one core, and whether the numbers agree, in words."""
    rates = found["examples_a_cpu_second"]
    word = "MET   " if rates[PARSED] >= RATE else "MISSED"
    line = f"{word} {rates[PARSED]:,.0f} examples parsed a second of CPU, target"
    lines = [f"{line} {RATE:,}"]
    lines += [
        f"{name}: {rate:,.0f} examples a second of CPU"
        for name, rate in rates.items()
        if name != PARSED
    ]
    equal = "equal bit for bit to" if found["equal"] else "NOT those of"
    return [*lines, f"ids and numbers are {equal} the tfrecord package's"]


def once(sizes: Sizes) -> dict[str, Any]:
    """Ours on sizes.records embeddings: written as shards, prepared, loaded.

    Returns:
        dict, JSON-able: embeddings, and the seconds of each.
    """
    folder, options, seconds = _temporary(), Embeddings(), {}
    began = time.perf_counter()
    for top in range(0, sizes.records, SHARD):
        rows = range(top, min(top + SHARD, sizes.records))
        path = folder / "shards" / f"a.tfrecord-{top // SHARD:05d}"
        path.parent.mkdir(exist_ok=True)
        tfrecord.write(path, _records(sizes, rows))
    seconds["write"] = time.perf_counter() - began
    began = time.perf_counter()
    source, out = str(folder / "shards"), str(folder / "prepared")
    embedding_parts.prepare(source, options, out, quiet=True)
    seconds["prepare"] = time.perf_counter() - began
    began = time.perf_counter()
    found = embedding_files.read(out, options)
    total = float(found.x.sum(dtype=np.float64))  # every number is looked at
    seconds["load"] = time.perf_counter() - began
    return {"embeddings": len(found.id), "sum": total, "seconds": seconds}


def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="equity_jax-embeddings-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _records(sizes: Sizes, rows: range) -> Iterator[bytes]:
    """Examples as PhysioNet's, in either order of their features."""
    drawn = generator(0, "benchmark", f"embeddings {rows.start}")
    for row in rows:
        if (row - rows.start) % DRAWN == 0:
            x = drawn.standard_normal((DRAWN, sizes.width), np.float32)
        person = 10_000_000 + row // 4
        name = f"files/p10/p{person}/s{50_000_000 + row}/{row:08x}-{0:035d}.dcm"
        values = {IMAGE: name.encode(), "embedding": x[(row - rows.start) % DRAWN]}
        order = reversed(values) if row % 3 == 0 else values
        yield examples.example({key: values[key] for key in order})


def _rated(
    name: str, run: Callable[[], Any], rates: dict[str, list[float]], sizes: Sizes
) -> Callable[[int], Any]:
    """Records -> the answer of `run`; notes how many a second of CPU it read."""

    def rated(count: int) -> Any:
        began = time.process_time()
        answer = run()
        spent = time.process_time() - began
        rates.setdefault(name, []).append(sizes.records / spent)
        return answer

    return rated


def _ours(shard: str) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    def run() -> tuple[np.ndarray, np.ndarray]:
        found = embedding_files.read(shard, Embeddings())
        return found.id, found.x

    return run


def _parsed(shard: str) -> Callable[[], int]:
    def run() -> int:
        parser, size = Parser("embedding", (IMAGE,)), 0
        for _, payload in tfrecord.records(shard):
            _, numbers = parser(payload)
            size += np.frombuffer(numbers, "<f4").nbytes
        return size

    return run


def _peer(shard: str) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    from tfrecord.reader import tfrecord_loader

    from equity_jax.data.embedding_records import name_of

    def run() -> tuple[np.ndarray, np.ndarray]:
        wanted = {IMAGE: "byte", "embedding": "float"}
        found = list(tfrecord_loader(shard, None, wanted))
        names = [name_of(bytes(one[IMAGE]).decode()).id for one in found]
        return np.array(names, object), np.stack([one["embedding"] for one in found])

    return run


def _raw(path: str) -> Callable[[], int]:
    from array_record.python.array_record_module import ArrayRecordReader

    def run() -> int:
        reader, size = ArrayRecordReader(path), 0
        n = reader.num_records()
        for top in range(0, n, DRAWN):
            size += sum(map(len, reader.read(top, min(n, top + DRAWN))))
        reader.close()
        return size

    return run


def _array_record(path: str, payloads: Iterator[bytes]) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(path, "group_size:1")
    for payload in payloads:
        writer.write(payload)
    writer.close()
