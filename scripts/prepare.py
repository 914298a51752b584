"""Materializes a data set once, as array_record files that load without parsing.

    python -m scripts.prepare --dataset=deaths --source=FILE.csv.gz --data_dir=DIR

Then give DIR as --config.data.source. With --download (and only then) the CDC's public
table is first fetched to --source, which must not exist yet.
"""

import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from equity_jax.data.deaths_table import read
from equity_jax.files import atomic
from equity_jax.types import InputError
from experiments.launch import exit_codes, parse

ADDRESS = "https://data.cdc.gov/api/views/tpcp-uiv5/rows.csv?accessType=DOWNLOAD"
DATASETS = ("deaths",)


def prepare(source: str, data_dir: str, quiet: bool = False) -> tuple[Path, int]:
    """Reads and checks `source`, then writes it below `data_dir`: (folder, rows).

    Raises:
        InputError: the file cannot be read, or data_dir holds another one.

    Example:
        >>> prepare("deaths.csv.gz", "prepared")  # doctest: +SKIP
    """
    if Path(data_dir).exists() and not Path(data_dir).is_dir():
        raise InputError(f"--data_dir={data_dir} is a file; expected a folder")
    table = read(source)
    from equity_jax.data.deaths_builder import write  # slow to import

    return write(table, data_dir, quiet=quiet), len(table.frame)


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
    values = flags.FlagValues()
    for name, about in (
        ("dataset", f"one of: {', '.join(DATASETS)}"),
        ("source", "the CSV or CSV.gz to read"),
        ("data_dir", "the folder to write below"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)
    flags.DEFINE_bool("download", False, f"fetch {ADDRESS}", flag_values=values)
    flags.DEFINE_bool("quiet", False, "no progress bar", flag_values=values)
    rest = parse(values, argv, __doc__, required=("dataset", "source", "data_dir"))
    if rest:
        raise InputError(f"unexpected argument {rest[0]!r}; flags are --name=value")
    if values.dataset not in DATASETS:
        raise InputError(
            f"--dataset={values.dataset} is unknown; known: {', '.join(DATASETS)}"
        )
    if values.download:
        download(values.source, quiet=values.quiet)
    folder, rows = prepare(values.source, values.data_dir, values.quiet)
    if not values.quiet:
        print(f"{folder}: {rows} rows of {values.source}")


if __name__ == "__main__":
    sys.exit(exit_codes(main))
