"""Recalibration against scipy in float64, and the cases that have no answer."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from equity_jax.calibration import Calibration, apply, recalibrate, temperature
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
