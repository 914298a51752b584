"""Focal losses and smoothed labels against their formulas, optax and torch, float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cells import rows, slope
from rowwise import answers, classes, costs, mean

from equity_jax.methods import METHODS, switch
from equity_jax.methods.margin import mixed
from equity_jax.tasks import TASKS
from equity_jax.types import Batch, Counts, InputError, Mixed, Output

TASK_NAMES = ["binary", "multilabel(2)", "multiclass(3)"]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def focal(world, logits, gamma):
    nll = costs(world, logits)
    return mean(world, (1 - np.exp(-nll)) ** gamma * nll)


def asymmetric(world, logits, pos, neg, clip):
    """Equations 5 to 7 of the paper, with signs turned."""
    p, y = sigmoid(logits), classes(world)
    q = np.maximum(p - clip, 0)
    found = np.where(y == 1, -((1 - p) ** pos) * np.log(p), -(q**neg) * np.log(1 - q))
    return mean(world, np.where(y >= 0, found, 0.0))


def smoothed(world, logits, epsilon):
    """Cross-entropy against the smoothed distribution, term by term."""
    task, y = world[0], classes(world)
    target = (1 - epsilon) * np.eye(task.classes)[y] + epsilon / task.classes
    if task.name.startswith("multiclass"):
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        log_p = log_p[:, None]
    else:
        log_p = np.stack([np.log(sigmoid(-logits)), np.log(sigmoid(logits))], 2)
    return mean(world, np.where(y >= 0, -(target * log_p).sum(2), 0.0))


ASYMMETRIC = "asymmetric_focal(1.0, 3.0, 0.125)"
FORMULAS = {
    "focal(1.5)": lambda w, z: focal(w, z, 1.5),
    "label_smoothing(0.25)": lambda w, z: smoothed(w, z, 0.25),
    ASYMMETRIC: lambda w, z: asymmetric(w, z, 1, 3, 0.125),
}


@pytest.mark.parametrize("task", TASK_NAMES)
def test_value_and_gradient_follow_the_formula(task):
    world, texts = rows(task), list(FORMULAS)
    if task.startswith("multiclass"):
        texts.remove(ASYMMETRIC)
    for text, (value, found) in answers(texts, world).items():
        formula = partial(FORMULAS[text], world)
        assert value == pytest.approx(formula(world[4]), rel=1e-6), text
        np.testing.assert_allclose(found, slope(formula, world[4]), atol=1e-6)


def whole(name):
    """A world whose every label is known, seen and of weight 1."""
    task, batch, counts, features, logits = rows(name)
    y = np.where(classes((task, batch)) < 0, 0, classes((task, batch)))
    y = y if name.startswith("multiclass") else y.astype(float)
    batch = batch._replace(y=y, mask=np.ones(y.shape), weight=np.ones(len(y)))
    return task, batch, counts, features, logits


def test_torch_smooths_alike():
    torch = pytest.importorskip("torch", reason="the extra bench brings torch")
    for name in ("binary", "multiclass(3)"):
        world = whole(name)
        label, there = torch.tensor(world[1].y), torch.tensor(world[4])
        if name == "binary":
            theirs = torch.nn.BCEWithLogitsLoss()(there, label * 0.9 + 0.05)
        else:
            cross = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
            theirs = cross(there, label[:, 0].long())
        value, _ = answers(["label_smoothing(0.1)"], world)["label_smoothing(0.1)"]
        assert value == pytest.approx(float(theirs), rel=1e-6)


def test_optax_discounts_alike():
    world = whole("binary")
    with jax.enable_x64(True):
        theirs = optax.sigmoid_focal_loss(*map(jnp.asarray, (world[4], world[1].y)))
    value, _ = answers(["focal"], world)["focal"]
    assert value == pytest.approx(np.asarray(theirs).mean(), rel=1e-6)


def test_the_focal_factor_ignores_weights():
    """The slip: p_t from a weighted loss. Weights enter only as the row's share."""
    world = whole("binary")
    batch = world[1]._replace(weight=np.where(np.arange(24) < 5, 3.0, 1.0))
    value, _ = answers(["focal"], (world[0], batch, *world[2:]))["focal"]
    nll = costs(world, world[4])
    each = (1 - np.exp(-nll)) ** 2 * nll
    expected = (each * batch.weight[:, None]).sum() / batch.weight.sum()
    assert value == pytest.approx(expected, rel=1e-6)


def test_powers_of_zero_and_no_smoothing_are_erm():
    names = "focal(0.0)", "label_smoothing(0.0)", "asymmetric_focal(0.0, 0.0, 0.0)"
    found = answers(["erm", *names], rows("multilabel(2)"))
    for name in names:
        assert found[name][0] == pytest.approx(found["erm"][0], rel=1e-6)
        np.testing.assert_allclose(found[name][1], found["erm"][1], atol=1e-9)


def test_easy_negatives_cost_nothing_at_all():
    task = TASKS.get("binary")
    z = np.log(np.array([[0.04], [0.5]]) / np.array([[0.96], [0.5]]))
    y = np.zeros((2, 1))
    batch = Batch(None, y, np.ones((2, 1)), np.zeros(2, int), np.ones(2), None)
    method = METHODS.get("asymmetric_focal")
    aux = method.init(Counts(np.ones((1, 3, 2), np.float32)))

    def loss(logits):
        return method.loss(aux, task, Output(logits, logits), batch, 1.0)[0]

    value, slopes = jax.jit(jax.value_and_grad(loss))(jnp.asarray(z, jnp.float32))
    assert slopes[0, 0] == 0 and slopes[1, 0] > 0
    assert float(value) == pytest.approx(-(0.45**4) * np.log(0.55) / 2, rel=1e-5)


def test_all_strengths_of_a_method_share_one_loss():
    for text in ("focal", "label_smoothing", "asymmetric_focal"):
        a, b = switch(METHODS.get(f"{text}(0.5)"), METHODS.get(text))
        counts = Counts(np.ones((1, 3, 2), np.float32))
        assert len(a.init(counts)["slots"]) == 1
        shapes = [jax.tree.map(jnp.shape, m.init(counts)) for m in (a, b)]
        assert shapes[0] == shapes[1]


def test_mixed_labels_cost_the_mean_of_both():
    y = Mixed(np.ones((2, 1)), np.zeros((2, 1)), np.array([[0.25], [1.0]]))
    np.testing.assert_allclose(mixed(lambda y: 4 * y, y), [[1.0], [4.0]])
    world = whole("binary")
    halves = Mixed(np.ones((24, 1)), np.zeros((24, 1)), np.full((24, 1), 0.25))
    texts = ["asymmetric_focal", "label_smoothing"]
    three = [
        answers(texts, (world[0], world[1]._replace(y=y), *world[2:]))
        for y in (halves.y, halves.other, halves)
    ]
    for text in texts:
        one, other, both = (found[text][0] for found in three)
        assert both == pytest.approx(0.25 * one + 0.75 * other, rel=1e-6)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="expected 0 <= epsilon < 1"):
        METHODS.get("label_smoothing(1.0)")
    for text in ("asymmetric_focal(-1.0)", "asymmetric_focal(clip=1.0)"):
        with pytest.raises(InputError, match="powers of at least 0 and 0 <= clip < 1"):
            METHODS.get(text)
    with pytest.raises(InputError, match="labels that are 0 or 1 each"):
        answers(["asymmetric_focal"], rows("multiclass(3)"))
    two = TASKS.get("multiclass(2)")
    method = METHODS.get("asymmetric_focal")
    aux = method.init(Counts(np.ones((1, 3, 2), np.float32)))
    with pytest.raises(InputError, match="labels that are 0 or 1 each"):
        method.loss(aux, two, None, None, 1.0)
    task = TASKS.get("count(0.1)")
    for name in ("label_smoothing", "asymmetric_focal"):
        method = METHODS.get(name)
        aux = method.init(Counts(np.ones((1, 3, 2), np.float32)))
        with pytest.raises(InputError, match=f"{name} needs classes"):
            method.loss(aux, task, None, None, 1.0)
