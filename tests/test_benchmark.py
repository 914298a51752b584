"""The benchmark's contenders give the same numbers; its arithmetic; its flags."""

import json
import multiprocessing

import numpy as np
import pytest
from sklearn import metrics

from experiments.launch import exit_codes
from scripts.benchmark import __main__ as benchmark
from scripts.benchmark import audit, input, peers, race, suites
from scripts.benchmark.audit import Sizes

SIZES = Sizes(rows=1500, subgroups=4, replicates=30, peer_replicates=30)


@pytest.fixture(scope="module")
def frame():
    return audit.workload(SIZES)


@pytest.fixture(scope="module")
def problem(frame):
    return audit._problem(frame)


@pytest.fixture(scope="module")
def answers():
    suite = audit.build(SIZES)
    return suite, {name: one.run(30) for name, one in suite.contenders.items()}


def test_the_workload_is_what_it_says(frame):
    assert len(frame) == 1500 and frame["group"].nunique() == 4
    assert frame.groupby("patient")["group"].nunique().max() == 1
    images = frame["patient"].value_counts()
    assert images.mean() > 2.5 and images.max() > 4  # clusters
    share = frame["group"].value_counts(normalize=True)
    assert share.max() > 1.5 * share.min()  # of unequal size
    assert frame["prob"].nunique() < 0.7 * len(frame)  # ties
    assert np.array_equal(frame["prob"], frame["prob"].round(3))
    usual = audit.workload(Sizes())
    assert usual["group"].nunique() == 30
    by = usual.groupby("group")["y"]
    assert by.sum().min() > 30 and (by.count() - by.sum()).min() > 30


def test_point_values_are_those_of_scikit_learn(frame, problem):
    value = peers.numpy_rows(problem, 0).value
    for g, group in enumerate(problem.names):
        part = frame[frame["group"] == group]
        y, p = part["y"], part["prob"]
        width = np.clip(np.ceil(p * 15), 1, 15)
        bins = (p - y).groupby(width).sum().abs().sum() / len(y)
        expected = [
            metrics.roc_auc_score(y, p),
            metrics.average_precision_score(y, p),
            metrics.recall_score(y, p >= 0.5),
            1 - metrics.recall_score(1 - y, p < 0.5),
            bins,
        ]
        np.testing.assert_allclose(value[:, g], expected, rtol=0, atol=1e-12)


def test_every_peer_of_patients_gives_the_same_intervals(answers):
    """Same draws, three programs: rows copied and scored, or weights and sums."""
    _, found = answers
    slow = found["scikit-learn loop"]
    assert (slow.low < slow.value).all() and (slow.value < slow.high).all()
    for name in ("numpy weighted sort", "numpy, tuned"):
        for mine, other in zip(found[name], slow, strict=True):
            np.testing.assert_allclose(mine, other, rtol=0, atol=1e-12)
    fair = found["fairlearn n_boot"]
    np.testing.assert_allclose(fair.value, slow.value, rtol=0, atol=1e-12)
    # it resamples rows: narrower, for patients of several rows
    assert 0.5 < np.median((fair.high - fair.low) / (slow.high - slow.low)) < 0.98


def test_ours_agrees(answers):
    suite, found = answers
    agreement = suite.agree(found)
    assert set(agreement["peers"]) == set(list(suite.contenders)[1:])
    for name, by_metric in agreement["peers"].items():
        assert set(by_metric) == set(peers.METRICS)
        for metric, one in by_metric.items():
            assert one["value"] < 1e-9, (name, metric)
    boots = [m for m, k in agreement["our_intervals"].items() if "bootstrap" in k[0]]
    numpy = agreement["peers"]["numpy weighted sort"]
    assert boots and {m for m in numpy if "width" in numpy[m]} == set(boots)
    assert not agreement["peers"]["scikit-learn loop"]["auroc"].keys() - {"value"}
    name = "numpy weighted sort"
    for wrong, says in ((1e-3, pytest.approx(1e-3, rel=1e-6)), (np.nan, NotANumber())):
        value = found[name].value.copy()
        value[0, 2] += wrong
        changed = found | {name: found[name]._replace(value=value)}
        assert suite.agree(changed)["peers"][name]["auroc"]["value"] == says


class NotANumber:
    """Equals NaN: a number that one side lacks does not agree."""

    def __eq__(self, other):
        return np.isnan(other)


class Clock:
    """Time that passes only as the contenders say."""

    def __init__(self):
        self.now, self.order = 0.0, []

    def __call__(self):
        return self.now

    def contender(self, name, fixed, each):
        def run(replicates):
            self.order.append((name, replicates))
            self.now += fixed + each * replicates
            return replicates

        return run


def test_the_race_interleaves_and_extrapolates(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(race.time, "perf_counter", clock)
    monkeypatch.setattr(race.time, "process_time", lambda: 2 * clock())
    contenders = {
        "ours": race.Contender(clock.contender("ours", 1.0, 0.01), 100),
        "slow": race.Contender(clock.contender("slow", 5.0, 2.0), 4, 100.0),
        "quick": race.Contender(clock.contender("quick", 0.0, 0.03), 100, 2.0),
        "other": race.Contender(clock.contender("other", 0.0, 0.02), 100),
    }
    suite = race.Suite(contenders, 100, {"rows": 3}, lambda answers: dict(answers))
    result = race.race(suite, 2)
    warm, rest = clock.order[:4], clock.order[4:]
    assert warm == [("ours", 100), ("slow", 4), ("quick", 100), ("other", 100)]
    turn = [warm[0], ("slow", 0), *warm[1:]]
    assert rest == turn * 2
    slow = result["contenders"]["slow"]
    assert slow["extrapolated_by"] == 25 and slow["measured_seconds"] == [13.0] * 2
    assert slow["seconds"] == pytest.approx([205.0] * 2)  # 5 once, 2 each
    assert slow["cpu_seconds"] == pytest.approx([410.0] * 2)
    ratios = result["ratios"]
    assert ratios["slow"]["median"] == pytest.approx(102.5) and ratios["slow"]["met"]
    assert ratios["quick"]["median"] == pytest.approx(1.5)
    assert ratios["quick"]["met"] is False and ratios["other"]["met"] is None
    assert result["agreement"] == {"ours": 100, "slow": 4, "quick": 100, "other": 100}
    text = "\n".join(race.lines(result))
    assert "MET    slow: 102x faster, target 100x" in text
    assert "MISSED quick: 1.5x faster, target 2x" in text
    assert "slow: seconds are for all replicates, extrapolated from 4 by 25" in text
    assert "other:" not in text
    idle = race.lines(result | {"load_before": 0.0})
    busy = race.lines(result | {"load_before": 400.0})
    assert len(busy) == len(idle) + 1 and "The machine was busy" in busy[-1]


def test_a_race_from_the_command_line(tmp_path, capsys):
    out = tmp_path / "audit.json"
    words = [f"--out={out}", "--suite=audit", "--repeats=1", "--rows=1500", "--quiet"]
    words += ["--subgroups=3", "--replicates=25", "--peer_replicates=2"]
    assert exit_codes(benchmark.main, ["benchmark", *words]) == 0
    said, error = capsys.readouterr()
    assert error == "" and "SIMULATED" in said and said.count("target") == 3
    found = json.loads(out.read_text("utf-8"))
    assert found["sizes"]["rows"] == 1500 and found["sizes"]["subgroups"] == 3
    assert found["contenders"]["fairlearn n_boot"]["extrapolated_by"] == 12.5
    assert found["threads"]["processes"] == 1 and found["environment"]["cpus"]
    for ratio in found["ratios"].values():
        assert len(ratio["by_round"]) == 1


def test_memory_is_that_of_a_process_of_its_own(tmp_path, capsys):
    out = tmp_path / "memory.json"
    words = [f"--out={out}", "--suite=audit", "--memory", "--rows=1500"]
    words += ["--subgroups=3", "--replicates=25"]
    assert exit_codes(benchmark.main, ["benchmark", *words]) == 0
    found = json.loads(out.read_text("utf-8"))["memory"]
    assert found["met"] and 10**7 < found["peak_bytes"] < found["limit_bytes"]
    assert found["limit_bytes"] == 4 * 2**30 and found["estimates"] == 15
    assert "MET    peak resident memory" in capsys.readouterr().out
    over = suites.verdict(found | {"met": False, "peak_bytes": 5 * 2**30})
    assert over.startswith("MISSED peak resident memory 5.00 GiB, target under 4 GiB")


def test_the_peak_is_not_that_of_the_process_that_started_it():
    held = np.ones(3 * 10**8, np.uint8)  # a large parent
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        small = pool.apply(suites.peak_bytes)
    assert suites.peak_bytes() > small + held.nbytes // 2


def test_every_suite_has_flags_of_its_own(capsys):
    for name, entry in suites.SUITES.items():
        for words in ([f"--suite={name}"], ["--suite", name]):
            with pytest.raises(SystemExit):
                benchmark.main(["benchmark", *words, "--help"])
            said = capsys.readouterr().out
            for field, usual in entry.sizes._asdict().items():
                assert f"--{field}={usual}  (" in said
            assert ("--memory=" in said) == (entry.once is not None)
        assert set(entry.least) <= set(entry.sizes._fields)


def test_the_input_race(tmp_path, capsys):
    """Ours and torch's loaders read the same files; the difference is stated."""
    pytest.importorskip("torch", reason="the extra bench brings torch")
    out = tmp_path / "input.json"
    words = [f"--out={out}", "--suite=input", "--repeats=1", "--quiet", "--images=6"]
    words += ["--side=96", "--size=32", "--batch=3", "--workers=1"]
    assert exit_codes(benchmark.main, ["benchmark", *words]) == 0
    said, error = capsys.readouterr()
    assert error == "" and "SIMULATED: images 6, side 96, size 32" in said
    assert "gray levels of 255" in said and "torch + PIL" in said
    found = json.loads(out.read_text("utf-8"))
    assert found["unit"] == "images" and found["ratios"]["torch + PIL"]["target"] == 2
    apart = found["agreement"]
    assert set(apart["images"].values()) == {6} and 0 <= apart["mean"] < 2
    assert apart["largest"] >= apart["mean"] and apart["pillow"] < 3


def test_the_peers_pixels_are_ours_before_they_are_varied(tmp_path):
    """With nothing to vary, torch's items are our images but for the resizing."""
    pytest.importorskip("torch", reason="the extra bench brings torch")
    from equity_jax.data import stream
    from scripts.benchmark import torch_input

    sizes = input.Sizes(images=3, side=96, size=32, batch=3, workers=1)
    files = input.write(tmp_path, sizes)
    ours = np.asarray(stream.files(files, 32)).astype(float)
    for draft in (False, True):
        items = torch_input.Files(files, 32, (0.0, 0.0), draft)
        for at in range(3):
            item = 255 * items[at].numpy()[0]
            image = ours[at, :, :, 0]
            far = [abs(side - image).mean() for side in (item, item[:, ::-1])]
            assert min(far) < 3 and len(items) == 3


def test_an_input_race_of_less_than_a_batch_is_refused(tmp_path, capsys):
    words = [f"--out={tmp_path / 'a.json'}", "--suite=input", "--images=4"]
    assert exit_codes(benchmark.main, ["benchmark", *words]) == 2
    assert "--images=4: expected 32 or more, a batch" in capsys.readouterr().err


def test_flags(tmp_path, capsys):
    file = f"--out={tmp_path / 'a.json'}"
    for words, says in (
        ((), "--suite=... is missing"),
        (("--suite=audit",), "--out=... is missing"),
        (("--suite=glm", file), "--suite=glm is unknown; known: audit"),
        (("--suite=input", file, "--memory"), "Unknown command line flag 'memory'"),
        (("--suite=input", file, "--rows=9"), "Unknown command line flag 'rows'"),
        (("--suite=input", file, "--size=8"), "size"),
        (("--suite=audit", f"--out={tmp_path}"), "must be a file"),
        (("--suite=audit", file, "--rows=2000"), "too few for --subgroups=30"),
        (("--suite=audit", file, "--repeats=0"), "repeats"),
        (("--suite=audit", file, "more"), "unexpected argument 'more'"),
    ):
        assert exit_codes(benchmark.main, ["benchmark", *words]) == 2
        said, error = capsys.readouterr()
        assert said == "" and says in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
