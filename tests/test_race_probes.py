"""The probe sections on a world of known truth: read, controlled, and how deep."""

import numpy as np
import pytest
from race_images import GROUPS, auroc, bayes, config, result, world

from equity_jax.audit import view
from equity_jax.audit.controls import matched
from equity_jax.audit.encoding import MATCHED, SHUFFLED
from equity_jax.audit.images.shortcuts import histogram
from equity_jax.train import features
from equity_jax.types import TEST, InputError
from experiments import race_probes, race_reader, race_views
from experiments.race_views import HISTOGRAM, THUMBNAIL, UNTRAINED


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(result, views, probes, classifier) of one small run."""
    found = result(tmp_path_factory.mktemp("race") / "run")
    seen = race_views.views(found)
    probed = race_probes.read(found, seen)
    return found, seen, probed, race_reader.read(found, probed)


def one(table, control="", kind="logistic", name=""):
    return view(table, control=control, kind=kind, **{"class": name}).squeeze()


def test_views_are_those_of_the_network_row_for_row(made):
    found, seen, _, _ = made
    x = found.dataset.x
    _, expected = features(seen.model, seen.weights, x, 32)
    np.testing.assert_array_equal(seen.features, expected)
    assert tuple(seen.depth) == ("dense1", "dense2")
    assert {len(v) for v in (*seen.depth.values(), *seen.controls.values())} == {len(x)}
    assert set(seen.controls) == {HISTOGRAM, THUMBNAIL, UNTRAINED}
    assert seen.controls[UNTRAINED].shape == seen.features.shape


def test_a_histogram_knows_no_place():
    x = world().x[:7]
    found = histogram(x)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(found, histogram(x[:, ::-1, ::-1]))
    counts = np.histogram(x[3], 64, (0, 256))[0] / x[3].size
    np.testing.assert_allclose(found[3], counts, rtol=1e-6)


def test_probes_read_what_is_there_and_controls_stay_at_their_own(made):
    _, _, probed, _ = made
    table, best = probed.table, np.mean(list(bayes().values()))
    for control in ("", SHUFFLED, MATCHED, HISTOGRAM, THUMBNAIL, UNTRAINED):
        r = one(table, control)
        print(f"{control or 'features':20} {r.auroc:.3f} [{r.low:.3f}, {r.high:.3f}]")
    print(f"best possible        {best:.3f}")
    assert probed.classes == GROUPS
    assert one(table).low > 0.55
    assert one(table, SHUFFLED).low < 0.5 < one(table, SHUFFLED).high
    # the thumbnail sees the planted sign as well as anybody can; a histogram cannot
    assert one(table, THUMBNAIL).auroc > 0.5 + 0.8 * (best - 0.5)
    assert one(table, HISTOGRAM).auroc < 0.5 + 0.4 * (best - 0.5)
    kinds = set(table[table["control"] == ""]["kind"])
    assert {"logistic", "knn"} <= kinds
    assert set(table[table["control"] == HISTOGRAM]["kind"]) == {"logistic"}


def test_the_classifier_finds_what_was_planted_in_the_pixels(made):
    _, _, probed, reader = made
    best = np.mean(list(bayes().values()))
    r = view(reader.table, group=race_probes.MEAN, reader="race classifier").squeeze()
    print(f"classifier {r.value:.3f} [{r.low:.3f}, {r.high:.3f}], best {best:.3f}")
    assert r.low > 0.5 and r.value > 0.5 + 0.8 * (best - 0.5)
    planted = view(reader.table, reader=race_reader.PLANTED)
    assert dict(zip(planted["group"], planted["value"], strict=True)) == {
        **bayes(),
        race_probes.MEAN: best,
    }
    kept = reader.kept.set_index("reader").loc["logistic regression"]
    mine = one(probed.table).auroc
    print(f"kept {kept.value:.2f} [{kept.low:.2f}, {kept.high:.2f}]")
    assert kept.value == pytest.approx((mine - 0.5) / (r.value - 0.5), abs=1e-6)
    assert kept.low < kept.value < kept.high


def test_both_are_judged_on_the_test_patients_of_the_disease_network(made):
    found, _, probed, reader = made
    dataset = found.dataset
    known = np.isin(dataset.attributes["race"], GROUPS)
    rows = np.flatnonzero((dataset.split == TEST) & known)
    np.testing.assert_array_equal(probed.test.id.astype(int), rows)
    np.testing.assert_array_equal(reader.test.id, probed.test.id)
    code = np.array([GROUPS.index(g) for g in dataset.attributes["race"][rows]])
    np.testing.assert_array_equal(reader.test.y[:, 0], code)
    told = view(reader.table, group="Asian", reader="race classifier").squeeze()
    assert told.value == pytest.approx(auroc(reader.test.prob[0, :, 0], code == 0))


def test_groups_are_matched_by_who_has_nothing():
    dataset = world()
    label = race_probes.sick(dataset)
    np.testing.assert_array_equal(label, dataset.y[:, 0])
    race = matched(dataset.attributes["race"], label, dataset.split)
    shares = [label[race == g].mean() for g in GROUPS]
    assert max(shares) - min(shares) < 0.02
    spec = dataset.spec._replace(targets=("Mass", "Edema"))
    other = dataset._replace(spec=spec, y=dataset.y * [[0, 1]])
    np.testing.assert_array_equal(race_probes.sick(other), dataset.y[:, 1])
    hidden = other._replace(mask=np.array([[0, 1]]) * np.ones_like(dataset.y))
    label = race_probes.sick(hidden)
    np.testing.assert_array_equal(np.isnan(label), dataset.y[:, 1] == 0)


def test_sections_say_what_was_found(made):
    found, _, probed, reader = made
    several = race_probes.sections(found, probed, reader.test)
    several.append(race_reader.section(found, reader))
    words = " ".join(" ".join(s.text) for s in several)
    assert "Encoding is not using" in words and "lower bound" in words
    assert "minus that of nearest neighbors" in words
    files = [f.path for s in several for f in s.figures]
    assert len(files) == 4
    for file in (*files, "probes.csv", "reader.csv", "kept.csv"):
        assert (found.store.path / file).exists(), file
    tables = [t for s in several for t in s.tables]
    assert all("nan" not in str(t.frame.to_numpy()) for t in tables)


def test_one_group_alone_cannot_be_read(made):
    found, seen, _, _ = made
    alone = np.where(found.dataset.attributes["race"] == "White", "White", "")
    dataset = found.dataset._replace(attributes={"race": alone})
    lone = found._replace(dataset=dataset)
    probed = race_probes.read(lone, seen)
    reader = race_reader.read(lone, probed)
    assert probed.test is None and reader.test is None
    several = [*race_probes.sections(lone, probed), race_reader.section(lone, reader)]
    assert all("NOT_ESTIMABLE" in s.text[-1] for s in several)


@pytest.mark.parametrize(
    ("name", "value"), [("batch", 0), ("epochs", 0.0), ("lr", -1.0), ("model", "nose")]
)
def test_wrong_settings_are_refused(name, value):
    with pytest.raises(InputError, match=name if name != "model" else "nose"):
        race_reader.refuse(config(**{name: value}))


def test_epochs_become_steps():
    train = race_reader.planned(config(epochs=10.0), 321, False).train
    assert train.steps == 10 * 11 and train.eval_every == train.segment == 11
    half = race_reader.planned(config(epochs=0.5), 321, True).train
    assert half.steps == half.eval_every == 6
    assert half.schemes == ("finetune('full', 1.0)",)
