"""Rows of a batch blended with other rows of it, labels too: mixup and its kin."""

import jax
import jax.numpy as jnp

from equity_jax.types import Array, Batch, InputError, Mixed


def blend(batch: Batch, partner: Array, share: Array) -> Batch:
    """Every row blended with its partner: x = s x + (1 - s) x', y becomes Mixed.

    partner: int[B], rows of the same batch; share: float[B] of the row itself, 1 where
    it stays as it is. A label counts where both rows have it.

    Raises:
        InputError: rows that are blended already.

    Example: a share of 0.5 with the next row gives the middle of every two rows.
    """
    if isinstance(batch.y, Mixed):
        raise InputError("rows are mixed twice: take the method or the augmentation")
    part = share.reshape(-1, *[1] * (batch.x.ndim - 1))
    alone = (share == 1)[:, None]
    other = jax.tree.map(lambda a: a[partner], batch.y)
    return batch._replace(
        x=part * batch.x + (1 - part) * batch.x[partner],
        y=Mixed(batch.y, other, share[:, None]),
        mask=jnp.where(alone, batch.mask, batch.mask * batch.mask[partner]),
    )


def shares(key: Array, alpha: Array, rows: int) -> Array:
    """Shares s ~ Beta(alpha, alpha), one a row, float[rows]; all 1 where alpha is 0.

    Example: alpha = 0.2 gives shares near 0 and 1, alpha = 2 mostly near 1/2.
    """
    some = jnp.maximum(alpha, 1e-3)
    drawn = jax.random.beta(key, some, some, (rows,))
    return jnp.where(alpha > 0, drawn, 1.0)


def mixup(key: Array, batch: Batch, alpha: Array) -> Batch:
    """Rows blended with rows drawn without replacement; the larger share is their own.

    Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018: share
    s ~ Beta(alpha, alpha), one a row, loss = s l(y) + (1 - s) l(y'). With s >= 1/2 the
    pairs are the same and the row's group and weight still describe it. Padding is
    nobody's partner.

    Example: mixup(key, batch, 0.0) leaves every row as it is.
    """
    order, draw = jax.random.split(key)
    n = len(batch.weight)
    partner = jax.random.permutation(order, n)
    share = shares(draw, alpha, n)
    share = jnp.maximum(share, 1 - share)
    return blend(batch, partner, jnp.where(batch.weight[partner] > 0, share, 1.0))
