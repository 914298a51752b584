"""X-rays to be prepared: the flags of scripts.prepare and of scripts.prepare_beam."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from absl import flags

from equity_jax.config import Data, Images, Mimic, Records
from equity_jax.data import cxr_prepare
from equity_jax.data.cxr_layouts import find
from equity_jax.data.cxr_parts import KINDS, Job, Part, Work, here
from equity_jax.types import InputError

# Pixels of a side, and how they are equalized, where no flag says so.
USUAL = {"cxr": (224, ""), "mimic_cxr": (256, "borders+global")}
SECTIONS = {"mimic": Mimic, "records": Records}


def define(values: flags.FlagValues) -> None:
    """The flags of X-rays, beside dataset, source, data_dir, layout and quarantine.

    Example:
        >>> define(flags.FlagValues())
    """
    to = {"flag_values": values}
    about = "of X-rays: pixels of a side (cxr 224, mimic_cxr 256)"
    flags.DEFINE_integer("size", None, about, 16, 4096, **to)
    about = "of X-rays: as --config.data.images.equalize; for mimic_cxr borders+global"
    flags.DEFINE_string("equalize", None, about, **to)
    about = f"of X-rays: {' or '.join(KINDS)}"
    flags.DEFINE_string("format", next(iter(KINDS)), about, **to)
    for section, kind in SECTIONS.items():
        for name, value in asdict(kind()).items():
            about = f"as --config.data.{section}.{name}"
            flags.DEFINE_string(f"{section}.{name}", value, about, **to)


def prepare_films(
    values: flags.FlagValues,
    run: Callable[[Job, Iterable[Part]], Iterable[Part]] = here,
    far: str = "",
) -> tuple[Path, int, int]:
    """Prepares the X-rays that the flags name: (folder, readable, unreadable ones).

    run, far: as for `cxr_prepare.prepare`.

    Raises:
        InputError: an unknown format; as `cxr_layouts.find` and `cxr_prepare.prepare`.

    Example:
        >>> prepare_films(values)  # doctest: +SKIP
    """
    if values.format not in KINDS:
        known = ", ".join(KINDS)
        raise InputError(f"--format={values.format} is unknown; known: {known}")
    check_folder(values.data_dir)
    sections = {
        section: kind(**{n: values[f"{section}.{n}"].value for n in asdict(kind())})
        for section, kind in SECTIONS.items()
    }
    records = sections["records"]
    source = find(values.source, values.layout, Data(name=values.dataset, **sections))
    size, equalize = USUAL[values.dataset]
    equalize = equalize if values.equalize is None else values.equalize
    image = records.image if values.format == "tfrecord" else "image"
    work = Work(values.dataset, values.format, values.size or size, equalize, image)
    borne = values.quarantine
    share = Images().quarantine if borne is None else borne
    target, n, bad = cxr_prepare.prepare(
        source,
        work,
        values.data_dir,
        share,
        records=records,
        run=run,
        far=far,
        quiet=values.quiet,
    )
    return target, n - bad, bad


def check_folder(data_dir: str) -> None:
    """Passes a folder, or what can become one.

    Raises:
        InputError: it is a file.

    Example:
        >>> check_folder("no such folder")
    """
    if Path(data_dir).exists() and not Path(data_dir).is_dir():
        raise InputError(f"--data_dir={data_dir} is a file; expected a folder")


def said(what: str, source: str, folder: Path, good: int, bad: int) -> str:
    """The last line of a preparation.

    Example:
        >>> said("images", "in", Path("out/cxr/1.0.0"), 9, 0)
        'out/cxr/1.0.0: 9 images of in'
    """
    line = f"{folder}: {good} {what} of {source}"
    if not bad:
        return line
    return f"{line}; {bad} unreadable ones in {folder.parent / cxr_prepare.QUARANTINE}"
