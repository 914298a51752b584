"""Learning curves and the leaderboard stand where the numbers are."""

import numpy as np
import pandas as pd
import pytest
from test_image_figures import texts

from equity_jax.audit.pages import trial_figures as figures
from equity_jax.audit.pages.style import save

SYSTEMS = ["densenet201/finetune('full')", "vgg19/scratch", "cnn_small/scratch"]


def board():
    rows = [
        {"system": s, "metric": m, "value": 0.9 - 0.1 * i - 0.02 * k, "status": "OK"}
        for i, s in enumerate(SYSTEMS)
        for k, m in enumerate(("accuracy", "macro_f1"))
    ]
    table = pd.DataFrame(rows)
    table = table.assign(low=table.value - 0.05, high=table.value + 0.05)
    lost = (table.system == SYSTEMS[1]) & (table.metric == "macro_f1")
    table.loc[lost, ["value", "low", "high"]] = np.nan
    return table


def log(runs):
    steps = np.arange(0, 100, 10)
    parts = [
        pd.DataFrame({"run": f"run {r}", "step": steps, "split": s, "value": v})
        for r in range(runs)
        for s, v in (("train", 1 / (steps + 1)), ("valid", (steps - 60) ** 2 / 1e4))
    ]
    return pd.concat(parts, ignore_index=True)


TITLES = {"accuracy": "accuracy", "macro_f1": "macro F1"}


def test_the_leaderboard_keeps_its_order_and_says_what_is_missing(tmp_path):
    for k in range(2):
        figure = figures.leaderboard(board(), TITLES, title="A title", simulated=True)
        save(figure, tmp_path / f"{k}.png")
    a, b = ((tmp_path / f"{k}.png").read_bytes() for k in range(2))
    assert a == b
    shown = texts(figure)
    for word in ("SIMULATED", "A title", "macro F1", "not estimable", "2  vgg19"):
        assert word in shown
    drawn = [np.ma.filled(a.collections[1].get_offsets(), np.nan) for a in figure.axes]
    for found, metric in zip(drawn, TITLES, strict=True):
        expected = board()[board().metric == metric].value
        np.testing.assert_allclose(found[:, 0], expected)
        places = np.where(expected.isna(), np.nan, [0, 1, 2])
        np.testing.assert_array_equal(found[:, 1], places)


@pytest.mark.parametrize("runs", [1, 5, 14])
def test_every_run_has_its_panel_with_the_best_step_marked(runs):
    figure = figures.learning(log(runs), title="A title", ylabel="cross-entropy")
    shown = [a for a in figure.axes if a.get_visible()]
    assert len(shown) == runs
    for axes in shown:
        train, valid, best = axes.lines
        assert (train.get_label(), valid.get_label()) == ("train", "valid")
        np.testing.assert_allclose(best.get_xydata(), [[60, 0]])
    assert "cross-entropy" in texts(figure) and "step" in texts(figure)
