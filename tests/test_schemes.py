"""Schemes: whose rows, what is carried, which leaves move; CCSA by its formula."""

import numpy as np
import pytest

from equity_jax.schemes import SCHEMES, VARIANTS, csa_loss
from equity_jax.schemes.finetune import PACES
from equity_jax.schemes.freeze import Discriminative, LastBlocks, Uniform
from equity_jax.types import InputError

BLOCKS = ("layer0", "layer1", "head")
PATHS = [("layer0", "kernel"), ("layer1", "bias"), ("head", "dense", "kernel")]


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (Uniform(0.3), [0.3, 0.3, 0.3]),
        (LastBlocks(1), [0, 0, 1]),
        (LastBlocks(2), [0, 1, 1]),
        (Discriminative(0.5), [0.25, 0.5, 1]),
    ],
)
def test_rates(rate, expected):
    assert [rate(p, BLOCKS) for p in PATHS] == expected


def test_a_norm_that_stands_alone_moves_with_the_block_before_it():
    blocks = ("stem", "dense1", "dense2", "norm", "head")
    rate = LastBlocks(2)
    assert [rate((name,), blocks) for name in blocks] == [0, 0, 1, 1, 1]
    assert [LastBlocks(1)((name,), blocks) for name in blocks] == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_ends_on_the_targets_rows(variant):
    scheme = SCHEMES.get(f"transfer('{variant}')")
    group = np.array([0, 1, 2, -1])
    last = scheme.stages[-1].rows(group, 2, 0)
    assert last.tolist() == [False, False, True, False]
    for stage in scheme.stages:
        assert any(stage.rate(p, BLOCKS) > 0 for p in PATHS)


def test_variants_share_their_source_stage():
    firsts = {SCHEMES.get(f"transfer('{v}')").stages[0] for v in ("full", "head_only")}
    assert len(firsts) == 1


@pytest.mark.parametrize("variant", PACES)
def test_finetune_takes_everybody_and_carries_all_but_the_head(variant):
    scheme = SCHEMES.get(f"finetune('{variant}')")
    first, *rest = scheme.stages
    assert scheme.pooled and not scheme.home
    assert [first.carry(p) for p in PATHS] == [True, True, False]
    assert all(stage.carry(p) for stage in rest for p in PATHS)
    assert sum(stage.steps for stage in scheme.stages) == 1
    for stage in scheme.stages:
        assert stage.rows(np.array([0, 1, -1]), -1, 0).all()
    # the same rates as when a group is tuned
    tuned = SCHEMES.get(f"transfer('{variant}')").stages[1:]
    assert [s.rate for s in scheme.stages] == [s.rate for s in tuned]


def test_finetune_refuses_what_it_does_not_know():
    with pytest.raises(
        InputError, match="unknown finetune variant 'ccsa'; known: disc"
    ):
        SCHEMES.get("finetune('ccsa')")
    with pytest.raises(InputError, match="finetune 'head_only'.*argument"):
        SCHEMES.get("finetune('head_only', 3)")
    assert SCHEMES.get("finetune('full', 0.1)").stages[0].rate == Uniform(0.1)


def test_mixture_takes_everybody():
    stage = SCHEMES.get("mixture").stages[0]
    assert stage.rows(np.array([0, 1, -1]), -1, 0).all()


def test_unknown_variant_and_bad_argument():
    with pytest.raises(InputError, match="unknown transfer variant 'all'; known:"):
        SCHEMES.get("transfer('all')")
    with pytest.raises(InputError, match="head_only"):
        SCHEMES.get("transfer('head_only', 3)")


def test_csa_loss_is_the_papers_sum():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 3)), rng.normal(size=(7, 3))
    ya, yb = rng.integers(-1, 2, 5), rng.integers(-1, 2, 7)
    wa, wb = np.ones(5), np.array([1, 1, 1, 1, 1, 1, 0.0])
    same, differ = [], []
    for i in range(5):
        for j in range(7):
            if min(ya[i], yb[j]) < 0 or wb[j] == 0:
                continue
            d = np.sqrt(max(((a[i] - b[j]) ** 2).sum(), 1e-8))
            (same if ya[i] == yb[j] else differ).append(
                d**2 if ya[i] == yb[j] else max(0, 1 - d) ** 2
            )
    share = min(1.0, 3 * len(same) / len(differ))
    expected = (sum(same) + share * sum(differ)) / (len(same) + share * len(differ))
    found = csa_loss(a, ya, wa, b, yb, wb)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_csa_loss_of_undecided_rows_is_zero():
    z, y, w = np.ones((2, 3)), np.array([-1, -1]), np.ones(2)
    assert float(csa_loss(z, y, w, z, y, w)) == 0.0
