"""The sweep: one program, the same results as one run at a time, resumable."""

import dataclasses
import functools
import subprocess
import sys
from pathlib import Path

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
from equity_jax.train.lanes import WIDE, Lanes
from equity_jax.train.loop import batch_of
from equity_jax.types import TRAIN as TRAIN_ROWS
from equity_jax.types import VALID as VALID_ROWS

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


@functools.cache
def parts(names):
    """One network, one set of methods: what is compiled serves every test."""
    tasks = TASKS.get("binary"), TASKS.get("reconstruct")
    unified = switch(*(METHODS.get(m) for m in names))
    methods = dict(zip(names, unified, strict=True))
    return MODELS.get("mlp(8, 8)", 1, 0), tasks, methods, {}


def sweep(runs, train=TRAIN, journal=None, dataset=None, names=METHOD_NAMES, name=""):
    model, (task, reconstruct), methods, programs = parts(names)
    return fit(
        model,
        toy() if dataset is None else dataset,
        runs,
        task=task,
        reconstruct=reconstruct,
        train=train,
        methods=methods,
        schemes={r.scheme: SCHEMES.get(r.scheme) for r in runs},
        journal=journal,
        programs=programs,
        name=name,
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


def test_reconstruction_draws_rows_without_a_label_whoever_is_beside_it():
    data = toy()
    hidden = np.arange(len(data.mask)) % 3 == 0
    data = data._replace(mask=np.where(hidden[:, None], 0.0, data.mask))
    one = Run(0, "erm", "transfer('autoencoder')", 1, 1e-2)
    alone = sweep([one], dataset=data)
    first = Run(0, "erm", "mixture", -1, 1e-2)  # the same rows, the labelled of them
    beside = sweep([first, *(one._replace(target=t) for t in range(3))], dataset=data)
    same(alone.of(0), beside.of(beside.runs.index(one)), 1e-5)


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


FEW = ("erm", "class_weighted", "oversample")


def beside(runs=None, journal=None):
    """Runs of a wide table: several draw the same rows, some do not."""
    some = [
        Run(seed, method, "mixture", -1, lr, 1.0, decay)
        for seed in range(2)
        for method in FEW
        for lr, decay in ((1e-2, None), (1e-2, 0.3), (1e-3, 0.0))
    ]
    some += [Run(0, "erm", "alone", 1, lr) for lr in (1e-2, 1e-3)]
    train = dataclasses.replace(TRAIN, chunk=6)
    return sweep(runs or some, train, journal, toy(features=WIDE), FEW)


@pytest.fixture(scope="module")
def wide():
    return beside()


def test_runs_that_draw_the_same_rows_share_them(wide):
    jobs = wide.plan.jobs
    lanes = Lanes(
        *(batch_of(toy(features=WIDE), part) for part in (TRAIN_ROWS, VALID_ROWS)),
        *(wide.plan, {name: METHODS.get(name) for name in FEW}),
        *(TASKS.get("binary"), TRAIN, 3, 0),
    )
    found = {}
    for number, job in enumerate(jobs):
        if job.level == 0:
            found.setdefault(lanes.team(number), []).append((job.seed, job.method))
    weighted = {"erm", "class_weighted"}
    assert sorted(len(team) for team in found.values()) == [2, 3, 3, 6, 6]
    assert {m for _, m in max(found.values(), key=len)} == weighted
    assert all(len({seed for seed, _ in team}) == 1 for team in found.values())
    narrow = lanes.rows._replace(x=lanes.rows.x[:, :-1])
    lanes.rows = narrow
    assert len({lanes.team(n) for n in range(len(jobs))}) == len(jobs)


def test_a_run_alone_equals_the_run_in_a_team(wide):
    for number in (1, 4, 6, 19):
        alone = beside([wide.runs[number]])
        same(alone.of(0), wide.of(number), 1e-5)
        assert alone.value[-1] == pytest.approx(
            wide.value[wide.plan.final[number]], 1e-5
        )


def test_teams_resume_with_the_same_bytes(tmp_path, wide):
    class Fragile(Journal):
        def tick(self, label, state):
            super().tick(label, state)
            if "0-task-0-1" in label and state is not None:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        beside(journal=Fragile(tmp_path, 0.0))
    again = Journal(tmp_path, 0.0)
    assert again.found and again.flight
    resumed = beside(journal=again)
    same(resumed.weights, wide.weights)
    same(resumed.looks, wide.looks)


TWO = """
import sys; sys.path.insert(0, sys.argv[1])
import jax, numpy as np, test_sweep as t
assert jax.device_count() == 2
done = t.beside()
np.savez(sys.argv[2], *jax.tree.leaves([tuple(w) for w in done.weights]))
"""


def test_two_devices_take_some_teams_each(tmp_path, wide):
    here, out = str(Path(__file__).parent), tmp_path / "two.npz"
    flags = "--xla_force_host_platform_device_count=2"
    env = {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", TWO, here, str(out)]
    done = subprocess.run(command, env=env, cwd=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = jax.tree.leaves([tuple(w) for w in wide.weights])
    with np.load(out) as found:
        same([found[name] for name in found.files], expected, 1e-5)


def test_fits_that_share_a_journal_have_names(tmp_path, fitted):
    runs, journal = runs_of(("erm",), ("mixture",)), Journal(tmp_path, 0.0)
    sweep(runs, journal=journal, name="a ")
    sweep(runs, journal=journal, name="b ")
    assert [k[:2] for k in Journal(tmp_path).found] == ["a ", "b "]
