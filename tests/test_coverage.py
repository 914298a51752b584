"""The coverage study: its truths, its judging, and a quick version of itself."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import norm
from sklearn import metrics

from equity_jax.types import InputError
from experiments.launch import exit_codes
from scripts.coverage import cells, naive, text
from scripts.coverage import world as worlds
from scripts.coverage.__main__ import GRID, main, scenarios
from scripts.coverage.run import Scenario, Settings, run


@pytest.fixture(scope="module")
def large():
    """A million rows of a world with a planted gap, and that world."""
    world = worlds.world(3, 0.2, 1, 0.2)
    return world, worlds.simulate(world, 340_000, 1, np.random.default_rng(1))


def measured(y, p, threshold):
    """Every metric by scikit-learn, statsmodels or its definition."""
    d = p >= threshold
    logit = np.log(p) - np.log1p(-p)
    both = sm.GLM(y, sm.add_constant(logit), family=sm.families.Binomial()).fit()
    one = sm.GLM(y, np.ones_like(y), sm.families.Binomial(), offset=logit).fit()
    found = {
        "auroc": metrics.roc_auc_score(y, p),
        "auprc": metrics.average_precision_score(y, p),
        "accuracy": metrics.accuracy_score(y, d),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, d),
        "precision": metrics.precision_score(y, d),
        "recall": metrics.recall_score(y, d),
        "specificity": metrics.recall_score(1 - y, ~d),
        "fpr": 1 - metrics.recall_score(1 - y, ~d),
        "fnr": 1 - metrics.recall_score(y, d),
        "npv": metrics.precision_score(1 - y, ~d),
        "f1": metrics.f1_score(y, d),
        "selection_rate": d.mean(),
        "prevalence": y.mean(),
        "brier": metrics.brier_score_loss(y, p),
        "log_loss": metrics.log_loss(y, p),
        "calibration_slope": both.params[1],
        "calibration_intercept": one.params[0],
    }
    for name, edges in (
        ("ece_width", np.linspace(0, 1, 16)),
        ("ece_mass", np.quantile(p, np.linspace(0, 1, 16))),
    ):
        bins = np.digitize(p, edges[1:-1], right=True)
        found[name] = abs(np.bincount(bins, p - y)).sum() / len(y)
    return found


@pytest.mark.parametrize("who", ["all", "C"])
def test_truths_equal_a_million_rows(large, who):
    """Within 4 standard errors, which ten fortieths of the rows tell."""
    world, frame = large
    if who != "all":
        frame = frame[frame["group"] == who]
        mean = world.means[worlds.names(world).index(who)]
        world = world._replace(means=(mean,))
    y, p = frame["y"].to_numpy(), frame["prob"].to_numpy()
    found = measured(y, p, world.threshold)
    assert set(found) == set(worlds.TRUTHS)
    parts = [measured(y[i::40], p[i::40], world.threshold) for i in range(10)]
    for name, value in found.items():
        error = np.std([part[name] for part in parts], ddof=1) / np.sqrt(40)
        assert abs(value - worlds.truth(name, world)) < 4 * error, name
        assert error < 0.02, name
    assert len(frame) > 300_000


def test_truths_where_they_are_known_otherwise():
    for prevalence in (0.05, 0.5):
        world = worlds.world(2, prevalence, 1, prevalence)
        group = [world._replace(means=(m,)) for m in world.means]
        auroc = [worlds.truth("auroc", w) for w in group]
        assert auroc == pytest.approx([0.85, 0.79], abs=1e-12)
        slopes = [worlds.truth("calibration_slope", w) for w in group]
        assert slopes[0] == pytest.approx(1 / worlds.SURE, abs=1e-9)
        assert slopes[1] < slopes[0] - 0.1  # scores too extreme for the last group
        both = [worlds.truth("brier", w) for w in (world, *group)]
        assert both[0] == pytest.approx(np.mean(both[1:]), abs=1e-12)
        for name in ("ece_width", "ece_mass"):
            assert 0.005 < worlds.truth(name, group[0]) < worlds.truth(name, group[1])
        x = worlds.place(world, worlds.probability(world, np.array([-1.0, 0.7])))
        np.testing.assert_allclose(x, [-1.0, 0.7], atol=1e-12)


def test_images_of_a_patient_share_what_the_docstring_says():
    world = worlds.world(2, 0.3, 0, 0.3)
    frame = worlds.simulate(world, 120_000, 6, np.random.default_rng(2))
    assert len(frame) == 240_000 and frame["patient"].nunique() == 40_000
    assert frame.groupby("patient")["group"].nunique().max() == 1
    y = frame["y"].to_numpy().reshape(-1, 6)
    x = worlds.place(world, frame["prob"].to_numpy()).reshape(-1, 6)
    assert y.mean() == pytest.approx(0.3, abs=0.01)
    kept = (1 - worlds.REDRAWN) ** 2  # correlation of two labels of a patient
    assert np.corrcoef(y[:, 0], y[:, 1])[0, 1] == pytest.approx(kept, abs=0.02)
    alike = y[:, 0] == y[:, 1]
    rest = x - worlds.USUAL * y
    correlation = np.corrcoef(rest[alike, 0], rest[alike, 1])[0, 1]
    assert correlation == pytest.approx(worlds.CORRELATION, abs=0.02)
    assert norm.cdf(worlds.USUAL / 2**0.5) == pytest.approx(0.85)


def rows(contrast, metric, ends, status="OK", **more):
    line = {"contrast": contrast, "metric": metric, "group": "A", "reference": ""}
    low, high = ends
    line |= {"interval": "k", "value": (low + high) / 2, "low": low, "high": high}
    return line | {"status": status} | more


def test_every_contrast_is_judged_against_its_own_truth():
    world = worlds.world(3, 0.2, 1, 0.2)
    known = cells.truths(["auroc", "recall", "fpr"], world)
    assert known.value["auroc"] == pytest.approx(
        {"A": 0.85, "B": 0.85, "C": 0.79, "all": 0.83}
    )
    assert known.gap["auroc"] == pytest.approx(0.06)
    assert known.worst["auroc"] == pytest.approx(0.79)
    assert known.gap["fpr"] == 0 and known.worst["recall"] < known.value["recall"]["A"]
    about = lambda x: (x - 1e-6, x + 1e-6)  # noqa: E731
    table = pd.DataFrame(
        [
            rows("group", "auroc", about(0.83), group="all"),
            rows("group", "auroc", about(0.79), group="C"),
            rows("group", "auroc", about(0.79), group="A"),
            rows("difference", "auroc", about(-0.06), group="C", reference="A"),
            rows("difference", "auroc", about(0.06), group="C", reference="A"),
            rows("ratio", "auroc", about(0.79 / 0.85), group="C", reference="B"),
            rows("gap", "auroc", about(0.06), group="C", reference="A"),
            rows("worst", "auroc", about(0.79), group="B"),
            rows("band", "auroc", about(0.85), group="B"),
            rows("group", "auroc", about(0.85), status="NOT_ESTIMABLE"),
            rows("gap", "fpr", (0.0, 0.1)),
            rows("gap", "fpr", (0.01, 0.1)),
            rows("summary", "demographic_parity_difference", (0, 1)),
            rows("cross", "xauc_positives", (0, 1)),
        ]
    )
    found = cells.judged(table, known)
    assert found["contrast"].tolist()[:2] == ["all", "group"] and len(found) == 12
    right = [True, True, False, True, False, True, True, True, True, False, True, False]
    assert found["covered"].tolist() == right
    assert found["zero"].tolist()[-2:] == [True, False]
    assert found["ok"].tolist() == [True] * 9 + [False] + [True] * 2


def test_shares_errors_and_verdicts():
    """100 repeats of two groups whose intervals cover together or not at all."""
    line = {"metric": "auroc", "interval": "k", "value": 0.8, "low": 0.7, "high": 0.9}
    line |= {"truth": 0.85, "ok": True, "zero": False}

    def made(contrast, covered, groups=2, **more):
        each = [line | {"contrast": contrast} | more for _ in range(groups)]
        return pd.DataFrame(
            [
                e | {"covered": hit, "repeat": r}
                for r, hit in enumerate(covered)
                for e in each
            ]
        )

    table = pd.concat(
        [
            made("group", [True] * 90 + [False] * 10),
            made("difference", [True] * 80 + [False] * 20),
            made("ratio", [True] * 2000, groups=1),
            made("gap", [True] * 80 + [False] * 20, groups=1),
            made("worst", [True] * 25, groups=1),
            made("all", [False] * 40, groups=1, ok=False),
        ]
    )
    band = made("band", [True] * 100)
    band.loc[band.index[::20], "covered"] = False  # one group in each tenth repeat
    found = cells.cells(pd.concat([table, band]), 0)
    found = found.set_index(["contrast", "quantity"])
    group = found.loc[("group", "coverage")]
    assert group["count"] == 200 and group["share"] == 0.9 and group["verdict"] == "ok"
    assert group["error"] == pytest.approx((0.95 * 0.05 / 100) ** 0.5)  # not 200
    assert found.loc[("difference", "coverage"), "verdict"] == "low"
    ratio = found.loc[("ratio", "coverage")]
    assert ratio["verdict"] == "wide" and ratio["share"] == 1
    assert ratio["error"] == pytest.approx((0.95 * 0.05 / 2000) ** 0.5)
    assert found.loc[("gap", "coverage"), "verdict"] == "low"
    assert found.loc[("gap", "contains 0"), "share"] == 0
    assert found.loc[("worst", "coverage"), "verdict"] == "few"
    band = found.loc[("band", "coverage")]
    assert band["share"] == 0.9 and band["count"] == 100 and band["verdict"] == "ok"
    none = found.loc[("all", "coverage")]
    assert none["missing"] == 1 and none["count"] == 0 and none["verdict"] == "few"
    assert ("gap", "contains 0") not in cells.cells(table, 1).set_index(
        ["contrast", "quantity"]
    ).index


def test_the_test_s_size_and_power():
    known = cells.truths(["auroc"], worlds.world(2, 0.2, 0, 0.2))
    p = np.r_[np.full(18, 0.01), np.full(182, 0.5), np.full(50, np.nan)]
    table = pd.DataFrame({"p": p, "gap": 0.04, "gap_corrected": 0.01})
    table["metric"] = "auroc"
    size = cells.tests(table, known, 0).iloc[0]
    assert size["share"] == 0.09 and size["count"] == 200 and size["verdict"] == "ok"
    assert size["missing"] == pytest.approx(0.2)
    assert size["error"] == pytest.approx((0.05 * 0.95 / 200) ** 0.5)
    assert size[["gap", "corrected"]].tolist() == pytest.approx([0.04, 0.01])
    assert cells.tests(table, known, 1).iloc[0]["verdict"] == ""  # power has no bound
    liberal = table.assign(p=np.where(np.arange(250) < 40, 0.01, 0.5))
    assert cells.tests(liberal, known, 0).iloc[0]["verdict"] == "liberal"
    strict = pd.concat([table.assign(p=0.5)] * 2)
    assert cells.tests(strict, known, 0).iloc[0]["verdict"] == "conservative"


EQUAL = Scenario(groups=3, rows=200, prevalence=0.3, images=1, shift=0)
CLUSTERS = Scenario(groups=3, rows=600, prevalence=0.3, images=6, shift=0)
PLANTED = Scenario(groups=2, rows=1000, prevalence=0.3, images=1, shift=1)
QUICK = Settings(60, 150, ("auroc", "accuracy", "recall", "f1"))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """The quick study: three scenarios, 60 data sets each."""
    out = tmp_path_factory.mktemp("coverage")
    return run([EQUAL, CLUSTERS, PLANTED], QUICK, out, workers=0)


def among(table, scenario, **where):
    for name, value in (scenario._asdict() | where).items():
        table = table[table[name] == value]
    return table


def test_intervals_cover_and_the_test_has_its_size(table):
    """Quick version: every cell of ours within its bounds (see scripts.coverage)."""
    print(text.short(table))
    ours = table[~table["interval"].isin((naive.PERCENTILE, naive.ROWS))]
    judged = ours[ours["quantity"].isin(("coverage", "contains 0"))]
    kinds = "all band difference gap group ratio worst"
    assert set(judged["contrast"]) == set(kinds.split())
    assert text.failing(table).empty, text.failing(table)
    assert (judged["count"] >= 60).all() and (ours["missing"] < 0.01).all()
    # bounds are tight enough to mean something
    slack = 3 * judged["error"]
    assert (slack[judged["contrast"] == "group"] < 0.08).all()
    assert (slack < 0.12).all()
    width = judged.set_index(["contrast", "metric"])["width"].xs("auroc", level=1)
    assert (width["group"] < 0.2).all() and (width["gap"] < 0.25).all()


def test_what_is_mostly_published_fails_the_same_bounds(table):
    """A percentile bootstrap of the gap never contains 0; resampled rows are short."""
    for scenario in (EQUAL, CLUSTERS):
        gap = among(table, scenario, contrast="gap", quantity="contains 0")
        theirs = gap[gap["interval"] == naive.PERCENTILE]
        assert theirs["metric"].tolist() == ["accuracy", "auroc"]
        assert theirs["share"].tolist() == [0, 0] and set(theirs["verdict"]) == {"low"}
        mine = gap[~gap["interval"].isin((naive.PERCENTILE, naive.ROWS))]
        assert len(mine) == 4 and mine["share"].min() > 0.85
    group = among(table, CLUSTERS, contrast="group", interval=naive.ROWS)
    assert set(group["verdict"]) == {"low"} and group["share"].max() < 0.88
    # so that what fails there is the resampled unit, not the percentile
    by_patient = among(table, CLUSTERS, contrast="group", interval=naive.PERCENTILE)
    assert by_patient["share"].min() > group["share"].max() + 0.05


def test_a_planted_gap_is_found_and_its_bias_is_taken_out(table):
    tests = table[table["quantity"] == "rejects"].set_index(["shift", "metric"])
    assert tests.loc[(1, "auroc"), "share"].item() > 0.5
    assert (tests.loc[0, "share"] < 0.14).all()
    equal = among(table, EQUAL, quantity="rejects")
    assert (equal["gap"] > 0.02).all() and (equal["truth"] == 0).all()
    assert (equal["corrected"] < 0.75 * equal["gap"]).all()
    found = among(table, PLANTED, quantity="rejects", metric="auroc").iloc[0]
    assert found["truth"] == pytest.approx(0.06)
    assert found["corrected"] == pytest.approx(0.06, abs=0.02)
    power = text.power(table).set_index(["metric", "groups", "rows"])
    assert power.loc[("auroc", 2, 1000), "power"].item() > 0.5


def test_a_stopped_study_resumes_with_the_same_bytes(tmp_path, capsys):
    words = ["--repeats=2", "--replicates=20", "--metrics=auroc,ece_width", "--quiet"]
    words += ["--groups=2", "--rows=60,100", "--prevalence=0.5", "--images=1"]
    words += ["--shift=0,1", "--workers=1"]
    out = tmp_path / "a"
    assert exit_codes(main, ["coverage", f"--out={out}", *words]) == 0
    said, error = capsys.readouterr()
    assert error == "" and "SIMULATED" in said and "0 of 0 judged" in said
    files = sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file())
    assert len(files) == 4 + 3
    before = {f: (out / f).read_bytes() for f in files}
    gone = out / "scenarios" / "groups2-rows100-prevalence0.5-images1-shift1.csv"
    stays = out / "scenarios" / "groups2-rows60-prevalence0.5-images1-shift0.csv"
    gone.unlink()
    told = stays.stat().st_mtime_ns
    corners = [Scenario(2, n, 0.5, 1, s) for n in (60, 100) for s in (0, 1)]
    settings = Settings(2, 20, ("auroc", "ece_width"))
    again = run(corners, settings, out, workers=0)  # here, not in a worker
    assert {f: (out / f).read_bytes() for f in files} == before
    assert stays.stat().st_mtime_ns == told
    assert len(again) == len(pd.read_csv(out / "coverage.csv"))
    with pytest.raises(InputError, match=r"other settings \(repeats\)"):
        run(corners, settings._replace(repeats=3), out, workers=0)
    page = (out / "coverage.md").read_text("utf-8")
    for title in ("Failing cells", "A percentile bootstrap", "size, and power"):
        assert title in page
    assert "SIMULATED" in page


def test_failing_cells_are_marked(table):
    bad = table.index[(table["contrast"] == "ratio") & (table["metric"] == "f1")]
    table = table.assign(verdict=table["verdict"].mask(table.index == bad[0], "wide"))
    assert len(text.failing(table)) == 1
    assert "1 of " in text.short(table) and "FAIL" in text.short(table)
    section = text.page(table, QUICK._asdict()).split("## ")[1]
    assert (
        section.startswith("Failing cells") and "| ratio | coverage | f1 |" in section
    )


def test_flags(tmp_path, capsys):
    grid = scenarios(GRID)
    assert len(grid) == len({s.name for s in grid}) == 144
    assert grid[0] == Scenario(2, 50, 0.05, 1, 0)
    out = f"--out={tmp_path / 'a'}"
    (tmp_path / "file").write_text("")
    for words, says in (
        ((), "--out=... is missing"),
        ((f"--out={tmp_path / 'file'}",), "is a file"),
        ((out, "--metrics=auroc,speed"), "['speed'] have no known truth; known: auroc"),
        ((out, "--groups=1,2"), "--groups=['1', '2']: expected 2 to 26"),
        ((out, "--prevalence=half"), "--prevalence: expected numbers"),
        ((out, "--shift=2"), "expected 0 to 1"),
        ((out, "--threshold=1.5"), "expected prevalence, or a number in 0..1"),
        ((out, "--repeats=1"), "repeats"),
        ((out, "more"), "unexpected argument 'more'"),
    ):
        assert exit_codes(main, ["coverage", *words]) == 2
        said, error = capsys.readouterr()
        assert said == "" and says in error and error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
