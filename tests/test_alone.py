"""One run at a time: equal to the sweep, frozen to the bit, resumed to the bit."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pictures import Stream, net, pictures
from toy import toy

from equity_jax.config import Train
from equity_jax.data import stream as threads
from equity_jax.methods import METHODS, switch
from equity_jax.models import MODELS
from equity_jax.schemes import SCHEMES
from equity_jax.tasks import TASKS
from equity_jax.train import Journal, Run, Weights, alone, features, fit, loop, score
from equity_jax.types import InputError, Mixed

TRAIN = Train(steps=12, batch=8, eval_every=3, segment=6, save_seconds=0.0)
NAMES = ("erm", "class_weighted", "oversample", "focal", "group_dro")
METHODS_ = dict(zip(NAMES, switch(*map(METHODS.get, NAMES)), strict=True))
NET, TASK = net(), TASKS.get("multiclass(3)")
PROGRAMS: dict = {}


def one(scheme="mixture", method="erm", target=-1, seed=0, lr=1e-2):
    return Run(seed, method, scheme, target, lr)


def fitted(runs, dataset=None, model=NET, task=TASK, train=TRAIN, **more):
    runs = [runs] if isinstance(runs, Run) else runs
    parts = {
        "task": task,
        "reconstruct": TASKS.get("reconstruct"),
        "train": train,
        "methods": METHODS_,
        "schemes": {r.scheme: SCHEMES.get(r.scheme) for r in runs},
        "programs": PROGRAMS,
    }
    dataset = pictures() if dataset is None else dataset
    return fit(model, dataset, runs, **parts, **more)


def same(a, b, tolerance=None):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if tolerance is None:
            assert np.asarray(x).tobytes() == np.asarray(y).tobytes()
        else:
            np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def noise(key, batch):
    """An augmentation: pixels as float32 0..255 with noise."""
    x = batch.x.astype(jnp.float32)
    return batch._replace(x=x + jax.random.normal(key, x.shape))


def mixup(key, batch):
    """An augmentation that mixes each row with its neighbour."""
    share = jax.random.beta(key, 2.0, 2.0, (len(batch.weight), 1))
    x, wide = batch.x.astype(jnp.float32), share[:, :, None, None]
    other = jax.tree.map(lambda a: jnp.roll(a, 1, 0), (x, batch.y))
    y = Mixed(batch.y, other[1], share)
    return batch._replace(x=wide * x + (1 - wide) * other[0], y=y)


@pytest.fixture(scope="module")
def plain():
    return fitted(one())


@pytest.fixture(scope="module")
def start(plain):
    return plain.of(0)


def test_a_network_learns():
    done = fitted(
        one(lr=3e-2),
        pictures(240),
        train=Train(steps=120, batch=16, eval_every=20, segment=60, patience=9),
    )
    assert done.value[0] < 0.5 < np.log(3)
    assert len(done.looks[0].step) == 6


@pytest.mark.parametrize(
    "scheme", ["mixture", "transfer('head_only')", "transfer('ccsa')"]
)
def test_one_run_of_a_table_equals_the_sweeps(scheme):
    target = -1 if scheme == "mixture" else 1
    model, task = MODELS.get("mlp(8, 8)", 1, 0), TASKS.get("binary")
    run, table = one(scheme, "oversample", target), toy(300)
    swept = fitted(run, table, model, task)
    as_images = table._replace(x=table.x[:, :, None])
    flat = model._replace(
        init=lambda key, x: model.init(key, x[:, :, 0]),
        apply=lambda p, s, x, train, key: model.apply(p, s, x[:, :, 0], train, key),
    )
    single = fitted(run, as_images, flat, task)
    assert single.plan.final == swept.plan.final
    for a, b in zip(single.weights, swept.weights, strict=True):
        same(a, b, 1e-5)
    np.testing.assert_allclose(single.looks[0].valid, swept.looks[0].valid, rtol=1e-5)
    np.testing.assert_allclose(single.looks[0].loss, swept.looks[0].loss, rtol=1e-5)


@pytest.mark.parametrize("augment", [None, noise])
def test_a_stream_gives_the_same_bits(plain, augment):
    dataset = pictures()
    held = plain if augment is None else fitted(one(), augment=augment)
    stream = Stream(dataset.x)
    streamed = fitted(one(), dataset._replace(x=stream), augment=augment)
    same(streamed.weights, held.weights)
    same(streamed.looks, held.looks)
    assert set(stream.counter) == {8}  # always batches of one size


def test_threads_that_read_ahead_give_the_same_bits(plain):
    dataset = pictures()
    x = threads.Stream(lambda i: dataset.x[i, :, :, 0], np.arange(96), 8, threads=2)
    same(fitted(one(), dataset._replace(x=x)).weights, plain.weights)
    same(score(NET, [plain.of(0)], x, 32), score(NET, [plain.of(0)], dataset.x, 32))


def test_the_data_order_depends_on_the_seed_and_step_only(plain):
    short = Train(steps=12, batch=8, eval_every=3, segment=3)
    same(fitted(one(), train=short).weights, plain.weights)
    with pytest.raises(AssertionError):
        same(fitted(one(seed=1)).weights, plain.weights)


class Killed(Exception):
    pass


class Fragile(Journal):
    """Dies at one of its ticks, before or after it has saved."""

    at, after = 1, True

    def tick(self, label, state):
        self.at -= 1
        if self.at == 0 and not self.after:
            raise Killed
        super().tick(label, state)
        if self.at == 0:
            raise Killed


@pytest.mark.parametrize("kind", ["memory", "stream", "augment", "mixup"])
@pytest.mark.parametrize("at", [1, 2, 4])
def test_killed_between_segments_resumes_to_the_bit(tmp_path, kind, at):
    dataset, more = pictures(), {}
    if kind == "stream":
        dataset = dataset._replace(x=Stream(dataset.x))
    if kind in ("augment", "mixup"):
        more = {"augment": noise if kind == "augment" else mixup}
    runs = [one(), one("transfer('last_blocks')", target=1)]
    whole = fitted(runs, dataset, **more)
    fragile = Fragile(tmp_path, 0.0)
    fragile.at, fragile.after = at, at != 2
    with pytest.raises(Killed):
        fitted(runs, dataset, journal=fragile, **more)
    resumed = fitted(runs, dataset, journal=Journal(tmp_path, 0.0), **more)
    same(resumed.weights, whole.weights)
    same(resumed.looks, whole.looks)
    same((resumed.value, resumed.step), (whole.value, whole.step))
    x = pictures(seed=5).x
    same(*(score(NET, [w.of(0), w.of(1)], x, 16) for w in (resumed, whole)))


def test_killed_within_a_segment_resumes_to_the_bit(tmp_path, plain):
    class Breaks(Stream):
        left = [13]  # steps and looks until the disk fails, in the second segment

        def __getitem__(self, rows):
            return Breaks(self.x[rows])

        def batches(self, index):
            for x in super().batches(index):
                self.left[0] -= 1
                if self.left[0] == 0:
                    raise Killed
                yield x

    dataset = pictures()
    broken = dataset._replace(x=Breaks(dataset.x))
    with pytest.raises(Killed):
        fitted(one(), broken, journal=Journal(tmp_path, 0.0))
    journal = Journal(tmp_path, 0.0)
    assert journal.flight and not journal.found
    resumed = fitted(one(), broken, journal=journal)
    same((resumed.weights, resumed.looks), (plain.weights, plain.looks))


@pytest.mark.parametrize(
    ("variant", "moving"),
    [("head_only", {"head"}), ("last_blocks", {"block2", "head"})],
)
def test_what_is_frozen_keeps_its_bits_and_statistics(start, variant, moving):
    before = jax.tree.map(np.array, start)
    done = fitted(one(f"finetune('{variant}')"), start=start)
    found = done.of(0)
    for block in NET.blocks:
        stats = [w.stats["batch_stats"].get(block) for w in (found, start)]
        if block not in moving:
            same(found.params[block], start.params[block])
            same(*stats)
            continue
        params = [w.params[block] for w in (found, start)]
        for pair in (params, stats):
            for a, b in zip(*map(jax.tree.leaves, pair), strict=True):
                assert np.abs(a - b).max() > 0
    same(start, before)  # nothing that was donated was somebody else's


def test_frozen_leaves_run_as_in_evaluation_and_are_not_saved(tmp_path, start):
    seen = []

    def spy(params, stats, x, train, key):
        seen.append(train)
        return NET.apply(params, stats, x, train, key)

    model, journal = NET._replace(apply=spy), Fragile(tmp_path, 0.0)
    with pytest.raises(Killed):
        run = one("finetune('head_only')")
        fitted(run, model=model, start=start, journal=journal)
    assert set(seen) == {False, frozenset({"head"})}
    kept = Journal(tmp_path, 0.0).flight["0-task-0-0-1x1"]["progress"].values()
    assert max(a.size for a in kept) <= 8 * 3
    seen.clear()
    fitted(one(), model=model)
    assert set(seen) == {False, True}


@pytest.mark.parametrize(
    ("variant", "convolutions"),  # two forward; then one a weight, one a way back
    [("full", 2 + 2 + 1), ("last_blocks", 2 + 1), ("head_only", 2)],
)
def test_frozen_leaves_are_not_differentiated(
    start, monkeypatch, variant, convolutions
):
    found, make = [], alone.make_advance

    def counted(*parts):
        advance = make(*parts)

        def call(*given):
            found.append(str(jax.make_jaxpr(advance)(*given)))
            return advance(*given)

        return call

    monkeypatch.setattr(alone, "make_advance", counted)
    train = Train(steps=1, batch=8, eval_every=1, segment=1)
    fitted(one(f"finetune('{variant}')"), model=net(), start=start, train=train)
    assert found[0].count("conv_general_dilated[") == convolutions


def test_patterns_of_freezing_share_a_program_and_never_a_state(start):
    variants = ("full", "head_only", "last_blocks", "discriminative", "probe_then_full")
    runs = [one(f"finetune('{v}')") for v in variants]
    runs.append(one("finetune('full', 0.0001)"))
    done = fitted(runs, start=start)
    full, head, *_, slow = (done.of(i) for i in range(len(runs)))
    for i in range(len(runs)):
        same(fitted(runs[i], start=start).of(0), done.of(i))
    fresh = slow.params["head"]["dense"]["kernel"]
    assert np.abs(fresh - start.params["head"]["dense"]["kernel"]).max() > 1e-3
    same(slow.params["block1"]["conv"], start.params["block1"]["conv"], 1e-4)
    same(head.params["block1"], start.params["block1"])
    # LP-FT: a probe of half the steps, then everything from where it ended
    probe, then = [done.plan.jobs[j] for j in (done.plan.final[4],)][0], done.plan
    assert then.jobs[probe.parent].stage.steps == probe.stage.steps == 0.5
    same(done.weights[probe.parent].params["block2"], start.params["block2"])


@pytest.mark.parametrize("scheme", ["finetune('full')", "finetune('probe_then_full')"])
def test_random_numbers_are_never_called_transfer(scheme, start):
    with pytest.raises(
        InputError, match="starts from given weights, and there are none"
    ):
        fitted(one(scheme))
    less = {**start.params, "block1": {"norm": start.params["block1"]["norm"]}}
    with pytest.raises(InputError, match=r"takes block1/conv/kernel \(3, 3, 1, 4\)"):
        fitted(one(scheme), start=Weights(less, start.stats))
    with pytest.raises(InputError, match=r"batch_stats/block1.*start lacks it"):
        fitted(one(scheme), start=Weights(start.params, {}))


def test_a_start_changes_nothing_that_starts_fresh(plain, start):
    same(fitted(one(), start=start).weights, plain.weights)


def test_a_head_of_another_study_is_not_needed(start):
    other = fitted(
        one("finetune('head_only')"),
        pictures(classes=2),
        net(2),
        TASKS.get("multiclass(2)"),
        start=start,
    )
    assert other.of(0).params["head"]["dense"]["bias"].shape == (2,)
    same(other.of(0).params["block1"], start.params["block1"])


@pytest.mark.parametrize("variant", ["full", "head_only", "ccsa"])
def test_transfer_between_groups(variant):
    runs = [one(f"transfer('{variant}')", target=t) for t in range(3)]
    runs += [one("alone", target=0)]
    done = fitted(runs, augment=mixup if variant == "ccsa" else None)
    source = done.of(3)
    same(done.of(0), source)  # the reference group keeps the source model
    if variant == "head_only":
        tuned = done.of(1).params
        same(tuned["block2"], source.params["block2"])
        moved = (
            tuned["head"]["dense"]["kernel"] - source.params["head"]["dense"]["kernel"]
        )
        assert np.abs(moved).max() > 0


def test_what_tables_have_and_images_have_not(plain):
    with pytest.raises(InputError, match="'autoencode' is for tables"):
        fitted(one("transfer('autoencoder')", target=1))
    with pytest.raises(InputError, match="augmentation is for images"):
        fitted(
            one(), toy(), MODELS.get("mlp(4)", 1, 0), TASKS.get("binary"), augment=noise
        )


def test_early_stopping_keeps_the_best():
    train = Train(steps=300, batch=8, eval_every=3, segment=30, patience=2)
    done = fitted(one(lr=0.05), train=train)
    streamed = pictures()._replace(x=Stream(pictures().x))
    same(fitted(one(lr=0.05), streamed, train=train).weights, done.weights)
    look = done.looks[0]
    assert look.active.all() and look.step[-1] < 300
    assert done.value[0] == look.valid.min()
    assert done.step[0] == look.step[look.valid.argmin()]
    rows = pictures()
    rows = jax.tree.map(np.asarray, loop.batch_of(rows, 1))
    logits = score(NET, [done.of(0)], rows.x, 7)[0]
    nll = np.asarray(TASK.nll(logits, rows.y)).mean()
    assert nll == pytest.approx(done.value[0], rel=1e-5)


def test_validation_counts_the_lanes_rows_only_and_may_be_empty():
    dataset = pictures()
    dataset.mask[dataset.split == 1] = 0
    assert np.isnan(fitted(one(), dataset).looks[0].valid).all()


@pytest.mark.parametrize("as_stream", [False, True])
def test_scores_and_features_in_batches(plain, as_stream):
    x, weights = pictures(n=21).x, plain.of(0)
    out, _ = NET.apply(*weights, x, False, None)
    rows = Stream(x) if as_stream else x
    logits, found = features(NET, weights, rows, 8)
    np.testing.assert_allclose(logits, out.logits, atol=1e-5)
    np.testing.assert_allclose(found, out.features, atol=1e-5)
    same(score(NET, [weights, weights], rows, 8), np.stack([logits, logits]))


def test_the_bar_counts_images(capsys):
    fitted(one(), quiet=False)
    assert "image/s" in (said := capsys.readouterr().err) and "96.0/96.0" in said


TWO = """
import sys; sys.path.insert(0, sys.argv[1])
import jax, numpy as np, test_alone as t
from pictures import Stream
assert jax.device_count() == 2
dataset = t.pictures()
held = t.fitted(t.one(), dataset, augment=t.noise)
streamed = t.fitted(t.one(), dataset._replace(x=Stream(dataset.x)), augment=t.noise)
t.same(held.weights, streamed.weights)
logits = t.score(t.NET, [held.of(0)], dataset.x, 8)
np.savez(sys.argv[2], logits, *jax.tree.leaves(tuple(held.of(0))))
"""


def test_two_devices_share_the_rows(tmp_path):
    here, out = str(Path(__file__).parent), tmp_path / "two.npz"
    flags = "--xla_force_host_platform_device_count=2"
    env = {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", TWO, here, str(out)]
    done = subprocess.run(command, env=env, cwd=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    mine = fitted(one(), augment=noise)
    logits = score(NET, [mine.of(0)], pictures().x, 8)
    expected = [logits, *jax.tree.leaves(tuple(mine.of(0)))]
    with np.load(out) as found:
        same([found[name] for name in found.files], expected, 1e-5)
