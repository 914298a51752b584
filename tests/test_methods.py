"""Every method against its formula, written out in float64 numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from equity_jax.methods import METHODS, begin, switch
from equity_jax.methods.base import lookup, reduce
from equity_jax.nouns import Task
from equity_jax.types import Batch, Counts, InputError, Output

GROUPS, KEY = 3, jax.random.key(0)
BINARY = Task(
    "binary",
    1,
    0,
    2,
    lambda z, y: optax.sigmoid_binary_cross_entropy(z, y),
    lambda z, y: jax.nn.sigmoid(z),
    lambda y: jnp.where(jnp.isnan(y), -1, y).astype(jnp.int32),
)


def counts(table) -> Counts:
    return Counts(jnp.asarray(table, jnp.float32))


@pytest.fixture
def batch() -> Batch:
    rng = np.random.default_rng(0)
    n = 40
    y = (rng.random((n, 1)) < 0.3).astype(np.float32)
    group = rng.choice([-1, 0, 1], n).astype(np.int32)  # group 2 is empty
    mask = (rng.random((n, 1)) < 0.9).astype(np.float32)
    weight = (rng.random(n) < 0.9).astype(np.float32)
    return Batch(rng.normal(size=(n, 2)), y, mask, group, weight, np.arange(n))


def total(batch: Batch) -> Counts:
    table = np.zeros((1, 3, GROUPS + 1))
    for y, g, m in zip(batch.y[:, 0], batch.group, batch.mask[:, 0], strict=True):
        table[0, int(y), g] += m
    return counts(table)


def value(name, batch, logits, aux=None):
    method = METHODS.get(name)
    aux = begin(method, KEY, 1, total(batch)) if aux is None else aux
    out = Output(jnp.asarray(logits), jnp.asarray(logits))
    return method.loss(aux, BINARY, out, batch, jnp.float32(1.0))


def nll(z, y):
    return np.logaddexp(0, z) - y * z


def mean(values, batch, weights=1.0):
    w = (batch.mask * batch.weight[:, None]).astype(np.float64)
    return float((values * weights * w).sum() / w.sum())


@pytest.fixture
def logits() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(40, 1)).astype(np.float32)


def test_erm_is_the_masked_mean(batch, logits):
    expected = mean(nll(logits.astype(float), batch.y), batch)
    assert float(value("erm", batch, logits)[0]) == pytest.approx(expected, rel=1e-6)


def test_class_weighted_worked_example():
    aux = METHODS.get("class_weighted").init(counts([[[6, 0, 0], [2, 0, 0], [0] * 3]]))
    table = np.asarray(aux["table"])
    assert table[0, 1, 0] == pytest.approx(6 / 8)  # mass, w_pos = f_neg
    assert table[0, 0, 0] == pytest.approx(2 / 8)  # normal, w_neg = f_pos
    assert 2 / 8 * table[0, 1, 0] == pytest.approx(6 / 8 * table[0, 0, 0])


def test_class_weighted_value_and_normalization(batch, logits):
    n = np.asarray(total(batch).by_class[0], float)
    pos, neg = n[1] / n.sum(), n[0] / n.sum()
    z, y = logits.astype(float), batch.y
    weighted = -neg * y * np.log(1 / (1 + np.exp(-z)) + 1e-7) - pos * (1 - y) * np.log(
        1 - 1 / (1 + np.exp(-z)) + 1e-7
    )
    found = float(value("class_weighted", batch, logits)[0])
    assert found == pytest.approx(mean(weighted, batch), abs=1e-6)
    normal = float(value("class_weighted(normalize=True)", batch, logits)[0])
    assert normal == pytest.approx(found / (2 * pos * neg), rel=1e-5)


def test_group_weighted_gives_each_group_the_same_weight():
    c = counts([[[50, 3, 0, 5], [40, 7, 0, 2], [0, 0, 0, 0]]])
    table = np.asarray(METHODS.get("group_weighted").init(c)["table"])[0, 0]
    assert table[0] * 90 == pytest.approx(table[1] * 10)
    assert table[0] * 90 + table[1] * 10 == pytest.approx(100)
    assert table[2] == 0 and table[3] == 1  # empty group; not recorded


def test_effective_number_formula_and_extremes():
    def weights(text, n):
        c = counts([[[n[0], 0], [n[1], 0], [0, 0]]])
        return np.asarray(METHODS.get(text).init(c)["table"])[0, :2, 0]

    n, beta = np.array([1000.0, 10.0]), 0.999
    effective = (1 - beta**n) / (1 - beta)
    expected = 1 / effective / (1 / effective).sum() * 2
    np.testing.assert_allclose(weights("effective_number(0.999)", n), expected, 1e-4)
    np.testing.assert_allclose(weights("effective_number(0.0)", n), [1, 1], 1e-6)
    # A huge group: beta^n underflows, weights stay finite.
    huge = weights("effective_number(0.9999)", [3e7, 100.0])
    assert np.isfinite(huge).all() and huge[0] < huge[1]
    # An empty class has weight 0 and stays out of the scale.
    np.testing.assert_allclose(weights("effective_number", [10.0, 0.0]), [1, 0])


def test_hinge_is_what_is_missing_to_a_margin_of_one(batch, logits):
    from sklearn.metrics import hinge_loss

    batch = batch._replace(mask=np.ones_like(batch.mask), weight=np.ones(40))
    found = float(value("hinge", batch, logits)[0])
    expected = hinge_loss(batch.y[:, 0], np.asarray(logits)[:, 0])
    assert found == pytest.approx(expected, rel=1e-5)
    unknown = batch._replace(y=batch.y.copy())
    unknown.y[:5] = np.nan
    some = float(value("hinge", unknown, logits, {})[0])
    rest = hinge_loss(batch.y[5:, 0], np.asarray(logits)[5:, 0]) * 35 / 40
    assert some == pytest.approx(rest, rel=1e-5)  # unknown, and yet in the mask: 0


def test_hinge_of_several_classes_is_that_of_crammer_and_singer():
    from sklearn.metrics import hinge_loss

    from equity_jax.tasks import TASKS

    rng = np.random.default_rng(0)
    z = rng.normal(size=(20, 3)).astype(np.float32)
    y = rng.integers(0, 3, (20, 1))
    rows = Batch(None, y, np.ones((20, 1)), np.zeros(20, int), np.ones(20), None)
    loss = METHODS.get("hinge").loss
    found, _ = loss({}, TASKS.get("multiclass(3)"), Output(z, z), rows, 1.0)
    expected = hinge_loss(y[:, 0], z, labels=[0, 1, 2])
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_focal_uses_the_unweighted_likelihood(batch, logits):
    plain = nll(logits.astype(float), batch.y)
    expected = mean((1 - np.exp(-plain)) ** 2 * plain, batch)
    assert float(value("focal", batch, logits)[0]) == pytest.approx(expected, rel=1e-5)
    ours = optax.sigmoid_focal_loss(jnp.asarray(logits), jnp.asarray(batch.y), gamma=2)
    assert expected == pytest.approx(mean(np.asarray(ours), batch), rel=1e-4)


def test_focal_at_gamma_zero_is_erm(batch, logits):
    focal, erm = value("focal(0.0)", batch, logits), value("erm", batch, logits)
    assert float(focal[0]) == pytest.approx(float(erm[0]))


def test_group_dro_follows_algorithm_1(batch, logits):
    eta = 0.5
    q = np.array([0.5, 0.5])  # group 2 has no training rows
    aux = METHODS.get(f"group_dro({eta})").init(total(batch))
    plain = nll(logits.astype(float), batch.y)
    w = batch.mask * batch.weight[:, None]
    losses = np.array(
        [
            (plain * w)[batch.group == g].sum() / w[batch.group == g].sum()
            for g in (0, 1, -1)
        ]
    )
    share = w[batch.group == -1].sum() / w.sum()
    for _ in range(3):
        found, aux = value(f"group_dro({eta})", batch, logits, aux)
        q = q * np.exp(eta * losses[:2])
        q = q / q.sum()
        expected = (1 - share) * (q * losses[:2]).sum() + share * losses[2]
        assert float(found) == pytest.approx(expected, rel=1e-5)
        np.testing.assert_allclose(np.exp(aux["log_q"]), [*q, 0], atol=1e-6)


def test_group_dro_of_one_group_is_erm(batch, logits):
    alone = batch._replace(group=np.zeros(40, np.int32))
    dro, erm = value("group_dro", alone, logits), value("erm", alone, logits)
    assert float(dro[0]) == pytest.approx(float(erm[0]), rel=1e-6)


def test_group_dro_gradient_does_not_pass_through_q(batch, logits):
    method = METHODS.get("group_dro(1.0)")
    aux = method.init(total(batch))

    def loss(z):
        out = Output(z, z)
        return method.loss(aux, BINARY, out, batch, jnp.float32(1.0))[0]

    _, new = value("group_dro(1.0)", batch, logits)
    q = np.exp(np.asarray(new["log_q"], float))
    w = (batch.mask * batch.weight[:, None]).astype(float)
    share = w[batch.group == -1].sum() / w.sum()
    slope = 1 / (1 + np.exp(-logits.astype(float))) - batch.y
    scale = np.zeros((40, 1))
    for g, weight in ((0, (1 - share) * q[0]), (1, (1 - share) * q[1]), (-1, share)):
        rows = batch.group == g
        scale[rows] = weight / w[rows].sum()
    found = np.asarray(jax.grad(loss)(jnp.asarray(logits)))
    np.testing.assert_allclose(found, slope * w * scale, atol=1e-6)


def test_resampling_rates_balance_cells():
    c = counts([[[90, 9, 0], [10, 1, 0], [0, 0, 0]]])
    n = np.asarray(c.n[0])
    both = METHODS.get("oversample").sample(c)[:-1, :-1]
    np.testing.assert_allclose(both * n, 90)
    group = METHODS.get("oversample('group')").sample(c)[:-1, :-1]
    np.testing.assert_allclose((group * n).sum(0), 100)
    down = METHODS.get("undersample('class')").sample(c)[:-1, :-1]
    np.testing.assert_allclose((down * n).sum(1), 11)
    assert METHODS.get("undersample").sample(c).max() <= 1


def test_resampling_refuses_several_labels_and_unknown_cells():
    two = counts(np.ones((2, 3, 3)))
    with pytest.raises(InputError, match="one label, the task has 2"):
        METHODS.get("oversample").sample(two)
    with pytest.raises(InputError, match="one label, the task has 2"):
        METHODS.get("undersample('class')").sample(two)
    with pytest.raises(InputError, match="expected 'class', 'group' or 'both'"):
        METHODS.get("oversample('race')").sample(counts(np.ones((1, 3, 3))))


def test_groups_are_resampled_whatever_the_number_of_labels():
    table = np.zeros((2, 3, 3))
    table[0, :, 0], table[0, :, 1] = (50, 30, 10), (5, 4, 1)
    table[1, :, 0], table[1, :, 1] = (80, 10, 0), (9, 1, 0)  # the same rows
    for name, rates in (("oversample", (1, 9)), ("undersample", (1 / 9, 1))):
        found = METHODS.get(f"{name}('group')").sample(counts(table))
        np.testing.assert_allclose(found, [[*rates, 1]] * 3)


def test_unrecorded_rows_use_the_last_slot():
    table = jnp.arange(12.0).reshape(1, 3, 4)
    found = lookup(table, jnp.array([[0], [-1]]), jnp.array([-1, 1]))
    np.testing.assert_allclose(found[:, 0], [3, 9])


def test_reduce_sums_or_averages_labels(batch):
    wide = batch._replace(mask=np.ones((40, 2), np.float32))
    values = jnp.ones((40, 2))
    assert float(reduce(values, wide)) == pytest.approx(1)
    assert float(reduce(values, wide, "sum")) == pytest.approx(2)


def test_switch_equals_each_method_alone(batch, logits):
    names = list(METHODS)
    unified = switch(*(METHODS.get(n) for n in names))
    out = Output(jnp.asarray(logits), jnp.asarray(logits))
    stacked = [begin(m, KEY, 1, total(batch)) for m in unified]
    aux = jax.tree.map(lambda *a: jnp.stack(a), *stacked)
    loss = jax.vmap(lambda a: unified[0].loss(a, BINARY, out, batch, jnp.float32(1)))
    together = np.asarray(jax.jit(loss)(aux)[0])
    for name, found in zip(names, together, strict=True):
        alone = float(value(name, batch, logits)[0])
        assert found == pytest.approx(alone, rel=1e-6, abs=1e-6), name


def test_adding_a_method_never_changes_another(batch, logits):
    few = switch(METHODS.get("erm"), METHODS.get("focal"))
    many = switch(*(METHODS.get(n) for n in ("erm", "focal", "group_dro", "cdann")))
    out = Output(jnp.asarray(logits), jnp.zeros((40, 1)))

    def grad(methods):
        aux = begin(methods[1], KEY, 1, total(batch))
        one = jnp.float32(1.0)
        return jax.grad(
            lambda z: methods[1].loss(aux, BINARY, out._replace(logits=z), batch, one)[
                0
            ]
        )(out.logits)

    np.testing.assert_array_equal(grad(few), grad(many))


def test_oversized_beta_is_refused():
    with pytest.raises(InputError, match="0 <= beta < 1"):
        METHODS.get("effective_number(1.0)")
