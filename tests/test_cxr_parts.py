"""Prepared X-rays load to the same data set; a killed run goes on; odd files stop."""

import numpy as np
import pandas as pd
import pytest
from test_cxr_tables import chexpert, nih
from xrays import SIZE, data, folders, odd, picture, save

from equity_jax.config import Phantom
from equity_jax.data import base, cxr, cxr_parts, cxr_prepare, phantom
from equity_jax.data.cxr_layouts import find
from equity_jax.data.stream import Stream
from equity_jax.types import InputError
from experiments.launch import exit_codes
from scripts import prepare


def command(source, data_dir, *more):
    flags = ("--dataset=cxr", f"--source={source}", f"--data_dir={data_dir}")
    return exit_codes(prepare.main, ["prepare", *flags, f"--size={SIZE}", *more])


def same(a, b):
    assert a.spec == b.spec and a.recipe == b.recipe
    assert a.id.tolist() == b.id.tolist() and base.split_hash(a) == base.split_hash(b)
    np.testing.assert_array_equal(np.asarray(a.x), np.asarray(b.x))
    for name in ("y", "mask", "split", "patient"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert list(a.attributes) == list(b.attributes)
    for name, values in a.attributes.items():
        np.testing.assert_array_equal(values, b.attributes[name])
    pd.testing.assert_frame_equal(a.table, b.table)
    pd.testing.assert_frame_equal(cxr.quarantine(a), cxr.quarantine(b))


def twin(root):
    phantom.write(root, Phantom(patients=30, size=64), 0)
    odd(root / "COVID")
    (root / "Lung_Opacity").mkdir()
    save(root / "Lung_Opacity" / "1.png", picture(1))
    (root / "Lung_Opacity" / "2.png").write_text("text")
    return root


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (twin, {}),
        (twin, {"classes": "Lung_Opacity=Other,Normal="}),
        (twin, {"equalize": "clahe", "memory": 0.0}),
        (nih, {}),
        (chexpert, {"uncertain": "u-ignore", "views": "frontal"}),
    ],
)
def test_prepared_is_the_same_data_set(make, options, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    root, out = make(tmp_path / "in"), tmp_path / "out"
    assert command(root, out, "--quarantine=0.5") == 0
    direct = cxr.load(data(root, quarantine=0.5, **options))
    prepared = cxr.load(data(out, quarantine=0.5, **options))
    same(direct, prepared)
    assert isinstance(prepared.x, Stream) == ("memory" in options)
    assert "images of" in capsys.readouterr().out


def test_the_list_of_unreadable_files(tmp_path, capsys):
    root = twin(tmp_path / "in")
    assert command(root, tmp_path / "out", "--quarantine=0.5") == 0
    out, err = capsys.readouterr()
    assert "6 unreadable ones in " in out and "images: 100%" in err
    listed = pd.read_csv(tmp_path / "out" / "cxr" / "quarantine.csv")
    assert len(listed) == 6 and listed["reason"].str.contains("1×1 pixels").any()
    assert command(root, tmp_path / "few", "--quiet") == 2  # the usual 5 %
    assert "files are unreadable (" in capsys.readouterr().err
    assert (tmp_path / "few" / "cxr" / "quarantine.csv").exists()
    assert not (tmp_path / "few" / "cxr" / "1.0.0").exists()


def test_a_killed_run_goes_on(tmp_path, monkeypatch):
    root = twin(tmp_path / "in")
    monkeypatch.setattr(cxr_parts, "ROWS", 8)
    source, work = find(str(root)), cxr_parts.Work("cxr", "array_record", SIZE)
    make, made = cxr_parts.make, []

    def killed(part, *more):
        if part.number == 2:
            raise KeyboardInterrupt
        make(part, *more)

    monkeypatch.setattr(cxr_parts, "make", killed)
    with pytest.raises(KeyboardInterrupt):
        prepared(source, work, tmp_path / "out")
    monkeypatch.setattr(
        cxr_parts, "make", lambda *a: made.append(a[0].number) or make(*a)
    )
    prepared(source, work, tmp_path / "out")
    assert made[0] == 2  # the first two are not read again
    prepared(source, work, tmp_path / "whole")
    options = {"quarantine": 0.5}
    a, b = (cxr.load(data(tmp_path / name, **options)) for name in ("out", "whole"))
    same(a, b)
    left = sorted(p.name for p in (tmp_path / "out" / "cxr").iterdir())
    assert left == ["1.0.0", "quarantine.csv"]


def prepared(source, work, out):
    return cxr_prepare.prepare(source, work, str(out), 0.5, quiet=True)


def test_again_does_nothing_and_others_are_refused(tmp_path, capsys):
    root, out = folders(tmp_path / "in"), tmp_path / "out"
    assert command(root, out, "--quiet") == 0
    files = sorted((out / "cxr" / "1.0.0").iterdir())
    before = [path.stat().st_mtime_ns for path in files]
    assert command(root, out, "--quiet") == 0
    assert before == [path.stat().st_mtime_ns for path in files]
    assert capsys.readouterr() == ("", "")
    save(root / "COVID" / "more.png", picture(999))
    for flags in ((), ("--size=48",)):
        assert command(root, out, *flags) == 2
        assert "from other files, at another size" in capsys.readouterr().err
    assert command(out, tmp_path / "twice") == 2
    assert "is prepared already" in capsys.readouterr().err
    assert command(root, tmp_path / "x", "--download") == 2
    with pytest.raises(InputError, match="prepared at 32 pixels a side"):
        cxr.load(data(out, size=64))


def test_damage_is_seen(tmp_path):
    out = tmp_path / "out"
    assert command(folders(tmp_path / "in"), out, "--quiet") == 0
    [file] = (out / "cxr" / "1.0.0").glob("*.array_record*")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged, prepare it again"):
        cxr.load(data(out))
    (out / "cxr" / "1.0.0" / "about.json").unlink()
    with pytest.raises(InputError, match="not chest X-rays of scripts.prepare"):
        cxr.load(data(out))


@pytest.mark.realdata
def test_real_images_prepared(real, tmp_path):
    assert command(real / "cxr_covid", tmp_path, "--quiet") == 0
    same(cxr.load(data(real / "cxr_covid")), cxr.load(data(tmp_path)))


def test_what_was_done_to_the_pixels_is_known(tmp_path):
    root, out = folders(tmp_path / "in"), tmp_path / "out"
    assert command(root, out, "--equalize=borders", "--quiet") == 0
    for asked, becomes in (("", "borders"), ("borders+clahe", "borders+clahe")):
        found = cxr.load(data(out, equalize=asked))
        assert found.recipe["equalize"] == becomes
        assert any("has treated the pixels: borders." in n for n in found.spec.notes)
        np.testing.assert_array_equal(found.x, cxr.load(data(root, equalize=becomes)).x)
    with pytest.raises(InputError, match="'global' cannot be made of that"):
        cxr.load(data(out, equalize="global"))
    run = cxr.load(data(root, equalize="global"))  # whose model would see other pixels
    with pytest.raises(InputError, match="was prepared with --equalize=borders"):
        cxr.load(data(out), recipe=run.recipe)


def test_what_was_prepared_before_race_was_a_column_still_loads(tmp_path):
    root, out = folders(tmp_path / "in"), tmp_path / "out"
    assert command(root, out, "--quiet") == 0
    path = out / "cxr" / "1.0.0" / "table.csv"
    pd.read_csv(path).drop(columns=["race", "insurance"]).to_csv(path, index=False)
    same(cxr.load(data(root)), cxr.load(data(out)))
