"""AUC margin and smooth average precision against their formulas in float64 numpy."""

import jax
import numpy as np
import pytest
from cells import ROWS, answer, class_of, rows, slope, start
from sklearn.metrics import average_precision_score

from equity_jax.methods import METHODS, switch
from equity_jax.tasks import TASKS
from equity_jax.types import InputError, Output

PLAYERS = ("a", "b", "alpha")


def ranked(world, logits):
    """For each label (or class): log-odds, whether positive, and weights of rows."""
    task, batch, *_ = world
    exclusive, found = task.classes > 2, []
    for j in range(logits.shape[1]):
        label, yes = (0, j) if exclusive else (j, 1)
        classes = np.array([class_of(world, i, label) for i in range(ROWS)])
        weight = batch.mask[:, label] * batch.weight * (classes >= 0)
        score = logits[:, j]
        if exclusive:
            others = np.delete(logits, j, 1)
            score = score - np.log(np.exp(others).sum(1))
        found.append((score, classes == yes, weight))
    return found


def shares(world):
    """The training share of positives of each label or class."""
    table = np.asarray(world[2].table, float)[:, :-1].sum(2)
    share = table / table.sum(1, keepdims=True)
    return share[0] if share.shape[1] > 2 else share[:, 1]


def margin_of(world, logits, players, m, version):
    """F of every label, written out as in the paper."""
    found = []
    for j, (score, yes, weight) in enumerate(ranked(world, logits)):
        h, (a, b, alpha) = 1 / (1 + np.exp(-score)), (players[n][j] for n in PLAYERS)
        p, up, down = shares(world)[j], weight * yes, weight * ~yes
        if version == 1:
            each = (1 - p) * (h - a) ** 2 * yes + p * (h - b) ** 2 * ~yes
            apart = p * (1 - p) * m + p * h * ~yes - (1 - p) * h * yes
            each = each + 2 * alpha * apart - p * (1 - p) * alpha**2
            found.append(np.average(each, weights=weight))
        else:
            above, below = np.average(h, weights=up), np.average(h, weights=down)
            f = np.average((h - a) ** 2, weights=up)
            f += np.average((h - b) ** 2, weights=down)
            found.append(f + 2 * alpha * (m + below - above) - alpha**2)
    return np.array(found)


@pytest.mark.parametrize(
    ("task", "version"), [("multilabel(2)", 1), ("multiclass(3)", 1), ("binary", 2)]
)
def test_the_margin_and_its_players_follow_the_formula(task, version):
    world, m, rate = rows(task), 0.7, 0.3
    *_, counts, _, logits = world
    text = f"auc_margin({m}, {rate}, {version})"
    rng = np.random.default_rng(0)
    players = {n: rng.random(len(shares(world))) for n in PLAYERS}
    with jax.enable_x64(True):
        _, fresh = start(text, counts)
        # the knobs are float32 in the memory of a method: here as they were written
        aux = {**fresh, **players, "margin": m, "rate": rate, "share": shares(world)}
    value, (_, slopes), new = answer(text, world, aux)

    def loss(z):
        return margin_of(world, z, players, m, version).mean()

    assert value == pytest.approx(loss(logits), rel=1e-6)
    np.testing.assert_allclose(slopes, slope(loss, logits), atol=1e-6)
    for name, sign in zip(PLAYERS, (-1, -1, 1), strict=True):

        def own(at, name=name):
            moved = {**players, name: at}
            return margin_of(world, logits, moved, m, version).sum()

        wanted = players[name] + sign * rate * slope(own, players[name])
        wanted = np.maximum(wanted, 0) if name == "alpha" else wanted
        np.testing.assert_allclose(new[name], wanted, atol=1e-6)


def test_at_a_fixed_model_the_optimum_is_that_of_the_paper():
    """a = E+ h, b = E- h, alpha = max(0, m + b - a)."""
    world = rows("multilabel(2)")
    task, batch, counts, features, logits = world
    yes = np.stack([r[1] for r in ranked(world, logits)], 1)
    # as drawn, turned round, and nearly perfect: there alpha is held at 0
    models = np.stack([logits, -logits, 9.0 * yes - 4.5])
    with jax.enable_x64(True):
        method, aux = start("auc_margin(0.5, 0.2, 2)", counts)

        def step(_, aux, z):
            return method.loss(aux, task, Output(z, features), batch, 1.0)[1]

        def settle(z):
            return jax.lax.fori_loop(0, 150, lambda i, aux: step(i, aux, z), aux)

        found = jax.tree.map(np.asarray, jax.jit(jax.vmap(settle))(models))
    for i, z in enumerate(models):
        for j, (score, yes, weight) in enumerate(ranked(world, z)):
            h = 1 / (1 + np.exp(-score))
            a = np.average(h, weights=weight * yes)
            b = np.average(h, weights=weight * ~yes)
            wanted = a, b, max(0.0, 0.5 + b - a)
            players = [found[name][i, j] for name in PLAYERS]
            np.testing.assert_allclose(players, wanted, atol=1e-6)
    assert wanted[2] == 0.0


def test_version_2_of_a_batch_with_one_class_adds_nothing_and_moves_nobody():
    task, batch, *rest = rows("binary")
    world = task, batch._replace(y=np.ones_like(batch.y)), *rest
    value, (_, slopes), new = answer("auc_margin(version=2)", world)
    assert value == 0 and not slopes.any()
    assert not any(np.any(new[name]) for name in PLAYERS)


def smooth(world, logits, temperature):
    """1 - AP with smooth ranks, row by row."""
    found = []
    for score, yes, weight in ranked(world, logits):
        total = missed = 0.0
        for i in np.flatnonzero(yes & (weight > 0)):
            among = everyone = 1.0
            for j in range(ROWS):
                if j != i:
                    ahead = 1 / (1 + np.exp((score[i] - score[j]) / temperature))
                    everyone += weight[j] * ahead
                    among += weight[j] * yes[j] * ahead
            total += weight[i]
            missed += weight[i] * (1 - among / everyone)
        found.append(missed / total if total else 0.0)
    return np.mean(found)


@pytest.mark.parametrize("task", ["multilabel(2)", "multiclass(3)"])
def test_smooth_average_precision_follows_its_formula(task):
    world = rows(task)
    logits = world[-1]
    value, (_, slopes), _ = answer("soft_average_precision(0.5)", world)
    assert value == pytest.approx(smooth(world, logits, 0.5), rel=1e-6)
    wanted = slope(lambda z: smooth(world, z, 0.5), logits)
    np.testing.assert_allclose(slopes, wanted, atol=1e-6)


def test_a_cold_average_precision_is_that_of_scikit_learn():
    world = rows("multilabel(2)")
    value = answer("soft_average_precision(1e-6)", world)[0]
    exact = [
        average_precision_score(yes, score, sample_weight=weight)
        for score, yes, weight in ranked(world, world[-1])
    ]
    assert value == pytest.approx(1 - np.mean(exact), abs=1e-6)


def test_knobs_share_one_loss():
    a, b, c = map(METHODS.get, ("auc_margin", "auc_margin(0.5, 0.3, 2)", "erm"))
    assert a.loss is b.loss
    made = [m.init(rows("binary")[2]) for m in switch(a, b, c)]
    assert all(len(aux["slots"]) == 2 for aux in made)


def test_bad_margins_and_counts_are_refused():
    for text, said in (
        ("auc_margin(0.0)", "expected numbers above 0"),
        ("auc_margin(1.0, -1.0)", "expected numbers above 0"),
        ("auc_margin(version=3)", "expected 1 or 2"),
        ("soft_average_precision(0.0)", "expected above 0"),
    ):
        with pytest.raises(InputError, match=said):
            METHODS.get(text)
    for text in ("auc_margin", "soft_average_precision"):
        with pytest.raises(InputError, match=f"method {text} needs classes"):
            METHODS.get(text).loss({}, TASKS.get("count"), None, None, 1.0)
