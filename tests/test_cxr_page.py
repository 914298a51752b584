"""The sections of the chest X-ray page, on a made-up result."""

import cxr_result
import numpy as np
import pandas as pd
import pytest

from equity_jax import trial_files as files
from equity_jax.audit import NOT_ESTIMABLE, view
from equity_jax.audit.pages.page import Page, write
from experiments import (
    cxr_classes,
    cxr_confounded,
    cxr_controls,
    cxr_explore,
    cxr_factors,
    cxr_grouped,
    cxr_maps,
    cxr_parts,
    cxr_results,
)

SECTIONS = (
    cxr_results.leaderboard,
    cxr_classes.confusion,
    cxr_classes.groups,
    cxr_controls.controls,
    cxr_maps.maps,
    cxr_factors.factors,
    cxr_grouped.grouped,
    cxr_factors.learning_curves,
    cxr_explore.exploration,
    cxr_results.conduct,
)
WRITTEN = (
    "leaderboard confusion calibration controls maps factors grouped exploration"
).split()


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return cxr_result.result(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def sections(result):
    return {make.__name__: make(result) for make in SECTIONS}


def words(section):
    return " ".join([*section.text, *section.items])


def test_every_section_is_there_and_the_page_holds_them(result, sections):
    assert all(section is not None for section in sections.values())
    answer = cxr_classes.answer(result)
    page = Page("X-rays", "twin", True, list(sections.values()), answer)
    html = write(page, result.store.path).read_text()
    for name in WRITTEN:
        assert len(result.store.read_csv(f"{name}.csv")), name
    figures = [f for s in sections.values() for f in s.figures]
    tables = [t for s in sections.values() for t in s.tables]
    mark = '<span class="mark">SIMULATED</span>'
    assert html.count(mark) == 1 + len(figures) + len(tables)
    shown = (result.store.path / "report.md").read_text().lower().split()
    assert not {"nan", "none", "inf"} & set(shown)


def test_the_leaderboard_ranks_on_validation_and_names_the_files(result, sections):
    board = result.store.read_csv("leaderboard.csv")
    assert board["validation loss"].is_monotonic_increasing
    assert board["network"].tolist() == [cxr_parts.name_of(t) for t in result.chosen]
    trials, best = result.trials, result.best
    files.write(result.store, trials, best, result.table, result.log, result.held)
    text = words(sections["leaderboard"])
    for place in (1, 2, 3):
        (path,) = (result.store.path / "submission").glob(f"{place}_*")
        assert f"submission/{path.name}" in text
    assert "Can the first be told from the second?" in text
    assert "32 x 32 pixels (usual: 224)" in text


def test_random_numbers_are_never_called_transfer(result, sections):
    board = result.store.read_csv("leaderboard.csv")
    scratch = board["network"].str.contains("from scratch")
    assert scratch.any() and (~scratch).any()
    assert (board.loc[scratch, "weights from"] == "random numbers").all()
    assert board.loc[~scratch, "weights from"].str.contains("SIMULATED").all()
    assert not board.loc[scratch, "network"].str.contains("pretrained|transfer").any()


def test_the_numbers_are_those_of_the_audit(result, sections):
    board = result.store.read_csv("leaderboard.csv").set_index("network")
    found = cxr_parts.measured(
        result.test, result.dataset.spec.classes, result.store.config
    )
    for metric in ("accuracy", "macro_auroc"):
        assert np.allclose(found[metric].value, board[metric])


def test_a_paired_difference_is_a_mean_over_pairs(result):
    config, classes = result.store.config, result.dataset.spec.classes
    found = cxr_parts.measured(result.test, classes, config)["accuracy"]
    gain = cxr_parts.paired(found, [(0, 1), (0, 2)], 0.95)
    by_hand = found.value[0] - found.value[1:].mean()
    assert gain["value"] == pytest.approx(by_hand)
    assert gain["low"] <= gain["value"] <= gain["high"]
    same = cxr_parts.paired(found, [(1, 1)], 0.95)
    assert same["value"] == same["low"] == same["high"] == 0


def test_too_few_patients_of_a_class_give_no_macro_auroc(result):
    p, classes = result.test, result.dataset.spec.classes
    rare = np.flatnonzero(p.y[:, 0] == 0)[3:]
    y = p.y.copy()
    y[rare] = np.nan
    config = result.store.config
    found = cxr_parts.measured(p._replace(y=y), classes, config)
    gain = cxr_parts.paired(found["macro_auroc"], [(0, 1)], 0.95)
    assert gain["status"] == NOT_ESTIMABLE and np.isnan(gain["low"])
    assert "too few" in cxr_parts.told(gain["low"], gain["high"])


def test_recalibration_is_scored_as_log_loss_by_hand(result, sections):
    table = result.store.read_csv("calibration.csv")
    rows = cxr_parts.tested_rows(result)
    prob = files.softmax(result.chosen[0].logits[rows])
    y = result.held.y[rows, 0]
    loss = -np.log(prob[np.arange(len(y)), y]).mean()
    name = cxr_parts.name_of(result.chosen[0])
    mine = view(table, network=name, measure="log loss").set_index("when")["value"]
    assert mine["as trained"] == pytest.approx(loss, rel=1e-6)
    change = mine["recalibrated"] - mine["as trained"]
    assert mine["change"] == pytest.approx(change)


def test_confusion_counts_every_test_image_once(result, sections):
    table = result.store.read_csv("confusion.csv")
    total = table.groupby("network")["images"].sum()
    assert (total == len(result.test.id)).all()


def test_who_is_served_worse_says_why_it_cannot_tell(result):
    rows = result.overall.copy()
    male = rows["group"].eq("Male") & rows["attribute"].eq("sex")
    alone = rows["contrast"].isin(["gap", "worst"]) & rows["attribute"].eq("sex")
    rows.loc[male | alone, ["value", "low", "high"]] = np.nan
    rows.loc[male | alone, "status"] = NOT_ESTIMABLE
    rows.loc[male, "interval"] = "fewer than 10 effective patients"
    said = cxr_classes.sentence(result._replace(overall=rows), "sex")
    assert "NOT_ESTIMABLE" in said and "Male: fewer than 10 effective" in said


def test_without_attributes_nobody_is_compared(result):
    bare = result.every._replace(attributes={})
    bare = bare._replace(valid=bare.valid._replace(attributes={}))
    section = cxr_classes.groups(result._replace(every=bare))
    assert "nobody can be compared" in words(section)
    assert cxr_classes.answer(result._replace(every=bare))[1][1].startswith("NOT")


def test_effects_find_what_was_planted(result, sections):
    effects = result.store.read_csv("factors.csv")
    mine = view(effects, network="cnn_small", metric="accuracy").set_index("choice")
    head = mine.loc["what is trained: the head only, minus all layers"]
    assert head["high"] < 0
    assert head["pairs"] == 4  # 2 rates x 2 augmentations
    assert mine.loc["augmentation: augmented, minus plain", "value"] > 0
    assert mine.loc["learning rate: 0.001, minus 0.01", "low"] < 0


def test_pairs_differ_in_one_choice_alone():
    rows = [
        (0, "m", 0, "0.1", "plain", "erm", "all layers"),
        (1, "m", 0, "0.1", "plain", "erm", "the head only"),
        (2, "m", 0, "0.2", "plain", "erm", "all layers"),
        (3, "m", 1, "0.1", "plain", "erm", "the head only"),  # no partner: its seed
    ]
    names = ["trial", "model", "seed", *cxr_factors.FACTORS]
    table = pd.DataFrame(rows, columns=names)
    made = list(cxr_factors.matched(table, "depth"))
    assert made == [("the head only", "all layers", [(1, 0)])]
    assert list(cxr_factors.matched(table, "lr")) == [("0.2", "0.1", [(2, 0)])]
    assert list(cxr_factors.matched(table, "method")) == []


def test_learning_by_group_needs_its_arm(result, sections):
    assert "Learning by group (sex)" == sections["grouped"].title
    table = result.store.read_csv("grouped.csv")
    assert set(table["scheme"]) == {"mixture", "alone", "transfer('full')"}
    some = [t for t in result.trials if len(t.arm.schemes) < 3]
    assert cxr_grouped.grouped(result._replace(trials=some)) is None


def test_controls_stand_beside_the_accuracy(result, sections):
    table = result.store.read_csv("controls.csv").fillna({"source": ""})
    kinds = {"the whole image", "lungs blanked", "told from pixels"}
    assert kinds | {"within one source"} == set(table["control"])
    west = view(table, control="within one source", source="west")
    assert set(west["status"]) == {NOT_ESTIMABLE}
    text = words(sections["controls"])
    assert "**Within west**: NOT_ESTIMABLE (west holds one class only" in text
    assert "**border pixels** alone names the class of" in text
    assert "With the lung area blanked" in text


def test_no_source_is_said(result, sections):
    table = result.store.read_csv("controls.csv")
    some = table[table["control"] != "within one source"]
    assert cxr_controls.within(some, "x") == [
        "No source is recorded, so nothing can be compared within one source."
    ]


def test_maps_are_measured_on_the_planted_lesion(result, sections):
    table = result.store.read_csv("maps.csv")
    lesion = table[table["what"].str.contains("planted lesion")]
    assert len(lesion) == 2 * len(result.chosen)
    assert lesion["chance"].between(0.01, 0.2).all()
    assert (lesion["low"] <= lesion["value"]).all()
    checks = view(table, control="randomized weights")
    assert set(checks["system"]) == set(lesion["system"])
    kinds = [f.caption.split(" of ")[0] for f in sections["maps"].figures]
    assert kinds == ["Grad-CAM", "Grad-CAM++", "Grad-CAM", "Grad-CAM"]


def test_maps_come_from_a_layer_fine_enough(result):
    name, cells = cxr_maps.tap_of(result.chosen[0].network)
    assert name in result.chosen[0].network.model.blocks and cells >= cxr_maps.LEAST


def test_cramers_v():
    rng = np.random.default_rng(0)
    assert cxr_confounded.cramers_v(np.diag([30, 40, 50])) == pytest.approx(1, abs=1e-6)
    chance = rng.multinomial(4000, np.outer([0.3, 0.7], [0.5, 0.2, 0.3]).ravel())
    assert cxr_confounded.cramers_v(chance.reshape(2, 3)) < 0.03
    assert np.isnan(cxr_confounded.cramers_v(np.array([[3, 4], [0, 0]])))
    table = np.array([[20, 10], [10, 20]])  # chi2 / n = 1 / 9, by hand
    square, less = 1 / 9 - 1 / 59, 2 - 1 / 59 - 1
    assert cxr_confounded.cramers_v(table) == pytest.approx(np.sqrt(square / less))


def test_the_page_says_what_is_confounded(result, sections):
    text = words(sections["exploration"])
    assert "**The classes are confounded with source**" in text
    assert "confounded with sex" not in text
    assert "No age" not in text and "Age is not recorded" not in text
    rows = cxr_explore.described(result.dataset)
    said = cxr_confounded.confounded(rows.drop(columns="age"), ["source", "sex"])
    assert any("**Age is not recorded**" in line for line in said)
    kermany = rows.assign(source=np.where(rows["class"] == "COVID", "a", "kermany"))
    said = " ".join(cxr_confounded.confounded(kermany, ["source"]))
    assert "0% of COVID, 100% of Normal, 100% of Viral Pneumonia" in said


def test_exploration_counts_every_image(result, sections):
    table = result.store.read_csv("exploration.csv")
    for name in ("all", "sex", "source", "age", "view"):
        assert table.loc[table["attribute"] == name, "images"].sum() == len(
            result.dataset.id
        )


def test_look_alikes_across_splits_are_counted(result):
    dataset = result.dataset
    alike = np.full(len(dataset.id), -1)
    alike[[np.argmax(dataset.split == part) for part in (0, 2)]] = 7
    changed = dataset._replace(table=dataset.table.assign(alike=alike))
    section = cxr_explore.exploration(result._replace(dataset=changed))
    assert "of 1 pictures that several files show (look-alikes), 1 lie" in words(
        section
    )


def test_what_was_not_done_is_said(result, sections):
    text = words(sections["conduct"])
    assert "cnn_deep ran at one learning rate" in text and "other seeds" in text
    assert "Seconds so far: load 1, fit 20, compile 5" in text


def test_a_lesion_is_looked_for_on_the_twin_alone(result):
    held = result.held._replace(table=result.held.table.drop(columns="lesion"))
    rows = cxr_maps.chosen_rows(result)
    maps = np.random.default_rng(0).random((len(rows), 32, 32))
    y = result.held.y[rows, 0]
    seen = cxr_maps.Seen(maps[..., None], y, y, np.ones(len(y)), {"Grad-CAM": maps})
    for some, count in ((held, 1), (result.held, 2)):
        changed = result._replace(held=some)
        found = cxr_maps.measured(changed, result.chosen[0], seen, rows)
        assert len(found) == count
        for table in found:  # an even map has no favorite place
            value, even = table["value"].item(), table["chance"].item()
            assert abs(value - even) < 0.02
