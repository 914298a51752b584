"""experiments/protocol: what is refused, what is trained, what is made afterwards."""

import numpy as np
import pandas as pd
import pytest

from equity_jax import last_layers
from equity_jax.config import Config, Data, Model, Protocol, Spurious, Train
from equity_jax.data import DATASETS
from equity_jax.train import Journal
from equity_jax.train.drive import Drive
from equity_jax.types import TRAIN, InputError
from experiments.protocol import admit, fits
from experiments.protocol.entries import BALANCED, ENTRIES, ERM
from experiments.protocol.play import play

SMALL = Config(
    name="protocol",
    data=Data(
        name="spurious",
        spurious=Spurious(train=400, valid=200, test=200, features=10),
    ),
    model=Model("mlp(4)"),
    train=Train(seeds=1, steps=20, batch=32, eval_every=10, segment=10, keep="auroc"),
    protocol=Protocol(
        trials=2,
        entries=("focal", "jtt", "temperature", "group_thresholds", "dfr('train')"),
    ),
)


@pytest.fixture(scope="module")
def dataset():
    return DATASETS["spurious"](SMALL.data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("journal")


@pytest.fixture(scope="module")
def played(dataset, folder):
    return play(SMALL, dataset, Journal(folder, 0.0), quiet=True)


def several(dataset):
    """Two labels, the second unknown for some."""
    y = np.concatenate([dataset.y, 1 - dataset.y], 1)
    mask = np.ones_like(y)
    mask[::5, 1] = 0
    spec = dataset.spec._replace(task="multilabel(2)", targets=("a", "b"))
    return dataset._replace(spec=spec, y=y, mask=mask)


def three(dataset):
    """Three classes."""
    y = (np.arange(len(dataset.y)) % 3)[:, None].astype(np.int32)
    spec = dataset.spec._replace(task="multiclass(3)", classes=("a", "b", "c"))
    return dataset._replace(spec=spec, y=y)


def nobody(dataset):
    """A single group."""
    spec = dataset.spec._replace(groups=("usual",))
    return dataset._replace(spec=spec)


@pytest.mark.parametrize(
    ("change", "refused", "fine"),
    [
        (several, {BALANCED, "crt", "undersample('class')", "lisa"}, {"dann", "ldam"}),
        (three, {"asymmetric_focal"}, {"focal", "auc_margin", BALANCED}),
        (nobody, {"irm", "vrex", "eiil"}, {"jtt", "arl"}),
    ],
)
def test_what_a_task_refuses_is_told_in_one_line(change, refused, fine, dataset):
    asked = [ENTRIES[name] for name in sorted(refused | fine)]
    entries, reasons = admit.admitted(SMALL, change(dataset), asked)
    assert set(reasons) == refused and {e.name for e in entries} == fine
    assert all(why and "\n" not in why for why in reasons.values())


def test_counts_and_images_are_refused(dataset):
    counts = DATASETS["deaths"](Data(name="deaths", task="counts"))
    with pytest.raises(InputError, match="--config.data.task=burden"):
        admit.refuse(counts)
    with pytest.raises(InputError, match="x holds images"):
        admit.refuse(dataset._replace(x=np.zeros((4, 8, 8, 1), np.uint8)))


def test_every_trial_and_seed_is_played_and_scored(played, dataset):
    names = [ERM, BALANCED, "focal", "jtt", "dfr('train')", "temperature"]
    names += ["group_thresholds"]
    assert [e.name for e in played.entries] == names and not played.refused
    assert list(played.table["entry"]) == [n for n in names for _ in range(2)]
    rows = last_layers.held(dataset)
    assert played.prob.shape == (14, len(rows), 1) and (played.rows == rows).all()
    assert np.isfinite(played.prob).all() and played.prob.dtype == np.float32
    assert played.programs == 2  # one stage: focal and both baselines; two: jtt
    own = played.table["entry"].isin([ERM, BALANCED, "focal", "jtt"])
    assert set(played.log["run"]) == set(played.table["run"][own])
    assert set(played.log["metric"]) == {"loss", "1 - auroc"}
    assert played.table["step"].between(10, 20).all()


def test_what_comes_afterwards_starts_from_its_base(played):
    def prob(name, trial):
        mine = played.table.query("entry == @name and trial == @trial")
        return played.prob[mine["run"].iloc[0], :, 0]

    for trial in range(2):
        order = (np.argsort(prob(name, trial)) for name in (ERM, "temperature"))
        assert (next(order) == next(order)).all()
    base = played.table["entry"].isin([ERM, "temperature", "dfr('train')"])
    both = pd.DataFrame(played.table[base]).assign(e=played.encoding[base])
    assert (both.groupby("trial")["e"].nunique() == 1).all()
    assert not np.allclose(prob("dfr('train')", 0), prob(ERM, 0))


def test_again_in_its_journal_nothing_is_fitted(played, dataset, folder, monkeypatch):
    def again(*_):
        raise AssertionError("fitted again")

    monkeypatch.setattr(Drive, "_fit", again)
    monkeypatch.setattr(last_layers, "balanced", again)
    found = play(SMALL, dataset, Journal(folder), quiet=True)
    assert found.prob.tobytes() == played.prob.tobytes()
    assert found.encoding.tobytes() == played.encoding.tobytes()
    pd.testing.assert_frame_equal(found.table, played.table)
    pd.testing.assert_frame_equal(found.log, played.log)


def test_what_a_task_refuses_afterwards_is_listed_too(
    played, dataset, folder, monkeypatch
):
    def no(*_):
        raise InputError("not today")

    monkeypatch.setattr("experiments.protocol.after.processed", no)
    found = play(SMALL, dataset, Journal(folder), quiet=True)
    assert found.refused == dict.fromkeys(
        ("temperature", "group_thresholds"), "not today"
    )
    assert set(found.table["entry"]) == {e.name for e in played.entries[:5]}
    assert len(found.prob) == len(found.encoding) == len(found.table) == 10


def test_the_group_is_read_from_features_that_hold_it(dataset):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(len(dataset.x), 5)).astype(np.float32)
    told = noise.copy()
    told[:, 2] += 4 * dataset.group
    assert fits.encoding(told, dataset) > 0.95
    assert abs(fits.encoding(noise, dataset) - 0.5) < 0.12
    assert np.isnan(fits.encoding(noise * np.nan, dataset))
    alone = {"background": np.where(dataset.split == TRAIN, "usual", "")}
    assert np.isnan(fits.encoding(noise, dataset._replace(attributes=alone)))
