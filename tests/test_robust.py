"""The worst of rows and of groups: CVaR, chi-square balls, group DRO's memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cells import GROUPS, ROWS, answer, class_of, plain, rows, slope, start
from scipy.optimize import minimize_scalar

from equity_jax.methods import METHODS, switch
from equity_jax.models import MODELS
from equity_jax.train.step import evaluate, make_step, optimizer
from equity_jax.types import Hyper, InputError


def losses(world, logits):
    """Each row's mean loss over its observed labels, and its share of the rows."""
    task, batch, *_ = world
    found, weights = np.zeros(ROWS), np.zeros(ROWS)
    for i in range(ROWS):
        costs = []
        for k in range(batch.mask.shape[1]):
            c, z = class_of(world, i, k), logits[i]
            if not batch.mask[i, k]:
                continue
            if c < 0:
                costs.append(0.0)
            elif task.classes > 2:
                costs.append(np.log(np.exp(z).sum()) - z[c])
            else:
                costs.append(np.log1p(np.exp(z[k])) - c * z[k])
        found[i] = np.mean(costs) if costs else 0.0
        weights[i] = batch.weight[i] if costs else 0.0
    return found, weights / weights.sum()


def tail(values, weights, alpha):
    """CVaR by its dual: the best eta is one of the losses."""

    def at(eta):
        return eta + np.sum(weights * np.maximum(values - eta, 0)) / alpha

    return min(at(eta) for eta in values[weights > 0])


def ball(values, weights, rho):
    """The chi-square dual, by SciPy's bounded minimizer."""

    def at(eta):
        over = np.maximum(values - eta, 0)
        return eta + np.sqrt((1 + 2 * rho) * np.sum(weights * over**2))

    top = values[weights > 0].max()
    found = minimize_scalar(
        at, bounds=(top - 40, top), method="bounded", options={"xatol": 1e-10}
    )
    return min(found.fun, at(top))


@pytest.mark.parametrize(
    ("task", "text", "dual", "size"),
    [
        ("multilabel(2)", "cvar(0.3125)", tail, 0.3125),
        ("multiclass(3)", "cvar(0.015625)", tail, 0.015625),  # less than one row
        ("multilabel(2)", "chi2(2.0)", ball, 2.0),
        ("multiclass(3)", "chi2(0.25)", ball, 0.25),
    ],
)
def test_the_worst_rows_follow_the_dual(task, text, dual, size):
    world = rows(task)
    logits = world[-1]

    def loss(z):
        return dual(*losses(world, z), size)

    value, (_, slopes), _ = answer(text, world)
    assert value == pytest.approx(loss(logits), rel=1e-6)
    np.testing.assert_allclose(slopes, slope(loss, logits, 1e-4), atol=1e-6)


def test_cvar_weighs_the_worst_and_a_remainder_of_the_next():
    task, batch, *rest = world = rows("binary")
    full = batch._replace(
        y=np.nan_to_num(batch.y), mask=np.ones((ROWS, 1)), weight=np.ones(ROWS)
    )
    world = task, full, *rest
    values, _ = losses(world, rest[-1])
    worst = np.sort(values)[::-1]
    k, alpha = 7, 7.5 / ROWS  # floor(alpha m) = 7
    wanted = worst[:k].sum() / (alpha * ROWS) + (1 - k / (alpha * ROWS)) * worst[k]
    assert answer(f"cvar({alpha})", world)[0] == pytest.approx(wanted, rel=1e-6)
    assert answer("cvar(1.0)", world)[0] == pytest.approx(plain(world, rest[-1]))


def test_chi2_of_a_wide_ball_is_the_largest_loss_and_of_a_narrow_one_the_spread():
    world = rows("binary")
    values, weights = losses(world, world[-1])
    wide, _, _ = answer("chi2(1e4)", world)
    assert wide == pytest.approx(values[weights > 0].max(), rel=1e-6)
    mean = np.sum(weights * values)
    spread = np.sqrt(np.sum(weights * (values - mean) ** 2))
    narrow, _, _ = answer("chi2(1e-4)", world)
    assert narrow == pytest.approx(mean + np.sqrt(2e-4) * spread, rel=1e-6)


def test_where_all_lose_the_same_all_weigh_the_same():
    task, batch, counts, features, logits = rows("binary")
    y = np.zeros_like(batch.y)
    world = task, batch._replace(y=y), counts, features, np.full_like(logits, 2.0)
    for text in ("cvar(0.5)", "chi2"):
        value, (_, slopes), _ = answer(text, world)
        assert value == pytest.approx(np.log1p(np.exp(2.0)), rel=1e-6)
        assert slopes.sum() == pytest.approx(1 / (1 + np.exp(-2.0)), rel=1e-6)
    even = (batch.weight * batch.mask[:, 0])[:, None]
    np.testing.assert_allclose(slopes, slopes.max() * even)  # chi2 has no order


def test_group_dro_adds_the_size_adjustment_and_leaves_unrecorded_rows_out_of_q():
    world, eta, c = rows("multilabel(2)"), 0.5, 2.0
    task, batch, counts, _, logits = world
    value, (_, slopes), new = answer(f"group_dro({eta}, {c})", world)
    n = np.asarray(counts.table, float).sum(1)[:, :-1].mean(0)

    def groups(z):
        total, seen = np.zeros(GROUPS + 1), np.zeros(GROUPS + 1)
        for i, k in np.ndindex(batch.mask.shape):
            weight, cls = batch.mask[i, k] * batch.weight[i], class_of(world, i, k)
            cost = np.log1p(np.exp(z[i, k])) - cls * z[i, k] if cls >= 0 else 0.0
            total[batch.group[i]] += weight * cost
            seen[batch.group[i]] += weight
        return total / np.maximum(seen, 1e-12), seen

    mean, seen = groups(logits)
    q = np.exp(eta * (mean[:-1] + c / np.sqrt(n)))
    q, share = q / q.sum(), seen[-1] / seen.sum()

    def loss(z):
        mean = groups(z)[0]
        return (1 - share) * q @ mean[:-1] + share * mean[-1]

    assert share > 0 and value == pytest.approx(loss(logits), rel=1e-6)
    np.testing.assert_allclose(slopes, slope(loss, logits), atol=1e-6)
    np.testing.assert_allclose(np.exp(new["log_q"]), q, rtol=1e-6)


def test_group_dro_of_the_paper_has_classes_within_groups_drawn_alike():
    world, eta, c = rows("multiclass(3)"), 0.5, 2.0
    task, batch, counts, _, logits = world
    text = f"group_dro({eta}, {c}, by='both', balanced=True)"
    value, (_, slopes), new = answer(text, world)
    n = np.asarray(counts.n, float)[0]
    assert (n == 0).any()  # a cell without rows has no part

    def loss(z):
        total, seen = np.zeros((4, GROUPS + 1)), np.zeros((4, GROUPS + 1))
        for i in range(ROWS):
            cls, weight = class_of(world, i, 0), batch.mask[i, 0] * batch.weight[i]
            cost = np.log(np.exp(z[i]).sum()) - z[i, cls] if cls >= 0 else 0.0
            total[cls, batch.group[i]] += weight * cost
            seen[cls, batch.group[i]] += weight
        mean = total[:3, :-1] / np.maximum(seen[:3, :-1], 1e-12)
        rest = seen.sum() - seen[:3, :-1].sum()
        q = np.where(n > 0, np.exp(eta * (still + c / np.sqrt(np.maximum(n, 1)))), 0)
        out = total.sum() - total[:3, :-1].sum()
        robust = np.sum(q / q.sum() * mean)
        return (1 - rest / seen.sum()) * robust + out / seen.sum(), mean

    still = 0.0
    still = loss(logits)[1]
    assert value == pytest.approx(loss(logits)[0], rel=1e-6)
    np.testing.assert_allclose(slopes, slope(lambda z: loss(z)[0], logits), atol=1e-6)
    method = METHODS.get(text)
    share = method.sample(counts)[:3, :-1] * n
    assert np.ptp(share[n > 0]) < 1e-9 * share.max()
    with pytest.raises(InputError, match="one label"):
        method.init(rows("multilabel(2)")[2])
    with pytest.raises(InputError, match="by is"):
        METHODS.get("group_dro(by='class')")


def test_evaluation_never_changes_what_group_dro_remembers():
    task, batch, counts, *_ = rows("binary")
    batch = jax.tree.map(
        lambda a: jnp.asarray(a, jnp.float32 if a.dtype == np.float64 else a.dtype),
        batch._replace(x=np.random.default_rng(0).normal(size=(ROWS, 3)), id=None),
    )
    model, method = MODELS.get("linear", 1, 0), METHODS.get("group_dro(5.0)")
    params, stats = model.init(jax.random.key(0), batch.x)
    init, step = make_step(model, method, task, optimizer())
    state = init(jax.random.key(0), params, stats, counts)
    one, zero = jnp.float32(1.0), jnp.int32(0)
    rates = jax.tree.map(lambda p: one, params)
    hyper = Hyper(jnp.float32(0.1), jnp.float32(0), zero, one, zero, rates)
    step = jax.jit(step)
    state, _ = step(state, batch, hyper)
    before = jax.tree.map(np.array, state.aux)
    assert np.ptp(before["log_q"]) > 0.1
    out, _ = model.apply(state.params, stats, batch.x, False, None)
    for _ in range(2):  # twice the same, and the plain mean: q has no part in it
        found = evaluate(model, task, state.params, state.stats, batch)
        world = task, batch, counts
        wanted = plain(world, np.asarray(out.logits, float))
        assert float(found) == pytest.approx(wanted, rel=1e-5)
    jax.tree.map(np.testing.assert_array_equal, before, state.aux)
    state, _ = step(state, batch, hyper)  # training does
    assert np.abs(state.aux["log_q"] - before["log_q"]).max() > 0.01


def test_knobs_share_one_loss():
    texts = ("group_dro(0.1)", "group_dro(1.0, 3.0)", "cvar(0.1)", "cvar(0.5)")
    made = switch(*map(METHODS.get, (*texts, "chi2(0.5)", "chi2")))
    assert len(made[0].init(rows("binary")[2])["slots"]) == 3
    with jax.enable_x64(True):
        assert start("group_dro(0.1)", rows("binary")[2])[1]["eta"].dtype == np.float64


def test_bad_sizes_are_refused():
    for text in ("cvar(0.0)", "cvar(1.5)", "chi2(0.0)"):
        with pytest.raises(InputError, match="expected"):
            METHODS.get(text)
