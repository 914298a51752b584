"""Recalibration against scipy in float64, and the cases that have no answer."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from equity_jax.calibration import (
    Calibration,
    apply,
    by_group,
    recalibrate,
    temperature,
)
from equity_jax.types import InputError


def rows(n=400, classes=3, stretch=2.5, seed=0):
    """Logits `stretch` times too sure, and labels drawn from the honest ones."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, classes)) * 1.5
    p = np.exp(log_softmax(z, 1))
    y = (rng.random(n)[:, None] > p.cumsum(1)).sum(1)
    return stretch * z, y.clip(0, classes - 1), rng.integers(0, 4, n).astype(float)


def reference(z, y, weight, biases):
    def loss(p):
        shifted = p[0] * z + np.r_[0, p[1:], np.zeros(z.shape[1] - len(p))]
        return -np.average(log_softmax(shifted, 1)[range(len(y)), y], weights=weight)

    first = np.r_[1.0, np.zeros(biases)]
    done = minimize(loss, first, method="BFGS", options={"gtol": 1e-9})
    return done.x, loss


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("stretch", [0.1, 2.5, 300.0])
@pytest.mark.parametrize("kind", ["temperature", "bcts"])
def test_the_maximum_is_that_of_scipy(classes, stretch, kind):
    z, y, weight = rows(classes=classes, stretch=stretch)
    biases = classes - 1 if kind == "bcts" else 0
    found = recalibrate(z, y, kind, weight)
    # scipy works on the logits before they were stretched
    best, loss = reference(z / stretch, y, weight, biases)
    mine = np.r_[found.scale * stretch, found.bias[1 : biases + 1]]
    assert found.why == "" and found.bias[0] == 0
    np.testing.assert_allclose(mine, best, rtol=2e-5, atol=2e-6)
    assert loss(mine) <= loss(best) + 1e-12


def test_the_temperature_undoes_the_stretch():
    z, y, _ = rows(20_000)
    assert temperature(z, y) == pytest.approx(2.5, rel=0.03)
    assert 1 / recalibrate(z, y).scale == temperature(z, y)


def test_two_rows_in_three_is_a_logit_of_log_two():
    z, y = np.array([[0, 1.0], [0, 1], [0, 1]]), np.array([0, 1, 1])
    assert temperature(z, y) == pytest.approx(1 / np.log(2), rel=1e-9)


def test_bias_undoes_a_resampled_prior():
    z, y, _ = rows(20_000, stretch=1.0)
    shift = np.log([4.0, 1.0, 0.5])  # the prior that training was shown
    found = recalibrate(z + shift, y, "bcts")
    np.testing.assert_allclose(found.bias, shift[0] - shift, atol=0.08)
    assert found.scale == pytest.approx(1, abs=0.03)
    share = np.asarray(apply(jnp.asarray(z + shift), found)).mean(0)
    np.testing.assert_allclose(share, np.bincount(y) / len(y), atol=1e-4)


def test_weights_count_rows():
    z, y, weight = rows()
    whole = np.repeat(np.arange(len(y)), weight.astype(int))
    for kind in ("temperature", "bcts"):
        a, b = recalibrate(z, y, kind, weight), recalibrate(z[whole], y[whole], kind)
        np.testing.assert_allclose(a.scale, b.scale, rtol=1e-7)
        np.testing.assert_allclose(a.bias, b.bias, atol=1e-7)


def test_apply_is_softmax_under_jit():
    z = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    found = Calibration(
        **json.loads(json.dumps(Calibration(0.5, (0, 1, -1))._asdict()))
    )
    prob = jax.jit(lambda z: apply(z, found))(z)
    assert prob.dtype == jnp.float32
    np.testing.assert_allclose(
        prob, np.exp(log_softmax(0.5 * z + np.array(found.bias), 1)), rtol=1e-5
    )


@pytest.mark.parametrize("kind", ["temperature", "bcts"])
def test_what_has_no_answer_is_left_as_it_is_and_said(kind):
    z, y, _ = rows()
    best = z.argmax(1)
    cases = {
        "one class": (z, np.zeros_like(y)),
        "told right": (z, best),
        "wrong way": (-z, y),
    }
    if kind == "bcts":
        cases["no row of class 1"] = (z, np.where(y == 1, 2, y))
        # apart only after a bias: no row is right as it stands
        cases["every row"] = (10.0 * np.eye(3)[best] + [100, 0, 0], best)
    for words, (logits, labels) in cases.items():
        found = recalibrate(logits, labels, kind)
        assert words in found.why
        assert found.scale == 1 and not any(found.bias)
    with pytest.raises(InputError, match="no temperature: all rows are of one class"):
        temperature(z, np.zeros_like(y))


def test_logits_without_information():
    y = np.array([0, 1, 1])
    for kind in ("temperature", "bcts"):
        assert recalibrate(np.ones((3, 2)), y, kind).why == "every logit is the same"
    same = recalibrate(np.array([[0, 2.0], [0, 2]]), np.array([0, 1]))
    assert "no way" in same.why


def test_weight_zero_rows_do_not_count():
    z, y, _ = rows(50)
    weight = (y == 0).astype(float)
    assert recalibrate(z, y, weight=weight).why == "all rows are of one class"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "isotonic"}, "unknown calibration 'isotonic'; known: temperature"),
        ({"logits": np.zeros((4, 1))}, r"C >= 2; found \(4, 1\), \(4,\)"),
        ({"y": np.array([0, 1, 2, 0])}, "a label is not in 0..1"),
        ({"y": np.array([0, 1, -1, 0])}, "a label is not in 0..1"),
        ({"weight": np.ones(3)}, "found"),
        ({"weight": -np.ones(4)}, "not finite, or negative"),
        ({"logits": np.full((4, 2), np.nan)}, "not finite"),
    ],
)
def test_bad_input_is_refused(change, words):
    fine = {"logits": np.eye(2)[[0, 1, 0, 1]], "y": np.array([0, 1, 1, 0])}
    with pytest.raises(InputError, match=words):
        recalibrate(**{**fine, **change})


def grouped(sizes, stretch, seed=0):
    """Rows of several groups, each `stretch` times too sure; the last is code -1."""
    made = [
        rows(n, stretch=s, seed=seed + i)[:2]
        for i, (n, s) in enumerate(zip(sizes, stretch, strict=True))
    ]
    code = np.repeat([*range(len(sizes) - 1), -1], sizes)
    return (
        np.concatenate([z for z, _ in made]),
        np.concatenate([y for _, y in made]),
        code,
    )


def test_a_group_has_its_own_temperature_as_far_as_its_rows_tell():
    z, y, code = grouped((3000, 3000, 40, 0, 500), (1.0, 2.5, 2.5, 1, 1.5))
    found = by_group(z, y, code, 4)
    t, whole = 1 / found.scale, temperature(z, y)
    np.testing.assert_allclose(t[:2], [1, 2.5], rtol=0.1)
    alone = temperature(z[code == 2], y[code == 2])
    assert min(alone, whole) < t[2] < max(alone, whole)  # shrunk
    assert t[3] == t[4] == pytest.approx(whole)  # no rows; not recorded
    assert 0.2 < found.spread < 1.2

    def loss(t, g):  # in float64, by the formula
        told = log_softmax(z[code == g] / np.exp(t[0]), 1)
        own = told[range(len(told)), y[code == g]].sum()
        return (t[0] - np.log(whole)) ** 2 / (2 * found.spread**2) - own

    for g in range(3):
        best = minimize(loss, [np.log(whole)], args=(g,), options={"gtol": 1e-9})
        assert np.log(t[g]) == pytest.approx(best.x[0], abs=1e-6)


def test_the_spread_of_temperatures_is_told_without_bias():
    rng, planted, squares = np.random.default_rng(0), 0.3, []
    for seed in range(40):
        stretch = np.exp(planted * rng.normal(size=8))
        z, y, code = grouped((100,) * 8 + (0,), (*stretch, 1), 100 * seed)
        squares.append(by_group(z, y, code, 8).spread ** 2)
    error = np.std(squares) / np.sqrt(len(squares))
    print(f"variance {np.mean(squares):.3f} +- {error:.3f}, planted {planted**2:.3f}")
    assert abs(np.mean(squares) - planted**2) < 3 * error < 0.06


def test_groups_that_do_not_differ_share_one_temperature():
    z, y, _ = rows(300)
    z, y, code = np.concatenate([z, z]), np.append(y, y), np.repeat([0, 1], 300)
    found = by_group(z, y, code, 2)
    assert found.spread == 0 and len(set(found.scale.tolist())) == 1
    one = np.where(code == 1, 0, code)  # a single group is all rows
    assert by_group(z, y, one, 2).spread == 0
    same = by_group(z, np.zeros_like(y), code, 2)
    assert "one class" in same.why and same.scale.tolist() == [1, 1, 1]


def test_a_group_of_one_class_is_held_by_the_others():
    z, y, code = grouped((2000, 2000, 30, 0), (1.0, 3.0, 1.0, 1))
    y[code == 2] = z[code == 2].argmax(1)  # every row right: alone it has no T
    assert np.isfinite(by_group(z, y, code, 3).scale).all()
    with pytest.raises(InputError, match="not all in -1..1"):
        by_group(z, y, code, 2)
