"""The interval of transfer's gain covers the true gain: the quick version.

20 repeats and 100,000 fresh rows a setting; `python -m experiments.gain_coverage` is
the full one, with 200 repeats and a million rows. Everything is SIMULATED.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from equity_jax.config import Data
from equity_jax.data import deaths, simulate
from equity_jax.forecasts import judged, rows_of
from equity_jax.types import TEST
from experiments import gain_bench as bench_of
from experiments import gain_coverage as study
from experiments.launch import exit_codes

REPEATS, ROWS = 20, 100_000
WHITE = "Non-Hispanic White"


@pytest.fixture(scope="module")
def table(bench):
    return study.study(study.twins_of(None, None), REPEATS, ROWS, bench=bench)


@pytest.fixture(scope="module")
def bench():
    """One bench, of the shapes that all tests compile."""
    return bench_of.make_bench(study.twins_of(None, None)[0])


def test_a_draw_is_what_its_file_loads_as(bench, tmp_path):
    twin = bench.config.data.twin
    simulate.deaths(twin, draw=5)[0].to_csv(tmp_path / "five.csv", index=False)
    source = Data(source=str(tmp_path / "five.csv"))
    loaded = deaths.load(source, recipe=bench.first.recipe)
    rows = np.arange(len(loaded.x))
    made = bench_of.redraw(bench, 5, rows)
    np.testing.assert_array_equal(made.x, loaded.x)
    for a, b in zip(made.y, loaded.y, strict=True):
        np.testing.assert_array_equal(a, b)
    for name in ("mask", "split", "id", "patient", "group"):
        np.testing.assert_array_equal(getattr(made, name), getattr(loaded, name))
    some = bench_of.redraw(bench, 5, rows[100:200])
    np.testing.assert_array_equal(some.x, loaded.x[100:200])
    assert not np.array_equal(made.x, bench.first.x)  # it is another draw
    hidden = (made.y.low == 1) & (made.y.high > 1)
    assert hidden.any() and made.spec.simulated


def test_the_truth_is_the_audit_s_number_on_the_fresh_rows(bench):
    fresh = bench_of.fresh_rows(bench, 3000)
    draws, cells = fresh.x.shape[:2]
    assert draws * cells >= 3000 > (draws - 1) * cells
    fits = bench_of.fit_both(bench, bench.first)
    truth = bench_of.true_gain(bench, fresh, fits)
    rows = bench_of.tested(bench.first)
    some = bench.first._replace(
        x=fresh.x[1],
        y=type(fresh.y)(*(a[1] for a in fresh.y)),
        **{k: getattr(bench.first, k)[rows] for k in ("mask", "id", "patient")},
        attributes={k: v[rows] for k, v in bench.first.attributes.items()},
        split=bench.first.split[rows],
    )
    one = bench_of.true_gain(bench, _only(fresh, 1), fits)
    found = study.gain_interval(bench, some, fits, 0).set_index("group")
    assert (found.status == "OK").all()
    for name, (value, _) in one.items():
        assert found.value[name] == pytest.approx(value, abs=1e-4)
    # stitched: the mixture for all rows on one side, each group's own on the other
    systems, params, stats = fits
    logits = np.asarray(bench_of.logits_of(bench.model, params, stats, some.x))
    sides = judged(some, bench.task, systems, logits, bench.config.data)
    num = sides.ratios["deviance"].num
    for code, name in enumerate(bench.first.spec.groups):
        gain = (num[1] - num[0])[fresh.group == code].mean()
        assert one[name][0] == pytest.approx(gain, abs=1e-4)
    assert all(np.isfinite(v).all() for v in truth.values())
    assert np.all((num[1] - num[0])[fresh.group == -1] == 0)
    assert len({v for v, _ in truth.values()}) == 8  # every group its own number


def _only(fresh, draw):
    part = slice(draw, draw + 1)
    return fresh._replace(x=fresh.x[part], y=type(fresh.y)(*(a[part] for a in fresh.y)))


def test_sampled_blocks_are_whole_fresh_blocks(bench):
    fresh = bench_of.fresh_rows(bench, 3000)
    padded = bench_of.sample(bench, fresh, 3)
    some = rows_of(padded, np.flatnonzero(padded.mask[:, 0]))
    rows = bench_of.tested(bench.first)
    sizes = pd.Series(bench.first.patient[rows]).value_counts()
    assert len(np.unique(some.patient)) == len(sizes) == 60  # six months, ten regions
    seen = set()
    for block in np.unique(some.patient):
        mine = some.patient == block
        where = set(
            zip(*(some.attributes[k][mine] for k in ("period", "region")), strict=True)
        )
        assert len(where) == 1 and len(set(some.id[mine])) == mine.sum()
        assert mine.sum() in set(sizes)
        source = [(fresh.x == x).all(2).any(1) for x in some.x[mine]]
        assert np.logical_and.reduce(source).any()  # all rows of one draw
        seen |= where
    assert 20 < len(seen) < 60 and (some.split == TEST).all()
    again, other = (bench_of.sample(bench, fresh, seed) for seed in (3, 4))
    assert np.array_equal(padded.x, again.x) and padded.x.shape == other.x.shape
    assert not np.array_equal(padded.x, other.x) and padded.mask.sum() != 2610
    # padding changes no number
    fits = bench_of.fit_both(bench, bench.first)
    one, two = (study.gain_interval(bench, p, fits, 0) for p in (padded, some))
    columns = ["value", "low", "high"]
    np.testing.assert_allclose(one[columns], two[columns], atol=1e-6)
    assert one["n"].equals(two["n"])


def test_repeats_share_one_compiled_program(bench):
    for draw in (1, 2):
        bench_of.fit_both(
            bench, bench_of.redraw(bench, draw, np.arange(len(bench.first.x)))
        )
    (program,) = bench.programs.values()
    compiled = program.segment.__wrapped__
    assert compiled._cache_size() == 2  # one a level: 2 lanes, then 6


def test_intervals_cover_the_truth(table):
    """Quick version: the binomial spread of 20 repeats is allowed for."""
    print(study.summary(table).round(3).to_string())
    assert len(table) == 2 * REPEATS * 2 * 8 and (table.status == "OK").all()
    assert (table.low < table.value).all() and (table.value < table.high).all()
    least = binom.ppf(0.001, REPEATS, 0.90)
    hits = table.groupby(study.BY).covered.sum()
    assert (hits >= least).all(), hits[hits < least]
    random, once = (table[table.test == t] for t in (study.RANDOM, study.ONCE))
    for _, part in random.groupby("shift"):
        assert 0.90 <= part.covered.mean() <= 0.985
    assert once.covered.mean() >= 0.97
    # not by being wide, nor because there is nothing to find
    half = (random.high - random.low) / 4
    narrow = np.abs(random.value - random.truth) <= half
    assert narrow.mean() < 0.8
    assert np.mean((random.low <= 0) & (0 <= random.high)) < 0.7
    moved = random.truth.to_numpy()[np.arange(len(random)) - 1]  # another group's
    assert np.mean((random.low <= moved) & (moved <= random.high)) < 0.6


def test_the_truth_is_known_well_and_fits_differ(table):
    part = table[table.test == study.RANDOM]
    assert (part.truth_error < 0.3 * (part.high - part.low) / 3.92).mean() > 0.95
    assert part.groupby(study.BY).truth.nunique().eq(REPEATS).all()


def test_transfer_wins_only_where_a_difference_was_planted(table):
    truth = table.groupby(["shift", "group"]).truth.mean()
    planted, none = truth[0.35], truth[0.0]
    others = [g for g in none.index if g not in ("all", WHITE)]
    assert planted["Hispanic"] < -0.15  # the group's own age slope pays
    assert (none[others] > -0.03).all()
    assert none["Hispanic"] - planted["Hispanic"] > 0.15
    assert planted[WHITE] < none[WHITE] - 0.05


def test_flags(tmp_path, capsys, monkeypatch):
    def run(*words):
        return exit_codes(study.main, ["gain_coverage", *words])

    assert [(t.shift, t.slope) for t in study.twins_of(None, None)] == [
        (0.35, 0.15),
        (0.0, 0.0),
    ]
    assert [(t.shift, t.slope) for t in study.twins_of(0.0, 0.1)] == [(0.0, 0.1)]
    for words, says in (
        ((), "--out=... is missing"),
        ((f"--out={tmp_path}",), "must be a file"),
        ((f"--out={tmp_path / 'a.csv'}", "--repeats=0"), "repeats"),
        ((f"--out={tmp_path / 'a.csv'}", "--shift=nan"), "finite"),
        ((f"--out={tmp_path / 'a.csv'}", "more"), "unexpected argument 'more'"),
    ):
        assert run(*words) == 2
        out, err = capsys.readouterr()
        assert out == "" and says in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(study, "use_cache", lambda: None)
    out = tmp_path / "gain.csv"
    assert (
        run(f"--out={out}", "--repeats=2", "--fresh=2000", "--shift=0.5", "--quiet")
        == 0
    )
    said, err = capsys.readouterr()
    assert "SIMULATED" in said and err == ""
    written = pd.read_csv(out)
    assert set(written["data"]) == {"SIMULATED"} and set(written["repeat"]) == {1, 2}
    assert set(written["shift"]) == {0.5} and set(written["slope"]) == {0.15}
