"""Reading anybody's predictions: what is read, what is told, what is refused."""

import gzip
import io

import jax
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import mean_poisson_deviance

import equity_jax as ej
from equity_jax import forecasts
from equity_jax.audit.reading.columns import Columns, class_names
from equity_jax.audit.reading.reader import read
from equity_jax.files import csv_text
from equity_jax.systems import System
from equity_jax.tasks import TASKS
from equity_jax.train import Weights
from equity_jax.types import InputError

PLAIN = Columns("y", "p", "sex", patient="who", split="part", id="id")
TABLE = """\
id,who,part,sex,y,p
007,a,test,F,0,0.25
008,a,test,M,1,0.5
009,b,valid,,1,1
010,c,test,,0.0,0
011,d,train,F,1,0.9
"""


def write(tmp_path, text: str | bytes, name: str = "f.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def frame(text: str, **kinds) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), **kinds)


def same(a, b) -> None:
    """Two readings hold the same predictions, validation rows included."""
    np.testing.assert_array_equal(a.prob, b.prob)
    np.testing.assert_array_equal(a.y, b.y)
    np.testing.assert_array_equal(a.mask, b.mask)
    np.testing.assert_array_equal(a.patient, b.patient)
    assert {k: v.tolist() for k, v in a.attributes.items()} == {
        k: v.tolist() for k, v in b.attributes.items()
    }
    assert a.runs == b.runs and (a.valid is None) == (b.valid is None)
    if a.valid is not None:
        same(a.valid, b.valid)


def test_a_binary_table(tmp_path):
    p, found = read(write(tmp_path, TABLE), PLAIN)
    assert p.prob[0, :, 0].tolist() == [0.25, 0.5, 0]
    assert p.y[:, 0].tolist() == [0, 1, 0] and p.mask.all()
    assert p.id.tolist() == ["007", "008", "010"]
    assert p.attributes["sex"].tolist() == ["F", "M", ""]
    assert p.patient[0] == p.patient[1] != p.patient[2]
    assert p.runs == [{"seed": 0, "method": "p", "scheme": ""}]
    assert p.valid.id.tolist() == ["009"] and p.valid.prob.tolist() == [[[1.0]]]
    assert (p.weight, p.ratios, p.valid.valid) == (None, {}, None)
    assert (found.source, found.labels, found.kind) == ("f.csv", ("y",), "binary")
    assert (found.unit, found.left_out) == ("patient", {"training row": 1})
    assert found.notes == ["Left out, training row: 1 row."]


def test_the_fingerprint_is_that_of_the_bytes(tmp_path):
    import hashlib

    _, found = read(write(tmp_path, TABLE), PLAIN)
    assert found.fingerprint == hashlib.sha256(TABLE.encode()).hexdigest()


@pytest.mark.parametrize(
    "raw",
    [
        TABLE.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + TABLE.encode(),
        TABLE.replace("\n", "\n\n").encode(),
        TABLE.replace("\n", "\n \t\n").encode(),
        ("\n" + TABLE.replace(",", " , ")).encode(),
        TABLE.replace("M", '"M"').encode(),
        TABLE.rstrip().encode(),
        gzip.compress(TABLE.encode()),
        TABLE.replace("valid", "Dev").replace("test", "held-OUT").encode(),
        TABLE.replace(",0,", ",False,").replace(",1,", ",TRUE,").encode(),
        TABLE.replace(",,", ",nan,").encode(),
    ],
)
def test_writings_of_one_table(raw, tmp_path):
    expected, _ = read(write(tmp_path, TABLE), PLAIN)
    p, _ = read(write(tmp_path, raw, "g.csv.gz"), PLAIN)
    same(p, expected)
    assert p.id.tolist() == expected.id.tolist()


def test_frames_and_arrays_read_as_the_file(tmp_path):
    expected, found = read(write(tmp_path, TABLE), PLAIN)
    whole = frame(TABLE)
    kinds = (
        whole,
        whole.convert_dtypes(),
        whole.astype({"sex": "category", "p": "Float64", "y": object}),
        whole.set_index(np.arange(5) + 40),
        {k: whole[k].to_numpy() for k in whole},
        {k: whole[k].tolist() for k in whole},
    )
    prints = []
    for source in kinds:
        p, told = read(source, PLAIN)
        same(p, expected)
        assert (told.left_out, told.notes) == (found.left_out, found.notes)
        prints.append(told.fingerprint)
    assert prints[0] == prints[3] == prints[4]  # the content, not the index
    changed = whole.assign(p=whole.p.replace(0.25, 0.26))
    assert read(changed, PLAIN)[1].fingerprint not in prints


def test_the_source_is_left_alone():
    whole = frame(TABLE)
    before = whole.copy(deep=True)
    p, _ = read(whole, PLAIN)
    p.prob[:] = 9
    pd.testing.assert_frame_equal(whole, before)


def test_long_numbers_and_commas_stay_text(tmp_path):
    text = 'id,g,y,p\n00012345678901234567890,"Lee, Ann",1,0.1\n1e3,"a\nb",0,0.2\n'
    p, _ = read(write(tmp_path, text), Columns("y", "p", "g", id="id"))
    assert p.id.tolist() == ["00012345678901234567890", "1e3"]
    assert p.attributes["g"].tolist() == ["Lee, Ann", "a\nb"]


def test_without_an_id_rows_are_called_by_their_line(tmp_path):
    p, _ = read(write(tmp_path, "y,p\n0,0.1\n\n1,0.2\n"), Columns("y", "p"))
    assert p.id.tolist() == ["2", "4"]


def test_without_patient_and_split_it_says_so():
    p, found = read({"y": [0, 1], "p": [0.1, 0.2]}, Columns("y", "p"))
    assert found.unit == "row" and p.valid is None
    assert len(set(p.patient)) == 2
    assert [n.split(" column")[0] for n in found.notes] == ["No patient", "No split"]


def test_scores_keep_every_bit():
    values = np.random.default_rng(0).random(200)
    text = "y,p\n" + "".join(f"1,{v!r}\n" for v in values.tolist())
    whole = frame(text, dtype=str)
    p, _ = read(whole, Columns("y", "p"))
    np.testing.assert_array_equal(p.prob[0, :, 0], values)


# -- kinds of labels ------------------------------------------------------------------


def test_several_labels():
    text = "A,B,pA,pB\n1,,0.9,0.8\n0,1,0.1,\n,,,\n"
    columns = Columns(("A", "B"), ("pA", "pB"))
    with pytest.raises(InputError, match="row 1, column 'pB': expected a score"):
        read(frame(text), columns)
    p, found = read(frame(text), columns, on_bad_score="leave_out")
    assert found.kind == "multilabel"
    assert p.mask.tolist() == [[1, 0], [1, 0], [0, 0]]
    assert p.prob[0].tolist() == [[0.9, 0], [0.1, 0], [0, 0]]
    assert p.y[:2, 0].tolist() == [1, 0] and np.isnan(p.y[2, 0])
    assert found.left_out == {
        "no label: A": 1,
        "no label: B": 2,
        "score missing or not finite: B": 1,
    }


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ("p_COVID,p_Normal,p_Viral", "COVID,Viral,,Normal"),
        ("p_COVID,p_Cold,p_Viral", "COVID,Viral,,Cold"),
        ("COVID prob,Normal prob,Viral prob", "COVID,Viral,,Normal"),
        ("p.0,p.1,p.2", "0,2,,1"),
        ("p_a,p_b,p_c", "0,2.0,,1"),
        ("a_x,a_y,a_z", "a_x,a_z,,a_y"),
    ],
)
def test_classes(scores, labels):
    rows = [f"{y},0.5,0.3,0.2" for y in labels.split(",")]
    text = "\n".join([f"y,{scores}", *rows])
    p, found = read(frame(text, dtype=str), Columns("y", scores.split(",")))
    np.testing.assert_array_equal(p.y[:, 0], [0, 2, np.nan, 1])
    assert p.prob.shape == (1, 4, 3) and p.mask[:, 0].tolist() == [1, 1, 0, 1]
    assert p.prob[0, 0].tolist() == [0.5, 0.3, 0.2] and not p.prob[0, 2].any()
    assert found.classes == class_names(scores.split(","))
    assert (found.kind, found.left_out) == ("multiclass", {"no label": 1})
    assert p.runs[0]["method"] == "model"


def test_classes_may_be_named():
    table = {"y": ["B", "C", "A"], "u": [1, 0, 0], "v": [0, 1, 0], "w": [0, 0, 1.0]}
    columns = Columns("y", ("u", "v", "w"), classes=("B", "C", "A"))
    p, found = read(table, columns)
    assert p.y[:, 0].tolist() == [0, 1, 2] and found.classes == ("B", "C", "A")


def test_scores_that_do_not_add_up_are_told():
    table = {"y": [0, 1, 2], "p0": [0.5] * 3, "p1": [0.3] * 3, "p2": [0.2, 0.3, 0.2]}
    _, found = read(table, Columns("y", ("p0", "p1", "p2")))
    assert "The scores of 1 row do not add up to 1." in found.notes


def test_logits():
    z = np.array([[-2.0, 0.5, 30.0], [0.0, 1.0, -40.0]])
    table = {"y": [0, 1], "a": z[:, 0], "b": z[:, 1], "c": z[:, 2]}
    p, _ = read(table, Columns("y", "a"), logits=True)
    np.testing.assert_allclose(p.prob[0, :, 0], 1 / (1 + np.exp(-z[:, 0])), rtol=1e-12)
    p, _ = read(table, Columns("y", ("a", "b", "c")), logits=True)
    np.testing.assert_allclose(p.prob[0], softmax(z, axis=1), rtol=1e-12)


@pytest.mark.parametrize(
    ("cells", "positive", "y"),
    [
        (["yes", "no", "yes"], "yes", [1, 0, 1]),
        (["2", "1", "2"], "2", [1, 0, 1]),
        ([2.0, 1.0, 2.0], "2", [1, 0, 1]),
        (["0", "1", "0"], "0", [1, 0, 1]),
        ([True, False, True], "", [1, 0, 1]),
    ],
)
def test_the_positive_class(cells, positive, y):
    p, _ = read({"y": cells, "p": [0.1] * 3}, Columns("y", "p"), positive=positive)
    assert p.y[:, 0].tolist() == y


def test_a_positive_class_against_several_says_so():
    table = {"y": ["x", "y", "z"], "p": [0.1] * 3}
    _, found = read(table, Columns("y", "p"), positive="x")
    assert "y: x is 1; 0 stands for y, z." in found.notes


def test_counts():
    rng = np.random.default_rng(1)
    mu = rng.gamma(2.0, 3.0, 50)
    y = rng.poisson(mu).astype(float)
    y[:3] = [0, np.nan, 4.5]  # a count need not be whole
    exposure = np.full(50, 100.0)
    exposure[3:6] = [0, np.nan, 0]
    mu[4] = y[5] = np.nan  # without exposure nothing is expected
    table = {"y": y, "mu": mu, "e": exposure}
    p, found = read(table, Columns("y", "mu", exposure="e"))
    use = np.ones(50, bool)
    use[[1, 3, 4, 5]] = False
    assert p.mask[:, 0].tolist() == use.tolist()
    assert np.isnan(p.y).all() and found.kind == "count"
    np.testing.assert_array_equal(p.prob[0, use, 0], mu[use])
    oe, deviance = p.ratios["observed_expected"], p.ratios["deviance"]
    np.testing.assert_allclose(
        oe.num.sum() / oe.den.sum(), y[use].sum() / mu[use].sum()
    )
    expected = mean_poisson_deviance(y[use], mu[use])
    np.testing.assert_allclose(deviance.num.sum() / deviance.den.sum(), expected)
    assert deviance.den.sum() == 46
    assert found.left_out == {"no label": 2, "no exposure": 2}


# -- several models -------------------------------------------------------------------


def long(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The same scores wide, and long in a random order."""
    rng = np.random.default_rng(seed)
    n = 30
    wide = pd.DataFrame(
        {
            "id": [f"{i:03d}" for i in range(n)],
            "who": rng.integers(0, 9, n),
            "part": rng.choice(["test", "valid", "train"], n),
            "sex": rng.choice(["F", "M", ""], n),
            "y": rng.integers(0, 2, n),
            "torch": rng.random(n),
            "vendor": rng.random(n),
        }
    )
    parts = [
        wide.drop(columns=["torch", "vendor"]).assign(net=name, p=wide[name])
        for name in ("torch", "vendor")
    ]
    vendor = parts[1].sample(frac=1, random_state=seed)
    return wide, pd.concat([parts[0], vendor], ignore_index=True)


def test_long_is_wide(tmp_path):
    wide, rows = long()
    both = {"patient": "who", "split": "part", "id": "id"}
    models = {"torch": "torch", "vendor": "vendor"}
    expected, told = read(wide, Columns("y", models, "sex", **both))
    columns = Columns("y", "p", "sex", system="net", **both)
    rows.to_csv(tmp_path / "long.csv", index=False)
    for source in (rows, tmp_path / "long.csv"):
        p, found = read(source, columns)
        same(p, expected)
        assert p.id.tolist() == expected.id.tolist()
        assert found.left_out == told.left_out and found.notes == told.notes
    assert [run["method"] for run in p.runs] == ["torch", "vendor"]


def test_a_bad_score_of_one_model_leaves_the_row_out_for_all():
    wide, _ = long()
    wide["part"] = "test"
    wide.loc[4, "vendor"] = np.inf
    columns = Columns("y", {"a": "torch", "b": "vendor"}, "sex")
    with pytest.raises(InputError, match="row 4, column 'vendor': .* found inf"):
        read(wide, columns)
    p, found = read(wide, columns, on_bad_score="leave_out")
    assert p.mask[:, 0].tolist() == [i != 4 for i in range(30)]
    assert not p.prob[:, 4].any()
    assert found.left_out == {"score missing or not finite": 1}


def refused_long(change) -> str:
    _, rows = long()
    columns = Columns("y", "p", "sex", id="id", system="net", split="part")
    with pytest.raises(InputError) as caught:
        read(change(rows), columns)
    return str(caught.value)


def test_models_must_have_the_same_rows():
    said = refused_long(lambda rows: rows.drop(index=7))
    part = long()[1].part[7]
    place = int(np.flatnonzero(long()[1].id == "007")[1])
    assert said == (
        f"DataFrame: net 'torch' has no {part} row of id '007' (row {place} has one); "
        "every model must score the same rows"
    )


def test_models_must_agree_on_the_label():
    rows = long()[1]
    i = int(np.flatnonzero(rows.id == "007")[1])
    rows.loc[i, "y"] = 1 - rows.y[i]
    new, old = rows.y[i], 1 - rows.y[i]
    assert refused_long(lambda _: rows) == (
        f"DataFrame, row {i}, column 'y': '{new}', but '{old}' for the same id of "
        "'torch' (row 7)"
    )


def test_an_id_twice():
    rows = long()[1]
    again = pd.concat([rows, rows.iloc[[7]]], ignore_index=True)
    said = refused_long(lambda _: again)
    assert said == "DataFrame, row 7, column 'id': '007' is also the id of row 60"


def test_one_id_may_stand_in_two_splits():
    table = {"id": [1, 1], "part": ["val", "test"], "y": [0, 1], "p": [0.1, 0.2]}
    p, _ = read(table, Columns("y", "p", id="id", split="part"))
    assert (p.id.tolist(), p.valid.id.tolist()) == (["1"], ["1"])


# -- what is told ---------------------------------------------------------------------


def test_weights():
    table = {"y": [0, 1, 1, 0], "p": [0.1] * 4, "w": [2, 0, 0.5, 3]}
    table["part"] = ["test", "test", "test", "val"]
    p, found = read(table, Columns("y", "p", weight="w", split="part"))
    assert p.weight.tolist() == [2, 0.5] and p.valid.weight.tolist() == [3]
    assert found.left_out == {"weight 0": 1}


def test_patients_in_both_splits_and_without_a_name():
    table = {
        "who": ["a", "b", "a", "b", "c", "", ""],
        "part": ["val"] * 2 + ["test"] * 5,
        "y": [0, 1, 0, 1, 0, 1, 0],
        "p": [0.5] * 7,
    }
    p, found = read(table, Columns("y", "p", patient="who", split="part"))
    assert found.notes == [
        "2 rows without a patient: each counts as its own.",
        "2 patients are in both the validation and the test rows (leakage).",
    ]
    assert len(set(p.patient)) == 5
    assert p.patient[:2].tolist() == p.valid.patient.tolist()


def test_rows_left_out_are_counted_by_split():
    table = {
        "part": ["left out", "train", "val", "val", "test", "test"],
        "y": ["", "", "", 1, "", 1],
        "p": [0.5] * 6,
    }
    p, found = read(table, Columns("y", "p", split="part"))
    assert found.left_out == {
        "training row": 1,
        "left out by the split column": 1,
        "no label": 1,
        "no label (validation)": 1,
    }
    assert p.mask.tolist() == [[0], [1]] and p.valid.mask.tolist() == [[0], [1]]


def test_a_split_column_without_validation_rows():
    table = {"part": ["test"], "y": [1], "p": [0.5]}
    p, found = read(table, Columns("y", "p", split="part"))
    assert p.valid is None
    assert (
        "There are no validation rows: no threshold can come from them." in found.notes
    )


# -- what is refused ------------------------------------------------------------------

TWO = Columns("y", "p", "sex")
BASE = "y,p,sex\n0,0.1,F\n1,0.2,M\n"
HINT = "name the positive class with --positive or positive="
LEAVE = "to leave such rows out say on_bad_score='leave_out' or --bad_scores=leave_out"
BAD = {
    "": "f.csv is empty; expected a header and rows",
    "y,p,sex\n": "f.csv has a header but no rows",
    "y,p,sex\n0,0.1\n": "f.csv, line 2: 2 cells; the header has 3",
    "y,p,sex\n0,0.1,F\n\n0,0.1,F,3\n": "f.csv, line 4: 4 cells; the header has 3",
    'y,p,sex\n0,0.1,"F\n': "f.csv, line 2: not a CSV (unexpected end of data)",
    'y,p,sex\n0,0.1,"F"x\n': "f.csv, line 2: not a CSV (',' expected after '\"')",
    "y,p,sex,p\n0,0.1,F,1\n": "f.csv has 2 columns called 'p'",
    "y,P,sex\n0,0.1,F\n": "f.csv has no column 'p'; did you mean 'P'?",
    "y,q,race\n0,0.1,F\n": "f.csv has no column 'p'; it has: y, q, race",
    "y;p;sex\n0;0.1;F\n": "f.csv has no column 'y'; it has: y;p;sex",
    b"y,p,sex\n0,0.1,F\n1,0.1,\xe9\n": (
        "f.csv, line 3: byte 0xe9 is not UTF-8; save the file as UTF-8"
    ),
    b"PK\x03\x04\0\0": "f.csv is not a text file; expected CSV in UTF-8",
    gzip.compress(BASE.encode())[:-9]: "f.csv: the gzip is truncated or damaged",
    BASE
    + "2,0.1,F\n": f"f.csv, line 4, column 'y': expected 0 or 1, found '2'; {HINT}",
    BASE + "yes,0.1,F\n": (
        f"f.csv, line 4, column 'y': expected 0 or 1, found 'yes'; {HINT}"
    ),
    BASE + 'x,0.1,"F\nF"\n1,1.7,F\n': (
        f"f.csv, line 4, column 'y': expected 0 or 1, found 'x'; {HINT}"
    ),
    BASE + '1,0.1,"F\nF"\n1,1.7,F\n': (
        "f.csv, line 6, column 'p': expected a probability (for logits say --logits or "
        "logits=True), found 1.7"
    ),
    BASE + "1,-0.1,F\n": (
        "f.csv, line 4, column 'p': expected a probability (for logits say --logits or "
        "logits=True), found -0.1"
    ),
    BASE + "1,high,F\n": "f.csv, line 4, column 'p': expected a number, found 'high'",
    BASE + "1,1_0,F\n": "f.csv, line 4, column 'p': expected a number, found '1_0'",
    BASE + "1,,F\n": (
        f"f.csv, line 4, column 'p': expected a score, found an empty cell; {LEAVE}"
    ),
    BASE + "1,-inf,F\n": (
        f"f.csv, line 4, column 'p': expected a score, found -inf; {LEAVE}"
    ),
    "y,p,sex\n,0.1,F\n": "f.csv: no test row is left to judge (no label: 1)",
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_bad_files(text, tmp_path):
    with pytest.raises(InputError) as caught:
        read(write(tmp_path, text), TWO)
    assert str(caught.value) == BAD[text]


def test_no_file(tmp_path):
    for path, words in ((tmp_path / "no.csv", "No such file"), (tmp_path, "a folder")):
        with pytest.raises(InputError, match=words):
            read(path, TWO)


ROWS = {"y": [0, 1], "p": [0.1, 0.2], "n": [1, 2], "part": ["test", "val"]}


@pytest.mark.parametrize(
    ("change", "columns", "how", "said"),
    [
        ({"part": ["fold1", "t"]}, {"split": "part"}, {},
         "arrays, row 0, column 'part': expected train, valid or test, found "
         "'fold1', 't'"),
        ({"part": ["train", ""]}, {"split": "part"}, {},
         "arrays, row 1, column 'part': expected train, valid or test, found ''"),
        ({"part": ["train", "dev"]}, {"split": "part"}, {},
         "arrays: no test row is left to judge (training row: 1)"),
        ({"n": [1, -1]}, {"weight": "n"}, {},
         "arrays, row 1, column 'n': expected a weight of 0 or more, found -1"),
        ({"n": [1, np.nan]}, {"weight": "n"}, {},
         "arrays, row 1, column 'n': expected a weight of 0 or more, found nan"),
        ({"n": [0, 0]}, {"weight": "n"}, {},
         "arrays: no test row is left to judge (weight 0: 2)"),
        ({"n": [1, -1]}, {"exposure": "n"}, {},
         "arrays, row 1, column 'n': expected an exposure of 0 or more, found -1"),
        ({"n": [1, np.inf]}, {"exposure": "n"}, {},
         "arrays, row 1, column 'n': expected an exposure of 0 or more, found inf"),
        ({"y": [1, np.inf]}, {"exposure": "n"}, {},
         "arrays, row 1, column 'y': expected a count of 0 or more, found inf"),
        ({"p": [True, False]}, {}, {},
         "arrays, row 0, column 'p': expected a number, found 'True'"),
        ({"y": [1, -1]}, {"exposure": "n"}, {},
         "arrays, row 1, column 'y': expected a count of 0 or more, found -1"),
        ({"p": [-1, 1]}, {"exposure": "n"}, {},
         "arrays, row 0, column 'p': expected a mean count of 0 or more, found -1"),
        ({"p": [1, 0]}, {"exposure": "n"}, {},
         "arrays, row 1, column 'p': expected 0 where the count is 1"),
        ({"n": ["", 2]}, {"id": "n"}, {},
         "arrays, row 0, column 'n': the cell is empty"),
        ({"n": [2, 2]}, {"id": "n"}, {},
         "arrays, row 0, column 'n': '2' is also the id of row 1"),
        ({}, {}, {"positive": "yes"}, "arrays: no label is 'yes'; found: 0, 1"),
        ({}, {}, {"on_bad_score": "drop"},
         "on_bad_score='drop'; expected error or leave_out"),
        ({}, {"exposure": "n"}, {"logits": True},
         "counts (with exposure=) take neither logits nor positive="),
        ({}, {"score": ("p", "n", "y2")}, {"positive": "1"},
         "positive= is for labels of two classes"),
        ({}, {"score": ("p", "n")}, {},
         "one label and two scores: give the positive class's score alone, or name two "
         "models with model:column"),
        ({}, {"label": ("y", "n")}, {},
         "2 labels but 1 score columns of 'p'; expected one score a label, in the same "
         "order"),
        ({}, {"label": ()}, {}, "name at least one label column and one score column"),
        ({}, {"score": {}}, {}, "name at least one label column and one score column"),
        ({}, {"score": "y"}, {}, "column 'y' is both label and score"),
        ({}, {"attributes": ("n", "n")}, {}, "attribute 'n' is given twice"),
        ({}, {"system": "n"}, {},
         "system='n' needs id=, by which the models' rows are matched"),
        ({}, {"system": "n", "id": "n", "score": {"a": "p", "b": "p"}}, {},
         "system= names the models: give one score, not several"),
        ({}, {"classes": ("a", "b")}, {},
         "classes= goes with one label and a score for each class"),
        ({}, {"score": {"a": ("p", "n", "q"), "b": ("p",)}}, {},
         "1 score columns of 'b'; expected 3, one a class"),
        ({"n": [1]}, {"attributes": "n"}, {},
         "arrays have different lengths: y 2, p 2, n 1"),
        ({"p": [[0.1], [0.2]]}, {}, {},
         "arrays, column 'p': shape (2, 1); expected one axis"),
        ({"n": [[], []]}, {"attributes": "n"}, {},
         "arrays, column 'n': shape (2, 0); expected one axis"),
        ({"y": [], "p": []}, {}, {}, "arrays: no rows"),
    ],
)  # fmt: skip
def test_bad_columns(change, columns, how, said):
    with pytest.raises(InputError) as caught:
        read(ROWS | change, Columns(**({"label": "y", "score": "p"} | columns)), **how)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (7, "cannot read int; give a CSV file, a DataFrame or a dict"),
        (
            pd.DataFrame({"y": [[1], [2]], "p": [0.1, 0.2]}),
            "DataFrame, column 'y': expected cells of text or numbers",
        ),
        (
            pd.DataFrame([[1, 0.1, 0.2]], columns=["y", "p", "p"]),
            "DataFrame has 2 columns called 'p'",
        ),
    ],
)
def test_bad_sources(source, said):
    with pytest.raises(InputError) as caught:
        read(source, Columns("y", "p"))
    assert str(caught.value) == said


def test_classes_that_do_not_match():
    table = {"y": ["Flu", "B"], "p_A": [1, 0], "p_B": [0, 1], "p_C": [0, 0]}
    table |= {"q_B": [0, 1], "q_A": [1, 0], "q_C": [0, 0]}
    ours, theirs = ("p_A", "p_B", "p_C"), ("q_B", "q_A", "q_C")
    for score, said in (
        (ours, "arrays, row 0, column 'y': expected one of the classes A, B, C (from "
         "the score columns), found 'Flu'"),
        ({"us": ours, "them": theirs}, "the score columns of 'them' name the classes "
         "B, A, C, those of 'us' A, B, C; expected the same order"),
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            read(table, Columns("y", score))
        assert str(caught.value) == said


# -- any table at all -----------------------------------------------------------------

LABELS = {"0": 0, "1": 1, "1.0": 1, "true": 1, "False": 0, "": None}
SCORES = {"0": 0, "0.5": 0.5, "1": 1, "5e-1": 0.5, " .25": 0.25, "": None, "inf": None}
PARTS = {"test": 2, "held out": 2, "VAL": 1, "training": 0}
CELLS = st.tuples(
    st.sampled_from([*LABELS, "2", "x"]),
    st.sampled_from([*SCORES, "1.5", "-1", "x"]),
    st.sampled_from(["A", "B", ""]),
    st.sampled_from([*PARTS, "fold"]),
    st.sampled_from("abcdefgh"),
)
GOOD = st.tuples(
    st.sampled_from([*LABELS]),
    st.sampled_from([*SCORES]),
    st.sampled_from(["A", "B", ""]),
    st.sampled_from([*PARTS]),
    st.uuids().map(str),
)


def expected(rows: list[tuple], leave_out: bool) -> list[tuple] | None:
    """By hand: (part, group, y, prob) of each row; None: it must be refused."""
    if any(part not in PARTS for *_, part, _ in rows):
        return None
    seen = [(PARTS[part], name) for *_, part, name in rows]
    if len(set(seen)) < len(seen):
        return None
    found = []
    for label, score, group, part, _ in rows:
        if PARTS[part] == 0:
            continue
        if label not in LABELS:
            return None
        if score == "x":
            return None
        y = LABELS[label]
        prob = SCORES.get(score, 9)
        if y is not None and (prob == 9 or (prob is None and not leave_out)):
            return None
        if y is None or prob is None:
            prob = None
        found.append((PARTS[part], group, y, prob))
    usable = [part for part, _, _, prob in found if prob is not None]
    return found if 2 in usable else None


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(
        st.lists(CELLS, min_size=1, max_size=4),
        st.lists(GOOD, min_size=1, max_size=12),
    ),
    st.booleans(),
)
def test_any_table_is_read_or_refused(rows, leave_out):
    table = dict(zip("y p g part id".split(), zip(*rows, strict=True), strict=True))
    columns = Columns("y", "p", "g", split="part", id="id")
    how = {"on_bad_score": "leave_out" if leave_out else "error"}
    wanted = expected(rows, leave_out)
    if wanted is None:
        with pytest.raises(InputError) as caught:
            read(table, columns, **how)
        assert "\n" not in str(caught.value) and str(caught.value).startswith("arrays")
        return
    p, found = read(table, columns, **how)
    parts = {2: p} | ({1: p.valid} if p.valid else {})
    for part in (1, 2):
        mine = [row for row in wanted if row[0] == part]
        assert bool(mine) == (part in parts)
        if not mine:
            continue
        _, group, y, prob = zip(*mine, strict=True)
        got = parts[part]
        assert got.attributes["g"].tolist() == list(group)
        assert got.mask[:, 0].tolist() == [v is not None for v in prob]
        assert got.prob[0, :, 0].tolist() == [v or 0 for v in prob]
        assert [None if np.isnan(v) else v for v in got.y[:, 0]] == list(y)
    lost = sum(prob is None for *_, prob in wanted) + len(rows) - len(wanted)
    assert sum(found.left_out.values()) == lost


# -- our own file ---------------------------------------------------------------------


def test_our_own_predictions(tmp_path):
    deaths = ej.load("deaths", twin=ej.Twin(months=16))
    task = TASKS.get(deaths.spec.task)
    model = ej.model("mlp(4)", task.outputs, task.constants)
    keys = {run: jax.random.key(run) for run in (0, 1)}
    weights = {r: Weights(*model.init(k, deaths.x[:1])) for r, k in keys.items()}
    both = System(0, "erm", "mixture", "mixture", {}, 0)
    systems = [both, both._replace(method="group_dro", fallback=1)]
    made = forecasts.table(deaths, task, model, systems, weights, ej.Data())
    path = write(tmp_path, csv_text(made), "predictions.csv")
    columns = Columns(
        "y", "mu", "race", patient="patient", split="split", id="id", system="system",
        exposure="exposure",
    )  # fmt: skip
    p, found = read(path, columns)
    names = [system.name for system in systems]
    assert [run["method"] for run in p.runs] == names and len(names) > 1
    raw = pd.read_csv(path, dtype={"id": str}, keep_default_na=False, na_values=[""])
    for s, name in enumerate(names):
        mine = raw[(raw.system == name) & (raw.split == "test")]
        use = mine.y.notna() & mine.mu.notna()
        assert p.id.tolist() == mine.id.tolist()
        assert p.mask[:, 0].tolist() == use.tolist() and use.any() and (~use).any()
        oe = p.ratios["observed_expected"]
        got = oe.num[s].sum() / oe.den[s].sum()
        np.testing.assert_allclose(got, mine.y[use].sum() / mine.mu[use].sum())
    hidden = int((mine.y.isna()).sum())
    assert found.left_out["no label"] == hidden
    assert p.valid is not None and found.kind == "count"
    races = set(p.attributes["race"])
    assert races - {""} == set(deaths.spec.groups)
