"""The guesser and the model: formulas in float64 numpy, and who pulls which way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cells import GROUPS, ROWS, answer, class_of, plain, rows, slope, start
from pictures import net, pictures
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from toy import toy

from equity_jax.config import Train
from equity_jax.data.sampler import tabulate
from equity_jax.methods import METHODS, switch
from equity_jax.models import MODELS
from equity_jax.schemes import SCHEMES
from equity_jax.tasks import TASKS
from equity_jax.train import Run, fit
from equity_jax.train.step import make_step, optimizer
from equity_jax.types import Batch, Hyper, InputError

# a method, a task, what its guesser is given, its strength
CASES = [
    ("dann(0.7, hidden=4, steps=1)", "multilabel(2)", "", 0.7),
    ("cdann(0.5, hidden=4, steps=1)", "multiclass(3)", "label", 0.5),
    ("laftr('parity', 0.6, 4, 1)", "multiclass(3)", "", 0.6),
    ("laftr('odds', 1.5, 4, 1)", "multilabel(2)", "label", 1.5),
    ("laftr('opportunity', 1.5, 4, 1)", "binary", "positives", 1.5),
]


def cells(world, given):
    """Which rows of the table share a cell: (label, class, group) -> rows."""
    table = np.asarray(world[2].table)
    found = {}
    for k, c, g in np.ndindex(table.shape[0], table.shape[1], GROUPS):
        known = c < table.shape[1] - 1
        if not given or (known and (given == "label" or c == 1)):
            cell = (k, c if given else 0, g)
            found[cell] = found.get(cell, 0) + table[k, c, g]
    return {cell: n for cell, n in found.items() if n > 0}


def game(world, features, params, given, short):
    """L_a, written out row by row."""
    _, batch, counts, *_ = world
    labels, known = np.asarray(batch.y).shape[1], cells(world, given)
    mean = np.average(features, 0, batch.weight)
    spread = np.average((features - mean) ** 2, 0, batch.weight)
    features = (features - mean) / np.sqrt(spread + 1e-5)
    total = []
    for k in range(labels):
        mine = [cell for cell in known if cell[0] == k]
        everyone = np.asarray(counts.table)[k].sum()
        up = down = 0.0
        for i in range(ROWS):
            weight, g, c = batch.mask[i, k] * batch.weight[i], batch.group[i], 0
            down += weight
            if given:
                c = class_of(world, i, k)
            if g < 0 or (k, c, g) not in known:
                continue
            inner = np.maximum(features[i] @ params["kernel"] + params["bias"], 0)
            place = (k, c) if given else (0, 0)
            z = np.einsum("h,hkcg->kcg", inner, params["head"]) + params["prior"]
            p = np.exp(z[place]) / np.exp(z[place]).sum()
            share = everyone / known[k, c, g] / len(mine)
            up += weight * share * (1 - p[g] if short else -np.log(p[g]))
        total.append(up / down)
    return np.mean(total)


@pytest.mark.parametrize(("text", "task", "given", "strength"), CASES)
def test_each_player_follows_its_formula(text, task, given, strength):
    world = rows(task)
    *_, counts, features, logits = world
    with jax.enable_x64(True):
        _, aux = start(text, counts)
        # a guesser that has opinions: fresh ones hardly differ between groups
        bold = jax.tree.map(lambda a: 40 * a + 0.1, aux["learned"]["params"])
        aux = {**aux, "learned": {**aux["learned"], "params": bold}}
    params = jax.tree.map(np.asarray, bold)
    short = text.startswith("laftr")

    def model(features):
        return plain(world, logits) - strength * game(
            world, features, params, given, short
        )

    value, (in_features, in_logits), new = answer(text, world, aux)
    assert value == pytest.approx(model(features), rel=1e-6)
    np.testing.assert_allclose(in_features, slope(model, features), atol=1e-6)
    np.testing.assert_allclose(
        in_logits, slope(lambda z: plain(world, z), logits), atol=1e-6
    )
    for name in ("kernel", "prior"):  # the guesser descends L_a itself
        downhill = slope(
            lambda a, n=name: game(world, features, {**params, n: a}, given, short),
            params[name],
        )
        moved = np.asarray(new["learned"]["moments"][0].mu[name]) / 0.1
        np.testing.assert_allclose(moved, downhill, atol=1e-6)
        step = np.asarray(new["learned"]["params"][name]) - params[name]
        far = np.abs(downhill) > 1e-4
        np.testing.assert_array_equal(np.sign(step[far]), -np.sign(downhill[far]))


class Duel:
    """A linear encoder of the toy rows, its guesser, and L_a of the two."""

    def __init__(self, text):
        self.model, self.task = MODELS.get("mlp(6)", 1, 0), TASKS.get("binary")
        data = toy(240)
        group = data.group
        x = data.x + 1.5 * np.eye(5, dtype=np.float32)[group] * (group >= 0)[:, None]
        mask, weight = jnp.asarray(data.mask), jnp.ones(240)
        self.rows = Batch(x, jnp.asarray(data.y), mask, group, weight, None)
        self.method = METHODS.get(text)
        self.params, self.stats = self.model.init(jax.random.key(0), x[:1])
        self.counts = tabulate(
            data.y.astype(int), data.mask, group, np.ones(240, bool), (2, GROUPS)
        )
        init, step = make_step(self.model, self.method, self.task, optimizer())
        self.step = jax.jit(step)
        self.state = init(jax.random.key(1), self.params, {}, self.counts, 6)

    def play(self, rate, steps):
        """Lets both step; rate 0 freezes the encoder."""
        rates = jax.tree.map(lambda p: jnp.float32(rate), self.params)
        zero = jnp.int32(0)
        hyper = Hyper(jnp.float32(1e-2), 0.0, zero, jnp.float32(1), zero, rates)
        for _ in range(steps):
            self.state, _ = self.step(self.state, self.rows, hyper)

    def guessed(self, aux):
        """L_a of the encoder of now and the guesser in `aux`."""
        out, _ = self.model.apply(self.state.params, {}, self.rows.x, False, None)

        def value(aux):
            return self.method.loss(aux, self.task, out, self.rows, jnp.float32(1))[0]

        return float(value({**aux, "strength": 0.0}) - value({**aux, "strength": 1.0}))


@pytest.mark.parametrize("text", ["dann(5.0)", "cdann(5.0)", "laftr('odds', 5.0)"])
def test_the_guesser_learns_while_the_encoder_is_still_and_loses_to_its_step(text):
    duel = Duel(text)
    before = duel.guessed(duel.state.aux)
    duel.play(rate=0.0, steps=60)
    guesser = duel.state.aux
    learned = duel.guessed(guesser)
    duel.play(rate=1.0, steps=1)
    hidden = duel.guessed(guesser)
    print(
        f"{text}: L_a {before:.3f}, the guesser alone {learned:.3f}, then {hidden:.3f}"
    )
    assert learned < 0.9 * before
    assert hidden > learned


STRENGTHS = ("erm", "dann(0.0)", "dann(1.0)", "dann(3.0)")
METHODS_ = dict(zip(STRENGTHS, switch(*map(METHODS.get, STRENGTHS)), strict=True))
PROGRAMS: dict = {}


def planted():
    """Toy rows, and beside what the label needs three columns that tell the group."""
    data = toy(2000)
    signs = np.eye(3)[data.group] * (data.group >= 0)[:, None]
    noise = np.random.default_rng(1).normal(size=signs.shape)
    return data._replace(x=np.hstack([data.x, 1.5 * signs + noise]).astype(np.float32))


def fitted(names, data, model, steps):
    return fit(
        model,
        data,
        [Run(0, name, "mixture", -1, 3e-3) for name in names],
        task=TASKS.get(data.spec.task),
        reconstruct=TASKS.get("reconstruct"),
        train=Train(steps=steps, batch=64, eval_every=steps, segment=steps, chunk=4),
        methods=METHODS_,
        schemes={"mixture": SCHEMES.get("mixture")},
        programs=PROGRAMS,
    )


def read(model, weights, data):
    """Macro AUROC of a fresh linear reader of the group, on rows it has not seen."""
    out, _ = model.apply(weights.params, weights.stats, data.x, False, None)
    x, mine = np.asarray(out.features), (data.split == 0) & (data.group >= 0)
    rest = (data.split != 0) & (data.group >= 0)
    made = LogisticRegression(max_iter=500).fit(x[mine], data.group[mine])
    score = made.predict_proba(x[rest])
    return roc_auc_score(data.group[rest], score, multi_class="ovr")


def test_strengths_are_one_program_and_hide_the_group():
    model, data = MODELS.get("mlp(16)", 1, 0), planted()
    done = fitted(STRENGTHS, data, model, 300)
    assert len(PROGRAMS) == 1
    for a, b in zip(*(jax.tree.leaves(done.of(i).params) for i in (0, 1)), strict=True):
        np.testing.assert_array_equal(a, b)  # nobody listens: erm to the bit
    found = {name: read(model, done.of(i), data) for i, name in enumerate(STRENGTHS)}
    print("AUROC of the group: " + ", ".join(f"{n} {v:.3f}" for n, v in found.items()))
    assert found["dann(1.0)"] < found["erm"] - 0.05
    assert found["dann(3.0)"] < found["erm"] - 0.05
    alone = fitted(["dann(3.0)"], data, model, 300)
    for a, b in zip(*map(jax.tree.leaves, (alone.of(0), done.of(3))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-2)


def test_a_network_of_images_has_a_guesser_too():
    done = fitted(["erm", "dann(3.0)"], pictures(), net(), 4)
    assert np.isfinite(done.value).all()
    kernels = [done.of(i).params["block1"]["conv"]["kernel"] for i in (0, 1)]
    assert np.abs(kernels[0] - kernels[1]).max() > 0


def test_bad_players_are_refused():
    with pytest.raises(InputError, match="expected odds, parity, opportunity"):
        METHODS.get("laftr('equality')")
    for text in ("dann(-1.0)", "cdann(hidden=0)", "dann(steps=0)"):
        with pytest.raises(InputError, match="a strength of at least 0"):
            METHODS.get(text)
