"""Image network and head side by side: the same rows, counted work, paired gains."""

import dataclasses
from types import SimpleNamespace

import cv2
import jax
import numpy as np
import pandas as pd
import pytest

from equity_jax.audit import NOT_ESTIMABLE
from equity_jax.config import Config, Cost, Data
from equity_jax.store import open_run
from equity_jax.types import LEFT_OUT, TEST, TRAIN, VALID, Dataset, InputError, Spec
from experiments import ef_cost
from experiments.ef_cost import AGAIN, EMBEDDING, FIRST, HEAD, NETWORK, UPDATE
from experiments.ef_cost_data import from_files, later, prepare, refuse, without
from experiments.ef_cost_fits import FRESH, Bench, size_of

TINY = Config(
    data=Data(name="embeddings"), cost=Cost(patients=160, steps=12, size=16, update=60)
)
TINY.audit.replicates = 50
NAMES = (HEAD, NETWORK, AGAIN)


def dataset(n: int = 240, files: tuple[str, ...] = ()) -> Dataset:
    """Rows of 80 patients in which the first of four features tells the label."""
    rng = np.random.default_rng(0)
    patient = np.arange(n) // 3
    y = (np.arange(n) % 2)[:, None].astype(np.float32)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    x[:, 0] += 3 * y[:, 0]
    split = np.array([TRAIN, TRAIN, TRAIN, VALID, TEST])[patient % 5].astype(np.int8)
    classes = ("no", "yes")
    spec = Spec(
        *("embeddings", "binary", (), ("label",), classes, "sex", ("Male",), "Male"),
        *("patient", False, ""),
    )
    names = np.array([f"i{k}" for k in range(n)])
    table = pd.DataFrame({"file": files} if files else {"label": y[:, 0]})
    people = {"sex": np.full(n, "Male")}
    mask = np.ones_like(y)
    return Dataset(spec, x, y, mask, people, split, names, patient, table=table)


def result(tmp_path, config: Config = TINY, simulated: bool = True) -> SimpleNamespace:
    data = dataset()
    data = data._replace(spec=data.spec._replace(simulated=simulated))
    return SimpleNamespace(store=open_run(str(tmp_path / "run"), config), dataset=data)


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """The section of the twin, cost.csv, and what it was made of."""
    made = result(tmp_path_factory.mktemp("cost"))
    bench, rows = prepare(made)
    trials = ef_cost.compare(bench, rows)
    return bench, rows, trials, ef_cost.table(bench, rows, trials)


def test_the_same_rows_for_all_and_no_row_that_is_not_there_yet(twin):
    bench, rows, _, made = twin
    assert rows.images.x.shape[1:] == (16, 16, 1) and rows.vectors.x.shape[1] == 256
    assert len(rows.images.x) == len(rows.vectors.x)
    for stage in (FIRST, UPDATE):
        mine = made[(made["stage"] == stage) & made["system"].isin(NAMES)]
        assert list(mine["system"]) == list(NAMES) and mine["rows"].nunique() == 1
    first, last = (made.loc[made["stage"] == s, "rows"].min() for s in (FIRST, UPDATE))
    assert last == np.sum(rows.images.split == TRAIN) and 50 <= last - first <= 60
    mine = rows.vectors.x[rows.images.split == TRAIN]
    assert np.abs(mine.mean(0)).max() < 1e-3
    assert "SIMULATED" in rows.words and "never told" in rows.words


def test_work_is_counted_and_the_head_has_little(twin):
    *_, made = twin
    rows = made.set_index(["system", "stage"])
    for stage in (FIRST, UPDATE):
        head, net = rows.loc[(HEAD, stage)], rows.loc[(NETWORK, stage)]
        assert net["gflop"] > 1000 * head["gflop"]
        assert net["mbyte"] > 10 * head["mbyte"]
        assert (head["parameters"], net["parameters"]) == (2 * 256 + 2, 388_834)
    assert rows.loc[(HEAD, FIRST), "steps"] == 12
    assert rows.loc[(HEAD, UPDATE), "steps"] == 6
    work = rows.loc[(NETWORK, FIRST), "gflop"]
    assert work == pytest.approx(2 * rows.loc[(NETWORK, UPDATE), "gflop"])
    assert rows.loc[(EMBEDDING, FIRST), "parameters"] == 0
    assert (made["seconds"] >= made["seconds_running"]).all()


def test_gains_are_differences_with_their_intervals(twin):
    *_, made = twin
    rows = made.set_index(["stage", "system"])
    for stage in (FIRST, UPDATE):
        for system in (NETWORK, AGAIN):
            r, head = rows.loc[(stage, system)], rows.loc[(stage, HEAD)]
            assert r["gain"] == pytest.approx(r["auroc"] - head["auroc"])
            assert r["gain_low"] < r["gain"] < r["gain_high"]
            assert r["low"] < r["auroc"] < r["high"]
    assert made.loc[made["system"] == HEAD, "gain"].isna().all()


def test_no_auroc_without_its_interval(twin):
    bench, rows, trials, _ = twin
    few = np.flatnonzero(rows.images.split == TEST)[4:]  # four test images are left
    split = rows.images.split.copy()
    split[few] = LEFT_OUT
    assert np.sum(split == TEST) == 4
    trials = [t._replace(prob=t.prob[:4]) for t in trials]
    fewer = rows._replace(images=rows.images._replace(split=split))
    made = ef_cost.table(bench, fewer, trials)
    assert made["auroc"].isna().all()
    text = ef_cost.shown(made, FIRST)
    blank = text[""] == EMBEDDING
    assert (text.loc[~blank, "AUROC"] == NOT_ESTIMABLE).all()
    assert (text.loc[blank, "AUROC"] == "").all()


def test_again_gives_the_same_but_for_the_seconds(twin):
    bench, rows, _, made = twin
    again = ef_cost.table(bench, rows, ef_cost.compare(bench, rows))
    timed = ["seconds", "seconds_running"]
    pd.testing.assert_frame_equal(made.drop(columns=timed), again.drop(columns=timed))


def test_the_section_says_it_in_words(twin, tmp_path, monkeypatch):
    bench, rows, trials, made = twin
    monkeypatch.setattr(ef_cost, "prepare", lambda result: (bench, rows))
    monkeypatch.setattr(ef_cost, "compare", lambda *_: trials)
    given = result(tmp_path)
    section = ef_cost.cost(given)
    assert given.store.read_csv("cost.csv").shape == made.shape
    text = " ".join(section.text)
    for words in ("To train", "To update", "minus the head's", "XLA", "SIMULATED"):
        assert words in text
    first, last = (table.frame for table in section.tables)
    assert len(first) == 4 and len(last) == 3 and EMBEDDING in list(first[""])
    assert first.iloc[0]["minus the head's"] == ""


def test_real_embeddings_without_images_say_what_to_run(tmp_path):
    given = result(tmp_path, simulated=False)
    section = ef_cost.cost(given)
    assert "scripts.embed" in section.text[0] and not section.tables
    assert not (given.store.path / "cost.csv").exists()


def test_images_are_found_by_the_table(tmp_path):
    files = tuple(f"a/{k}.png" for k in range(240))
    (tmp_path / "a").mkdir()
    for k, file in enumerate(files):
        cv2.imwrite(str(tmp_path / file), np.full((20, 20), k, np.uint8))
    cost = dataclasses.replace(TINY.cost, images=str(tmp_path))
    config = dataclasses.replace(TINY, data=Data(name="embeddings"), cost=cost)
    data = dataset(files=files)
    data.mask[5] = 0
    rows = from_files(config, data)
    assert rows.images.x.shape == (239, 16, 16, 1) and rows.start is None
    expected = [k for k in range(240) if k != 5]
    np.testing.assert_array_equal(rows.images.x[:, 0, 0, 0], expected)
    np.testing.assert_array_equal(rows.vectors.x, data.x[expected])
    config.data.images.memory = 0.0  # more than this is streamed
    streamed = from_files(config, data).images.x
    np.testing.assert_array_equal(np.asarray(streamed), rows.images.x)
    (tmp_path / "a/7.png").unlink()
    with pytest.raises(InputError, match="a/7.png: named in table.csv"):
        from_files(config, data)


def test_a_head_of_one_logit_learns_and_goes_on():
    bench, data = Bench(TINY, "binary"), dataset()
    spent = bench.fit("linear", data, FRESH)
    prob = bench.prob("linear", spent.weights, data.x)
    assert prob.shape == (240, 2) and spent.numbers == 5
    np.testing.assert_allclose(prob.sum(1), 1, atol=1e-6)
    yes = data.y[:, 0] > 0
    assert prob[yes, 1].mean() > prob[~yes, 1].mean() + 0.1


def test_later_rows_are_whole_patients_of_the_training_rows():
    data = dataset()
    new = later(data, 40, 0)
    assert 37 <= new.sum() <= 40 and (data.split[new] == TRAIN).all()
    assert not set(data.patient[new]) & set(data.patient[~new])
    assert later(data, 10**6, 0).sum() == np.sum(data.split == TRAIN) // 2
    assert (new <= later(data, 60, 0)).all() and (new != later(data, 40, 1)).any()
    assert without(data, new).mask.sum() == 240 - new.sum()


def test_operations_and_bytes_are_xla_s():
    like = jax.ShapeDtypeStruct((8, 8), np.float32)
    found = size_of(lambda x: x @ x, like)
    assert found.flops == 2 * 8**3 and found.memory >= 2 * 4 * 64


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"images": "nowhere"}, "cost.images=nowhere: no such folder"),
        ({"steps": 20}, "cost.steps=20: expected a multiple of 6"),
        ({"batch": 0}, "1 or more"),
        ({"network": "oracle"}, "unknown model 'oracle'"),
    ],
)
def test_what_is_wrong_is_said_early(given, words):
    cost = dataclasses.replace(TINY.cost, **given)
    with pytest.raises(InputError, match=words):
        refuse(dataclasses.replace(TINY, cost=cost))
    refuse(TINY)
