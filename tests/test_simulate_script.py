"""The twin as files: what a reader finds is what was in memory, whole or not at all."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hospital import digests

from equity_jax.config import Cohort, Data, Embeddings
from equity_jax.data import cohort_files
from equity_jax.data.cohort import cohort
from equity_jax.data.embedding_files import read
from equity_jax.data.embeddings import load
from equity_jax.data.tfrecord import records
from equity_jax.types import InputError
from experiments.launch import exit_codes
from scripts import prepare, simulate

SMALL = Cohort(patients=30, images=100, features=16)


def command(out, *more):
    numbers = ("--images=100", "--patients=30", "--features=16")
    flags = ("--dataset=embeddings", f"--out={out}", *numbers)
    return exit_codes(simulate.main, ["simulate", *flags, *more])


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twin") / "tree"
    assert command(folder, "--quiet") == 0
    return folder


def test_the_tree_is_physionets(tree):
    found = digests(tree)
    lines = (tree / "SHA256SUMS.txt").read_text().splitlines()
    sums = dict(reversed(line.split(" ")) for line in lines)
    assert lines[0].endswith(" LICENSE.txt") and len(lines) == 101
    assert all(found[path] == digest for path, digest in sums.items())
    pattern = r"files/p1\d/p1\d{7}/s5\d{7}/[0-9a-f]{8}(-[0-9a-f]{8}){4}\.tfrecord"
    paths = pd.Series(list(sums)[1:])
    assert paths.str.fullmatch(pattern).all() and paths.is_monotonic_increasing
    assert (paths.str[7:9] == paths.str[11:13]).all()
    beside = set(found) - set(sums) - {"SHA256SUMS.txt"}
    assert beside == set(cohort_files.FILES.values())
    assert "SIMULATED" in (tree / "LICENSE.txt").read_text()
    [(offset, _)] = records(tree / paths[0])
    assert offset == 0


def test_the_reader_finds_what_was_in_memory(tree, tmp_path):
    twin = cohort(SMALL)
    again = read(str(tree), Embeddings(sha256=True))
    for name in ("id", "x", "subject", "study"):
        np.testing.assert_array_equal(
            getattr(again, name), getattr(twin.embedded, name), name
        )
    assert not again.left_out
    for name, path in cohort_files.FILES.items():
        table = pd.read_csv(tree / path, dtype=str, keep_default_na=False)
        pd.testing.assert_frame_equal(table, twin.tables[name])
    cohort_files.write(twin, tmp_path / "shards", 3, quiet=True)
    files = sorted(p.name for p in (tmp_path / "shards").glob("*.tfrecord"))
    assert files == [f"embeddings-{i:05d}-of-00003.tfrecord" for i in range(3)]
    again = read(str(tmp_path / "shards"), Embeddings())
    np.testing.assert_array_equal(again.id, twin.embedded.id)
    np.testing.assert_array_equal(again.x, twin.embedded.x)


def test_the_same_numbers_give_the_same_bytes(tree, tmp_path, capsys):
    (tmp_path / "again").mkdir()  # an empty folder will do
    assert command(tmp_path / "again") == 0
    out, err = capsys.readouterr()
    assert "100 SIMULATED images of 30 patients" in out and "100/100" in err
    assert digests(tmp_path / "again") == digests(tree)
    assert command(tmp_path / "other", "--seed=1", "--quiet") == 0
    assert digests(tmp_path / "other") != digests(tree)
    assert not any(p.name.startswith(".") for p in tmp_path.iterdir())
    zipped = tree / cohort_files.FILES["split"]
    assert gzip.decompress(zipped.read_bytes()).startswith(b"dicom_id,study_id,subj")


def test_a_fourth_of_the_images_are_people(tmp_path, capsys):
    flags = ("--dataset=embeddings", f"--out={tmp_path}", "--images=40")
    words = ["simulate", *flags, "--features=16", "--shards=2"]
    assert exit_codes(simulate.main, words) == 0
    assert "40 SIMULATED images of 10 patients" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--images=20",), "data.cohort.images=20; expected 30 to 360"),
        (("--shards=101",), "shards=101; expected 0 (a file an image) to 100"),
        (("--shards=-1",), "shards=-1"),
        (("--dataset=mri",), "--dataset=mri is unknown; known: embeddings, mimic_cxr"),
        (("--imges=3",), "imges"),
        (("more",), "unexpected argument 'more'"),
    ],
)
def test_bad_input_leaves_nothing(flags, said, tmp_path, capsys):
    assert command(tmp_path / "out", *flags) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert said in line
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_anything_is_left_as_it_is(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert command(tmp_path) == 2
    assert "is not empty; expected a new or an empty folder" in capsys.readouterr().err
    assert command(tmp_path / "mine.txt") == 2
    assert "is a file; expected a folder" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    assert exit_codes(simulate.main, ["simulate", "--dataset=embeddings"]) == 2
    assert "--out=... is missing" in capsys.readouterr().err


def test_what_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(InputError, match="cannot be written: No space left"):
        cohort_files.write(cohort(SMALL), tmp_path / "out", quiet=True)
    assert not list(tmp_path.iterdir())


def test_what_is_made_up_stays_simulated(tree, tmp_path, capsys):
    """Read as files, or prepared from them: never taken for patients."""
    argv = ["prepare", "--dataset=embeddings", f"--source={tree}", "--quiet"]
    assert exit_codes(prepare.main, [*argv, f"--data_dir={tmp_path}"]) == 0
    options = Embeddings(tables=str(tree), label="No Finding", views="all")
    for source in (tree, tmp_path):
        data = Data(name="embeddings", source=str(source), embeddings=options)
        spec = load(data).spec
        assert spec.simulated and any("SIMULATED" in note for note in spec.notes)
    (tree / "LICENSE.txt").rename(tmp_path / "gone")
    try:
        data.source = str(tree)
        assert not load(data).spec.simulated
    finally:
        (tmp_path / "gone").rename(tree / "LICENSE.txt")
