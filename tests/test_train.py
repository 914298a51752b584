"""The step, stopping and checkpoints, each by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import toy

from equity_jax.methods import METHODS
from equity_jax.models import MODELS
from equity_jax.schemes import csa_loss
from equity_jax.tasks import TASKS
from equity_jax.train.checkpoint import Checkpoint, Journal, pack, unpack
from equity_jax.train.feed import moved, padded
from equity_jax.train.leaves import carry, cut, merge, moving_blocks, with_bias
from equity_jax.train.loop import batch_of
from equity_jax.train.step import evaluate, make_step, optimizer
from equity_jax.train.stopping import look, start
from equity_jax.types import Counts, Hyper


@pytest.fixture
def setup():
    model, task = MODELS.get("mlp(4)", 1, 0), TASKS.get("binary")
    rows = batch_of(toy(), 0)
    params, stats = model.init(jax.random.key(0), rows.x[:1])
    return model, task, rows, params, stats


def hyper(params, rate=1.0, lr=1e-2, decay=0.0) -> Hyper:
    rates = jax.tree.map(lambda p: jnp.float32(rate), params)
    zero = jnp.int32(0)
    return Hyper(jnp.float32(lr), jnp.float32(decay), zero, jnp.float32(1), zero, rates)


def run(setup, hyper, align=0.0, other=None):
    model, task, rows, params, stats = setup
    tx, method = optimizer(), METHODS.get("erm")
    init, step = make_step(model, method, task, tx, align)
    state = init(jax.random.key(1), params, stats, Counts(jnp.ones((1, 3, 4))))
    return step(state, rows, hyper, other)


def test_the_first_adam_step_moves_each_leaf_by_the_rate(setup):
    state, _ = run(setup, hyper(setup[3], lr=0.01))
    kernel, before = state.params["layer0"]["kernel"], setup[3]["layer0"]["kernel"]
    np.testing.assert_allclose(np.abs(kernel - before), 0.01, rtol=1e-2)


def test_weight_decay_shrinks_kernels_only(setup):
    plain, _ = run(setup, hyper(setup[3]))
    decayed, _ = run(setup, hyper(setup[3], decay=0.1))
    kernel = setup[3]["layer0"]["kernel"]
    moved = decayed.params["layer0"]["kernel"] - plain.params["layer0"]["kernel"]
    np.testing.assert_allclose(moved, -0.01 * 0.1 * kernel, atol=1e-7)
    np.testing.assert_array_equal(
        decayed.params["layer0"]["bias"], plain.params["layer0"]["bias"]
    )


def test_a_rate_of_zero_keeps_every_bit(setup):
    state, _ = run(setup, hyper(setup[3], rate=0.0, decay=0.1))
    for a, b in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(setup[3]), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_alignment_adds_the_papers_loss(setup):
    model, task, rows, params, stats = setup
    _, info = run(setup, hyper(params), align=0.25, other=rows)
    out, _ = model.apply(params, stats, rows.x, False, None)
    erm = METHODS.get("erm")
    aux = erm.init(Counts(jnp.ones((1, 3, 4))))
    plain = float(erm.loss(aux, task, out, rows, jnp.float32(1))[0])
    classes, weight = task.class_of(rows.y)[:, 0], rows.weight
    args = (out.features, classes, weight)
    expected = 0.75 * plain + 0.25 * float(csa_loss(*args, *args))
    assert float(info["loss"]) == pytest.approx(expected, rel=1e-5)


def test_evaluate_is_sum_over_sum(setup):
    model, task, rows, params, stats = setup
    weight = np.arange(len(rows.x)) % 3 == 0
    found = evaluate(model, task, params, stats, rows._replace(weight=weight * 1.0))
    out, _ = model.apply(params, stats, rows.x, False, None)
    expected = np.asarray(task.nll(out.logits, rows.y))[weight].mean()
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_stopping_keeps_the_best_and_waits():
    stop = start({"a": jnp.float32(0)}, {})
    values = [1.0, 0.5, 0.7, float("nan"), 0.4]
    for i, value in enumerate(values):
        params = {"a": jnp.float32(i)}
        args = (jnp.float32(value), jnp.int32(10 * i), 2, jnp.float32(1000))
        stop = look(stop, params, {}, *args)
    assert bool(stop.stopped) and int(stop.last) == 30  # 0.7 and NaN: two bad looks
    assert float(stop.value) == 0.5 and int(stop.step) == 10
    assert float(stop.best["a"]) == 1  # the better 0.4 came after the stop


def test_stopping_at_the_budget():
    stop = start({}, {})
    stop = look(stop, {}, {}, jnp.float32(1), jnp.int32(50), 9, jnp.float32(50))
    assert bool(stop.stopped)


def test_carry_takes_leaves_by_path_and_shape():
    old = {"layer0": {"kernel": np.ones((2, 2))}, "head": {"bias": np.ones(3)}}
    new = {"layer0": {"kernel": np.zeros((2, 2))}, "head": {"bias": np.zeros(1)}}
    both = carry(old, new, lambda path: True)
    assert both["layer0"]["kernel"].sum() == 4 and both["head"]["bias"].sum() == 0
    none = carry(old, new, lambda path: False)
    assert none["layer0"]["kernel"].sum() == 0


def test_cut_and_merge_are_inverse():
    params = {"a": {"w": 1.0, "b": 2.0}, "c": {"w": 3.0}}
    stats = {"batch_stats": {"a": {"mean": 4.0}, "c": {"mean": 5.0}}}
    rates = {"a": {"w": 0.0, "b": 0.5}, "c": {"w": 0.0}}
    moving, still = cut(params, stats, rates)
    assert jax.tree.leaves(moving) == [2.0, 4.0]  # a block's statistics move with it
    assert jax.tree.leaves(still) == [1.0, 3.0, 5.0]
    assert merge(moving, still) == (params, stats)
    assert merge((params, stats), ()) == (params, stats)
    assert moving_blocks(moving[0]) == {"a"}


def test_padded_batches_cover_each_row_once():
    for n in (0, 1, 7, 8, 9):
        index, weight = padded(np.arange(n) + 3, 4)
        assert index.shape == weight.shape == (-(-n // 4), 4)
        np.testing.assert_array_equal(index[weight > 0], np.arange(n) + 3)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "bfloat16"])
def test_rows_move_to_the_device_as_they_are(dtype):
    import ml_dtypes

    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    x = np.arange(3 * 4 * 5).reshape(3, 4, 5).astype(kind)
    for rows in (np.array([2, 0, 2, 1]), np.array([], int)):
        found = moved(x, rows)
        assert found.dtype == jnp.asarray(x).dtype
        np.testing.assert_array_equal(found, x[rows])
    found = moved(x, np.array([1]))
    x[:] = 0
    assert np.asarray(found).all()  # a copy of its own


def test_with_bias_fills_the_head():
    model = MODELS.get("mlp(4)", 1, 1)
    params, _ = model.init(jax.random.key(0), jnp.ones((1, 2)))
    params = with_bias(params, np.array([-2.0, 0.5], np.float32), 1)
    out, _ = model.apply(params, {}, jnp.zeros((3, 2)), False, None)
    np.testing.assert_allclose(out.logits, [[-2.0, 0.5]] * 3)


def test_checkpoints_come_back_as_they_were(tmp_path):
    tree = {"b": jnp.arange(3.0), "k": jax.random.key(7), "n": jnp.int32(4)}
    saved = Checkpoint(tmp_path / "c")
    assert saved.names() == []
    saved.save("x", {"tree": pack(tree)})
    again = unpack(saved.load("x")["tree"], tree)
    np.testing.assert_array_equal(again["b"], tree["b"])
    assert (jax.random.key_data(again["k"]) == jax.random.key_data(tree["k"])).all()
    saved.save("x", {"tree": pack({"a": jnp.ones(1)})})  # replaced, not merged
    assert list(saved.load("x")["tree"]) == ["00000"]
    saved.remove("x")
    assert saved.names() == []


def test_half_written_checkpoints_are_not_seen(tmp_path):
    saved = Checkpoint(tmp_path)
    saved.save("part_00000", {"a": np.ones(1)})
    (tmp_path / "part_00001.orbax-checkpoint-tmp-1").mkdir()
    assert saved.names() == ["part_00000"]
    assert list(Journal(tmp_path).found) == ["a"]
    saved.remove("part_")
    assert not list(tmp_path.iterdir())


def test_a_journal_without_a_folder_keeps_nothing():
    journal = Journal(None, 0.0)
    journal.add("a", {"x": np.ones(1)})
    journal.flush()
    assert journal.found == {}


def test_a_slow_journal_saves_less_often(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for cost, pauses in ((0.5, 30), (5, 100), (60, 300)):
        journal, saved = Journal(tmp_path / str(cost), 30.0), []

        def state(saved=saved, cost=cost):
            saved.append(now[0])
            now[0] += cost
            return {"x": np.ones(1)}

        while len(saved) < 3:
            journal.tick("a", state)
            now[0] += 1
        assert saved[2] - saved[1] - cost == pytest.approx(pauses, abs=1)
