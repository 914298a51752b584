"""scripts.predict on later months; scripts.collect on the runs it comes from."""

import numpy as np
import pandas as pd
import pytest

from equity_jax.config import Audit, Config, Data, Model, Train, Twin
from equity_jax.data import simulate
from equity_jax.run import run
from equity_jax.types import InputError
from scripts.collect import collect
from scripts.predict import predict

SCHEMES = ("mixture", "alone", "transfer('full')")


def config(source: str) -> Config:
    train = Train(
        seeds=1, schemes=SCHEMES, steps=20, eval_every=10, segment=20, chunk=8
    )
    return Config(
        data=Data(source=source),
        model=Model("mlp(8)"),
        train=train,
        audit=Audit(replicates=50),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(run directory, file of later months, whole file) of one twin's table."""
    folder = tmp_path_factory.mktemp("later")
    table, _ = simulate.deaths(Twin(months=18))
    start = pd.to_datetime(table["Start Date"], format="%m/%d/%Y")
    table["Data As Of"] = "09/27/2023"
    for name, rows in (
        ("early", start < "2021-02-01"),
        ("late", start >= "2021-02-01"),
        ("whole", start > "2000-01-01"),
    ):
        table[rows].to_csv(folder / f"{name}.csv.gz", index=False)
    run(config(str(folder / "early.csv.gz")), str(folder / "run"), quiet=True)
    return folder


def scores(made, name: str) -> pd.DataFrame:
    out = made / f"{name}_scores.csv"
    predict(str(made / "run"), str(made / f"{name}.csv.gz"), str(out))
    return pd.read_csv(out, dtype={"region": str}, keep_default_na=False)


def test_later_months_are_scored_for_every_group(made):
    table = scores(made, "late")
    groups = table[table["race"] != ""].groupby("race")["prob"]
    assert len(groups) == 7
    assert set(table["split"]) == {"test"}
    assert len(table["system"].unique()) == len(SCHEMES) + 1
    assert (table["prob"].astype(float) > 0).all()
    known = table[table["mu"] != ""].astype({"mu": float, "low": float, "high": float})
    assert (known["low"] <= known["high"]).all() and len(known)


def test_the_stored_history_stands_in_for_earlier_months(made):
    late, whole = scores(made, "late"), scores(made, "whole")
    keys = ["id", "system"]
    both = late.merge(whole, on=keys, suffixes=("", "_whole"))
    assert len(both) == len(late)
    first = both[both["period"] == "2021-02-01"]
    np.testing.assert_allclose(first["prob"], first["prob_whole"], rtol=1e-5)
    np.testing.assert_allclose(both["prob"], both["prob_whole"], rtol=1e-5)


def test_groups_have_their_own_parameters(made):
    table = scores(made, "late")
    wide = table.pivot(index="id", columns="system", values="prob").astype(float)
    alone, mixture = (
        wide.filter(like=f"| {s} |").iloc[:, 0] for s in SCHEMES[:2][::-1]
    )
    named = table.drop_duplicates("id").set_index("id").loc[wide.index, "race"] != ""
    assert (alone != mixture)[named].mean() > 0.99
    # a row without a recorded race: both are the mixture's
    np.testing.assert_allclose(alone[~named], mixture[~named])


def test_predictions_csv_agrees_with_predict(made):
    stored = pd.read_csv(made / "run" / "predictions.csv", keep_default_na=False)
    again = scores(made, "early").merge(
        stored, on=["id", "system"], suffixes=("", "_s")
    )
    assert len(again) == len(stored)
    np.testing.assert_allclose(again["prob"], again["prob_s"], rtol=1e-5)


@pytest.mark.parametrize(
    ("run_dir", "source", "words"),
    [
        ("nowhere", "late.csv.gz", "nowhere is not a run directory"),
        ("run", "missing.csv.gz", "missing.csv.gz"),
    ],
)
def test_bad_input_names_the_file(made, run_dir, source, words, tmp_path):
    out = tmp_path / "out.csv"
    with pytest.raises(InputError, match=words):
        predict(str(made / run_dir), str(made / source), str(out))
    assert not out.exists()


def test_an_output_that_cannot_be_written(made):
    with pytest.raises(InputError, match="cannot be written"):
        predict(str(made / "run"), str(made / "late.csv.gz"), "/proc/none/x.csv")


def test_collect_joins_runs(made):
    table = collect([str(made / "run")])
    once = pd.read_csv(made / "run" / "audit.csv")
    assert len(table) == len(once) and set(table["run_dir"]) == {"run"}
