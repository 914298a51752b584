"""Second looks: what the first model teaches, and who may be looked at."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import toy

from equity_jax.config import Train
from equity_jax.methods import METHODS, switch
from equity_jax.models import MODELS
from equity_jax.nouns import Lesson
from equity_jax.schemes import SCHEMES
from equity_jax.schemes.second import Environments, Errors, steepness
from equity_jax.tasks import TASKS
from equity_jax.train import Run, fit
from equity_jax.types import Batch, InputError

BLOCKS = ("layer0", "head")
PATHS = [("layer0", "kernel"), ("head", "dense", "kernel")]
NAMES = ("jtt", "eiil", "crt", "last_layer", "lp_ft")


def told(lesson, task, logits, y, mask=None, groups=2) -> Lesson:
    n = len(logits)
    y, mask = np.asarray(y), np.ones(np.shape(y)) if mask is None else np.asarray(mask)
    rows = Batch(None, y, mask, np.zeros(n, int), np.ones(n), None)
    given = TASKS.get(task), np.asarray(logits, np.float32), rows
    return lesson(jax.random.key(0), *given, np.ones(n, bool), groups)


@pytest.mark.parametrize("name", NAMES)
def test_stages_share_the_steps_and_carry_what_they_say(name):
    scheme = SCHEMES.get(name)
    assert scheme.pooled and sum(s.steps for s in scheme.stages) == pytest.approx(1)
    assert SCHEMES.get(name) == scheme  # equal stages are fitted once
    first, *_, last = scheme.stages
    assert not any(map(first.carry, PATHS))
    assert last.rows(np.array([0, 1, -1]), -1, 0).all()
    fresh = name in ("jtt", "eiil")
    assert [last.carry(p) for p in PATHS] == [not fresh, name == "lp_ft"]
    moving = [last.rate(p, BLOCKS) > 0 for p in PATHS]
    assert moving == [name not in ("crt", "last_layer"), True]
    assert (first.method or first.objective) in ("erm", "autoencode")


def test_jtt_weighs_errors_by_one_plus_extra():
    z = [[2.0], [-1.0], [0.5], [-3.0], [1.0], [4.0]]
    y = [[1.0], [1.0], [0.0], [0.0], [np.nan], [0.0]]
    mask = [[1], [1], [1], [1], [1], [0]]  # the last is wrong where nobody saw it
    found = told(Errors(20.0), "binary", z, y, mask)
    assert found.weight.tolist() == [1, 21, 21, 1, 1, 1] and found.group is None


def test_jtt_of_several_classes_and_labels():
    logits = [[1, 3, 2], [1, 2, 3], [0, 0, 1]]
    found = told(Errors(6.0), "multiclass(3)", logits, [[1], [1], [-1]])
    assert found.weight.tolist() == [1, 7, 1]
    logits, y = [[1, -1, 1], [1, -1, 1]], [[1, 1, 0], [1, 1, 0]]
    mask = [[1, 1, 1], [1, 1, 0]]
    found = told(Errors(6.0), "multilabel(3)", logits, y, mask)
    np.testing.assert_allclose(found.weight, [5, 4])  # 2 of 3, 1 of 2


def test_the_slope_of_a_scale_is_its_formula():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(9, 3)), rng.integers(0, 3, (9, 1))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    own = np.eye(3)[y[:, 0]]
    with jax.enable_x64(True):
        rows = Batch(None, jnp.asarray(y), np.ones((9, 1)), None, None, None)
        found = steepness(TASKS.get("multiclass(3)"), jnp.asarray(z), rows)
        np.testing.assert_allclose(found, (z * (p - own)).sum(1), atol=1e-6)
        many = (rng.random((9, 3)) < 0.5) * 1.0
        mask = (rng.random((9, 3)) < 0.7) * 1.0
        rows = Batch(None, jnp.asarray(many), mask, None, None, None)
        found = steepness(TASKS.get("multilabel(3)"), jnp.asarray(z), rows)
    expected = (mask * z * (1 / (1 + np.exp(-z)) - many)).sum(1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_environments_are_where_the_papers_ascent_ends():
    """Adam on the soft assignment, as the authors do, in numpy alone."""
    rng = np.random.default_rng(1)
    z = rng.normal(size=300)
    y = (rng.random(300) < 1 / (1 + np.exp(-z))) * 1.0
    found = told(Environments(), "binary", z[:, None], y[:, None]).group
    d = z * (1 / (1 + np.exp(-z)) - y)
    free, one, two = rng.normal(size=300), np.zeros(300), np.zeros(300)
    for step in range(1, 1500):
        w = 1 / (1 + np.exp(-free))
        a, b = np.mean(w * d), np.mean((1 - w) * d)
        slope = (a - b) * d * w * (1 - w)
        one, two = 0.9 * one + 0.1 * slope, 0.999 * two + 0.001 * slope**2
        large = np.sqrt(two / (1 - 0.999**step)) + 1e-12
        free += 0.05 * one / (1 - 0.9**step) / large
    assert np.mean(w * d) ** 2 + np.mean((1 - w) * d) ** 2 <= (
        np.mean(found * d) ** 2 + np.mean((1 - found) * d) ** 2
    )
    same = np.mean((w > 0.5) == found)
    assert max(same, 1 - same) > 0.99  # either environment may be called the first


def test_eiil_recovers_a_planted_environment():
    """The first model leans on an attribute that misleads in a tenth of the rows."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 500)
    misled = rng.random(500) < 0.1
    hint = np.where(misled, 1 - y, y)
    z = 3.0 * (2 * hint - 1) + 0.5 * rng.normal(size=500)
    mask = np.ones((500, 1))
    mask[:7] = 0
    found = told(Environments(), "binary", z[:, None], y[:, None] * 1.0, mask)
    np.testing.assert_array_equal(found.group[7:], misled[7:])
    assert (found.group[:7] == -1).all() and (found.weight == 1).all()


def test_what_cannot_be_taught_is_refused():
    wrong = (
        "jtt(0)",
        "jtt(0.5, -1)",
        "eiil(1)",
        "crt(2)",
        "lp_ft(0)",
        "last_layer('x')",
    )
    for text in wrong:
        with pytest.raises(InputError, match="expected"):
            SCHEMES.get(text)
    one = np.zeros((1, 1))
    for lesson in (Errors(1.0), Environments()):
        with pytest.raises(InputError, match="needs classes"):
            told(lesson, "count", one, one)
    with pytest.raises(InputError, match="only one"):
        told(Environments(), "binary", one, one, groups=1)


SEEING = Run(0, "group_dro(0.1)", "mixture", -1, 1e-2)
TAUGHT = (
    *(Run(0, "erm", scheme, -1, 1e-2) for scheme in ("jtt(0.4)", "crt")),
    Run(0, "group_dro(0.1)", "eiil(0.4)", -1, 1e-2),
)
HALVES = Run(0, "erm", "last_layer", -1, 1e-2)
MORE = ("oversample('class')", "undersample('group')")


@pytest.fixture(scope="module")
def taught():
    """Fitted side by side, and again where the groups are shuffled."""
    runs = (*TAUGHT, HALVES, SEEING)
    names = tuple(dict.fromkeys([*(r.method for r in runs), *MORE]))
    methods = dict(zip(names, switch(*map(METHODS.get, names)), strict=True))
    model, programs, data = MODELS.get("mlp(4)", 1, 0), {}, toy(200)
    race = np.random.default_rng(0).permutation(data.attributes["race"])
    return [
        fit(
            model,
            rows,
            runs,
            task=TASKS.get("binary"),
            reconstruct=TASKS.get("reconstruct"),
            train=Train(steps=20, batch=16, eval_every=4, segment=4, chunk=4),
            methods=methods,
            schemes={r.scheme: SCHEMES.get(r.scheme) for r in runs},
            programs=programs,
        )
        for rows in (data, data._replace(attributes={"race": race}))
    ]


def leaves(fitted, run) -> bytes:
    return b"".join(np.asarray(a).tobytes() for a in jax.tree.leaves(fitted.of(run)))


def test_schemes_that_need_no_attribute_do_not_look_at_it(taught):
    one, two = taught
    same = [leaves(one, i) == leaves(two, i) for i in range(len(one.runs))]
    assert same == [True] * len(TAUGHT) + [False, False]


def test_a_second_head_stands_on_the_trunk_of_the_first(taught):
    one, _ = taught
    for scheme in ("crt", "last_layer"):
        last = one.plan.final[[r.scheme for r in one.runs].index(scheme)]
        both = [one.weights[job].params for job in (one.plan.jobs[last].parent, last)]
        np.testing.assert_array_equal(*(p["layer0"]["kernel"] for p in both))
        heads = [p["head"]["dense"]["kernel"] for p in both]
        assert np.abs(heads[0] - heads[1]).max() > 0
