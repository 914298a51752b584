"""Margins by class and logits moved by the prior against their formulas, float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cells import rows, slope
from rowwise import answers, classes, costs, mean, table_at

from equity_jax.methods import METHODS, switch
from equity_jax.tasks import TASKS
from equity_jax.types import Batch, Counts, InputError, Output

TASK_NAMES = ["binary", "multilabel(2)", "multiclass(3)"]


def by_class(world):
    return np.asarray(world[2].by_class, float)


def margins(n, margin, scale):
    raw = np.array(n, float) ** -0.25
    return scale * margin * raw / raw.max(1, keepdims=True)


def ldam(world, logits, margin, scale, beta, late):
    """z' and the weights of the deferred stage, row by row."""
    n, y = by_class(world), classes(world)
    owed = margins(n, margin, scale)
    moved = logits.copy()
    for i, k in np.ndindex(y.shape):
        if y[i, k] >= 0 and world[0].name.startswith("multiclass"):
            moved[i, y[i, k]] -= owed[0, y[i, k]]
        elif y[i, k] >= 0:
            moved[i, k] -= owed[k, 1] if y[i, k] else -owed[k, 0]
    table = np.ones(np.asarray(world[2].table).shape)
    if late:
        raw = (1 - beta) / (1 - beta**n)
        weights = raw / raw.sum(1, keepdims=True) * n.shape[1]
        table[:, :-1] = weights[:, :, None]
    return mean(world, table_at(world, table) * costs(world, moved))


def adjusted(world, logits, tau, by):
    """z plus tau log pi of the row's own prior."""
    n, group = np.asarray(world[2].n, float), world[1].group
    prior = np.repeat(by_class(world)[:, :, None], n.shape[2] + 1, 2)
    if by == "group":
        prior[:, :, :-1] = n
    prior = np.maximum(prior, 0.5)
    prior = prior / prior.sum(1, keepdims=True)
    shift = tau * np.log(prior[:, :, group])  # float[K, C, B]
    if world[0].name.startswith("multiclass"):
        return mean(world, costs(world, logits + shift[0].T))
    return mean(world, costs(world, logits + (shift[:, 1] - shift[:, 0]).T))


FORMULAS = {
    "ldam(0.5, 2.0, 0.75, 0.875)": None,
    "logit_adjusted(1.5)": lambda w, z: adjusted(w, z, 1.5, "class"),
    "logit_adjusted(1.0, 'group')": lambda w, z: adjusted(w, z, 1.0, "group"),
    "balanced_softmax": lambda w, z: adjusted(w, z, 1.0, "class"),
}
LDAM = next(iter(FORMULAS))


@pytest.mark.parametrize("name", TASK_NAMES)
def test_value_and_gradient_follow_the_formula(name):
    world = rows(name)
    stages = {"late": 0.75} | ({"early": 0.7} if name == "multilabel(2)" else {})
    for stage, spent in stages.items():
        batch = world[1]._replace(spent=np.float64(spent))
        mine = (world[0], batch, *world[2:])
        texts = list(FORMULAS) if stage == "late" else [LDAM]
        for text, (value, found) in answers(texts, mine).items():

            def formula(z, text=text, late=stage == "late"):
                if text == LDAM:
                    return ldam(world, z, 0.5, 2.0, 0.875, late)
                return FORMULAS[text](world, z)

            assert value == pytest.approx(formula(world[4]), rel=1e-6), text
            np.testing.assert_allclose(found, slope(formula, world[4]), atol=1e-6)


def aux_of(text, table):
    return METHODS.get(text).init(Counts(np.asarray(table, np.float32)))


def test_the_rarest_class_has_the_whole_margin():
    table = [[[10_000, 0], [16, 0], [3, 0]]]
    owed = np.asarray(aux_of("ldam", table)["margin"])[0, :, 0]
    np.testing.assert_allclose(owed, [0.1, 0.5, 0], rtol=1e-6)
    owed = np.asarray(aux_of("ldam(scale=30.0)", table)["margin"])[0, :, 0]
    np.testing.assert_allclose(owed, [3, 15, 0], rtol=1e-6)
    nobody = aux_of("ldam", [[[10, 0], [0, 0], [0, 0]]])  # no row of class 1
    np.testing.assert_allclose(nobody["margin"][0, :, 0], [0.5, 0, 0])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(nobody))


def test_the_margin_of_a_huge_class_and_its_weight_stay_finite():
    found = aux_of("ldam", [[[1e9, 0], [1, 0], [0, 0]]])
    assert np.isfinite(found["margin"]).all() and np.isfinite(found["table"]).all()
    assert (np.asarray(found["table"])[0, :2, 0] > 0).all()


def test_only_the_own_class_gives_up_its_margin():
    """The slip: a margin taken from every logit, which changes nothing."""
    world = rows("multiclass(3)")
    flat = np.zeros_like(world[4])
    found = answers(["ldam(defer=1.0)", "erm"], (*world[:4], flat))
    assert found["ldam(defer=1.0)"][0] > found["erm"][0] + 0.1


def test_who_has_no_group_or_an_empty_one_has_the_prior_of_all():
    table = [[[60, 9, 0, 6], [30, 1, 0, 4], [0, 0, 0, 0]]]
    shift = np.asarray(aux_of("logit_adjusted(1.0, 'group')", table)["shift"])[0]
    everyone = np.log(np.array([75, 35]) / 110)
    np.testing.assert_allclose(shift[:, 2], everyone, rtol=1e-6)  # an empty group
    np.testing.assert_allclose(shift[:, 3], everyone, rtol=1e-6)  # not recorded
    np.testing.assert_allclose(shift[:, 1], np.log([0.9, 0.1]), rtol=1e-5)
    plain = np.asarray(aux_of("logit_adjusted", table)["shift"])[0]
    np.testing.assert_allclose(plain, np.repeat(everyone[:, None], 4, 1), rtol=1e-6)
    empty = aux_of("logit_adjusted", [[[10, 0], [0, 0], [0, 0]]])
    np.testing.assert_allclose(empty["shift"][0, :, 0], np.log([20 / 21, 1 / 21]), 1e-5)


def test_a_head_that_learns_the_odds_has_no_prior_left_in_its_logits():
    """What remains of a constant score is 0: training adds the prior, so z needs none.

    The sign is the slip: z - tau log pi would learn twice the odds.
    """
    task = TASKS.get("binary")
    y = np.repeat([0.0, 1.0], [90, 10])[:, None]
    batch = Batch(None, y, np.ones_like(y), np.zeros(100, int), np.ones(100), None)
    method = METHODS.get("logit_adjusted")
    aux = method.init(Counts(np.float32([[[90, 0], [10, 0], [0, 0]]])))

    def loss(z):
        flat = jnp.broadcast_to(z, (100, 1))
        return method.loss(aux, task, Output(flat, flat), batch, 1.0)[0]

    assert float(jax.grad(loss)(jnp.zeros(()))) == pytest.approx(0, abs=1e-6)


def test_out_of_training_the_weights_are_those_of_the_end():
    world = rows("binary")
    end = world[1]._replace(spent=np.float64(1.0))
    found = [
        answers(["ldam"], (world[0], batch, *world[2:]))["ldam"][0]
        for batch in (world[1], end)
    ]
    assert found[0] == found[1]


def test_all_strengths_share_one_loss():
    kinds = "ldam", "ldam(0.1, 30.0, 0.5, 0.9)", "logit_adjusted(0.5)"
    kinds += "logit_adjusted(by='group')", "balanced_softmax('group')"
    methods = switch(*map(METHODS.get, kinds))
    counts = Counts(np.ones((1, 3, 2), np.float32))
    shapes = [jax.tree.map(jnp.shape, m.init(counts)) for m in methods]
    assert len(shapes[0]["slots"]) == 2 and shapes.count(shapes[0]) == len(kinds)


def test_what_makes_no_sense_is_refused():
    for text in ("ldam(-0.5)", "ldam(defer=1.5)", "ldam(beta=1.0)", "ldam(scale=-1.0)"):
        with pytest.raises(InputError, match="0 <= beta < 1"):
            METHODS.get(text)
    for name in ("logit_adjusted(1.0, 'both')", "balanced_softmax('both')"):
        with pytest.raises(InputError, match="by is 'both'; expected 'class' or"):
            METHODS.get(name)
    task = TASKS.get("count(0.1)")
    for name in ("ldam", "logit_adjusted"):
        aux = aux_of(name, np.ones((1, 3, 2)))
        with pytest.raises(InputError, match=f"{name} needs classes"):
            METHODS.get(name).loss(aux, task, None, None, 1.0)
