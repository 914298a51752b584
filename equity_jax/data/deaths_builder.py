"""The canonical deaths table as a tfds data set in array_record, without TensorFlow.

`write` materializes a table once; `read_prepared` gives it back, row for row. tfds
shuffles rows on disk, so each carries the line it had in the source file.
"""

import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds
from tqdm import tqdm

from equity_jax.data.deaths_names import LAYOUTS
from equity_jax.data.deaths_table import COLUMNS, Table
from equity_jax.types import InputError

NAME, SPLIT, VERSION = "deaths", "table", "1.0.0"
DAYS = ("as_of", "start", "end")
TYPES: dict[str, Any] = {
    **dict.fromkeys(("line",), np.int64),
    **dict.fromkeys(("low", "high", "total_low", "total_high"), np.float64),
    **dict.fromkeys(("footnote", "unexplained"), np.bool_),
}
INFO = "dataset_info.json"
DESCRIPTION = "CDC provisional COVID-19 deaths by place, race and age, as intervals."


class Deaths(tfds.core.GeneratorBasedBuilder):
    """CDC provisional COVID-19 deaths by place, race and age: intervals, not guesses.

    Example:
        >>> builder = Deaths(table, data_dir="prepared")  # doctest: +SKIP
        >>> builder.download_and_prepare()  # doctest: +SKIP
    """

    RELEASE_NOTES = {VERSION: "The columns of deaths_table.COLUMNS."}
    VERSION = tfds.core.Version(VERSION)

    def __init__(self, table: Table, *, quiet: bool = True, **kwargs: Any):
        self.table, self.quiet = table, quiet
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        text = tfds.features.Text
        features = {name: TYPES.get(name) or text() for name in COLUMNS}
        return tfds.core.DatasetInfo(
            builder=self,
            description=DESCRIPTION,
            features=tfds.features.FeaturesDict(features),
            metadata=tfds.core.MetadataDict(
                layout=self.table.layout,
                fingerprint=self.table.fingerprint,
                footnotes=self.table.footnotes,
            ),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        return {SPLIT: self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        frame = self.table.frame.copy()
        for name in DAYS:
            frame[name] = frame[name].dt.strftime("%Y-%m-%d").fillna("")
        columns = [frame[name].tolist() for name in COLUMNS]
        rows = zip(*columns, strict=True)
        for row in tqdm(rows, "rows", len(frame), disable=self.quiet):
            yield row[0], dict(zip(COLUMNS, row, strict=True))


def write(table: Table, data_dir: str, *, quiet: bool = False) -> Path:
    """Writes DATA_DIR/deaths/1.0.0, whole or not at all; returns that folder.

    A folder that holds the same file already is left as it is.

    Raises:
        InputError: the folder holds the table of another file.

    Example:
        >>> write(read("deaths.csv.gz"), "prepared")  # doctest: +SKIP
    """
    target = Path(data_dir) / NAME / VERSION
    if (target / INFO).exists():
        if read_prepared(str(target)).fingerprint == table.fingerprint:
            return target
        raise InputError(
            f"{target} was prepared from another file; expected an empty --data_dir"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = tempfile.mkdtemp(dir=target.parent, prefix=".tmp-")
    tfds.disable_progress_bar()  # ours counts rows
    try:
        builder = Deaths(table, quiet=quiet, data_dir=staging)
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_dir=os.path.join(staging, "none"))
        os.rename(builder.data_dir, target)
    finally:
        shutil.rmtree(staging)
    return target


def read_prepared(folder: str) -> Table:
    """The table that `write` made; `folder` is its --data_dir or anything below.

    Raises:
        InputError: the folder holds no prepared deaths table, or a damaged one.

    Example:
        >>> read_prepared("prepared").frame.columns[0]  # doctest: +SKIP
        'line'
    """
    root = Path(folder)
    places = (root, root / VERSION, root / NAME / VERSION)
    found = [place for place in places if (place / INFO).exists()]
    if not found:
        raise InputError(
            f"{folder} is a directory without a prepared deaths table; expected a CSV "
            "or CSV.gz file, or the --data_dir of scripts.prepare"
        )
    builder = tfds.builder_from_directory(found[0])
    known = builder.info.metadata or {}
    if builder.info.name != NAME or known.get("layout") not in LAYOUTS:
        raise InputError(f"{found[0]}: holds {builder.info.name}, not a deaths table")
    try:
        source = builder.as_data_source(split=SPLIT)
        rows = source.__getitems__(list(range(len(source))))
    except (OSError, ValueError, RuntimeError) as error:
        why = str(error).split("\n")[0]
        raise InputError(f"{found[0]}: damaged, prepare it again ({why})") from error
    frame = _frame(rows)
    facts = (known["layout"], str(folder), known["fingerprint"], known["footnotes"])
    return Table(frame, *facts)


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = {name: [row[name] for row in rows] for name in COLUMNS}
    for name in set(COLUMNS) - set(TYPES):
        columns[name] = [cell.decode() for cell in columns[name]]
    for name in DAYS:
        days = [day or "NaT" for day in columns[name]]
        columns[name] = np.array(days, "datetime64[s]")
    for name, kind in TYPES.items():
        columns[name] = np.array(columns[name], kind)
    return pd.DataFrame(columns).sort_values("line", ignore_index=True)
