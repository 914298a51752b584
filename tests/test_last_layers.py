"""last_layers.py: each label's last layer, by every way there is to fit one."""

import numpy as np
import pytest
from race_worlds import planted
from toy import toy

from equity_jax import dfr, last_layers, reductions
from equity_jax.types import TEST, VALID, InputError


def told(x):
    """float32[N]: made-up chances, to be told apart."""
    return np.linspace(0, 1, len(x), dtype=np.float32)


def test_deep_feature_reweighting_on_validation_rows_label_by_label(monkeypatch):
    dataset, asked = planted(), []
    mask = dataset.mask.copy()
    mask[dataset.split == VALID, 1] = 0  # nothing to learn from

    def validated(x, code, *rows, seed):
        asked.append((code, rows, seed))
        both = np.stack([1 - told(x), told(x)], 1)
        return dfr.Reweighted(both, 1.0, 9, np.arange(3))

    monkeypatch.setattr(dfr, "validated", validated)
    prob = last_layers.validated(dataset._replace(mask=mask), seed=3)
    held = last_layers.held(dataset)
    assert prob.shape == (len(held), 3) and np.isnan(prob[:, 1]).all()
    for k, (code, rows, seed) in zip((0, 2), asked, strict=True):
        np.testing.assert_array_equal(prob[:, k], told(dataset.x)[held])
        np.testing.assert_array_equal(code, dataset.y[:, k])
        expected = dataset.group, dataset.split, dataset.patient
        assert seed == 3
        for mine, theirs in zip(rows, expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_reductions_label_by_label(monkeypatch):
    dataset, asked = planted(), []

    def chance(x, code, *rows, head, eps):
        asked.append((code, rows[2], head, eps))
        return reductions.Reduced(told(x), np.ones(1), 0.0, 0.0, 0.0, np.zeros(1))

    monkeypatch.setattr(reductions, "reduced", chance)
    prob = last_layers.reduced(dataset, "equal_opportunity", "mlp", eps=0.05)
    every = told(dataset.x)[last_layers.held(dataset)]
    np.testing.assert_array_equal(prob, np.repeat(every[:, None], 3, 1))
    assert [a[1:] for a in asked] == [("equal_opportunity", "mlp", 0.05)] * 3
    for k, (code, *_) in enumerate(asked):
        np.testing.assert_array_equal(code, dataset.y[:, k])


def test_a_reduction_of_a_whole_data_set_is_near_its_constraint():
    dataset = toy(n=800)
    test = (dataset.split == TEST)[last_layers.held(dataset)]
    group = dataset.group[dataset.split == TEST]
    prob = last_layers.reduced(dataset, "demographic_parity", eps=0.02)
    rates = [prob[test, 0][group == g].mean() for g in range(2)]
    assert prob.shape == (len(test), 1) and abs(rates[0] - rates[1]) < 0.1
    third = np.arange(800)[:, None] % 3
    spec = dataset.spec._replace(task="multiclass(3)")
    with pytest.raises(InputError, match=r"two classes: multiclass\(3\)"):
        last_layers.reduced(dataset._replace(spec=spec, y=third))
