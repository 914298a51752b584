"""What is predicted: by ejection fraction, by codes, by the labelers."""

import hospital
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equity_jax.config import Embeddings
from equity_jax.data.mimic_join import join
from equity_jax.data.mimic_names import heart_failure
from equity_jax.types import InputError

NAN = np.nan


def labels(tables=None, **options):
    tables = hospital.tables() if tables is None else tables
    made = join(*hospital.embedded(), tables, Embeddings(**options))
    return made, dict(zip("acdefghi", made.frame["label"], strict=True))


def test_ejection_fraction_of_the_nearest_echo():
    made, y = labels()
    # a: its study is named; c: 10 days before one of 45 and 10 after one of 55, the
    # earlier counts; e: named, without a date; h: exactly 30 days
    ef = dict(zip("acdefghi", made.frame["ef"], strict=True))
    np.testing.assert_equal(
        ef, {"a": 35, "c": 55, "e": 50, "h": 39.9} | dict.fromkeys("dfgi", NAN)
    )
    np.testing.assert_equal(
        made.frame["ef_days"].tolist(), [15, 10, NAN, NAN, NAN, NAN, 30, NAN]
    )
    np.testing.assert_equal(
        y, {"a": 1, "c": 0, "e": 0, "h": 1} | dict.fromkeys("dfgi", NAN)
    )
    assert made.target.classes == ("EF 40 or more", "EF below 40")
    assert made.target.task == "binary"
    assert made.notes[-1] == "4 of 6 ejection fractions label 4 images."
    why = "no ejection fraction within 30 days"
    assert made.frame["lost"].tolist() == ["", "", why, "", why, why, "", why]


def test_windows_cuts_and_classes():
    assert labels(window=10)[0].frame["ef"].notna().tolist() == [
        *(False, True, False, True),  # a study is named, but its date is 15 days away
        *(False, False, False, False),
    ]
    wide = labels(window=60)[0].frame
    assert wide["ef"][2] == 20 and wide["ef_days"][2] == 51
    assert labels(cut=51)[1]["e"] == 1 and labels(cut=50)[1]["e"] == 0
    assert labels(cut=35)[0].target.classes == ("EF 35 or more", "EF below 35")
    made, y = labels(label="ef_classes")
    assert made.target.task == "multiclass(3)" and len(made.target.classes) == 3
    assert [y[k] for k in "aceh"] == [0, 2, 2, 0]
    tables = hospital.tables()
    tables["ejection_fraction"].loc[0, "ef"] = "49.9"
    assert labels(tables, label="ef_classes")[1]["a"] == 1
    for name, value in (("window", -1.0), ("cut", 0.0)):
        with pytest.raises(InputError, match=f"data.embeddings.{name}={value}"):
            labels(**{name: value})


def test_ejection_fractions_that_cannot_be():
    tables = hospital.tables()
    tables["ejection_fraction"]["ef"] = "0.35"
    with pytest.raises(InputError, match="'ef': no value above 1; expected percent"):
        labels(tables)
    tables = hospital.tables()
    tables["ejection_fraction"].loc[4, "date"] = ""
    with pytest.raises(
        InputError, match="line 6, column 'study_id': blank; expected a"
    ):
        labels(tables)


def test_heart_failure_by_the_codes_of_the_admission():
    made, y = labels(label="heart_failure")
    # f and g: the nearest admission is months away; i: none at all
    expected = {"a": 1, "c": 0, "d": 1, "e": 0, "h": 1} | dict.fromkeys("fgi", NAN)
    np.testing.assert_equal(y, expected)
    assert set(made.frame["lost"]) == {"", "no admission within 30 days"}
    assert made.target.classes == ("no heart failure", "heart failure")
    far, y = labels(label="heart_failure", window=400)
    assert set(far.frame["lost"]) == {
        *("", "the admission has no ICD codes", "no admission within 400 days"),
    }
    assert np.isnan(y["f"])  # 912 has no codes


YES = {
    "9": "4280 42820 428.9 39891 40201 40211 40291 40401 40403 40411 40413 40491 40493",
    "10": "I50 I509 I50.22 I50814 I110 I11.0 I130 I132 i50.1",
}
NO = {
    "9": "427 4290 39890 40200 40290 40400 40402 40412 40492 I509 4014",
    "10": "I5 I119 I131 I1310 I139 I51 J500 4280 I1101",
}


@pytest.mark.parametrize("version", ["9", "10"])
def test_codes(version):
    for words, expected in ((YES, True), (NO, False)):
        code = pd.Series(words[version].split())
        found = heart_failure(code, pd.Series(version, code.index))
        assert found.tolist() == [expected] * len(code), code[found != expected]


@given(
    st.sampled_from("I50 I110 4280 40201 I131".split()), st.sampled_from(["9", "10"])
)
def test_dots_and_spaces_do_not_matter(code, version):
    dotted = f" {code[:3]}.{code[3:]} "
    plain, other = (
        heart_failure(pd.Series([c]), pd.Series([version])).tolist()
        for c in (code, dotted)
    )
    assert plain == other


@pytest.mark.parametrize(
    ("policy", "unsure"), [("u-ignore", NAN), ("u-zeros", 0.0), ("u-ones", 1.0)]
)
def test_findings_and_the_policy_for_uncertain_ones(policy, unsure):
    made, y = labels(label="Edema", uncertain=policy)
    known = {"a": 1, "c": unsure, "e": 0, "g": 0} | dict.fromkeys("dfhi", NAN)
    np.testing.assert_equal(y, known)
    assert made.target.notes == (f"1 uncertain labels: policy {policy}.",)
    lost = dict(zip("acdefghi", made.frame["lost"], strict=True))
    assert lost["d"] == "Edema is not mentioned" and lost["h"] == "no row in chexpert"
    assert lost["c"] == ("Edema is uncertain (-1)" if policy == "u-ignore" else "")


def test_no_finding_is_absent_where_it_is_blank():
    made, y = labels(label="No Finding")
    known = {"a": 0, "c": 0, "d": 1, "e": 0, "g": 1} | dict.fromkeys("fhi", NAN)
    np.testing.assert_equal(y, known)
    assert made.target.classes == ("a finding", "No Finding")


def test_the_other_labeler_and_bad_labels():
    tables = hospital.tables()
    tables["negbio"] = tables.pop("chexpert").assign(Edema="1.0")
    y = labels(tables, label="Edema", labeler="negbio")[1]
    assert [y[k] for k in "aceg"] == [1, 1, 1, 1]
    tables["negbio"].loc[3, "Edema"] = "0.5"
    with pytest.raises(
        InputError, match="line 5, column 'Edema': '0.5'; expected 1, 0"
    ):
        labels(tables, label="Edema", labeler="negbio")
    with pytest.raises(InputError, match="label='Oedema'; known: ef, .*Atelectasis"):
        labels(label="Oedema")
    with pytest.raises(InputError, match="uncertain='u-maybe'; known: u-zeros"):
        labels(label="Edema", uncertain="u-maybe")
