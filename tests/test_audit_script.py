"""scripts.audit: flags to arguments, lines for a person, nothing half-written."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from equity_jax.audit import COLUMNS, NOT_ESTIMABLE, OK, SUPPRESSED, audit, view
from equity_jax.audit.options import Options
from equity_jax.types import InputError
from scripts import audit as script
from scripts import audit_flags

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 300
    y = rng.integers(0, 2, n)
    near = rng.normal(2.0 * y, 1.0)
    far = np.where(np.arange(n) % 3 == 0, rng.normal(0, 1, n), near)
    return pd.DataFrame(
        {
            "id": [f"{i:04d}" for i in range(n)],
            "who": rng.integers(0, 150, n),
            "part": np.where(np.arange(n) < 100, "valid", "test"),
            "race": np.where(np.arange(n) % 3 == 0, "Black", "White"),
            "y": y,
            "prob": 1 / (1 + np.exp(1 - far)),
            "risk": 1 / (1 + np.exp(1 - near)),
        }
    )


@pytest.fixture
def line(table, tmp_path):
    """A function: command line of an audit with changes; DIR is tmp_path / "out"."""
    path = tmp_path / "scores.csv"
    table.to_csv(path, index=False)
    plain = {"label": "y", "score": "prob", "attributes": "race", "replicates": 20}
    plain |= {"predictions": path, "out": tmp_path / "out"}

    def make(*more: str, **changes) -> list[str]:
        flags = {k: v for k, v in (plain | changes).items() if v is not None}
        return ["audit", *(f"--{k}={v}" for k, v in flags.items()), *more]

    return make


def test_an_audit_end_to_end(line, table, tmp_path, capsys):
    script.main(line("--noquiet", patient="who", split="part", threshold="youden"))
    out = tmp_path / "out"
    found = pd.read_csv(out / "audit.csv", keep_default_na=False)
    assert tuple(found.columns) == COLUMNS
    rows = view(found, metric="auroc", contrast="group", group="Black")
    mine = table[(table.part == "test") & (table.race == "Black")]
    expected = roc_auc_score(mine.y, mine.prob)
    assert float(rows.value[0]) == pytest.approx(expected, abs=1e-8)
    assert set(found.threshold_source) >= {"validation: youden"}
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"prob, race: AUROC is worst in Black, {expected:.2f} [")
    assert said[0].endswith("which excludes 0")
    assert said[-1] == f"report: {out / 'report.html'}"
    assert (out / "report.html").stat().st_size > 1000


def test_two_models_are_both_named(line, capsys):
    script.main(line("--score=torch:prob", "--score=vendor:risk", score=None))
    said = capsys.readouterr().out
    assert "torch, race: AUROC" in said and "vendor, race: AUROC" in said


def test_quiet_prints_nothing(line, capfd):
    script.main(line("--quiet"))
    assert capfd.readouterr() == ("", "")


def test_the_same_through_the_face(line, table, tmp_path):
    script.main(line("--quiet"))
    report = audit(table, label="y", score="prob", attributes="race", replicates=20)
    report.save(tmp_path / "again.csv")
    first, again = (tmp_path / "out" / "audit.csv", tmp_path / "again.csv")
    assert first.read_bytes() == again.read_bytes()


def run(line, tmp_path, table: pd.DataFrame, *words: str, **changes) -> pd.DataFrame:
    """The rows of the group "all" in the audit.csv of another table."""
    table.to_csv(tmp_path / "other.csv", index=False)
    script.main(line("--quiet", *words, predictions=tmp_path / "other.csv", **changes))
    found = pd.read_csv(tmp_path / "out" / "audit.csv", keep_default_na=False)
    return view(found, contrast="group", group="all").set_index(["label", "metric"])


def test_several_labels(line, table, tmp_path):
    table = table.assign(z=1 - table.y, q=table.risk)
    found = run(line, tmp_path, table, label="y,z", score="prob,q", metrics="auroc")
    for label, score in (("y", "prob"), ("z", "q")):
        expected = roc_auc_score(table[label], table[score])
        value = found.loc[(label, "auroc"), "value"]
        assert float(value) == pytest.approx(expected, abs=1e-8)


def test_classes(line, table, tmp_path):
    rng = np.random.default_rng(1)
    names = np.array(["COVID", "Normal", "Viral"])
    p = rng.dirichlet([1, 1, 1], len(table))
    table = table.assign(y=names[rng.integers(0, 3, len(table))])
    table[[f"p_{name}" for name in names]] = p
    score = "p_COVID,p_Normal,p_Viral"
    found = run(line, tmp_path, table, score=score, metrics="auroc")
    for c, name in enumerate(names):
        expected = roc_auc_score(table.y == name, p[:, c])
        value = found.loc[(name, "auroc"), "value"]
        assert float(value) == pytest.approx(expected, abs=1e-8)


def test_counts(line, table, tmp_path):
    rng = np.random.default_rng(2)
    mu = rng.gamma(2.0, 3.0, len(table))
    table = table.assign(mu=mu, days=10.0, deaths=rng.poisson(1.2 * mu))
    found = run(line, tmp_path, table, label="deaths", score="mu", exposure="days")
    value = float(found.loc[("", "observed_expected"), "value"])
    expected = table.deaths.sum() / table.mu.sum()
    assert value == pytest.approx(expected, abs=1e-8)


def test_models_below_each_other(line, table, tmp_path):
    parts = [table.assign(net=n, p=table[n]) for n in ("prob", "risk")]
    words = {"score": "p", "system": "net", "id": "id", "metrics": "auroc"}
    found = run(line, tmp_path, pd.concat(parts), **words)
    for name in ("prob", "risk"):
        value = float(found[found.system == name]["value"].iloc[0])
        expected = roc_auc_score(table.y, table[name])
        assert value == pytest.approx(expected, abs=1e-8)


# -- flags ----------------------------------------------------------------------------


def read_line(*words: str) -> dict:
    values = audit_flags.define()
    values(["audit", *words])
    return audit_flags.settings(values)


def test_defaults_are_those_of_the_package():
    chosen = read_line()
    for name in chosen.keys() & Options.__dataclass_fields__.keys() - {"quiet"}:
        default = getattr(Options, name)
        assert chosen[name] == default or (not chosen[name] and not default), name
    assert chosen["on_bad_score"] == "error"


def test_every_flag_arrives():
    said = read_line(
        *("--label=A,B", "--score=pA,pB", '--attributes=race,"age, years"'),
        *(
            "--patient=who",
            "--unit=pair",
            "--split=part",
            "--id=row",
            "--system=net",
            "--exposure=e",
        ),
        *("--weight=w", "--positive=yes", "--logits", "--reference=race:White,sex:F"),
        *("--metrics=auroc,net_benefit@0.2", "--threshold=sens@0.9", "--quiet"),
        *("--net_benefit=0.1,0.2", "--wanted=0.1", "--conflicts=first", "--simulated"),
        *("--nointersections", "--replicates=9", "--level=0.9", "--min_rows=3"),
        *("--seed=4", "--adjustment=bh", "--bad_scores=leave_out"),
    )
    assert said == {
        "label": ["A", "B"],
        "score": ["pA", "pB"],
        "attributes": ["race", "age, years"],
        "patient": "who",
        "unit": "pair",
        "split": "part",
        "id": "row",
        "system": "net",
        "exposure": "e",
        "weight": "w",
        "positive": "yes",
        "logits": True,
        "reference": {"race": "White", "sex": "F"},
        "metrics": ["auroc", "net_benefit@0.2"],
        "threshold": "sens@0.9",
        "quiet": True,
        "net_benefit": [0.1, 0.2],
        "wanted": 0.1,
        "conflicts": "first",
        "simulated": True,
        "intersections": False,
        "replicates": 9,
        "level": 0.9,
        "min_rows": 3,
        "seed": 4,
        "adjustment": "bh",
        "on_bad_score": "leave_out",
    }


@pytest.mark.parametrize(
    ("flags", "score"),
    [
        (["prob"], ["prob"]),
        (["torch:prob"], {"torch": ["prob"]}),
        (["torch:a,b,c", "vendor:d,e,f"], {"torch": [*"abc"], "vendor": [*"def"]}),
        (["prob", "risk"], {"prob": ["prob"], "risk": ["risk"]}),
        (['"a:b"'], ["a:b"]),
    ],
)
def test_scores(flags, score):
    assert audit_flags.scores(flags) == score


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--score=a,b", "--score=c"], "--score=a,b: expected NAME:column"),
        (["--score=a:p", "--score=a:q"], "two models are called 'a'"),
        (["--score=a:"], "--score=a:: expected NAME:column"),
        (["--reference=race:White,F"], "expected attribute:group"),
        (["--net_benefit=0.1,x"], "--net_benefit: 'x' is not a number"),
        (['--attributes="race'], '--attributes="race: unexpected end of data'),
    ],
)
def test_flags_that_cannot_be_read(words, said):
    with pytest.raises(InputError, match=said.replace("(", "\\(")):
        read_line(*words)


# -- bad input ------------------------------------------------------------------------


def code_of(words: list[str], capfd) -> tuple[int, str]:
    code = script.exit_codes(script.main, words)
    return code, capfd.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"label": "dead"}, "scores.csv has no column 'dead'; it has: id, who, part"),
        ({"score": "who"}, "expected a probability (for logits say --logits or"),
        ({"threshold": "f1"}, "threshold 'f1' comes from validation rows"),
        ({"threshold": "best"}, "threshold 'best': expected"),
        ({"reference": "race:Red"}, "Red"),
        ({"metrics": "auc"}, "auc"),
        ({"level": "1.5"}, "level=1.5"),
        ({"level": "high"}, "flag --level=high"),
        ({"adjustment": "none"}, "flag --adjustment=none"),
        ({"predictions": "no.csv"}, "no.csv cannot be read"),
        ({"score": None}, "--score=... is missing"),
        ({"out": None}, "--out=... is missing"),
        ({"scores": "p"}, "Unknown command line flag 'scores'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(changes, said, line, tmp_path, capfd):
    code, err = code_of(line(**changes), capfd)
    assert code == 2 and err.count("\n") == 1 and said in err
    assert sorted(os.listdir(tmp_path)) == ["scores.csv"]


def test_an_unexpected_word(line, capfd):
    code, err = code_of(line("extra.csv"), capfd)
    assert code == 2 and 'unexpected argument "extra.csv"' in err


def test_an_output_that_is_a_file_is_refused_before_anything(line, tmp_path, capfd):
    (tmp_path / "file").write_text("kept")
    for out, said in (
        (tmp_path / "file", "is a file; expected a folder"),
        (tmp_path / "file" / "in", "cannot be made"),
    ):
        code, err = code_of(line(out=out, predictions="no.csv"), capfd)
        assert code == 2 and said in err and "no.csv" not in err
    assert (tmp_path / "file").read_text() == "kept"


def test_folders_are_taken_back_only_where_it_made_them(line, tmp_path, capfd):
    (tmp_path / "old").mkdir()
    code, _ = code_of(line(out=tmp_path / "old" / "a" / "b", label="no"), capfd)
    assert code == 2 and os.listdir(tmp_path / "old") == []
    (tmp_path / "old" / "kept").write_text("x")
    code, _ = code_of(line(out=tmp_path / "old", label="no"), capfd)
    assert code == 2 and os.listdir(tmp_path / "old") == ["kept"]


def test_as_a_command(line, tmp_path):
    for words, code in ((line("--quiet"), 0), (line(label="no"), 2)):
        command = [sys.executable, "-m", "scripts.audit", *words[1:]]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        assert done.stdout == "" and done.stderr.count("\n") == (code == 2)
    assert "equity_jax: error: scores.csv has no column 'no'" in done.stderr
    assert (tmp_path / "out" / "report.html").exists()


# -- any rows at all ------------------------------------------------------------------

ROWS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, None]),
        st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 1, allow_subnormal=False),
        st.sampled_from(["A", "B", "C", ""]),
        st.sampled_from(["F", ""]),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=40,
)


@settings(deadline=None, max_examples=25)
@given(ROWS, st.booleans())
def test_any_rows_give_numbers_or_say_why_not(rows, weighted):
    names = ("y", "p", "race", "sex", "who")
    table = dict(zip(names, zip(*rows, strict=True), strict=True))
    chosen = {"weight": "who"} if weighted else {"patient": "who"}
    chosen |= {"label": "y", "score": "p", "attributes": ("race", "sex")}
    judged = [r for r in rows if r[0] is not None and (r[4] or not weighted)]
    if not judged:
        with pytest.raises(InputError, match="no test row is left to judge"):
            audit(table, **chosen)
        return
    kept = [r for r in rows if r[4] or not weighted]
    for name, place in (("race", 2), ("sex", 3)):
        if any(r[place] for r in kept):
            continue
        with pytest.raises(InputError, match=f"no row has a value of {name}"):
            audit(table, **chosen)
        return
    report = audit(table, **chosen, replicates=10, min_rows=2, min_blocks=2)
    found = report.table
    assert set(found.status) <= {OK, NOT_ESTIMABLE, SUPPRESSED}
    numbers = found[["value", "low", "high"]]
    fine = found.status == OK
    assert np.isfinite(numbers[fine].to_numpy(float)).all()
    assert numbers[~fine].isna().all(axis=None)
    assert (found[fine].low <= found[fine].high).all()
    assert (found.interval != "").all()  # how it was made, or why it was not
    assert script.lines(report) is not None
    every = view(found, contrast="group", group="all", attribute="race", metric="brier")
    if every.status[0] == OK and not weighted:
        brier = np.mean([(y - p) ** 2 for y, p, *_ in judged])
        assert every.value[0] == pytest.approx(brier, abs=1e-12)
        assert every.n[0] == len(judged)
