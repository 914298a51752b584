"""experiments/protocol: the one table of hyper-parameters, the entries, the runs."""

import dataclasses
import inspect

import numpy as np
import pytest

from equity_jax.config import Config, Protocol, Train
from equity_jax.methods import METHODS
from equity_jax.posthoc import POSTHOC
from equity_jax.schemes import SCHEMES
from equity_jax.types import InputError
from experiments.protocol import knobs, plan
from experiments.protocol.after import CLOSED
from experiments.protocol.entries import BALANCED, ENTRIES, ERM, chosen
from experiments.protocol.knobs import EVERY, KNOBS, Knob, draw, settings, spelled

SHELVES = (METHODS, SCHEMES, POSTHOC, CLOSED)


def test_draws_are_what_they_were():
    """Numbers written out: another method or parameter must never move them."""
    assert [settings("focal", "focal", t)["gamma"] for t in range(3)] == [
        2.0,
        3.08,
        1.41,
    ]
    assert settings("group_dro", "group_dro", 1) == {"eta": 0.0514, "adjustment": 5.0}
    assert settings("eiil", "group_dro", 1) == {"eta": 0.00492, "adjustment": 1.0}
    assert settings("dann", "dann", 2) == {"strength": 27.5}
    assert settings("jtt", "jtt", 2) == {"share": 0.293, "extra": 42.3}
    assert settings("effective_number(by='both')", "effective_number", 1) == {
        "beta": 0.9
    }
    rates = [draw("erm", "lr", EVERY["lr"], t) for t in range(4)]
    assert rates == [1.0, 0.866, 1.97, 1.14]
    assert draw("focal", "lr", EVERY["lr"], 1) == 2.75
    assert draw("erm", "weight_decay", EVERY["weight_decay"], 1) == 42.0


def test_a_new_parameter_or_entry_shifts_no_other_draw(monkeypatch):
    before = settings("group_dro", "group_dro", 5)
    more = {"first": Knob(0.0, 0.1, 1.0), **KNOBS["group_dro"]}
    monkeypatch.setitem(KNOBS, "group_dro", more)
    after = settings("group_dro", "group_dro", 5)
    assert after.pop("first") and after == before
    config = Config(protocol=Protocol(trials=3), train=Train(seeds=1))
    few = plan.points(config, chosen(("focal",)))
    every = plan.points(config, chosen(("cvar", "focal", "sam")))
    assert set(few) < set(every)


@pytest.mark.parametrize("log", [True, False])
def test_draws_fill_their_range(log):
    knob = Knob(1.0, 0.01, 100.0, log=log)
    drawn = [draw("any", "one", knob, t) for t in range(1, 400)]
    assert 0.01 <= min(drawn) and max(drawn) <= 100
    middle = 1.0 if log else 50.0
    assert abs(np.mean(np.array(drawn) < middle) - 0.5) < 0.08
    some = Knob("a", choices=("a", "b", "c"))
    assert {draw("any", "two", some, t) for t in range(1, 40)} == {"a", "b", "c"}


def test_every_knob_is_a_parameter_of_what_it_tunes():
    for name, mine in KNOBS.items():
        (factory,) = (shelf[name] for shelf in SHELVES if name in shelf)
        assert set(mine) <= set(inspect.signature(factory).parameters), name


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_every_entry_of_every_trial_is_on_the_shelf(entry):
    for trial in range(6):
        parts = (entry.method, entry.scheme, entry.post, entry.closed)
        for part, shelf in zip(parts, SHELVES, strict=True):
            if part:
                shelf.get(spelled(part, settings(entry.name, part, trial)))
    assert entry.uses in ("none", "training", "validation", "test")
    assert entry.cut in ("youden", "0.5", "random") and entry.paper
    if entry.post:
        post = POSTHOC.get(entry.post)
        assert (entry.cut == "random") == post.decides
        assert entry.uses == post.uses and entry.method in ENTRIES
    if entry.closed:
        assert (entry.cut == "random") != CLOSED.get(entry.closed).frozen


def test_the_whole_shelf_is_compared():
    shown = {
        part.split("(")[0]
        for e in ENTRIES.values()
        for part in (e.method, e.scheme, e.post, e.closed)
        if part
    }
    other = {"hinge", "alone", "transfer", "finetune"}  # no rival, no shared rows
    assert {name for shelf in SHELVES for name in shelf} - shown == other


def test_the_first_trial_has_the_settings_of_the_study_and_the_paper():
    config = Config(protocol=Protocol(trials=2), train=Train(seeds=2, lr=(2e-3,)))
    points = plan.points(config, chosen(("temperature", "eiil")))
    first = [p for p in points if p.trial == 0 and p.seed == 1]
    assert [p.entry.name for p in first] == [ERM, BALANCED, "eiil", "temperature"]
    assert {(p.run.lr, p.run.weight_decay) for p in first} == {(2e-3, 1e-4)}
    erm, _, eiil, after = first
    assert after.run == erm.run and after.own == "temperature" and not erm.own
    assert eiil.run.method == "group_dro(eta=0.01, adjustment=0.0)"
    assert eiil.run.scheme == "eiil(share=0.5)"
    table = plan.table(points)
    assert list(table["run"]) == list(range(len(points))) == list(range(16))
    assert table["values"][10] == "eta=0.00492, adjustment=1.0, share=0.472"


def test_what_takes_no_step_has_one_seed_and_no_rate():
    config = Config(protocol=Protocol(trials=2), train=Train(seeds=3))
    names = ("reduction('equalized_odds')", "dfr('valid')")
    table = plan.table(plan.points(config, chosen(names)))
    per = table.groupby("entry").size()
    assert per[names[0]] == 2 and per[names[1]] == per[ERM] == 6
    mine = table[table["entry"] == names[0]]
    assert mine["lr"].isna().all() and list(mine["values"])[0] == "eps=0.01"


def test_baselines_and_bases_come_along_and_unknown_names_are_refused():
    names = [e.name for e in chosen(("prior_correction(by='class')",))]
    assert names == [
        ERM,
        "class_weighted",
        BALANCED,
        "prior_correction(by='class')",
    ]
    assert [e.name for e in chosen(())] == list(ENTRIES)
    with pytest.raises(InputError, match="unknown entry 'magic'; known: erm, "):
        chosen(("magic",))


def test_values_are_added_to_a_registry_string():
    assert spelled("mmd(given='')", {"strength": 1.0}) == "mmd(given='', strength=1.0)"
    assert spelled("focal", {"gamma": 2.0}) == "focal(gamma=2.0)"
    assert spelled("erm", {}) == "erm"
    assert dataclasses.is_dataclass(Protocol) and knobs.rounded(0.0123456) == 0.0123
