"""Augmentation: each entry beside another program, shares, keys, and no strength."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equity_jax.data import augment, augmentations
from equity_jax.data.augment import NUMBERS, make, resample
from equity_jax.data.augmentations import AUGMENTS, Move, Shade
from equity_jax.types import Batch, InputError, Mixed

KEY = jax.random.key(7)
SIDE = jnp.array([40.0, 30.0])
ALL = "flip,shift(0.1),rotate(15),zoom(0.2),contrast(0.3),noise(0.05),cutout(0.3),mixup"
NOTHING = ALL.replace("flip", "flip(0)").replace("mixup", "mixup(0)")
for strength in ("0.1", "15", "0.2", "0.3", "0.05"):
    NOTHING = NOTHING.replace(f"({strength})", "(0)")


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (16, 8, 10)).astype(np.uint8)
    x = np.stack([cv2.resize(one, (40, 30)) for one in small])[..., None]
    y = rng.integers(0, 3, (16, 1)).astype(np.int32)
    ones = np.ones(16, np.float32)
    rest = (np.ones((16, 1), np.float32), np.zeros(16, int), ones, np.arange(16))
    return jax.tree.map(jnp.asarray, Batch(x, y, *rest))


def apply(policy, batch, key=KEY):
    return jax.jit(make(policy))(key, batch)


def keys_of(name, n, key=KEY):
    """The keys that each image's draw of `name` is made with."""
    return jax.random.split(jax.random.fold_in(key, NUMBERS[name]), n)


def matrices(policy, n=16):
    name = policy.split("(")[0]
    move = AUGMENTS.get(policy)
    every = jax.vmap(move.matrix, in_axes=(0, None))(keys_of(name, n), SIDE)
    return np.asarray(every)


def warped(x, matrix):
    """cv2's bilinear resampling by the same map: pixel centres, the edge repeated."""
    height, width = x.shape
    to = np.eye(3)
    to[:2, 2] = (width - 1) / 2, (height - 1) / 2
    whole = to @ np.asarray(matrix, float) @ np.linalg.inv(to)
    at = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    u, v = np.moveaxis(at @ whole[:2, :2].T + whole[:2, 2], -1, 0)
    maps = u.astype(np.float32), v.astype(np.float32)
    how = {"interpolation": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
    return cv2.remap(x.astype(np.float32), *maps, **how)


def test_every_entry_is_the_identity_at_no_strength(batch):
    for policy in (NOTHING, *NOTHING.split(",")):
        made = apply(policy, batch)
        assert made.x.dtype == jnp.float32
        np.testing.assert_array_equal(made.x, batch.x)
        np.testing.assert_array_equal(made.mask, batch.mask)
    y = apply(NOTHING, batch).y
    assert isinstance(y, Mixed) and (np.asarray(y.share) == 1).all()


def test_the_key_decides_and_the_others_in_the_policy_do_not(batch):
    one, same = apply(ALL, batch), apply(ALL, batch)
    jax.tree.map(np.testing.assert_array_equal, one, same)
    other = apply(ALL, batch, jax.random.key(8))
    assert (np.asarray(one.x) != np.asarray(other.x)).mean() > 0.5
    alone = apply("contrast(0.3)", batch)
    after = apply("flip(0),contrast(0.3),mixup(0)", batch)
    np.testing.assert_array_equal(alone.x, after.x)


def test_uint8_and_float_are_alike_and_stay_in_range(batch):
    made = apply(ALL, batch)
    again = apply(ALL, batch._replace(x=batch.x.astype(jnp.float32)))
    np.testing.assert_array_equal(made.x, again.x)
    assert made.x.shape == batch.x.shape
    assert float(made.x.min()) >= 0 and float(made.x.max()) <= 255
    for name in ("group", "weight", "id"):
        np.testing.assert_array_equal(getattr(made, name), getattr(batch, name))


def test_images_of_three_channels(batch):
    colored = batch._replace(x=jnp.concatenate([batch.x] * 3, -1))
    made = apply("flip,rotate(15),zoom(0.2)", colored)
    single = apply("flip,rotate(15),zoom(0.2)", batch)
    for channel in range(3):
        np.testing.assert_array_equal(made.x[..., channel], single.x[..., 0])


def test_flip_exchanges_left_and_right(batch):
    made = np.asarray(apply("flip(1)", batch).x)
    np.testing.assert_array_equal(made, np.asarray(batch.x)[:, :, ::-1])
    for share in (0.5, 0.2):
        flipped = matrices(f"flip({share})", 2000)[:, 0, 0] < 0
        assert abs(flipped.mean() - share) < 0.03


def test_whole_pixels_shift_exactly(batch):
    x = np.asarray(batch.x[0], np.float32)
    matrix = jnp.eye(3).at[:2, 2].set(jnp.array([-3.0, 2.0]))  # right 3, up 2
    moved = np.asarray(resample(jnp.asarray(x), matrix))
    np.testing.assert_array_equal(moved[:-2, 3:], x[2:, :-3])
    np.testing.assert_array_equal(moved[:-2, 0], x[2:, 0])  # the edge goes on


@pytest.mark.parametrize("policy", ["shift(0.1)", "rotate(15)", "zoom(0.2)", "flip"])
def test_one_move_is_what_opencv_makes_of_its_matrix(batch, policy):
    made = np.asarray(apply(policy, batch).x)[..., 0]
    for x, ours, matrix in zip(batch.x, made, matrices(policy), strict=True):
        theirs = warped(np.asarray(x)[..., 0], matrix)
        assert abs(ours - theirs).max() < 4  # OpenCV's weights have five bits
        assert abs(ours - theirs).mean() < 0.5


def test_moves_are_one_resampling_in_the_policys_order(batch):
    parts = ("flip", "shift(0.1)", "rotate(15)", "zoom(0.2)")
    made = np.asarray(apply(",".join(parts), batch).x)[..., 0]
    every = [matrices(part) for part in parts]
    for i, x in enumerate(np.asarray(batch.x)[..., 0]):
        whole = np.linalg.multi_dot([m[i] for m in every])
        theirs = warped(x, whole)
        assert abs(made[i] - theirs).mean() < 0.5
    swapped = np.asarray(apply(",".join(reversed(parts)), batch).x)[..., 0]
    assert abs(swapped - made).mean() > 1


def test_what_the_matrices_mean():
    """From the new image back to the old: a step to the right comes from the left."""
    shifts = matrices("shift(0.1)", 2000)[:, :2, 2]
    most = 0.1 * np.asarray(SIDE)
    assert (abs(shifts) <= most).all() and (abs(shifts).max(0) > 0.98 * most).all()
    assert abs(shifts.mean(0)).max() < 0.1
    turns = matrices("rotate(15)", 2000)[:, :2, :2]
    angles = np.rad2deg(np.arctan2(turns[:, 0, 1], turns[:, 0, 0]))
    assert abs(angles).max() <= 15 and abs(angles).max() > 14.8
    assert abs(angles.mean()) < 0.7 and abs(angles.std() - 15 / np.sqrt(3)) < 0.3
    np.testing.assert_allclose(np.linalg.det(turns), 1, atol=1e-5)
    grown = 1 / matrices("zoom(0.2)", 2000)[:, 0, 0]
    assert 0.8 <= grown.min() < 0.81 and 1.19 < grown.max() <= 1.2001


def test_rotation_turns_about_the_centre():
    x = np.zeros((31, 31, 1), np.float32)
    x[15, 25] = 255  # right of the centre
    quarter = jnp.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turned = np.asarray(resample(jnp.asarray(x), quarter))[..., 0]
    assert np.unravel_index(turned.argmax(), turned.shape) == (25, 15)  # below it


def test_contrast_stretches_about_the_mean(batch):
    made = np.asarray(apply("contrast(0.3)", batch).x)
    x = np.asarray(batch.x, np.float64)
    mean = x.mean((1, 2, 3), keepdims=True)
    factors = [
        jax.random.uniform(k, minval=0.7, maxval=1.3) for k in keys_of("contrast", 16)
    ]
    factor = np.array(factors).reshape(-1, 1, 1, 1)
    expected = np.clip(mean + factor * (x - mean), 0, 255)
    np.testing.assert_allclose(made, expected, atol=1e-3)
    assert np.ptp(factor) > 0.3


def test_noise_has_its_spread(batch):
    gray = batch._replace(x=jnp.full((16, 64, 64, 1), 128, jnp.uint8))
    more = np.asarray(apply("noise(0.02)", gray).x) - 128
    assert abs(more.std() - 0.02 * 255) < 0.05 and abs(more.mean()) < 0.05
    assert abs(np.mean(abs(more) < 0.02 * 255) - 0.6827) < 0.01  # normal
    apart = np.corrcoef(more.reshape(16, -1)) - np.eye(16)
    assert abs(apart).max() < 0.08  # each image its own


def test_cutout_blanks_a_square(batch):
    white = np.zeros((400, 50, 50, 1), np.float32)
    white[:, :, :25] = 200
    part = Shade(AUGMENTS.get("cutout(0.3)").pixels).pixels
    keys = jax.random.split(KEY, 400)
    made = np.asarray(jax.vmap(part)(keys, jnp.asarray(white)))[..., 0]
    hole = made == 100  # the mean
    rows, columns = hole.any(2), hole.any(1)
    assert (hole == rows[:, :, None] & columns[:, None, :]).all()
    assert rows.sum(1).max() in (15, 16) and columns.sum(1).max() in (15, 16)
    assert (rows.sum(1) < 14).any()  # it may stand out over the border
    shares = hole.mean(0)
    assert abs(shares[15:35, 15:35].mean() - 0.09) < 0.02
    assert shares[:3, :3].mean() < 0.06


def test_mixup_mixes_pixels_and_labels_alike(batch):
    made = apply("mixup(0.4)", batch)
    y, share = made.y, np.asarray(made.y.share)
    assert share.shape == (16, 1) and (share >= 0.5).all() and (share <= 1).all()
    np.testing.assert_array_equal(y.y, batch.y)
    x = np.asarray(batch.x, np.float64)
    order, _ = jax.random.split(jax.random.fold_in(KEY, NUMBERS["mixup"]))
    partner = np.asarray(jax.random.permutation(order, 16))
    part = share[:, :, None, None]
    expected = part * x + (1 - part) * x[partner]
    np.testing.assert_allclose(made.x, expected, rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(y.other, np.asarray(batch.y)[partner])
    assert sorted(partner) == list(range(16))


def test_shares_of_mixup_are_those_of_its_beta():
    rng = np.random.default_rng(0)
    n = 4000
    flat = Batch(
        *(jnp.zeros((n, 2, 2, 1)), jnp.zeros((n, 1), int), jnp.ones((n, 1))),
        *(jnp.zeros(n, int), jnp.ones(n), jnp.arange(n)),
    )
    share = np.sort(np.asarray(apply("mixup(0.4)", flat).y.share)[:, 0])
    draws = rng.beta(0.4, 0.4, n)
    np.testing.assert_allclose(share, np.sort(np.maximum(draws, 1 - draws)), atol=0.03)


def test_mixup_leaves_padding_and_masks_alone(batch):
    weight = jnp.asarray(np.arange(16) < 10, jnp.float32)
    mask = jnp.asarray(np.arange(16)[:, None] != 3, jnp.float32)
    made = apply("mixup(0.4)", batch._replace(weight=weight, mask=mask))
    order, _ = jax.random.split(jax.random.fold_in(KEY, NUMBERS["mixup"]))
    partner = np.asarray(jax.random.permutation(order, 16))
    padded = partner >= 10
    assert padded.any() and (np.asarray(made.y.share)[padded] == 1).all()
    np.testing.assert_array_equal(made.x[padded], batch.x[padded])
    mixed = np.asarray(made.mask)[:, 0]
    own = np.arange(16) != 3
    np.testing.assert_array_equal(mixed, own & ((partner != 3) | padded))


def test_entries_are_of_three_kinds():
    kinds = {name: type(AUGMENTS.get(name)) for name in AUGMENTS}
    assert [k for k, v in kinds.items() if v is Move] == [
        *"flip shift rotate zoom".split()
    ]
    assert set(NUMBERS) == set(AUGMENTS) and len(set(NUMBERS.values())) == 8
    assert augment.AUGMENTS is augmentations.AUGMENTS


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ("turn(3)", "unknown augmentation 'turn'; known: contrast, cutout, flip"),
        ("flip rotate(10)", "write names with commas: flip,rotate"),
        ("rotate(10", "cannot be read"),
        ("flip,flip(0.2)", "flip stands there twice"),
        ("noise(-0.1)", r"noise\(-0.1\); expected 0 to 1"),
        ("rotate(200)", r"rotate\(200\); expected 0 to 180"),
        ("shift(0.1, 3)", "too many positional arguments"),
    ],
)
def test_policies_that_make_no_sense(policy, says):
    with pytest.raises(InputError, match=says):
        make(policy)


def test_no_policy_is_no_augmentation():
    assert make("") is None and make("  ") is None
