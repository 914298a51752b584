"""A prepared folder is the same data set; nothing is left behind by bad input."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from equity_jax.config import Data, Twin
from equity_jax.data import deaths, simulate
from equity_jax.data.deaths_builder import read_prepared
from equity_jax.data.deaths_table import read
from equity_jax.types import InputError
from experiments.launch import exit_codes
from scripts import prepare


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "twin.csv"
    simulate.deaths(Twin(months=4, regions=2))[0].to_csv(path, index=False)
    return str(path)


def command(source, data_dir, *more):
    flags = ("--dataset=deaths", f"--source={source}", f"--data_dir={data_dir}")
    return exit_codes(prepare.main, ["prepare", *flags, *more])


def test_round_trip(source, tmp_path, capsys):
    assert command(source, tmp_path) == 0
    out, err = capsys.readouterr()
    assert "864 rows" in out and "864/864" in err
    plain, prepared = read(source), read_prepared(str(tmp_path))
    pd.testing.assert_frame_equal(plain.frame, prepared.frame)
    assert plain.fingerprint == prepared.fingerprint
    names = sorted(p.name for p in (tmp_path / "deaths/1.0.0").iterdir())
    assert any("array_record" in name for name in names)
    assert [p.name for p in (tmp_path / "deaths").iterdir()] == ["1.0.0"]
    a, b = (deaths.load(Data(source=s)) for s in (source, str(tmp_path)))
    np.testing.assert_array_equal(a.x, b.x)
    assert a.id.tolist() == b.id.tolist() and a.spec == b.spec
    json.dumps(b.recipe)


def test_again_does_nothing_and_another_file_is_refused(source, tmp_path, capsys):
    assert command(source, tmp_path, "--quiet") == 0
    files = sorted((tmp_path / "deaths/1.0.0").iterdir())
    before = [p.stat().st_mtime_ns for p in files]
    assert command(source, tmp_path, "--quiet") == 0
    assert before == [p.stat().st_mtime_ns for p in files]
    out, err = capsys.readouterr()
    assert not out and not err
    other = tmp_path / "other.csv"
    simulate.deaths(Twin(months=3, regions=1))[0].to_csv(other, index=False)
    assert command(other, tmp_path) == 2
    assert "prepared from another file" in capsys.readouterr().err


def test_bad_input_leaves_nothing(source, tmp_path, capsys):
    bad = tmp_path / "bad.csv"
    frame = pd.read_csv(source, dtype=str, keep_default_na=False)
    frame.loc[1, "COVID-19 Deaths"] = "-1"
    frame.to_csv(bad, index=False)
    assert command(bad, tmp_path / "out") == 2
    assert f"{bad}, line 3, column 'COVID-19 Deaths'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert command(source, bad) == 2
    assert "is a file; expected a folder" in capsys.readouterr().err


def test_unknown_data_sets_and_flags_are_refused(source, tmp_path, capsys):
    for flag, said in (
        ("--dataset=mri", "known: cxr, mimic_cxr, deaths, embeddings"),
        ("--dats=x", "dats"),
    ):
        assert command(source, tmp_path, flag) == 2
        assert said in capsys.readouterr().err
    assert exit_codes(prepare.main, ["prepare", "--dataset=deaths"]) == 2


def test_download_only_when_asked_and_whole(source, tmp_path, capsys, monkeypatch):
    target, address = tmp_path / "got.csv", f"file://{source}"
    prepare.download(str(target), address, quiet=True)
    assert target.read_bytes() == Path(source).read_bytes()
    with pytest.raises(InputError, match="exists"):
        prepare.download(str(target), address)
    with pytest.raises(InputError, match="cannot be downloaded"):
        prepare.download(str(tmp_path / "none.csv"), address + ".absent", quiet=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["got.csv"]

    def never(*_):
        raise AssertionError("downloaded without being asked")

    monkeypatch.setattr(prepare.urllib.request, "urlopen", never)
    assert command(tmp_path / "absent.csv", tmp_path / "out") == 2
    assert "No such file" in capsys.readouterr().err


def test_folders_that_hold_no_table_are_refused(source, tmp_path):
    with pytest.raises(InputError, match="without a prepared deaths table"):
        deaths.load(Data(source=str(tmp_path)))
    prepare.prepare(source, str(tmp_path), quiet=True)
    [file] = (tmp_path / "deaths/1.0.0").glob("*.array_record*")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged, prepare it again"):
        read_prepared(str(tmp_path))
