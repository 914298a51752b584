"""What every layout makes of a folder: rows of text, and the bytes of each file."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.data import cxr_names as names
from equity_jax.data.pixels import Unreadable
from equity_jax.types import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")
TEXTS = (
    *("file", "finding", "patient", "race", "sex", "insurance", "view", "source"),
    *("official", "lesion", "lost"),
)
NAMES, VERSION = ("cxr", "mimic_cxr"), "1.0.0"  # below --data_dir of scripts.prepare
INFO, ABOUT = "dataset_info.json", "about.json"
NO_FILE = "listed, but no such file"
NO_XRAY = "another modality than X-ray"
NOTHING = "No Finding"
LICENSE = "LICENSE.txt"
MADE_UP = "SIMULATED"  # how the license of a simulated twin begins


class Seen(NamedTuple):
    """What a first look at n images found.

    thumbs: uint8[n, 32, 32]; facts: DataFrame of width, height, mode; reason: str[n],
    why an image cannot be read ("" = it can); pixels: uint8[n, S, S] or None.
    """

    thumbs: np.ndarray
    facts: pd.DataFrame
    reason: np.ndarray
    pixels: np.ndarray | None = None


class Source(NamedTuple):
    """Rows of a folder, before classes, filters and splits.

    layout: a name of cxr_layouts.LAYOUTS; frame: TEXTS (str) and age (float, NaN =
    unknown), `lost` says why a row has no part ("" = it has), `official` which splits
    the data allow ("" = any, "train|valid"); get: row -> the bytes of its file; labels
    and raw float32[N, K]: multi-label findings (1, 0, -1 = uncertain, NaN = not
    mentioned); size: of prepared pixels, 0 = originals; seen: the first look of
    scripts.prepare, row for row; equalize: how these pixels were equalized by it.
    """

    name: str
    layout: str
    frame: pd.DataFrame
    get: Callable[[int], bytes]
    fingerprint: str
    notes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    raw: np.ndarray | None = None
    size: int = 0
    seen: Seen | None = None
    equalize: str = ""


def make(
    root: Path,
    layout: str,
    columns: Mapping[str, Sequence[str] | str],
    notes: Sequence[str] = (),
    labels: Sequence[str] = (),
    raw: np.ndarray | None = None,
    within: tuple[Callable[[int], bytes], Sequence[Path]] | None = None,
) -> Source:
    """A Source of text columns: sex, age and view in any words, the rest as it is.

    root: `file` is a path below it; columns: of TEXTS and "age"; "file" is needed.
    A row without a patient is a patient of its own, named by its file. within: where
    `file` is no path, what reads a row, and the files that hold them all.

    Raises:
        InputError: no row; a file that is listed twice.

    Example:
        >>> make(Path("."), "plain", {"file": ["1.png"]}).frame  # doctest: +SKIP
    """
    n = len(columns["file"])
    if not n:
        raise InputError(f"{root}: no images ({', '.join(SUFFIXES)})")
    frame = pd.DataFrame({name: columns.get(name, "") for name in TEXTS}, range(n))
    frame = frame.astype(object).fillna("").astype(str)
    twice = frame["file"].duplicated()
    if twice.any():
        raise InputError(f"{root}: {frame['file'][twice].iloc[0]} is listed twice")
    frame["patient"] = frame["patient"].str.strip()
    alone = frame["patient"] == ""
    frame.loc[alone, "patient"] = [Path(file).stem for file in frame["file"][alone]]
    said = [*_license(root), *notes, *_words(frame, columns)]
    frame["age"] = [names.age(a) for a in _texts(columns.get("age", ""), n)]
    whole = within[1] if within else _paths(root, frame)
    print_ = _fingerprint(frame, whole, raw)

    def get(row: int) -> bytes:
        try:
            return (root / files[row]).read_bytes()
        except OSError as error:
            raise Unreadable(f"{files[row]}: {error.strerror}") from error

    files = frame["file"].tolist()
    read = within[0] if within else get
    return Source(
        str(root), layout, frame, read, print_, tuple(said), tuple(labels), raw
    )


def present(raw: np.ndarray, labels: Sequence[str]) -> list[str]:
    """The findings of each of N rows between bars, NOTHING where there are none.

    raw: float[N, K], 1 = present.

    Example:
        >>> present(np.array([[1.0, 1.0], [0.0, np.nan]]), ["Edema", "Fracture"])
        ['Edema|Fracture', 'No Finding']
    """
    names = np.array(labels)
    return ["|".join(names[row == 1].tolist()) or NOTHING for row in raw]


def home(root: Path, prepared: tuple[str, str]) -> Path | None:
    """Where what scripts.prepare wrote lies; root: its --data_dir or a folder below.

    prepared: name and version of the data set.

    Example:
        >>> home(Path("no such folder"), ("cxr", "1.0.0"))
    """
    name, version = prepared
    places = (root, root / version, root / name / version)
    return next((place for place in places if (place / INFO).exists()), None)


def images(folder: Path, deep: bool = False) -> list[Path]:
    """Files of `folder` (deep: and of what is below) that are named as images.

    Hidden ones are not looked at.

    Example:
        >>> images(Path("no such folder"))
        []
    """
    found = folder.rglob("*") if deep else folder.glob("*")
    return sorted(
        path
        for path in found
        if path.suffix.lower() in SUFFIXES and path.is_file() and _shown(path, folder)
    )


def csv(path: Path, **options: Any) -> pd.DataFrame:
    """Every cell as text.

    Raises:
        InputError: not a CSV.

    Example:
        >>> csv(Path("metadata.csv"))  # doctest: +SKIP
    """
    settings = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
    try:
        return pd.read_csv(path, **(settings | options))
    except (ValueError, OSError, EOFError) as error:
        why = " ".join(str(error).split())
        raise InputError(f"{path}: not a CSV of UTF-8 text ({why})") from error


def _shown(path: Path, folder: Path) -> bool:
    return not any(p.startswith(".") for p in path.relative_to(folder).parts)


def _license(root: Path) -> list[str]:
    path = root / LICENSE
    made_up = path.is_file() and path.read_text("utf-8", "replace").startswith(MADE_UP)
    return [f"{MADE_UP} images, as their {LICENSE} says."] if made_up else []


def _texts(column: Sequence[str] | str, n: int) -> Sequence[str]:
    return [column] * n if isinstance(column, str) else [str(cell) for cell in column]


def _words(frame: pd.DataFrame, columns: Mapping[str, Any]) -> list[str]:
    """Cleans sex and view in place; says which words were not understood."""
    odd: Counter[str] = Counter()

    def clean(word: str) -> str:
        try:
            return names.sex(word)
        except KeyError:
            odd[word] += 1
            return ""

    frame["sex"] = frame["sex"].map(clean)
    frame["view"] = frame["view"].map(names.view)
    ages = [a for a in _texts(columns.get("age", ""), len(frame)) if a.strip()]
    strange = [a for a in ages if np.isnan(names.age(a))]
    said = [f"Sex {w!r} is not understood: {n} rows unknown." for w, n in odd.items()]
    if strange:
        examples = ", ".join(sorted(set(strange))[:3])
        limit = f"no age of 0 to {names.OLDEST}"
        said.append(f"Age: {len(strange)} rows unknown, {limit} ({examples}).")
    return said


def _paths(root: Path, frame: pd.DataFrame) -> Iterator[Path | None]:
    for file, lost in zip(frame["file"], frame["lost"], strict=True):
        yield None if lost else root / file


def _fingerprint(
    frame: pd.DataFrame, files: Iterable[Path | None], raw: np.ndarray | None
) -> str:
    """Of file names, sizes and the table; pixels are not read."""
    digest = hashlib.sha256(frame.to_csv(index=False).encode())
    sizes = [path.stat().st_size if path else -1 for path in files]
    digest.update(np.array(sizes, np.int64).tobytes())
    if raw is not None:
        digest.update(np.ascontiguousarray(raw, np.float32).tobytes())
    return digest.hexdigest()[:16]
