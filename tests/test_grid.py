"""The grid of heads: every head is the one that would be fitted by itself."""

import jax
import numpy as np
import pytest
from shapes import trim
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from toy import toy

from equity_jax.calibration import apply, recalibrate
from equity_jax.config import Config, Heads, Train
from equity_jax.grid import grid
from equity_jax.methods import METHODS, switch
from equity_jax.models import MODELS
from equity_jax.schemes import SCHEMES
from equity_jax.tasks import TASKS
from equity_jax.train import Journal, Run, fit
from equity_jax.types import TRAIN, VALID, InputError

HEADS = Heads(
    shapes=("linear", "mlp(4)", "mlp(6, 3)"),
    methods=("erm", "hinge", "oversample('class')"),
    lr=(1e-2, 0.0),
    weight_decay=(1e-4,),
    seeds=2,
    l2=(0.1, 1.0, 1e4),
)
STEPS = Train(steps=40, batch=32, eval_every=10, segment=20, chunk=8, save_seconds=0.0)
CONFIG = Config(heads=HEADS, train=STEPS)


def several(n: int = 600):
    """The toy data with three classes."""
    data = toy(n)
    y = (data.x[:, :1] > -0.5).astype(int) + (data.x[:, 1:2] > 0.3)
    classes = ("a", "b", "c")
    spec = data.spec._replace(task="multiclass(3)", classes=classes)
    return data._replace(spec=spec, y=y.astype(np.int32))


@pytest.fixture(scope="module")
def found():
    data = toy()
    data.mask[::7] = 0.0
    data.y[::7] = np.nan
    return data, grid(CONFIG, data)


def test_the_table_names_every_head(found):
    _, made = found
    table = made.table
    assert table["run"].tolist() == list(range(len(made.weights)))
    sizes = table["family"].value_counts().to_dict()
    assert sizes == {"mlp": 2 * 3 * 2 * 2, "linear": 3 * 2 * 2, "logistic": 3}
    assert table.groupby("family")["l2"].apply(lambda x: x.notna().all()).to_dict() == {
        "linear": False,
        "logistic": True,
        "mlp": False,
    }
    assert np.isfinite(table[["valid", "auroc", "step"]]).to_numpy().all()


def test_numbers_are_those_of_validation(found):
    data, made = found
    rows = (data.split == VALID) & (data.mask[:, 0] > 0)
    y = data.y[rows, 0].astype(int)
    for run in (0, 7, 20, len(made.weights) - 1):
        z = made.logits(data.x[rows], run)
        assert z.shape == (rows.sum(), 1)
        row = made.table.iloc[run]
        assert row["auroc"] == pytest.approx(roc_auc_score(y, z[:, 0]), abs=1e-6)
        pair = np.concatenate([0 * z, z], 1)
        prob = np.asarray(apply(pair, recalibrate(pair, y, "bcts")))
        nll = -np.log(prob[np.arange(len(y)), y]).mean()
        assert row["valid"] == pytest.approx(nll, rel=1e-5)


def test_the_choice_is_by_the_mean_over_seeds(found):
    _, made = found
    chosen = made.table[made.table["chosen"]]
    assert chosen["family"].value_counts().to_dict() == {
        "linear": 2,
        "mlp": 2,
        "logistic": 1,
    }
    for family, mine in made.table.groupby("family"):
        by = ["shape", "method", "lr", "l2"]
        least = mine.groupby(by, dropna=False)["valid"].mean().min()
        best = made.best(family)
        assert best["seed"] == 0 and best["family"] == family
        here = chosen[chosen["family"] == family]["valid"].mean()
        assert here == pytest.approx(least) and best["lr"] != 0
    means = chosen.groupby("family")["valid"].mean()
    assert made.best()["family"] == means.idxmin()
    with pytest.raises(InputError, match="no head of family 'cnn'; tried"):
        made.best("cnn")


def test_a_head_of_the_grid_is_the_head_by_itself(found):
    data, made = found
    names = HEADS.methods
    unified = switch(*(METHODS.get(name) for name in names))
    table = made.table.query("method == 'hinge' and lr > 0 and seed == 1").iloc[:2]
    for row in table.itertuples():
        alone = fit(
            MODELS.get(row.shape, 1, 0),
            data,
            [Run(1, "hinge", "mixture", -1, row.lr, 1.0, row.weight_decay)],
            task=TASKS.get("binary"),
            reconstruct=TASKS.get("reconstruct"),
            train=STEPS,
            methods=dict(zip(names, unified, strict=True)),
            schemes={"mixture": SCHEMES.get("mixture")},
        ).of(0)
        params = made.weights[row.run].params
        mine = trim(params, row.shape) if row.family == "mlp" else params
        for a, b in zip(*map(jax.tree.leaves, (mine, alone.params)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_logistic_heads_are_those_of_scikit_learn(found):
    data, made = found
    rows = (data.split == TRAIN) & (data.mask[:, 0] > 0)
    for row in made.table.query("family == 'logistic'").itertuples():
        peer = LogisticRegression(C=1 / row.l2, tol=1e-8, max_iter=1000)
        peer.fit(data.x[rows], data.y[rows, 0])
        dense = made.weights[row.run].params["head"]["dense"]
        np.testing.assert_allclose(dense["kernel"][:, 0], peer.coef_[0], atol=2e-4)
        expected = peer.decision_function(data.x)
        logits = made.logits(data.x, row.run)[:, 0]
        np.testing.assert_allclose(logits, expected, atol=2e-3)


def test_several_classes():
    data = several()
    few = Heads(shapes=("linear",), methods=("hinge",), lr=(1e-2,), l2=(1.0,))
    made = grid(Config(heads=few, train=STEPS), data)
    assert (made.table["auroc"] > 0.8).all() and (made.table["valid"] < 1.0).all()
    assert made.logits(data.x[:4], 0).shape == (4, 3)
    assert made.best("logistic")["auroc"] > 0.9


def test_it_resumes(tmp_path, found):
    data, made = found

    class Fragile(Journal):
        def tick(self, label, state):
            super().tick(label, state)
            if label.startswith("heads mlp") and state is not None:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grid(CONFIG, data, Fragile(tmp_path, 0.0))
    journal = Journal(tmp_path, 0.0)
    assert journal.found and journal.flight
    again = grid(CONFIG, data, journal)
    assert again.table.equals(made.table)
    assert "heads logistic" in Journal(tmp_path, 0.0).found


@pytest.mark.parametrize(
    ("heads", "task", "says"),
    [
        (Heads(shapes=(), l2=()), "binary", "names no head"),
        (Heads(shapes=("vgg",)), "binary", "unknown shape 'vgg'"),
        (Heads(methods=("fair",)), "binary", "unknown method 'fair'"),
        (Heads(), "multilabel(2)", "one label, binary or multiclass"),
        (Heads(), "count", "one label, binary or multiclass"),
    ],
)
def test_what_cannot_be_is_refused(heads, task, says):
    data = toy()
    data = data._replace(spec=data.spec._replace(task=task))
    if task.startswith("multilabel"):
        data = data._replace(mask=np.ones((600, 2)))
    with pytest.raises(InputError, match=says):
        grid(Config(heads=heads, train=STEPS), data)
    nobody = data._replace(split=np.zeros(600, int))
    with pytest.raises(InputError):
        grid(Config(train=STEPS), nobody)
