"""The imbalance study: its smoke forms as a user starts them, example, worlds."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from studies import command, finish, refused

from equity_jax.config import Config, Data, Images, Imbalance, Phantom, Spurious
from equity_jax.data import DATASETS
from equity_jax.store import FILES
from equity_jax.types import TEST, TRAIN, InputError
from experiments import imbalance_study as study
from experiments import imbalance_worlds as worlds
from experiments.imbalance_conduct import confounded
from experiments.imbalance_example import weights, worked

NAME = "imbalance_study"
TABLE = ("--smoke", "--config.data.name=spurious", "--config.data.group=background")
IMAGES = ("--smoke", "--config.data.name=cxr", "--config.imbalance.depths=full,")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Finished smoke runs: images as a user starts them, a table in this process."""
    base = tmp_path_factory.mktemp("runs")
    process = command(NAME, base / "images", *IMAGES)
    config = study.smoke(study.main_config())
    config.data.name, config.data.group = "spurious", "background"
    config.imbalance.curves = False  # they have tests of their own
    study.study(config, str(base / "table"), quiet=True)
    finish(process)
    return {name: base / name for name in ("table", "images")}


@pytest.fixture(scope="module")
def spurious():
    data = Data(name="spurious", group="background", spurious=Spurious(train=2000))
    return DATASETS["spurious"](data, seed=0)


def read(path, name):
    return pd.read_csv(path / name, keep_default_na=False, na_values=[""])


def test_a_run_leaves_every_fixed_file(runs):
    for path in runs.values():
        for name in (*FILES, "worlds.csv", "calls.csv", "DONE", "figures"):
            assert (path / name).exists(), name
        text = (path / "report.html").read_text()
        assert "SIMULATED" in text and "What a weighted loss does" in text


def test_every_world_is_judged_or_says_why(runs):
    for path in runs.values():
        audit, made = read(path, "audit.csv"), read(path, "worlds.csv")
        rows = audit[(audit["metric"] == "auroc") & (audit["group"] == "all")]
        rows = rows[rows["contrast"] == "group"]
        lost = made[made["why"].notna()]
        assert len(lost) and len(lost) < len(made)
        for world, why in zip(made["world"], made["why"], strict=True):
            mine = rows[rows["scheme"].str.split(" | ", regex=False).str[0] == world]
            assert len(mine), world
            if isinstance(why, str):
                assert set(mine["status"]) == {"NOT_ESTIMABLE"}
                assert set(mine["interval"]) == {why} and mine["value"].isna().all()


def test_methods_are_compared_in_the_same_world(runs):
    audit = read(runs["table"], "audit.csv")
    rows = audit[(audit["contrast"] == "difference") & (audit["group"] == "all")]
    rows = rows[(rows["metric"] == "auroc") & (rows["reference"] == "method:erm")]
    values = audit[(audit["contrast"] == "group") & (audit["group"] == "all")]
    values = values[values["metric"] == "auroc"].set_index(["method", "scheme"])
    assert len(rows) > 10
    for r in rows.itertuples():
        there = values["value"]
        expected = there[r.method, r.scheme] - there["erm", r.scheme]
        assert r.value == pytest.approx(expected, abs=1e-8)


def test_images_cross_weights_with_depths(runs):
    table = read(runs["images"], "runs.csv")
    assert set(table["depth"]) == {"scratch", "full"}
    assert set(table["method"]) == {"erm", "class_weighted"}
    for name in ("depths_auroc", "depths_weighting", "depths_depth"):
        assert (runs["images"] / f"figures/{name}.png").exists()
    assert "SIMULATED X-rays" in (runs["images"] / "report.md").read_text()


def test_the_example_of_six_normal_and_two_with_a_mass():
    assert weights() == (2 / 8, 6 / 8)
    table = worked()
    assert table["weight"].tolist() == ["2/8 = 0.25", "6/8 = 0.75"]
    np.testing.assert_allclose(table["loss, all of them"], [4.16, 1.39])
    np.testing.assert_allclose(table["weighted loss, all of them"], [1.04, 1.04])


def test_two_sides_and_a_rare_class_of_three():
    data = Data(name="cxr", images=Images(size=16), phantom=Phantom(patients=60))
    found = DATASETS["cxr"](data, seed=0)
    made = worlds.two_sided(found)
    assert made.spec.classes == ("other", "COVID") and made.spec.task == "binary"
    np.testing.assert_array_equal(made.y[:, 0], np.asarray(found.y)[:, 0] == 0)
    assert made.spec.groups == (found.spec.reference, worlds.SMALLER)
    other = worlds.two_sided(found, "Normal")
    np.testing.assert_array_equal(other.y[:, 0], np.asarray(found.y)[:, 0] == 1)
    with pytest.raises(InputError, match="the classes: COVID, Normal"):
        worlds.two_sided(found, "Measles")


def test_a_class_of_one_group_alone_is_said(spurious):
    made = worlds.two_sided(spurious)
    assert confounded(made) == []
    alone = made._replace(y=(made.group == 1)[:, None].astype(np.float32))
    assert [text.split("**")[1] for text in confounded(alone)] == [
        "No training row of smaller groups is other",
        "No training row of usual is present",
    ]


def test_test_rows_stay_and_seeds_draw_anew(spurious):
    dataset = worlds.two_sided(spurious)
    few = Imbalance(prevalence=(0.2, 0.05), share=(0.2, 0.05), rows=(500,))
    config = dataclasses.replace(Config(), imbalance=few)
    planned = worlds.plan(config, dataset)
    test, train = (dataset.split == s for s in (TEST, TRAIN))
    for mask in planned.kept.values():
        assert not mask[test].any() and mask[train].any()
    case = planned.reached[0]
    a, b = (planned.kept[worlds.drawn(case, d)] for d in (0, 1))
    assert a.sum() == b.sum() and not (a == b).all()
    lines = worlds.table(dataset, planned).set_index("world")
    found = lines.loc[case.name]
    assert found.train_rare / found.train_rows == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--config.data.name=deaths"], "choose one label (--config.data.task=burden"),
        (["--config.imbalance.prevalence=0"], "prevalences and shares lie in (0, 1)"),
        (["--config.imbalance.rare=Measles"], "the classes:"),
        (["--config.imbalance.mapped=magic"], "unknown method 'magic'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(flags, words, tmp_path, capsys):
    first = [] if "name=deaths" in flags[0] else list(TABLE)
    argv = [*first, f"--workdir={tmp_path / 'run'}", *flags]
    errors = refused(study, argv, capsys)
    assert words in errors and "\n" not in errors
    assert not (tmp_path / "run").exists()


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["deaths", "cxr"])
def test_real_data_make_worlds(name, real):
    sources = {
        "deaths": "deaths/cdc_hhs_race_age_cleaned_bymonth_2020_2021.csv.gz",
        "cxr": "cxr_radiography",
    }
    source = str(real / sources[name])
    data = Data(name=name, source=source, task="burden", images=Images(size=16))
    dataset = worlds.two_sided(DATASETS[name](data, seed=0))
    planned = worlds.plan(Config(), dataset)
    table = worlds.table(dataset, planned).set_index("world")
    assert (table["why"] == "").sum() >= 3
    if name == "deaths":
        assert "rows wanted, 3,906 there" in table.loc["20,000 rows", "why"]
    else:  # COVID made rare among 1,190 others
        assert table.loc["prevalence 3 %", "train_rare"] == 18
