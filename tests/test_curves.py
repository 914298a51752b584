import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as peers
from statsmodels.stats.proportion import proportion_confint

from equity_jax.audit.decisions.curves import (
    calibration,
    confusion,
    ece_debiased,
    ece_floor,
    roc,
)
from equity_jax.audit.resampling import moments


def rows(seed, n=2000, decimals=3):
    rng = np.random.default_rng(seed)
    score = rng.beta(2, 4, n).round(decimals)
    return score, (rng.random(n) < score).astype(float), rng


def plug_in(score, y, bins):
    """sum over bins of n_b / n times |mean y - mean score|."""
    return sum(
        np.mean(bins == b) * abs(y[bins == b].mean() - score[bins == b].mean())
        for b in np.unique(bins)
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_the_roc_equals_scikit_learn_at_every_point(weighted):
    score, y, rng = rows(0, n=150)
    weight = rng.integers(0, 3, 150) if weighted else None
    fpr, tpr, _ = peers.roc_curve(
        y, score, sample_weight=weight, drop_intermediate=False
    )
    ours = np.array(roc(score, y, weight, points=1000))
    # scikit-learn also has points of scores that no counted row has.
    theirs = np.unique(np.round([fpr, tpr], 12), axis=1)
    assert np.allclose(ours, theirs, atol=1e-11)


@pytest.mark.parametrize("points", [5, 50, 200])
def test_a_thinned_roc_keeps_exact_points_and_both_ends(points):
    score, y, _ = rows(1, n=3000, decimals=9)
    fpr, tpr, _ = peers.roc_curve(y, score, drop_intermediate=False)
    exact = set(zip(fpr.tolist(), tpr.tolist(), strict=True))
    ours = list(zip(*(x.tolist() for x in roc(score, y, points=points)), strict=True))
    assert set(ours) <= exact and len(ours) == points
    assert ours[0] == (0, 0) and ours[-1] == (1, 1)
    assert np.diff(np.sum(ours, axis=1)).max() < 2 / (points - 1) + 2e-3


@pytest.mark.parametrize("y", [[], [0, 0], [1, 1]])
def test_one_class_has_no_roc(y):
    assert [x.size for x in roc(np.arange(len(y)), np.array(y))] == [0, 0]


def test_calibration_s_bins_by_hand():
    score, y, _ = rows(2, n=1000)
    found = calibration(score, y, np.arange(1000))
    assert found.n.sum() == 1000 and found.n.between(95, 105).all() and len(found) == 10
    ranked = np.sort(score)
    low = ranked[0]
    for i, row in found.iterrows():
        high = ranked[int(found.n[: i + 1].sum()) - 1]
        mine = (score >= low) & (score <= high)
        assert row.n == mine.sum()  # ties stay together
        assert row.x == pytest.approx(score[mine].mean())
        assert row.y == pytest.approx(y[mine].mean())
        wilson = proportion_confint(y[mine].sum(), mine.sum(), method="wilson")
        assert (row.low, row.high) == pytest.approx(wilson, abs=1e-9)
        low = ranked[min(int(found.n[: i + 1].sum()), 999)]


def test_rows_of_one_patient_count_once():
    score, y, _ = rows(3, n=300)
    alone = calibration(score, y, np.arange(300), bins=5)
    again = np.repeat(np.arange(300), 4)
    found = calibration(score[again], y[again], again, bins=5)
    assert found.n.tolist() == (4 * alone.n).tolist()
    columns = ["x", "y", "low", "high"]
    assert np.allclose(found[columns], alone[columns])


@given(
    score=st.lists(st.integers(0, 6), max_size=60),
    bins=st.integers(1, 12),
    least=st.integers(1, 12),
)
@settings(max_examples=80, deadline=None)
def test_no_small_bin_is_shown(score, bins, least):
    score = np.array(score, float) / 6
    y = (np.arange(len(score)) % 2).astype(float)
    found = calibration(score, y, np.arange(len(score)), bins, min_rows=least)
    if len(score) < least:
        assert len(found) == 0
        return
    assert found.n.min() >= least if len(score) else len(found) <= 1
    assert found.n.sum() == len(score) and len(found) <= bins
    assert found.x.is_monotonic_increasing and found.x.is_unique


def test_no_rows_have_no_bins():
    found = calibration(*np.empty((2, 0)), np.empty(0, int))
    assert len(found) == 0 and list(found.columns) == ["x", "y", "low", "high", "n"]


@pytest.mark.parametrize("weighted", [False, True])
def test_confusion_equals_scikit_learn(weighted):
    score, y, rng = rows(4)
    weight = rng.exponential(size=len(y)) if weighted else None
    tn, fp, fn, tp = peers.confusion_matrix(
        y, score >= 0.4, sample_weight=weight
    ).ravel()
    found = confusion(y, score >= 0.4, weight)
    assert tuple(found) == pytest.approx((tp, fp, fn, tn))
    assert all(isinstance(cell, float if weighted else int) for cell in found)


@pytest.mark.parametrize("p", [0.02, 0.3, 0.5, 0.97])
@pytest.mark.parametrize("n", [1, 7, 40])
def test_the_floor_of_equal_scores_is_exact(p, n):
    wanted = stats.binom(n, p).expect(lambda k: abs(k - n * p)) / n
    assert ece_floor(np.full(n, p), np.zeros(n), np.zeros(n)) == pytest.approx(wanted)


def noise(p):
    """E|sum(Y) - sum(p)| of independent Bernoulli(p), by convolution."""
    law = np.ones(1)
    for one in p:
        law = np.convolve(law, [1 - one, one])
    return law @ np.abs(np.arange(len(law)) - p.sum())


@pytest.mark.parametrize("bins", [moments.equal_width, moments.equal_mass])
@pytest.mark.parametrize("n", [40, 400])
def test_the_floor_of_unequal_scores_is_close_to_exact(bins, n):
    score, y, _ = rows(5, n=n)
    place = bins(score, np.ones(n))
    wanted = sum(noise(score[place == b]) for b in np.unique(place)) / n
    assert ece_floor(score, y, place) == pytest.approx(wanted, rel=0.01)


def simulated(truth, score, bins, repeats=3000, block=None, seed=0):
    """float[3, repeats]: plug-in, floor and debiased ECE of rows drawn from truth."""
    rng = np.random.default_rng(seed)
    units = np.arange(len(score)) if block is None else block
    found = []
    for _ in range(repeats):
        y = (rng.random(units.max() + 1)[units] < truth).astype(float)
        ours = (f(score, y, bins, block) for f in (ece_floor, ece_debiased))
        found.append([plug_in(score, y, bins), *ours])
    return np.array(found).T


@pytest.mark.parametrize("n", [60, 500])
def test_a_calibrated_model_has_no_ece_on_average(n):
    score, _, _ = rows(6, n=n)
    bins = moments.equal_mass(score, np.ones(n))
    raw, floor, debiased = simulated(score, score, bins, 800)
    error = raw.std() / np.sqrt(len(raw))
    assert raw.mean() == pytest.approx(floor[0], abs=4 * error)
    assert (
        abs(debiased.mean()) < 4 * debiased.std() / np.sqrt(len(raw)) + 0.05 * floor[0]
    )
    assert raw.mean() > 20 * error  # the bias that was there


@pytest.mark.parametrize(("shift", "n"), [(0.03, 300), (0.1, 300), (0.2, 2000)])
def test_the_truth_lies_between_the_correction_and_the_plug_in(shift, n):
    score, _, _ = rows(7, n=n)
    bins = moments.equal_mass(score, np.ones(n))
    truth = np.clip(score + shift, 0, 1)
    true = plug_in(score, truth, bins)
    raw, _, debiased = simulated(truth, score, bins, 500)
    error = 4 * debiased.std() / np.sqrt(len(raw))
    assert debiased.mean() - error < true < raw.mean() + error
    size = np.bincount(bins)
    null = np.sqrt(np.bincount(bins, score * (1 - score))) / size
    delta = np.abs(np.bincount(bins, truth - score)) / size
    wanted = delta * (2 * stats.norm.cdf(delta / null / np.sqrt(2)) - 1)  # as it says
    assert debiased.mean() == pytest.approx(wanted @ size / n, abs=error + 0.05 * true)
    if n == 2000:  # far from 0 all agree
        assert debiased.mean() == pytest.approx(true, rel=0.05)


def test_many_rows_need_no_correction():
    score, _, rng = rows(8, n=200_000)
    y = (rng.random(len(score)) < score**1.4).astype(float)
    bins = moments.equal_width(score, np.ones(len(score)))
    raw = plug_in(score, y, bins)
    assert raw > 0.05 and ece_debiased(score, y, bins) == pytest.approx(raw, abs=2e-4)


def test_blocks_widen_the_floor_as_repeated_rows_do():
    score, _, _ = rows(9, n=200)
    block = np.repeat(np.arange(200), 6)
    score = score[block]
    bins = moments.equal_mass(score, np.ones(1200))
    raw, floor, debiased = simulated(score, score, bins, 500, block)
    error = raw.std() / np.sqrt(len(raw))
    assert floor.mean() == pytest.approx(raw.mean(), abs=4 * error + 0.08 * raw.mean())
    naive = ece_floor(score, np.zeros(1200), bins)
    assert naive < 0.5 * raw.mean()  # independent rows would have been believed
    spread = 4 * debiased.std() / np.sqrt(len(raw))
    assert abs(debiased.mean()) < spread + 0.1 * raw.mean()


def test_certain_scores_have_no_noise():
    score, y = np.array([0.0, 0, 1, 1]), np.array([0.0, 1, 1, 1])
    bins = np.array([0, 0, 1, 1])
    assert ece_floor(score, y, bins) == 0
    assert ece_debiased(score, y, bins) == plug_in(score, y, bins) == 0.25


def test_no_rows_have_no_ece():
    nothing = np.empty(0), np.empty(0), np.empty(0, int)
    for block in (None, np.empty(0, int)):
        assert np.isnan(ece_floor(*nothing, block))
        assert np.isnan(ece_debiased(*nothing, block))
