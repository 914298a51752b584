"""The sweep: one program, the same results as one run at a time, resumable."""

import jax
import numpy as np
import pytest
from toy import toy

from equity_jax.config import Train
from equity_jax.methods import METHODS, switch
from equity_jax.models import MODELS
from equity_jax.schemes import SCHEMES
from equity_jax.tasks import TASKS
from equity_jax.train import Journal, Run, fit, score

METHOD_NAMES = ("erm", "class_weighted", "oversample", "focal", "group_dro")
SCHEME_NAMES = ("mixture", "alone", "transfer('full')", "transfer('head_only')")
MORE = ("transfer('probe_then_full')", "transfer('ccsa')", "transfer('autoencoder')")
TRAIN = Train(steps=20, batch=16, eval_every=10, segment=10, chunk=8, save_seconds=0.0)


def runs_of(methods=METHOD_NAMES, schemes=SCHEME_NAMES, seeds=1):
    return [
        Run(seed, m, s, t, 1e-2)
        for seed in range(seeds)
        for m in methods
        for s in schemes
        for t in ([-1] if s == "mixture" else range(3))
    ]


def sweep(runs, train=TRAIN, journal=None, dataset=None, names=METHOD_NAMES):
    unified = switch(*(METHODS.get(m) for m in names))
    schemes = {r.scheme: SCHEMES.get(r.scheme) for r in runs}
    return fit(
        MODELS.get("mlp(8, 8)", 1, 0),
        toy() if dataset is None else dataset,
        runs,
        task=TASKS.get("binary"),
        reconstruct=TASKS.get("reconstruct"),
        train=train,
        methods=dict(zip(names, unified, strict=True)),
        schemes=schemes,
        journal=journal,
    )


@pytest.fixture(scope="module")
def fitted():
    return sweep(runs_of())


def same(a, b, tolerance=0.0):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("number", [0, 1, 9, 24, 35, 49])
def test_a_run_alone_equals_the_run_in_the_sweep(fitted, number):
    run = fitted.runs[number]
    alone = sweep([run])
    same(alone.of(0), fitted.of(number), 1e-5)


def test_equal_stages_are_fitted_once(fitted):
    # per method: mixture, three alone (one of them is the source), 2 x 2 transfers
    assert len(fitted.plan.jobs) == len(METHOD_NAMES) * (1 + 3 + 2 * 2)
    assert len(fitted.runs) == len(METHOD_NAMES) * (1 + 3 + 2 * 3)


def test_adding_runs_changes_no_other(fitted):
    few = sweep(runs_of(("erm", "focal"), ("mixture", "alone")), names=METHOD_NAMES)
    for i, run in enumerate(few.runs):
        same(few.of(i), fitted.of(fitted.runs.index(run)), 1e-5)


def test_head_only_leaves_the_trunk_bit_for_bit(fitted):
    runs = fitted.runs
    source = fitted.of(runs.index(Run(0, "erm", "alone", 0, 1e-2))).params
    tuned = fitted.of(runs.index(Run(0, "erm", "transfer('head_only')", 2, 1e-2)))
    for block in ("layer0", "layer1"):
        same(tuned.params[block], source[block])
    moved = tuned.params["head"]["dense"]["kernel"] - source["head"]["dense"]["kernel"]
    assert np.abs(moved).max() > 0


def test_the_reference_group_keeps_the_source_model(fitted):
    runs = fitted.runs
    source = fitted.of(runs.index(Run(0, "erm", "alone", 0, 1e-2)))
    home = fitted.of(runs.index(Run(0, "erm", "transfer('full')", 0, 1e-2)))
    same(source, home)


def test_two_stage_aligned_and_pretrained_schemes_learn():
    train = Train(steps=200, batch=32, eval_every=10, segment=50, chunk=8)
    dataset = toy(3000)
    done = sweep(runs_of(("erm",), ("mixture", *MORE)), train, dataset=dataset)
    untrained = np.log(2)
    for number, run in enumerate(done.runs):
        assert done.value[done.plan.final[number]] < untrained, run


def test_resume_gives_the_same_bytes(tmp_path, fitted):
    runs = runs_of()
    whole = sweep(runs, journal=Journal(tmp_path / "a", 0.0))
    same([w for w in whole.weights], [w for w in fitted.weights])

    class Killed(Exception):
        pass

    class Fragile(Journal):
        ticks = 0

        def tick(self, label, state):
            super().tick(label, state)
            self.ticks += 1
            if self.ticks == 7:
                raise Killed

    with pytest.raises(Killed):
        sweep(runs, journal=Fragile(tmp_path / "b", 0.0))
    again = Journal(tmp_path / "b", 0.0)
    assert again.found  # something was saved, and something was left to do
    assert len(again.found) < len(Journal(tmp_path / "a", 0.0).found)
    resumed = sweep(runs, journal=again)
    same(resumed.weights, whole.weights)
    same(resumed.looks, whole.looks)


def test_early_stopping_is_per_run():
    train = Train(
        steps=400, batch=16, lr=(0.01,), eval_every=10, segment=10, chunk=8, patience=2
    )
    runs = [r._replace(lr=0.02) for r in runs_of(("erm",), ("mixture", "alone"))]
    done = sweep(runs, train)
    last = [
        int(np.asarray(look.step)[np.asarray(look.active)][-1]) for look in done.looks
    ]
    assert min(last) < 400 and len(set(last)) > 1
    for number, look in enumerate(done.looks):
        active = np.asarray(look.active)
        assert done.value[number] == np.asarray(look.valid)[active].min()


def test_nested_fractions_thin_only_the_target():
    run = Run(0, "erm", "mixture", 2, 1e-2, 0.25)
    done = sweep([run, run._replace(fraction=1.0, target=-1)])
    thin, full = (done.plan.rows[done.plan.jobs[j].rows] for j in done.plan.final)
    group = toy().group[:300]
    assert (thin[group != 2] == full[group != 2]).all()
    assert 0 < thin[group == 2].sum() < full[group == 2].sum()


def test_scores_are_those_of_the_model(fitted):
    dataset = toy()
    model = MODELS.get("mlp(8, 8)", 1, 0)
    logits = score(model, [fitted.of(0), fitted.of(5)], dataset.x[:7], width=3)
    weights = fitted.of(5)
    out, _ = model.apply(weights.params, weights.stats, dataset.x[:7], False, None)
    np.testing.assert_allclose(logits[1], out.logits, atol=1e-6)
