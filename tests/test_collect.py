"""Several finished runs become one table; anything else is refused in one line."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from equity_jax.config import Config, Data, digest
from equity_jax.store import FILES, open_run
from experiments.launch import exit_codes
from scripts.collect import main


def finished(path, config: Config, audit: pd.DataFrame):
    store = open_run(str(path), config)
    for name in FILES:
        if name.endswith("npz"):
            store.write_npz(name, prob=np.zeros(1))
        elif name != "config.json":
            store.write_text(name, "{}")
    store.write_csv("audit.csv", audit)
    store.finish()
    return str(path)


def audit(*values: float) -> pd.DataFrame:
    groups = ["White", "NA", "Black"][: len(values)]
    return pd.DataFrame({"group": groups, "value": values, "threshold": np.nan})


@pytest.fixture
def runs(tmp_path):
    real = Config(data=Data(source="some/where/deaths.csv.gz"))
    return [
        finished(tmp_path / "a" / "run", Config(), audit(0.1 + 0.2, 2.0)),
        finished(tmp_path / "b" / "run", real, audit(1.0, np.nan, 3.0)),
    ]


def collect(*words: str) -> int:
    return exit_codes(main, ["collect", *words])


def refused(capsys, *words: str) -> str:
    assert collect(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err


def test_two_runs_become_one_table(runs, tmp_path, capsys):
    out = tmp_path / "all.csv"
    assert collect(*runs, f"--out={out}") == 0
    assert capsys.readouterr().out == f"{out}: 5 rows from 2 runs\n"
    lines = out.read_text().splitlines()
    config = Config(data=Data(source="some/where/deaths.csv.gz"))
    assert lines[0] == "run_dir,name,config,data,group,value,threshold"
    assert lines[1].endswith(f",{digest(Config())},SIMULATED,White,0.3,")
    assert lines[2].startswith("a/run,deaths_transfer,") and ",NA,2," in lines[2]
    assert lines[4] == f"b/run,deaths_transfer,{digest(config)},deaths.csv.gz,NA,,"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "all.csv", "b"]


def test_the_basename_is_enough_where_it_is_unique(runs, tmp_path):
    other = replace(Config(), seed=1)
    third = finished(tmp_path / "c", other, audit(4.0).assign(method="erm"))
    assert collect(runs[0], third, f"--out={tmp_path / 'all.csv'}") == 0
    table = pd.read_csv(tmp_path / "all.csv", keep_default_na=False)
    assert table["run_dir"].tolist() == ["run", "run", "c"]
    assert table["method"].tolist() == ["", "", "erm"]
    assert len(set(table["config"])) == 2


def test_wrong_directories_are_refused(runs, tmp_path, capsys):
    out = f"--out={tmp_path / 'all.csv'}"
    (tmp_path / "foreign").mkdir()
    half = open_run(str(tmp_path / "half"), Config())
    half.write_text("report.md", "a")
    says = refused(capsys, runs[0], str(tmp_path / "foreign"), out)
    assert "foreign is not a run directory" in says
    assert "half is not finished" in refused(capsys, str(half.path), runs[0], out)
    assert "not a run directory" in refused(capsys, str(tmp_path / "none"), out)
    assert "given twice" in refused(capsys, runs[0], runs[0] + "/", out)
    assert "at least one" in refused(capsys, out)
    assert not (tmp_path / "all.csv").exists()


def test_a_wrong_out_is_refused(runs, tmp_path, capsys):
    assert "--out=... is missing" in refused(capsys, runs[0])
    assert "must be a file" in refused(capsys, runs[0], f"--out={tmp_path}")
    nowhere = tmp_path / "none" / "all.csv"
    assert "a folder that exists" in refused(capsys, runs[0], f"--out={nowhere}")
    assert "Unknown command line flag" in refused(capsys, runs[0], "--outs=x")


def methods(rank: list[float]) -> pd.DataFrame:
    """Like methods.csv: two methods, the metric that ranks and the AUROC."""
    rows = []
    for name, place, gain in zip(("erm", "focal"), rank, (np.nan, 0.1), strict=True):
        row = {"entry": name, "uses": "none", "status": "OK", "low": 0.6, "high": 0.8}
        row |= {"criterion": "worst_cell", "value": 0.7, "difference": gain}
        row |= {"difference_low": gain - 0.05, "difference_high": gain + 0.05}
        row |= {"difference_p_holm": gain / 10}
        rows += [row | {"metric": "worst_cell_accuracy", "rank": place}]
        rows += [row | {"metric": "auroc", "rank": np.nan}]
    return pd.DataFrame(rows)


def test_methods_are_joined_and_written_for_reading(runs, tmp_path):
    for run, rank in zip(runs, ([1.2, 1.8], [2.0, 1.0]), strict=True):
        methods(rank).to_csv(f"{run}/methods.csv", index=False)
    out, text = tmp_path / "all.csv", tmp_path / "all.md"
    assert collect(*runs, f"--out={out}", "--table=methods", f"--wide={text}") == 0
    table = pd.read_csv(out, keep_default_na=False)
    assert table.columns[:5].tolist() == ["run_dir", "name", "config", "data", "entry"]
    assert len(table) == 8 and set(table["data"]) == {"SIMULATED", "deaths.csv.gz"}
    lines = text.read_text("utf-8").splitlines()
    assert "a/run (SIMULATED): worst-cell accuracy" in lines[0]
    assert "b/run: minus balanced erm" in lines[0] and "b/run: AUROC" in lines[0]
    assert lines[2].startswith(
        "| focal | never | 0.70 [0.60, 0.80] | 0.10 [0.05, 0.15] * |"
    )
    assert " * |" in lines[2] and lines[3].startswith("| erm | never |")


def test_a_run_without_methods_is_refused(runs, tmp_path, capsys):
    out = f"--out={tmp_path / 'all.csv'}"
    assert "no methods.csv" in refused(capsys, runs[0], out, "--table=methods")
    assert "known: audit, methods" in refused(capsys, runs[0], out, "--table=x")
    wide = f"--wide={tmp_path / 'all.md'}"
    assert "--wide needs --table=methods" in refused(capsys, runs[0], out, wide)
