"""Adebayo's check: random weights give other maps; edges alone are found out."""

import jax
import numpy as np
from test_saliency import CLASSES, MODEL, PARAMS, STATS, X

from equity_jax import keys
from equity_jax.audit.images.sanity import correlations, sanity

IMAGES, NAMED = np.tile(X, (4, 1, 1, 1)), np.tile(CLASSES, 4)


def test_blocks_are_randomized_from_the_head_down():
    key = keys.key(0, "sanity")
    table = sanity(MODEL, PARAMS, STATS, IMAGES, NAMED, key, replicates=50)
    assert table.what.tolist() == ["head", "head to block2", "head to block1"]
    known = table[table.status == "OK"]
    lost = known.reason.str.extract(r"^(\d+) images")[0].fillna(0).astype(int)
    assert (known.n + lost == len(IMAGES)).all()
    assert len(known) and (known.low <= known.value).all()
    assert (known.value.abs() < 0.9).all()


def test_weights_that_stay_give_the_same_maps():
    model = MODEL._replace(init=lambda key, x: (PARAMS, STATS))
    key = jax.random.key(0)
    table = sanity(model, PARAMS, STATS, IMAGES, NAMED, key, replicates=50)
    np.testing.assert_allclose(table[table.status == "OK"].value, 1.0, atol=1e-6)


def test_statistics_of_a_block_go_with_its_weights():
    seen = []

    def apply(params, stats, x, train, key):
        seen.append(float(stats["batch_stats"]["head"]["mean"]))
        return MODEL.apply(params, {}, x, train, key)[0], stats

    def init(key, x):
        return PARAMS, {"batch_stats": {"head": {"mean": 1.0}}}

    model = MODEL._replace(init=init, apply=apply)
    trained = {"batch_stats": {"head": {"mean": 0.0}, "block1": {"mean": 0.0}}}
    with jax.disable_jit():
        sanity(model, PARAMS, trained, X, CLASSES, jax.random.key(0), replicates=50)
    assert seen == [0.0, 1.0, 1.0, 1.0] and trained["batch_stats"]["head"]["mean"] == 0


def test_correlations_equal_spearman():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    a, b = np.round(rng.random((2, 3, 4, 5)), 1)
    expected = [spearmanr(*pair).statistic for pair in zip(
        a.reshape(3, -1), b.reshape(3, -1), strict=True)]  # fmt: skip
    np.testing.assert_allclose(correlations(a, b), expected)
    assert np.isnan(correlations(a, 0 * b)).all()
