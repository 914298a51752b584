"""Learning from failure against its formula, row by row in float64 numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cells import ROWS, class_of, rows, slope, start
from row_costs import costs

from equity_jax.methods import METHODS
from equity_jax.tasks import TASKS
from equity_jax.types import InputError, Output

FADE, Q = 0.99, 0.7


def weights(world, rival, mine, top):
    """Relative difficulty float[B, K], and the largest loss of each class after."""
    task, batch, *_ = world
    y, new = np.asarray(batch.y), FADE * top
    ratio = np.zeros((2, *y.shape))
    for k in range(y.shape[1]):
        classes = np.array([class_of(world, i, k) for i in range(ROWS)])
        for side, found in enumerate((rival, mine)):
            for c in range(task.classes):
                own = classes == c
                seen = own & (batch.mask[:, k] * batch.weight > 0)
                new[side, k, c] = max(new[side, k, c], *found[seen, k], 0.0)
                ratio[side, own, k] = found[own, k] / new[side, k, c]
    return ratio[0] / (ratio[0] + ratio[1] + 1e-8), new


def mean(values, batch):
    seen = batch.mask * batch.weight[:, None]
    return ((values * seen).sum(0) / seen.sum(0)).mean()


@pytest.mark.parametrize("name", ["multilabel(2)", "multiclass(3)"])
def test_lff_follows_its_formula(name):
    world = rows(name, seed=1)
    task, batch, counts, _, logits = world
    other = np.random.default_rng(5).normal(size=logits.shape)
    with jax.enable_x64(True):
        method, aux = start(f"lff({Q})", counts)
        top = np.array(aux["top"]) + 0.9  # as after earlier batches
        top[:, :, 0] = 5.0  # a class whose hardest row came then

        def loss(mine, rival):
            out = Output(mine, mine, {"rival": rival})
            return method.loss({**aux, "top": top}, task, out, batch, jnp.float64(1))

        both = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
        (value, new), slopes = both(jnp.asarray(logits), jnp.asarray(other))
    w, after = weights(world, costs(world, other), costs(world, logits), top)
    with np.errstate(invalid="ignore"):
        w = np.nan_to_num(w)

    def formula(mine, rival):
        hard = mean(w * costs(world, mine), batch)  # no gradient through w
        return hard + mean((1 - np.exp(-costs(world, rival)) ** Q) / Q, batch)

    assert float(value) == pytest.approx(formula(logits, other), rel=1e-6)
    np.testing.assert_allclose(new["top"], after, rtol=1e-6)
    expected = slope(lambda z: formula(z, other), logits)
    np.testing.assert_allclose(slopes[0], expected, atol=1e-6)
    expected = slope(lambda z: formula(logits, z), other)
    np.testing.assert_allclose(slopes[1], expected, atol=1e-6)


def test_rows_that_only_the_rival_fails_count_more():
    task, batch, counts, *_ = rows("binary")
    y = np.nan_to_num(np.asarray(batch.y))
    batch = batch._replace(y=y, mask=np.ones_like(y), weight=np.ones(ROWS))
    mine = np.zeros((ROWS, 1))
    rival = np.where(np.arange(ROWS)[:, None] < 5, 1 - 2 * y, 2 * y - 1) * 3.0
    method, aux = METHODS.get("lff"), METHODS.get("lff").init(counts)

    def loss(mine):
        out = Output(mine, mine, {"rival": jnp.asarray(rival)})
        return method.loss(aux, task, out, batch, 1.0)[0]

    pull = np.abs(jax.grad(loss)(jnp.asarray(mine)))[:, 0]
    assert pull[:5].min() > 5 * pull[5:].max()


def test_what_lff_cannot_do_is_refused():
    for text in ("lff(0)", "lff(1.5)"):
        with pytest.raises(InputError, match="expected 0 < q <= 1"):
            METHODS.get(text)
    with pytest.raises(InputError, match="lff needs classes"):
        METHODS.get("lff").loss({}, TASKS.get("count"), None, None, 1.0)
