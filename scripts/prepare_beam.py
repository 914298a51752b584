r"""Prepares X-rays on many machines, as an Apache Beam pipeline (extra `beam`).

    python -m scripts.prepare_beam --dataset=mimic_cxr --source=FOLDER --data_dir=DIR \
        [flags of scripts.prepare] -- [options of Beam]

What comes out is what scripts.prepare writes, record for record. After `--` Beam's own
options say where it runs:

    -- --runner=DirectRunner --direct_num_workers=2 \
        --direct_running_mode=multi_processing
    --images=gs://BUCKET/mimic-cxr-jpg --parts=gs://BUCKET/parts -- \
        --runner=DataflowRunner --project=PROJECT --region=REGION \
        --temp_location=gs://BUCKET/tmp --sdk_container_image=IMAGE
    --images=s3://BUCKET/mimic-cxr-jpg --parts=s3://BUCKET/parts -- \
        --runner=SparkRunner --spark_master_url=spark://HOST:7077 \
        --environment_type=DOCKER --environment_config=IMAGE
    --images=s3://BUCKET/mimic-cxr-jpg --parts=s3://BUCKET/parts -- \
        --runner=FlinkRunner --flink_master=HOST:8081 \
        --environment_type=DOCKER --environment_config=IMAGE

IMAGE is a container of Beam's (apache/beam_python3.11_sdk) with this package installed.
--source has the tables and shows which images there are (of a bucket: its mount);
--images is where workers find the images, --parts where they leave what they made, each
a path that all machines have or an fsspec URL (with gcsfs or s3fs). The data set itself
is written below --data_dir here. A thousand images are one piece of work: a worker
holds a block of them, this machine none. The same command again goes on after a kill.

Install with pip install -c scripts/constraints-beam.txt -e '.[beam]' in an environment
of its own, since Beam wants an older protobuf than constraints.txt pins; Dataflow also
wants apache-beam[gcp].
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from absl import flags

from equity_jax.data.cxr_far import fetch, send, work_at
from equity_jax.data.cxr_parts import Job, Part
from equity_jax.types import InputError
from experiments.launch import exit_codes, parse
from scripts import films


def pipeline(
    images: str, options: Sequence[str]
) -> Callable[[Job, Iterable[Part]], Iterator[Part]]:
    """Who makes the parts of a job: Beam, with its own command-line options.

    Raises:
        InputError: apache_beam is not installed.

    Example:
        >>> run = pipeline("gs://b/mimic", ["--runner=DirectRunner"])  # doctest: +SKIP
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        how = "pip install -c scripts/constraints-beam.txt -e '.[beam]'"
        raise InputError(f"apache_beam is not installed; {how}") from error

    def run(job: Job, todo: Iterable[Part]) -> Iterator[Part]:
        fetch(job)  # of a run that was killed
        places = send(job, todo)
        if places:
            with beam.Pipeline(options=PipelineOptions(list(options))) as made:
                rows = made | "places" >> beam.Create(places)
                spread = rows | "spread" >> beam.Reshuffle()
                spread | "make" >> beam.Map(work_at, images, job.work, job.folder)
        fetch(job)
        yield from ()

    return run


def main(argv: Sequence[str]) -> None:
    """Reads the command line, prepares, says where the data set is."""
    values = flags.FlagValues()
    to = {"flag_values": values}
    for name, value, about in (
        ("dataset", None, f"one of: {', '.join(films.USUAL)}"),
        ("source", None, "the folder of the tables and images"),
        ("data_dir", None, "the folder to write below"),
        ("layout", "auto", "how they lie"),
        ("images", "", "where workers find the images; empty: --source"),
        ("parts", "", "where workers leave parts; empty: below --data_dir"),
    ):
        flags.DEFINE_string(name, value, about, **to)
    about = "the share of unreadable files that is borne"
    flags.DEFINE_float("quarantine", None, about, 0, 1, **to)
    flags.DEFINE_bool("quiet", False, "no progress bar", **to)
    films.define(values)
    cut = argv.index("--") if "--" in argv else len(argv)
    rest = parse(values, argv[:cut], __doc__, ("dataset", "source", "data_dir"))
    if rest:
        raise InputError(f"unexpected argument {rest[0]!r}; Beam's follow a --")
    if values.dataset not in films.USUAL:
        known = ", ".join(films.USUAL)
        raise InputError(f"--dataset={values.dataset} is unknown; known: {known}")
    images = values.images or str(Path(values.source).resolve())
    run = pipeline(images, argv[cut + 1 :])
    made = films.prepare_films(values, run, values.parts)
    if not values.quiet:
        print(films.said("images", values.source, *made))


if __name__ == "__main__":
    sys.exit(exit_codes(main))
