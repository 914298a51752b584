"""Blended rows: who may be whose partner, and what the loss makes of it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cells import answer, rows
from row_costs import costs

from equity_jax.blend import blend
from equity_jax.methods import METHODS
from equity_jax.methods.mixing import partners
from equity_jax.tasks import TASKS
from equity_jax.types import Batch, Counts, InputError, Mixed

N, DRAWS = 40, 60
COUNTS = Counts(np.ones((1, 3, 4)))


def world() -> Batch:
    """Rows that are their own number, so that a blend tells whose it is."""
    number = np.arange(N)
    y = (number % 2).astype(np.float32)[:, None]
    y[4] = np.nan
    group = np.where(number % 4 < 2, 0, number // 4 % 2).astype(np.int32)
    group[[2, 10, 18]], group[[5, 6]] = 2, -1  # group 2 is all healthy
    mask, weight = np.ones((N, 1), np.float32), np.ones(N, np.float32)
    mask[7], weight[-3:] = 0, 0
    return Batch(np.eye(N, dtype=np.float32), y, mask, group, weight, np.arange(N))


@functools.cache
def compiled(mix):
    """DRAWS blends of the batch, whatever the method's numbers."""
    batch, task = jax.tree.map(jnp.asarray, world()), TASKS.get("binary")

    def once(aux, group, key):
        return mix(aux, key, task, batch._replace(group=group))

    return jax.jit(jax.vmap(once, in_axes=(None, None, 0)))


@functools.cache
def drawn(text: str) -> tuple[Batch, Batch]:
    """The batch, and its blends."""
    return world(), blends(text, world().group)


def blends(text: str, group: np.ndarray) -> Batch:
    method, keys = METHODS.get(text), jax.random.split(jax.random.key(1), DRAWS)
    mixed = compiled(method.mix)(method.init(COUNTS), jnp.asarray(group), keys)
    return jax.tree.map(np.asarray, mixed)


def pairs(batch: Batch, mixed: Batch):
    """(draw, row, partner or -1 where it stands alone, its own share)."""
    for d in range(DRAWS):
        for i in range(N):
            others = np.flatnonzero(mixed.x[d, i] * (np.arange(N) != i))
            assert len(others) <= 1
            yield d, i, (others[0] if len(others) else -1), mixed.x[d, i, i]


def test_lisa_never_breaks_its_rule():
    batch, mixed = drawn("lisa")
    y, g = np.nan_to_num(batch.y[:, 0], nan=-1), batch.group
    known = (y >= 0) & (g >= 0) & (batch.weight > 0) & (batch.mask[:, 0] > 0)
    across, within = set(), set()
    for d, i, j, share in pairs(batch, mixed):
        assert mixed.y.share[d, i, 0] == pytest.approx(share)
        if j < 0:
            assert share == 1 or not known[i]
            continue
        assert known[i] and known[j]
        assert (y[i] == y[j]) != (g[i] == g[j])
        assert mixed.y.other[d, i] == y[j] and mixed.y.y[d, i] == y[i]
        (across if y[i] == y[j] else within).add(d)
    assert not across & within and 20 < len(across) < 40 and 20 < len(within) < 40
    alone = (mixed.y.share[:, :, 0] == 1) & known[None]
    lonely = np.flatnonzero(g == 2)  # nobody within the group
    assert alone[list(within)][:, lonely].all()
    assert not alone[list(across)].any()


def test_the_share_of_batches_of_each_kind_is_given():
    for p, same in ((1.0, True), (0.0, False)):
        batch, mixed = drawn(f"lisa({p})")
        found = [
            batch.y[i] == batch.y[j] for _, i, j, _ in pairs(batch, mixed) if j >= 0
        ]
        assert np.all(np.array(found) == same)
    share = mixed.y.share[mixed.y.share < 1]
    expected = np.random.default_rng(0).beta(2, 2, 4000)
    quantiles = np.linspace(0.05, 0.95, 7)
    found = np.quantile(share, quantiles)
    np.testing.assert_allclose(found, np.quantile(expected, quantiles), atol=0.04)


def test_every_allowed_partner_is_as_likely():
    allowed = jnp.asarray(
        [[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]], bool
    )
    keys = jax.random.split(jax.random.key(0), 3000)
    who, any_ = jax.jit(jax.vmap(partners, (0, None)))(keys, allowed)
    assert np.asarray(any_).all(0).tolist() == [True, True, False, True]
    share = np.array([[np.mean(who[:, i] == j) for j in range(4)] for i in range(4)])
    expected = np.asarray(allowed) / np.maximum(np.asarray(allowed).sum(1), 1)[:, None]
    expected[2, 2] = 1  # nobody: itself
    np.testing.assert_allclose(share, expected, atol=0.03)


def test_mixup_blends_anybody_and_keeps_the_larger_part():
    batch, mixed = drawn("mixup(0.4)")
    assert (mixed.y.share >= 0.5).all()
    padded = set(np.flatnonzero(batch.weight == 0))
    met = {j for _, _, j, _ in pairs(batch, mixed)} - {-1}
    assert met == set(range(N)) - padded
    one, two = mixed.mask[:, :, 0], mixed.y.share[:, :, 0]
    assert (one[:, 7] == 0).all() and (one == 0).sum() > DRAWS  # and its partners'
    assert (
        one[two == 1] == np.broadcast_to(batch.mask[:, 0], two.shape)[two == 1]
    ).all()


@pytest.mark.parametrize(("text", "same"), [("mixup(0.4)", True), ("lisa", False)])
def test_mixup_needs_no_attribute_and_does_not_look_at_it(text, same):
    other = blends(text, np.random.default_rng(0).permutation(world().group))
    assert (other.x == drawn(text)[1].x).all() == same


def test_mixup_of_alpha_0_is_erm():
    batch, mixed = drawn("mixup(0)")
    np.testing.assert_array_equal(mixed.x, np.broadcast_to(batch.x, mixed.x.shape))
    assert (mixed.y.share == 1).all()


@pytest.mark.parametrize("task", ["multilabel(2)", "multiclass(3)"])
@pytest.mark.parametrize("name", ["mixup", "lisa"])
def test_the_loss_is_that_of_both_labels(name, task):
    found = rows(task)
    batch, logits = found[1], found[4]
    partner = np.roll(np.arange(len(logits)), 1)
    share = np.random.default_rng(3).uniform(size=(len(logits), 1))
    y = np.asarray(batch.y)
    mixed = batch._replace(y=Mixed(y, y[partner], share))
    value, (_, slopes), _ = answer(name, (found[0], mixed, *found[2:]))
    own = costs(found, logits)
    other = costs((found[0], batch._replace(y=y[partner])), logits)
    seen = batch.mask * batch.weight[:, None]
    both = ((share * own + (1 - share) * other) * seen).sum(0) / seen.sum(0)
    assert value == pytest.approx(both.mean(), rel=1e-6)


def test_what_cannot_be_blended_is_refused():
    for text in ("mixup(-1)", "lisa(2)", "lisa(0.5, -1)"):
        with pytest.raises(InputError, match="expected"):
            METHODS.get(text)
    with pytest.raises(InputError, match="only one"):
        METHODS.get("lisa").init(Counts(np.ones((1, 3, 2))))
    with pytest.raises(InputError, match="one label"):
        METHODS.get("lisa").sample(Counts(np.ones((2, 3, 4))))
    batch = world()
    twice = batch._replace(y=Mixed(batch.y, batch.y, np.ones((N, 1))))
    with pytest.raises(InputError, match="mixed twice"):
        blend(twice, np.arange(N), np.ones(N))


def test_lisa_draws_all_cells_of_class_and_group_alike():
    table = np.array([[[60, 20, 5.0], [10, 10, 0], [2, 0, 0]]])
    rates = METHODS.get("lisa").sample(Counts(table))
    np.testing.assert_allclose((rates * table[0])[:2, :2], 60)
