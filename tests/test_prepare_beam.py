"""The pipeline on Beam's DirectRunner with two workers gives what threads give."""

import pytest

from equity_jax.config import Ward
from equity_jax.data import cxr_parts, ward
from equity_jax.data.examples import features
from experiments.launch import exit_codes
from scripts import prepare, prepare_beam

DIRECT = (
    "--runner=DirectRunner",
    "--direct_num_workers=2",
    "--direct_running_mode=multi_processing",
)


def flags(source, out, *more):
    named = ("--dataset=mimic_cxr", f"--source={source}", f"--data_dir={out}")
    return ["prepare", *named, "--size=32", "--quarantine=0.5", *more]


def recorded(folder):
    """Each record by the file of its image, in the order of these."""
    from array_record.python.array_record_module import ArrayRecordReader

    found = {}
    for path in folder.glob("*.array_record-*"):
        reader = ArrayRecordReader(str(path))
        for payload in reader.read_all() if reader.num_records() else ():
            found[features(payload)["file"][0].decode()] = payload
    return dict(sorted(found.items()))


def test_two_workers_give_the_records_of_the_plain_path(tmp_path, monkeypatch):
    pytest.importorskip("apache_beam", reason="the extra beam has its own environment")
    monkeypatch.setattr(cxr_parts, "ROWS", 16)
    source, plain, beam = tmp_path / "in", tmp_path / "plain", tmp_path / "beam"
    source.mkdir()
    ward.write(str(source), Ward(patients=25, size=48))
    images = sorted(source.rglob("*.jpg"))
    images[3].write_bytes(images[3].read_bytes()[:500])  # truncated
    images[7].unlink()  # listed, but absent
    assert exit_codes(prepare.main, flags(source, plain)) == 0
    asked = flags(source, beam, "--", *DIRECT)
    assert exit_codes(prepare_beam.main, asked) == 0
    a, b = (recorded(out / "mimic_cxr/1.0.0") for out in (plain, beam))
    assert list(a) == list(b) and len(a) == len(images) - 2
    for name, payload in a.items():
        assert b[name] == payload, name
    for name in ("quarantine.csv", "1.0.0/table.csv", "1.0.0/dataset_info.json"):
        files = [out / "mimic_cxr" / name for out in (plain, beam)]
        assert files[0].read_bytes() == files[1].read_bytes(), name
    print(f"{len(a)} records of two workers are those of the plain path")


def test_bad_flags_are_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(prepare_beam, "pipeline", lambda images, options: None)
    out = tmp_path / "out"
    for argv, said in (
        (flags(tmp_path, out, "more", "--", *DIRECT), "unexpected argument 'more'"),
        (flags(tmp_path, out, "--dataset=deaths"), "known: cxr, mimic_cxr"),
        (flags(tmp_path / "none", out, "--", *DIRECT), "does not exist"),
        (flags(tmp_path, out, *DIRECT), "runner"),
    ):
        assert exit_codes(prepare_beam.main, argv) == 2
        assert said in capsys.readouterr().err
    assert not out.exists()
