"""Materializes a data set once, as array_record files that load without parsing.

    python -m scripts.prepare --dataset=deaths --source=FILE.csv.gz --data_dir=DIR
    python -m scripts.prepare --dataset=cxr --source=FOLDER --data_dir=DIR --size=224

Then give DIR as --config.data.source. With --download (and only then) the CDC's public
table is first fetched to --source, which must not exist yet. X-rays are resized by all
cores; the same command again goes on after a kill. Files that cannot be read are listed
with the reason in DIR/cxr/quarantine.csv; more than --quarantine of them stop it.
"""

import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from equity_jax.config import Images
from equity_jax.data import cxr_parts
from equity_jax.data.cxr_layouts import find
from equity_jax.data.deaths_table import read
from equity_jax.files import atomic
from equity_jax.types import InputError
from experiments.launch import exit_codes, parse

ADDRESS = "https://data.cdc.gov/api/views/tpcp-uiv5/rows.csv?accessType=DOWNLOAD"
DATASETS = ("cxr", "deaths")


def prepare(source: str, data_dir: str, quiet: bool = False) -> tuple[Path, int]:
    """Reads and checks `source`, then writes it below `data_dir`: (folder, rows).

    Raises:
        InputError: the file cannot be read, or data_dir holds another one.

    Example:
        >>> prepare("deaths.csv.gz", "prepared")  # doctest: +SKIP
    """
    _check_folder(data_dir)
    table = read(source)
    from equity_jax.data.deaths_builder import write  # slow to import

    return write(table, data_dir, quiet=quiet), len(table.frame)


def prepare_images(
    source: str, data_dir: str, images: Images, quiet: bool = False
) -> tuple[Path, int, int]:
    """Resizes the X-rays of the folder `source`: (folder, images, unreadable ones).

    images: size, layout and quarantine are used; every other choice stays open.

    Raises:
        InputError: as `cxr_layouts.find` and `cxr_parts.prepare`.

    Example:
        >>> prepare_images("cxr", "prepared", Images(size=224))  # doctest: +SKIP
    """
    _check_folder(data_dir)
    rows = find(source, images.layout)
    return cxr_parts.prepare(rows, images, data_dir, quiet=quiet)


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


def _check_folder(data_dir: str) -> None:
    if Path(data_dir).exists() and not Path(data_dir).is_dir():
        raise InputError(f"--data_dir={data_dir} is a file; expected a folder")


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
    values, usual = flags.FlagValues(), Images()
    for name, value, about in (
        ("dataset", None, f"one of: {', '.join(DATASETS)}"),
        ("source", None, "the CSV or CSV.gz to read; of X-rays a folder"),
        ("data_dir", None, "the folder to write below"),
        ("layout", usual.layout, "of X-rays: how they lie, data.images.layout"),
    ):
        flags.DEFINE_string(name, value, about, flag_values=values)
    about = "of X-rays: pixels of a side"
    flags.DEFINE_integer("size", usual.size, about, 16, 4096, flag_values=values)
    about = "of X-rays: the share of unreadable files that is borne"
    flags.DEFINE_float("quarantine", usual.quarantine, about, 0, 1, flag_values=values)
    flags.DEFINE_bool("download", False, f"fetch {ADDRESS}", flag_values=values)
    flags.DEFINE_bool("quiet", False, "no progress bar", flag_values=values)
    rest = parse(values, argv, __doc__, required=("dataset", "source", "data_dir"))
    if rest:
        raise InputError(f"unexpected argument {rest[0]!r}; flags are --name=value")
    if values.dataset not in DATASETS:
        raise InputError(
            f"--dataset={values.dataset} is unknown; known: {', '.join(DATASETS)}"
        )
    said = (_cxr if values.dataset == "cxr" else _deaths)(values)
    if not values.quiet:
        print(said)


def _deaths(values: flags.FlagValues) -> str:
    if values.download:
        download(values.source, quiet=values.quiet)
    folder, rows = prepare(values.source, values.data_dir, values.quiet)
    return f"{folder}: {rows} rows of {values.source}"


def _cxr(values: flags.FlagValues) -> str:
    if values.download:
        raise InputError("--download is for --dataset=deaths; X-rays are not fetched")
    images = Images(
        size=values.size, layout=values.layout, quarantine=values.quarantine
    )
    folder, n, bad = prepare_images(
        values.source, values.data_dir, images, values.quiet
    )
    said = f"{folder}: {n - bad} images of {values.source}"
    if not bad:
        return said
    return f"{said}; {bad} unreadable ones in {folder.parent / cxr_parts.QUARANTINE}"


if __name__ == "__main__":
    sys.exit(exit_codes(main))
