"""The one table of scripts.embed, and what its labels mean."""

import numpy as np
import pytest

from equity_jax.config import Data, Embeddings
from equity_jax.data import embeddings
from equity_jax.data.embedding_table import mean, place
from equity_jax.types import TEST, InputError

WORDS = ["COVID", "Normal", "Viral"]
N = 60


def write(folder, header="id,patient,label,split,sex,age,source,file", labels=WORDS):
    """Of a row in three the sex is not recorded; every patient has two images."""
    rng = np.random.default_rng(0)
    lines = [header]
    for i in range(N):
        who = i // 2
        sex, split = (
            ("", "Female", "Male")[who % 3],
            ("train", "valid", "test")[who % 3],
        )
        label = labels[int(rng.integers(len(labels)))]
        line = (f"x{i}", f"P{who}", label, split, sex, f"{20 + who}", "s", f"x{i}.png")
        lines.append(",".join(line))
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    ids = np.array([f"x{i}" for i in range(N)])
    np.savez(folder / "all.npz", id=ids, embedding=rng.normal(size=(N, 5)))
    return folder


def load(folder, recipe=None, **options):
    data = Data(name="embeddings", source=str(folder))
    data.embeddings = Embeddings(**options)
    return embeddings.load(data, recipe=recipe)


def test_one_class_against_the_others(tmp_path):
    dataset = load(write(tmp_path), label="COVID")
    assert dataset.spec.classes == ("not COVID", "COVID") and len(dataset.id) == N
    assert dataset.spec.group == "sex" and dataset.spec.groups == ("Female", "Male")
    assert "Groups are of sex: race is not recorded." in dataset.spec.notes
    said = dataset.table["class"] == "COVID"
    np.testing.assert_array_equal(dataset.y[:, 0], said)
    assert set(dataset.attributes) == {"sex", "age", "source"}
    assert set(dataset.attributes["age"]) == {"18-39", "40-59"}
    assert len(np.unique(dataset.patient)) == N // 2
    assert (dataset.split[4:6] == TEST).all()
    assert any("Official splits are kept" in note for note in dataset.spec.notes)


def test_two_classes_and_all_classes(tmp_path):
    pair = load(write(tmp_path), label="COVID|Normal")
    assert pair.spec.classes == ("Normal", "COVID")
    assert set(pair.table["class"]) == {"COVID", "Normal"}
    left = pair.spec.left_out["class: Viral"]
    assert sum(left.values()) == N - len(pair.id) and "not recorded" in left
    everything = load(tmp_path, label="label")
    assert everything.spec.task == "multiclass(3)"
    assert everything.spec.classes == tuple(WORDS)
    with pytest.raises(InputError, match="label='ef' is no class .* COVID, Normal, V"):
        load(tmp_path)


def test_new_rows_of_other_classes(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old = load(write(tmp_path / "old"), label="COVID|Normal")
    new = write(tmp_path / "new", labels=["COVID", "Opacity"])
    scored = load(new, old.recipe, label="COVID|Normal")
    assert scored.spec.classes == old.spec.classes and len(scored.id) == N
    known = scored.table["class"].to_numpy() == "COVID"
    np.testing.assert_array_equal(scored.mask[:, 0], known)
    assert (scored.y[known] == 1).all() and np.isnan(scored.y[~known]).all()


def test_what_words_mean():
    assert mean(["0.0", "1.0"], "ef") == (
        {"0.0": 0, "1.0": 1},
        ("negative", "positive"),
        (),
    )
    made, classes, notes = mean(["Ill", "Well"], "ef")
    assert made == {"Ill": 1, "Well": 0} and classes == ("Well", "Ill")
    assert notes == ("'Ill' is 1: the first of two by name.",)
    for asked in ("Flu", "COVID|Flu", "COVID|COVID"):
        with pytest.raises(
            InputError, match="expected one of COVID, Normal, Viral, two"
        ):
            mean(WORDS, asked)
    with pytest.raises(InputError, match="expected two classes or more"):
        mean(["COVID"], "COVID")


def test_the_table_alone_may_be_named(tmp_path):
    folder = write(tmp_path)
    (folder / "table.csv").rename(folder / "mine.csv")
    assert place(str(folder)) == ""
    named = load(folder, tables=str(folder / "mine.csv"), label="Viral")
    assert named.spec.classes[1] == "Viral"


CASES = [
    ("x1,", "x0,", "line 3, column 'id': x0 again, as in line 2"),
    (
        ",valid,",
        ",dev,",
        "line 4, column 'split': 'dev'; expected one of: blank, train",
    ),
    (
        ",20,",
        ",old,",
        "line 2, column 'age': 'old'; expected an age in years, 0 to 120",
    ),
    (
        "id,patient",
        "name,patient",
        "line 1, column 'id': missing; the columns are name",
    ),
    (
        "x",
        "y",
        "none of 60 embeddings is in .* embedding is 'x0', one of the table 'y0'",
    ),
]


@pytest.mark.parametrize(("old", "new", "why"), CASES)
def test_bad_tables(tmp_path, old, new, why):
    path = write(tmp_path) / "table.csv"
    text = path.read_text()
    if old == "x":
        head, _, body = text.partition("\n")
        text = head + "\n" + body.replace("\nx", "\ny").replace("x0,", "y0,", 1)
    else:
        text = text.replace(old, new, 1)
    path.write_text(text)
    with pytest.raises(InputError, match=why):
        load(tmp_path, label="COVID")
