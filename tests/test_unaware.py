"""ARL: the formula in float64 numpy, and who pulls which way."""

import jax
import numpy as np
import pytest
from cells import GROUPS, ROWS, answer, class_of, cost, plain, rows, slope, start

from equity_jax.data.sampler import tabulate
from equity_jax.methods import METHODS, begin, switch
from equity_jax.types import Counts, InputError, Output

# who needs no attribute, of all shelves of methods
UNAWARE = ("arl", "auc_margin", "soft_average_precision", "cvar", "chi2", "focal")
UNAWARE += ("class_weighted", "effective_number", "hinge")


def formula(world, params, logits, strength):
    """mean (1 + strength f / mean f) l, row by row."""
    _, batch, _, features, _ = world
    mean = np.average(features, 0, batch.weight)
    spread = np.average((features - mean) ** 2, 0, batch.weight)
    x, total = (features - mean) / np.sqrt(spread + 1e-5), []
    for k in range(batch.mask.shape[1]):
        weight = batch.mask[:, k] * batch.weight
        f = [
            1 + np.exp(-x[i] @ params["kernel"][:, k] - params["bias"][k, c])
            for i, c in ((i, class_of(world, i, k)) for i in range(ROWS))
        ]
        f = 1 / np.array(f)
        extra = strength * f / np.average(f, weights=weight)
        costs = np.array([cost(world, logits, i, k) for i in range(ROWS)])
        total.append(np.average((1 + extra) * costs, weights=weight))
    return np.mean(total)


@pytest.mark.parametrize("task", ["multilabel(2)", "multiclass(3)"])
def test_each_player_follows_the_formula(task):
    world, rate, strength = rows(task), 0.25, 1.5
    *_, counts, _, logits = world
    text, rng = f"arl({strength}, {rate})", np.random.default_rng(0)
    with jax.enable_x64(True):
        _, aux = start(text, counts)
        shapes = aux["learned"]["params"]
        bold = {n: rng.normal(size=shapes[n].shape) for n in shapes}
        aux = {**aux, "learned": {**aux["learned"], "params": bold}}
    value, (in_features, in_logits), new = answer(text, world, aux)
    assert value == pytest.approx(formula(world, bold, logits, strength), rel=1e-6)
    wanted = slope(lambda z: formula(world, bold, z, strength), logits)
    np.testing.assert_allclose(in_logits, wanted, atol=1e-6)
    assert not in_features.any()  # the model does not learn to hide its errors
    for name in bold:  # the adversary's step is one of Adam, uphill
        uphill = slope(
            lambda a, n=name: formula(world, {**bold, n: a}, logits, strength),
            bold[name],
        )
        moments = np.asarray(new["learned"]["moments"].mu[name]) / 0.1
        np.testing.assert_allclose(moments, uphill, atol=1e-6)
        step = np.asarray(new["learned"]["params"][name]) - bold[name]
        far = np.abs(uphill) > 1e-3
        np.testing.assert_allclose(step[far], rate * np.sign(uphill[far]), rtol=1e-3)


def test_the_adversary_raises_the_loss_and_the_model_lowers_it():
    world = rows("multilabel(2)")
    task, batch, counts, features, logits = world
    with jax.enable_x64(True):
        method, aux = start("arl(1.0, 0.05)", counts)

        def loss(z, aux):
            return method.loss(aux, task, Output(z, features), batch, 1.0)

        both = jax.jit(jax.value_and_grad(loss, has_aux=True))
        (first, _), _ = both(logits, aux)
        assert first == pytest.approx(2 * plain(world, logits))  # even weights
        for _ in range(30):
            (value, aux_), slopes = both(logits, aux)
            aux = aux_
        assert value > 1.1 * first
        (lower, _), _ = both(logits - 0.1 * slopes, aux)
        (higher, _), _ = both(logits, aux)
    assert lower < higher


def test_methods_without_attributes_do_not_look_at_them():
    """Groups shuffled in the batch and in the counts: the same bytes come out."""
    task, batch, counts, features, logits = rows("multilabel(2)")
    others = np.random.default_rng(0).permutation(batch.group)
    everyone, shape = np.ones(ROWS, bool), (task.classes, GROUPS)
    classes = np.asarray(task.class_of(batch.y))
    moved = tabulate(classes, batch.mask, others, everyone, shape)
    assert np.any(counts.table != moved.table)

    @jax.jit
    def all_of_them(group, table):
        found, rows, given = [], batch._replace(group=group), Counts(table)
        for method in map(METHODS.get, UNAWARE):
            aux = begin(method, jax.random.key(0), features.shape[1], given)

            def loss(z, method=method, aux=aux):
                return method.loss(aux, task, Output(z, features), rows, 1.0)

            found.append(jax.value_and_grad(loss, has_aux=True)(logits))
        return found

    first = all_of_them(batch.group, counts.table)
    second = all_of_them(others, moved.table)
    for name, a, b in zip(UNAWARE, first, second, strict=True):
        for one, other in zip(*map(jax.tree.leaves, (a, b)), strict=True):
            np.testing.assert_array_equal(one, other, name)


def test_an_adversary_of_no_strength_is_erm():
    world = rows("multiclass(3)")
    assert answer("arl(0.0)", world)[0] == pytest.approx(plain(world, world[-1]))


def test_an_undecided_class_is_no_other_class():
    """Row 3's label is unknown: it has a slot of its own in the adversary."""
    world = rows("binary")
    task, batch, counts, features, _ = world
    known = batch._replace(mask=np.ones((ROWS, 1)), weight=np.ones(ROWS))
    _, _, new = answer("arl", (task, known, counts, features, world[-1]))
    bias = np.asarray(new["learned"]["params"]["bias"])
    assert bias.shape == (1, 3) and bias[0, 2] < 0  # it costs nothing: weigh it less


def test_knobs_share_one_program():
    made = switch(*map(METHODS.get, ("arl", "arl(0.5, 0.1)")))
    assert len(made[0].init(rows("binary")[2])["slots"]) == 1


def test_bad_players_are_refused():
    for text in ("arl(-1.0)", "arl(1.0, 0.0)"):
        with pytest.raises(InputError, match="expected strength >= 0"):
            METHODS.get(text)
