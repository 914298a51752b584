"""Every line of every registry: a new one is tested at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import GROUPS

from equity_jax.config import Data, Twin
from equity_jax.data import DATASETS
from equity_jax.data.sampler import pool
from equity_jax.keys import generator
from equity_jax.methods import METHODS, begin, switch
from equity_jax.models import MODELS, autoencoder
from equity_jax.schemes import SCHEMES, VARIANTS
from equity_jax.tasks import TASKS
from equity_jax.train.lanes import names as names_of
from equity_jax.train.step import remember
from equity_jax.types import SPLITS, Batch, Counted, Counts, InputError, Output

ARGUMENTS = {
    "multilabel": "multilabel(3)",
    "multiclass": "multiclass(3)",
    "mlp": "mlp(4)",
}
SCHEME_NAMES = [*SCHEMES, *(f"transfer('{v}')" for v in VARIANTS)]
TASK_NAMES = [ARGUMENTS.get(t, t) for t in TASKS if t != "reconstruct"]
TABLE_MODELS = ["linear", "mlp"]
ROWS = 12
KEY = jax.random.key(0)


def labels(task) -> object:
    rng = np.random.default_rng(0)
    if task.name.startswith("count"):
        low = rng.integers(0, 30, (ROWS, 1)).astype(np.float32)
        low[:3] = 1
        high = low.copy()
        high[:3] = 9
        exposure = (high * rng.integers(1, 20, (ROWS, 1)) + 1).astype(np.float32)
        exposure[3] = 0
        return Counted(*map(jnp.asarray, (low, high, exposure, np.zeros_like(low))))
    if task.name.startswith("multiclass"):
        return jnp.asarray(rng.integers(0, task.classes, (ROWS, 1)))
    return jnp.asarray(rng.integers(0, 2, (ROWS, task.outputs)).astype(np.float32))


def batch(task, weight=1.0) -> Batch:
    group = np.array([-1, 0, 1] * 4, np.int32)  # group 2 is empty
    y = labels(task)
    targets = 1 if isinstance(y, Counted) else y.shape[1]
    mask = np.ones((ROWS, targets), np.float32)
    return Batch(None, y, mask, group, np.full(ROWS, weight, np.float32), None)


def counts(task) -> Counts:
    classes = np.asarray(task.class_of(labels(task)))
    table = np.zeros((classes.shape[1], task.classes + 1, len(GROUPS) + 1), np.float32)
    for k in range(classes.shape[1]):
        np.add.at(table[k], (classes[:, k], batch(task).group), 1)
    return Counts(jnp.asarray(table))


# Methods that a task refuses, by the first word of its name; all others take it.
COUNTS = {"asymmetric_focal", "label_smoothing", "ldam", "logit_adjusted", "lff"}
COUNTS |= {"balanced_softmax", "auc_margin", "soft_average_precision", "irm", "vrex"}
REFUSED = {"count": COUNTS, "multiclass(3)": {"asymmetric_focal"}}


def losses_of(task, unified):
    def loss(z, aux, rows):
        out = Output(z, z, {"rival": z})
        once = remember(task, out, rows)
        return unified[0].loss(aux, once, out, rows, jnp.float32(1.0))[0]

    return loss


def taken(name: str, task) -> bool:
    """Whether the task takes the method; nothing is computed."""
    [method] = switch(METHODS.get(name))
    z = jnp.zeros((ROWS, task.outputs + task.constants))
    try:
        aux = begin(method, KEY, z.shape[1], counts(task))
        jax.eval_shape(losses_of(task, [method]), z, aux, batch(task))
    except InputError:
        return False
    return True


@pytest.mark.parametrize("task_name", [t for t in TASK_NAMES if t != "binary"])
def test_methods_stay_finite(task_name):
    """All of them side by side, as in a sweep: each by itself takes long to compile.

    Binary is multilabel with one label.
    """
    task = TASKS.get(task_name)
    mine = [name for name in METHODS if taken(name, task)]
    assert set(METHODS) - set(mine) == REFUSED.get(task_name, set())
    unified = switch(*map(METHODS.get, mine))
    width = task.outputs + task.constants
    begun = [begin(m, KEY, width, counts(task)) for m in unified]
    aux = jax.tree.map(lambda *a: jnp.stack(a), *begun)

    loss = losses_of(task, unified)
    both = jax.jit(jax.vmap(jax.value_and_grad(loss), (None, 0, None)))
    names = np.array(mine)
    for at in (-1e4, 0.0, 1e4):
        logits = jnp.full((ROWS, width), at)
        value, slope = both(logits, aux, batch(task))
        fine = np.isfinite(value) & np.isfinite(slope).all((1, 2))
        nothing, flat = both(logits, aux, batch(task, 0.0))  # all padding
        fine &= (np.asarray(nothing) == 0.0) & np.isfinite(flat).all((1, 2))
        assert fine.all(), f"{names[~fine]} at {at}"


@pytest.mark.parametrize("name", METHODS)
def test_method_rates_cover_every_cell(name):
    task = TASKS.get("binary")
    rates = METHODS.get(name).sample(counts(task))
    if rates is not None:
        assert rates.shape == (task.classes + 1, len(GROUPS) + 1)
        assert np.isfinite(rates).all() and (rates > 0).all()
    classes = np.asarray(task.class_of(labels(task)))[:, 0]
    everyone = np.ones(ROWS, bool)
    weights = pool(rates, classes, batch(task).group, everyone, generator(0, "t"))
    assert weights.sum() > 0


def test_all_methods_share_one_program():
    task = TASKS.get("binary")
    unified = switch(*(METHODS.get(m) for m in METHODS))
    many = [begin(m, KEY, 5, counts(task)) for m in unified]
    assert len({str(jax.tree.map(jnp.shape, aux)) for aux in many}) == 1
    assert len({m.loss for m in unified}) == 1


@pytest.mark.parametrize("wrap", [lambda m: m, autoencoder], ids=["plain", "restored"])
@pytest.mark.parametrize("name", TABLE_MODELS)
def test_models_keep_their_contract(name, wrap):
    model = wrap(MODELS.get(ARGUMENTS.get(name, name), 1, 1))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)
    params, stats = model.init(jax.random.key(0), x)
    assert set(params) <= set(model.blocks), "a block for every leaf"
    assert "head" in model.blocks
    out, _ = model.apply(params, stats, x, False, jax.random.key(1))
    again, _ = jax.jit(model.apply, static_argnums=3)(
        params, stats, x, False, jax.random.key(2)
    )
    np.testing.assert_allclose(out.logits, again.logits, rtol=1e-5)
    assert out.features.shape[0] == 5


@pytest.mark.parametrize("name", sorted(set(MODELS) - set(TABLE_MODELS)))
def test_image_models_keep_their_contract(name):
    """Shapes only: nothing of the big ones is computed (tests/test_models.py runs)."""
    model = MODELS.get(name, 2, 1)
    x, key = np.zeros((3, 40, 33, 1), np.uint8), jax.random.key(0)
    params, stats = jax.eval_shape(model.init, key, x)
    assert set(params) == set(model.blocks) and model.blocks[-1] == "head"
    assert set(stats.get("batch_stats", {})) <= set(model.blocks)
    for train in (False, frozenset(model.blocks[-3:])):
        out, after = jax.eval_shape(
            lambda p, s, t=train: model.apply(p, s, x, t, key), params, stats
        )
        assert out.logits.shape == (3, 3) and out.features.ndim == 2
        assert jax.tree.structure(after) == jax.tree.structure(stats)
        assert set(out.taps) == set(model.blocks[:-1])
    last = model.blocks[-2]
    cut = jax.eval_shape(
        lambda p, s, a: model.tail(p, s, last, a), params, stats, out.taps[last]
    )
    assert cut.shape == (3, 3)


@pytest.mark.parametrize("name", SCHEME_NAMES)
def test_schemes_give_every_leaf_a_rate(name):
    model = MODELS.get("mlp(4, 4)", 1, 1)
    params, _ = model.init(jax.random.key(0), jnp.ones((1, 3)))
    paths = [names_of(p) for p, _ in jax.tree_util.tree_flatten_with_path(params)[0]]
    for stage in (*SCHEMES.get(name).stages, *SCHEMES.get(name).home):
        rates = [stage.rate(path, model.blocks) for path in paths]
        assert all(np.isfinite(r) and r >= 0 for r in rates) and max(rates) > 0
        assert 0 < stage.steps <= 1


@pytest.mark.parametrize("name", DATASETS)
def test_twins_have_the_face_of_a_dataset(name):
    dataset = DATASETS[name](Data(name=name, twin=Twin(months=16)))
    n = len(dataset.x)
    assert dataset.spec.simulated and np.isfinite(dataset.x).all()
    assert len({len(dataset.id), len(dataset.split), len(dataset.mask), n}) == 1
    assert len(set(dataset.id)) == n
    assert dataset.spec.reference in dataset.spec.groups
    assert set(SPLITS.values()) <= set(dataset.split)
    used = {s: set(dataset.patient[dataset.split == s]) for s in SPLITS.values()}
    assert not (used[0] & used[1] or used[0] & used[2] or used[1] & used[2])
    TASKS.get(dataset.spec.task)
