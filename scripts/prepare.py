r"""Materializes a data set once, as array_record files that load without parsing.

    python -m scripts.prepare --dataset=deaths --source=FILE.csv.gz --data_dir=DIR
    python -m scripts.prepare --dataset=cxr --source=FOLDER --data_dir=DIR --size=224
    python -m scripts.prepare --dataset=mimic_cxr --source=FOLDER --data_dir=DIR \
        [--format=tfrecord] [--mimic.tables=FOLDER]
    python -m scripts.prepare --dataset=embeddings --source=FOLDER_OR_URL --data_dir=DIR

Then give DIR as --config.data.source. With --download (and only then) the CDC's public
table is first fetched to --source, which must not exist yet. X-rays are resized by all
cores (by many machines: scripts.prepare_beam), those of mimic_cxr to 256 pixels, with
burnt-in borders cut off and the histogram equalized unless --size and --equalize say
otherwise. --format=tfrecord writes TFRecords, whose features --records.NAME call as
--config.data.records.NAME does; they hold no look-alikes and no rows without an image.
Embeddings may lie where fsspec reaches (gs://, s3://, a local path); they become
one matrix that later starts map into memory. The same command again goes on after a
kill. Files or records that cannot be read are listed with the reason in
DIR/DATASET/quarantine.csv; more than --quarantine of them stop it.
"""

import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from equity_jax.config import Embeddings
from equity_jax.data import embedding_parts
from equity_jax.data.deaths_table import read
from equity_jax.files import atomic
from equity_jax.types import InputError
from experiments.launch import exit_codes, parse
from scripts import films

ADDRESS = "https://data.cdc.gov/api/views/tpcp-uiv5/rows.csv?accessType=DOWNLOAD"
DATASETS = (*films.USUAL, "deaths", "embeddings")


def prepare(source: str, data_dir: str, quiet: bool = False) -> tuple[Path, int]:
    """Reads and checks `source`, then writes it below `data_dir`: (folder, rows).

    Raises:
        InputError: the file cannot be read, or data_dir holds another one.

    Example:
        >>> prepare("deaths.csv.gz", "prepared")  # doctest: +SKIP
    """
    films.check_folder(data_dir)
    table = read(source)
    from equity_jax.data.deaths_builder import write  # slow to import

    return write(table, data_dir, quiet=quiet), len(table.frame)


def prepare_embeddings(
    source: str, data_dir: str, options: Embeddings, quiet: bool = False
) -> tuple[Path, int, int]:
    """Makes one matrix of the embeddings: (folder, embeddings, unusable ones).

    options: layout, key, precision, quarantine and sha256 are used.

    Raises:
        InputError: as `embedding_parts.prepare`.

    Example:
        >>> prepare_embeddings("gs://b/e", "out", Embeddings())  # doctest: +SKIP
    """
    films.check_folder(data_dir)
    return embedding_parts.prepare(source, options, data_dir, quiet=quiet)


def download(target: str, address: str = ADDRESS, quiet: bool = False) -> None:
    """Fetches `address` to the file `target`, whole or not at all.

    Raises:
        InputError: the file exists, its folder does not, or the address cannot be read.

    Example:
        >>> download("deaths.csv")  # doctest: +SKIP
    """
    path = Path(target)
    if path.exists():
        raise InputError(f"--source={target} exists; leave out --download, or move it")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--source={target}: its folder does not exist")
    try:
        with atomic(path) as temporary, urllib.request.urlopen(address) as page:
            _copy(page, temporary, quiet)
    except (urllib.error.URLError, OSError) as error:
        raise InputError(f"{address} cannot be downloaded: {error}") from error


def _copy(page: Any, path: Path, quiet: bool) -> None:
    size, done = int(page.headers.get("Content-Length") or 0), 0
    bar = tqdm(None, "download", size or None, unit="B", unit_scale=True, disable=quiet)
    with open(path, "wb") as file, bar:
        while block := page.read(1 << 20):
            done += file.write(block)
            bar.update(len(block))
    if size and done != size:
        raise OSError(f"{done} of {size} bytes came")


def main(argv: Sequence[str]) -> None:
    """Reads the command line, prepares, says where the data set is."""
    values, usual = flags.FlagValues(), Embeddings()
    to = {"flag_values": values}
    for name, value, about in (
        ("dataset", None, f"one of: {', '.join(DATASETS)}"),
        ("source", None, "the CSV or CSV.gz; a folder; of embeddings also a URL"),
        ("data_dir", None, "the folder to write below"),
        ("layout", usual.layout, "of X-rays and embeddings: how they lie"),
        ("key", usual.key, "of embeddings: the feature of the numbers"),
        ("precision", usual.precision, "of the matrix of embeddings: or bfloat16"),
    ):
        flags.DEFINE_string(name, value, about, **to)
    about = "the share of unreadable files or records that is borne"
    flags.DEFINE_float("quarantine", None, about, 0, 1, **to)
    flags.DEFINE_bool("sha256", usual.sha256, "check SHA256SUMS.txt", **to)
    flags.DEFINE_bool("download", False, f"fetch {ADDRESS}", **to)
    flags.DEFINE_bool("quiet", False, "no progress bar", **to)
    films.define(values)
    rest = parse(values, argv, __doc__, required=("dataset", "source", "data_dir"))
    if rest:
        raise InputError(f"unexpected argument {rest[0]!r}; flags are --name=value")
    if values.dataset not in DATASETS:
        raise InputError(
            f"--dataset={values.dataset} is unknown; known: {', '.join(DATASETS)}"
        )
    if values.download and values.dataset != "deaths":
        raise InputError(
            f"--download is for --dataset=deaths; {values.dataset} is not fetched"
        )
    said = DO[values.dataset](values)
    if not values.quiet:
        print(said)


def _deaths(values: flags.FlagValues) -> str:
    if values.download:
        download(values.source, quiet=values.quiet)
    folder, rows = prepare(values.source, values.data_dir, values.quiet)
    return f"{folder}: {rows} rows of {values.source}"


def _films(values: flags.FlagValues) -> str:
    return films.said("images", values.source, *films.prepare_films(values))


def _embeddings(values: flags.FlagValues) -> str:
    names = ("layout", "key", "precision", "quarantine", "sha256")
    options = Embeddings(**_asked(values, *names))
    made = prepare_embeddings(values.source, values.data_dir, options, values.quiet)
    return films.said("embeddings", values.source, *made)


def _asked(values: flags.FlagValues, *names: str) -> dict[str, Any]:
    """The flags that have a value; the data set's own defaults fill the rest."""
    return {
        name: values[name].value for name in names if values[name].value is not None
    }


DO = {
    **dict.fromkeys(films.USUAL, _films),
    "deaths": _deaths,
    "embeddings": _embeddings,
}


if __name__ == "__main__":
    sys.exit(exit_codes(main))
