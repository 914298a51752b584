"""IRMv1 and VREx against their formulas in float64 numpy, and their schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cells import GROUPS, ROWS, answer, class_of, cost, plain, rows, slope, start

from equity_jax.methods import METHODS, switch
from equity_jax.tasks import TASKS
from equity_jax.types import Counts, InputError, Output


def tilt(world, z, i, k):
    """Its slope in a scale of the logits, at 1."""
    c = class_of(world, i, k)
    if c < 0:
        return 0.0
    if world[0].classes > 2:
        return (np.exp(z[i]) / np.exp(z[i]).sum() - np.eye(len(z[i]))[c]) @ z[i]
    return (1 / (1 + np.exp(-z[i, k])) - c) * z[i, k]


def members(world, k):
    """Observed rows of label k: of each group, and of none."""
    _, batch, *_ = world
    seen = batch.mask[:, k] * batch.weight > 0
    return [np.flatnonzero(seen & (batch.group == g)) for g in (*range(GROUPS), -1)]


def formula(world, z, name, strength):
    """Mean over labels of the environments' mean loss and the weighted penalty."""
    found = []
    for k in range(world[1].mask.shape[1]):
        *groups, nobody = members(world, k)
        groups = [g for g in groups if len(g)]
        risks = [np.mean([cost(world, z, i, k) for i in g]) for g in groups]
        rest = np.mean([cost(world, z, i, k) for i in nobody]) if len(nobody) else 0.0
        share = len(nobody) / (len(nobody) + sum(map(len, groups)))
        if name == "vrex":
            penalty = np.var(risks)
        else:
            halves = [
                np.mean([tilt(world, z, i, k) for i in g[::2]])
                * np.mean([tilt(world, z, i, k) for i in g[1::2]])
                for g in groups
                if len(g) > 1
            ]
            penalty = np.mean(halves)
        found.append((1 - share) * np.mean(risks) + share * rest + strength * penalty)
    return np.mean(found)


@pytest.mark.parametrize(
    ("name", "task"),
    [("irm", "multilabel(2)"), ("irm", "multiclass(3)"), ("vrex", "multilabel(2)")],
)
def test_environments_follow_their_formulas(name, task):
    world = rows(task, seed=3)
    logits = world[-1]
    assert all(len(members(world, 0)[g]) for g in (0, 1, -1))
    value, (_, slopes), _ = answer(f"{name}(7.0)", world)
    assert value == pytest.approx(formula(world, logits, name, 7.0), rel=1e-6)
    wanted = slope(lambda z: formula(world, z, name, 7.0), logits)
    np.testing.assert_allclose(slopes, wanted, atol=1e-6)


def test_the_penalty_counts_one_at_first_and_the_optimizer_forgets_once():
    world, steps = rows("binary", seed=3), 12
    task, batch, counts, features, logits = world
    forgotten, values = [], []
    with jax.enable_x64(True):
        method, aux = start("vrex(7.0, anneal=0.25)", counts)

        @jax.jit
        def loss(aux, spent):
            out, rows = Output(logits, features), batch._replace(spent=spent)
            return method.loss(aux, task, out, rows, 1.0)

        for step in range(steps):
            spent = jnp.float64(step / steps)
            forgotten.append(bool(method.forget(aux, spent)))
            value, aux = loss(aux, spent)
            values.append(float(value))
    wanted = [formula(world, logits, "vrex", s) for s in (1.0, 7.0)]
    np.testing.assert_allclose(values, np.repeat(wanted, [3, 9]), rtol=1e-6)
    assert np.flatnonzero(forgotten).tolist() == [3]
    never = METHODS.get("irm(anneal=0.0)")  # nothing to forget
    assert not never.forget(never.init(counts), jnp.float32(0.0))


def test_halves_are_drawn_within_an_environment():
    """The same rows, those of two groups interleaved or one after the other."""
    task, batch, counts, features, logits = rows("binary")
    full = batch._replace(mask=np.ones((ROWS, 1)), weight=np.ones(ROWS))
    group = np.tile([0, 1], ROWS // 2).astype(np.int32)
    order = np.argsort(group, kind="stable")
    with jax.enable_x64(True):
        method, aux = start("irm(50.0)", counts)

        @jax.jit
        def slopes(y, group, logits):
            rows = full._replace(y=y, group=group)
            return jax.value_and_grad(
                lambda z: method.loss(aux, task, Output(z, features), rows, 1.0)[0]
            )(logits)

        first = slopes(full.y, group, logits)
        second = slopes(full.y[order], group[order], logits[order])
    assert float(first[0]) == pytest.approx(float(second[0]), rel=1e-9)
    np.testing.assert_allclose(np.asarray(first[1])[order], second[1], atol=1e-9)


def test_a_batch_of_one_environment_or_of_none_is_erm():
    task, batch, *rest = rows("multilabel(2)")
    for text, group in (("vrex(9.0)", 1), ("irm(9.0)", -1)):
        world = task, batch._replace(group=np.full(ROWS, group, np.int32)), *rest
        assert answer(text, world)[0] == pytest.approx(plain(world, rest[-1]))


def test_strengths_share_one_loss():
    texts = ("irm(1.0)", "irm(10.0, 0.5)", "vrex", "vrex(3.0)")
    made = switch(*map(METHODS.get, texts))
    assert len(made[0].init(rows("binary")[2])["slots"]) == 2


@pytest.mark.parametrize("name", ["irm", "vrex"])
def test_bad_environments_are_refused(name):
    for arguments in ("-1.0", "1.0, 1.5"):
        with pytest.raises(InputError, match="expected"):
            METHODS.get(f"{name}({arguments})")
    lonely = np.zeros((1, 3, GROUPS + 1))
    lonely[:, :2, [0, -1]] = 10  # one group, and rows of nobody's
    with pytest.raises(InputError, match="the rows have one or none"):
        METHODS.get(name).init(Counts(lonely))
    with pytest.raises(InputError, match=f"method {name} needs classes"):
        METHODS.get(name).loss({}, TASKS.get("count"), None, None, 1.0)
