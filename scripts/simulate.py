r"""Writes the SIMULATED twin of a data set as files, in the real one's own format.

    python -m scripts.simulate --dataset=embeddings --out=DIR
    python -m scripts.simulate --dataset=embeddings --out=DIR --images=240000 \
        --shards=64
    python -m scripts.simulate --dataset=mimic_cxr --out=DIR --patients=1500 --size=64

Then give DIR as --config.data.source, or to scripts.prepare. The folder looks like
PhysioNet's. embeddings: a .tfrecord an image (or --shards files of many records),
SHA256SUMS.txt, the tables of MIMIC-CXR-JPG and MIMIC-IV, and ejection_fraction.csv.
mimic_cxr: a JPEG an image, and the tables. The same numbers again give the same bytes;
a folder that holds anything is left as it is.
"""

import sys
from collections.abc import Sequence

from absl import flags

from equity_jax.config import Cohort, Ward
from equity_jax.types import InputError
from experiments.launch import exit_codes, parse
from scripts.places import folder


def main(argv: Sequence[str]) -> None:
    """Reads the command line, writes the twin, says where it is."""
    values, usual = flags.FlagValues(), Cohort()
    for name, about in (
        ("dataset", f"one of: {', '.join(DATASETS)}"),
        ("out", "the folder to write: a new or an empty one"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)
    for name, value, about in (
        ("images", usual.images, "how many (embeddings)"),
        ("patients", None, "of how many people; a fourth of the images if not said"),
        ("features", usual.features, "numbers of an embedding"),
        ("shards", 0, "files that hold all embeddings; 0: a file an image"),
        ("size", Ward().size, "pixels of a side (mimic_cxr)"),
        ("seed", usual.seed, "another seed, another twin"),
    ):
        flags.DEFINE_integer(name, value, about, flag_values=values)
    flags.DEFINE_bool("quiet", False, "no progress bar", flag_values=values)
    rest = parse(values, argv, __doc__, required=("dataset", "out"))
    if rest:
        raise InputError(f"unexpected argument {rest[0]!r}; flags are --name=value")
    if values.dataset not in DATASETS:
        known = ", ".join(DATASETS)
        raise InputError(f"--dataset={values.dataset} is unknown; known: {known}")
    said = DATASETS[values.dataset](values)
    if not values.quiet:
        print(f"{values.out}: {said}")


def _embeddings(values: flags.FlagValues) -> str:
    from equity_jax.data.cohort import cohort
    from equity_jax.data.cohort_files import check_empty, write

    check_empty(values.out)
    patients = values.patients
    options = Cohort(
        seed=values.seed,
        patients=max(values.images // 4, 1) if patients is None else patients,
        images=values.images,
        features=values.features,
    )
    with folder(values.out):
        write(cohort(options), values.out, values.shards, quiet=values.quiet)
    return f"{options.images} SIMULATED images of {options.patients} patients"


def _mimic_cxr(values: flags.FlagValues) -> str:
    from equity_jax.data.cohort_files import check_empty
    from equity_jax.data.ward import write

    check_empty(values.out)
    options = Ward(seed=values.seed, size=values.size)
    if values.patients is not None:
        options.patients = values.patients
    with folder(values.out):
        write(values.out, options, quiet=values.quiet)
    return f"SIMULATED images of {options.patients} patients"


DATASETS = {"embeddings": _embeddings, "mimic_cxr": _mimic_cxr}

if __name__ == "__main__":
    sys.exit(exit_codes(main))
