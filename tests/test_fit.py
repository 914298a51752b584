"""What a method may do beside its loss, and what a stage may learn from another."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from toy import toy

from equity_jax.config import Train
from equity_jax.methods import METHODS, erm, programs, switch
from equity_jax.methods.base import unmixed
from equity_jax.models import MODELS, beside, without
from equity_jax.nouns import Lesson, Scheme, Stage
from equity_jax.schemes import SCHEMES
from equity_jax.schemes.base import everyone, nothing
from equity_jax.schemes.freeze import Uniform
from equity_jax.tasks import TASKS
from equity_jax.train import Run, fit
from equity_jax.train.lanes import Lanes
from equity_jax.train.loop import batch_of
from equity_jax.train.step import make_step, optimizer, ranked
from equity_jax.types import TRAIN, VALID, Batch, Counts, Hyper, InputError

TINY = Train(steps=20, batch=16, eval_every=10, segment=10, chunk=4)
FRESH = Stage(everyone, nothing, Uniform(1.0))
KEY = jax.random.key(0)


def wrong_rows(key, task, logits, rows, mine, groups) -> Lesson:
    """Rows that were told wrong come ten times; the group says which they are."""
    wrong = (logits[:, 0] > 0) != (np.asarray(rows.y)[:, 0] > 0)
    return Lesson(1.0 + 9.0 * wrong, np.where(wrong, 1, 0))


TWICE = Scheme((FRESH, FRESH._replace(lesson=wrong_rows)), pooled=True)
BALANCED = Scheme((FRESH, FRESH._replace(method="oversample('class')")), pooled=True)
OWN = {"twice": TWICE, "balanced": BALANCED, "mixture": SCHEMES.get("mixture")}
NAMES = ("erm", "group_dro", "oversample('class')")


@cache
def shelf():
    made = switch(*map(METHODS.get, NAMES))
    return MODELS.get("mlp(8)", 1, 0), dict(zip(NAMES, made, strict=True)), {}


def fitted(runs, train=TINY, **more):
    model, methods, kept = shelf()
    return fit(
        model,
        toy(),
        runs,
        task=TASKS.get("binary"),
        reconstruct=TASKS.get("reconstruct"),
        train=train,
        methods=methods,
        schemes=OWN,
        programs=kept,
        **more,
    )


def of(fit_, run):
    return jax.tree.leaves(fit_.of(run))


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def taught():
    runs = [Run(0, m, s, -1, 1e-2) for m in NAMES[:2] for s in ("twice", "balanced")]
    return fitted(runs), runs


def test_a_lesson_weighs_and_groups_the_rows_of_the_next_stage(taught):
    found, _ = taught
    first, second = found.plan.jobs[0], found.plan.jobs[found.plan.final[0]]
    assert first.level == 0 and second.parent == 0
    # what the draw table of the second stage must have been, by hand
    data = toy()
    rows, valid = batch_of(data, TRAIN), batch_of(data, VALID)
    model, methods, _ = shelf()
    lanes = Lanes(rows, valid, found.plan, methods, TASKS.get("binary"), TINY, 3, 0)
    lanes.teach(second, model, found.weights[second.parent])
    params = found.weights[second.parent].params
    said, _ = model.apply(params, {}, rows.x, False, KEY)
    wrong = (np.asarray(said.logits)[:, 0] > 0) != (np.asarray(rows.y)[:, 0] > 0)
    assert 0 < wrong.sum() < len(wrong)
    weight = np.diff(np.append(0.0, lanes._table(second)[:-1]))
    ratio = weight[:100][wrong[:100]].mean() / weight[:100][~wrong[:100]].mean()
    assert ratio == pytest.approx(10.0, rel=0.02)
    np.testing.assert_array_equal(lanes._group(second), wrong)
    assert lanes._counts(second).by_group[0].tolist() == [
        (~wrong).sum(),
        wrong.sum(),
        0,
    ]
    assert lanes._group(first).tolist() == np.asarray(rows.group).tolist()


def test_a_taught_run_alone_equals_the_run_beside_others(taught):
    found, runs = taught
    for number in (0, 2, 3):
        alone = fitted([runs[number]])
        for x, y in zip(of(alone, 0), of(found, number), strict=True):
            np.testing.assert_allclose(x, y, atol=1e-6)


def test_a_stage_may_have_a_method_of_its_own(taught):
    found, _ = taught
    methods = [found.plan.jobs[job].method for job in found.plan.final]
    assert methods == ["erm", NAMES[2], "group_dro", NAMES[2]]


def test_rows_that_are_not_kept_are_neither_learned_from_nor_judged_by():
    data = toy()
    half = np.arange(len(data.id)) % 2 == 0
    runs = [Run(0, "erm", "mixture", -1, 1e-2, kept=k) for k in ("", "half")]
    both = fitted(runs, kept={"half": half})
    spoiled = data._replace(y=np.where(half[:, None], data.y, 1 - data.y))
    model, methods, kept = shelf()
    parts = {"task": TASKS.get("binary"), "reconstruct": TASKS.get("reconstruct")}
    more = {"train": TINY, "methods": methods, "schemes": OWN, "programs": kept}
    again = fit(model, spoiled, runs, **parts, **more, kept={"half": half})
    assert same(of(both, 1), of(again, 1)) and both.value[1] == again.value[1]
    assert not same(of(both, 0), of(again, 0))


def test_the_best_step_can_be_that_of_the_highest_auroc():
    train = dataclasses.replace(TINY, keep="auroc")
    found = fitted([Run(0, "erm", "mixture", -1, 1e-2)], train)
    valid = batch_of(toy(), VALID)
    out, _ = shelf()[0].apply(*found.of(0), valid.x, False, KEY)
    want = roc_auc_score(np.asarray(valid.y)[:, 0], np.asarray(out.logits)[:, 0])
    assert found.value[0] == pytest.approx(1 - want, abs=1e-6)
    images = toy()._replace(x=np.zeros((600, 4, 4, 1), np.uint8))
    with pytest.raises(InputError, match="is for tables"):
        model, methods, _ = shelf()
        parts = {"task": TASKS.get("binary"), "reconstruct": TASKS.get("reconstruct")}
        cnn = MODELS.get("cnn_small", 1, 0)
        run = [Run(0, "erm", "mixture", -1, 1e-2)]
        fit(cnn, images, run, **parts, train=train, methods=methods, schemes=OWN)


def test_ranked_is_scikit_learns_auroc_with_ties_and_weights():
    rng = np.random.default_rng(0)
    score = rng.integers(0, 5, 60).astype(np.float32)
    y, weight = rng.random(60) < 0.4, rng.integers(0, 3, 60).astype(np.float32)
    want = roc_auc_score(y, score, sample_weight=weight)
    assert float(ranked(score, y, weight)) == pytest.approx(want, abs=1e-6)
    assert np.isnan(ranked(score, np.zeros(60, bool), weight))


def climber(aux):
    return aux["radius"]


def fresh_half(aux, spent):
    return 0.5


def always(aux, spent):
    return jnp.bool_(True)


def doubled(aux, key, task, batch):
    return unmixed(batch._replace(x=2.0 * batch.x))


def plain(**more):
    method = erm()

    def init(counts):
        return {**method.init(counts), "radius": jnp.float32(0.1)}

    return method._replace(init=init, **more)


def one_step(method, x, y, twice=False):
    """Parameters and average after one or two steps of a linear model."""
    model, task = MODELS.get("linear", 1, 0), TASKS.get("binary")
    init, step = make_step(model, method, task, optimizer(clip=1e9))
    params = {"head": {"dense": {"kernel": jnp.ones((2, 1)), "bias": jnp.zeros(1)}}}
    counts = toy_counts()
    state = init(KEY, params, {}, counts)
    rates = jax.tree.map(jnp.ones_like, params)
    zero = jnp.float32(0)
    hyper = Hyper(jnp.float32(0.1), zero, zero, jnp.float32(1), zero, rates)
    n = len(x)
    batch = Batch(x, y, jnp.ones((n, 1)), jnp.zeros(n, int), jnp.ones(n), None)
    for _ in range(1 + twice):
        state, _ = step(state, batch, hyper)
    return state


def toy_counts():
    return Counts(jnp.ones((1, 3, 3)))


X = jnp.asarray([[1.0, 2.0], [-1.0, 0.5], [0.3, -2.0]])
Y = jnp.asarray([[1.0], [0.0], [1.0]])


def test_a_climber_takes_its_gradient_at_the_top():
    x, y = np.asarray(X, np.float64), np.asarray(Y, np.float64)[:, 0]

    def slope(w):
        miss = 1 / (1 + np.exp(-(x @ w[:2] + w[2]))) - y
        return np.append(x.T @ miss, miss.sum()) / len(y)

    w = np.array([1.0, 1.0, 0.0])
    top = w + 0.1 * slope(w) / np.linalg.norm(slope(w))
    state = one_step(plain(radius=climber), X, Y)
    # Adam's first moment of the first step is 0.1 of the gradient
    moment = state.opt[1].mu["head"]["dense"]
    found = np.append(moment["kernel"][:, 0], moment["bias"]) / 0.1
    np.testing.assert_allclose(found, slope(top), rtol=1e-5)
    assert not np.allclose(slope(top), slope(w), rtol=1e-3)


def test_averages_memories_and_mixed_rows():
    kernel = "head", "dense", "kernel"

    def leaf(tree):
        for name in kernel:
            tree = tree[name]
        return np.asarray(tree)

    state = one_step(plain(newest=fresh_half), X, Y)
    np.testing.assert_allclose(
        leaf(state.mean[0]), 0.5 * np.ones((2, 1)) + 0.5 * leaf(state.params)
    )
    assert one_step(plain(), X, Y).mean == ()
    anew = one_step(plain(forget=always), X, Y, twice=True)
    assert int(anew.opt[1].count) == 1
    assert int(one_step(plain(), X, Y, twice=True).opt[1].count) == 2
    mixed, by_hand = one_step(plain(mix=doubled), X, Y), one_step(plain(), 2 * X, Y)
    np.testing.assert_allclose(leaf(mixed.params), leaf(by_hand.params))


def test_side_by_side_the_others_stay_idle():
    """Of methods in one `switch` only the chosen one climbs, averages, mixes."""
    full = plain(radius=climber, newest=fresh_half, forget=always, mix=doubled)
    both = switch(full, erm())
    assert both[0].radius is both[1].radius
    for method, alone in zip(both, (full, erm()), strict=True):
        found, want = one_step(method, X, Y, True), one_step(alone, X, Y, True)
        for a, b in zip(
            jax.tree.leaves((found.params, found.opt)),
            jax.tree.leaves((want.params, want.opt)),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-6)
    idle = one_step(both[1], X, Y, True)
    assert same(jax.tree.leaves(idle.mean), jax.tree.leaves((idle.params, {})))


def test_programs_keep_dear_methods_apart():
    methods = {n: METHODS.get(n) for n in ("erm", "mmd(1.0)", "mmd(3.0)", "focal")}
    found = programs({**methods, "climber": plain(radius=climber)})
    assert [list(p) for p in found] == [
        ["erm", "focal"],
        ["mmd(1.0)", "mmd(3.0)"],
        ["climber"],
    ]


def rivalry(aux, task, output, batch, strength):
    value = task.nll(output.logits, batch.y).mean()
    return value - task.nll(output.taps["rival"], batch.y).mean(), aux


def test_a_rival_learns_beside_the_model_and_is_not_kept():
    model, name = shelf()[0], "rivalry"
    method = erm()._replace(loss=rivalry, rival=True)
    parts = {"task": TASKS.get("binary"), "reconstruct": TASKS.get("reconstruct")}
    more = {"train": TINY, "methods": {name: method}, "schemes": OWN}
    found = fit(model, toy(), [Run(0, name, "mixture", -1, 1e-2)], **parts, **more)
    plain_ = fitted([Run(0, "erm", "mixture", -1, 1e-2)])
    # gradients are clipped together, so the first network moves a little otherwise
    assert jax.tree.structure(found.of(0)) == jax.tree.structure(plain_.of(0))
    two = beside(model)
    params, stats = two.init(KEY, X[:1])
    assert set(params) == set(two.blocks) and two.blocks[0] == "rival"
    out, _ = two.apply(params, stats, X, True, KEY)
    own, _ = model.apply(without((params, stats))[0], stats, X, True, KEY)
    np.testing.assert_array_equal(out.logits, own.logits)
    assert not np.allclose(out.taps["rival"], out.logits)


def test_a_method_that_only_a_stage_names_must_be_given():
    parts = {"task": TASKS.get("binary"), "reconstruct": TASKS.get("reconstruct")}
    run = [Run(0, "erm", "balanced", -1, 1e-2)]
    more = {"train": TINY, "methods": {"erm": erm()}, "schemes": OWN}
    with pytest.raises(InputError, match="oversample"):
        fit(shelf()[0], toy(), run, **parts, **more)
