import struct

import numpy as np
import pandas as pd
import pytest

from equity_jax.audit.pages import figures

GROUPS = ["White", "Black", "American Indian or Alaska Native", "<script>"]


def table():
    rng = np.random.default_rng(0)
    rows = [
        {"group": g, "scheme": s, "rows": 100 * 2**k, "n": 300, "value": v}
        for g in GROUPS
        for s in ("mixture", "alone", "transfer('full')")
        for k, v in enumerate(rng.normal(size=1))
    ]
    t = pd.DataFrame(rows).assign(status="OK")
    t = t.assign(low=t.value - 0.3, high=t.value + 0.3)
    lost = (t.group == "<script>") & (t.scheme == "alone")
    t.loc[lost, ["value", "low", "high"]] = np.nan
    t.loc[lost, "status"] = "NOT_ESTIMABLE"
    return t


def growing():
    t = table()
    return pd.concat(
        [t.assign(rows=n) for n in (50, 100, 500, 1000)], ignore_index=True
    )


def months():
    when = pd.date_range("2020-01-01", periods=30, freq="MS")
    rows = [(w, g, i + k) for i, g in enumerate(GROUPS) for k, w in enumerate(when)]
    return pd.DataFrame(rows, columns=["month", "group", "share"])


def cells():
    values = [[30, 5], [10, 20], [1, 0], [0, 0]]
    return pd.DataFrame(values, index=GROUPS, columns=["published", "suppressed"])


PICTURES = {
    "dots": lambda **k: figures.dots(table(), xlabel="O / E", nominal=1.0, **k),
    "curves": lambda **k: figures.curves(
        growing(), x="rows", xlabel="rows", ylabel="gain", **k
    ),
    "stack": lambda **k: figures.stack(cells(), xlabel="share of cells", **k),
    "lines": lambda **k: figures.lines_by_group(
        months(), x="month", y="share", xlabel="month", ylabel="share", **k
    ),
    "heat": lambda **k: figures.heat(cells() / [1, 0.0], center=0.0, **k),
}


def texts(figure):
    own = [t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text"))]
    return " ".join(t.replace("\n", " ") for t in own)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_say_what_they_are_and_save_the_same_bytes(name, tmp_path, recwarn):
    for k in range(2):
        figure = PICTURES[name](title="A title", simulated=True)
        figures.save(figure, tmp_path / f"{k}.png")
    a, b = ((tmp_path / f"{k}.png").read_bytes() for k in range(2))
    assert a == b and a.startswith(b"\x89PNG") and b"Software" not in a
    width, height = struct.unpack(">II", a[16:24])
    assert width == 1440 and 300 < height < 2500
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.png", "1.png"]
    shown = texts(figure)
    assert "SIMULATED" in shown and "A title" in shown
    for group in GROUPS:
        assert group in shown
    assert "SIMULATED" not in texts(PICTURES[name](title="A title"))


def test_what_cannot_be_estimated_is_written():
    figure = figures.dots(table(), title="t", xlabel="x")
    assert "alone: not estimable" in texts(figure)
    empty = figures.heat(
        pd.DataFrame([[np.nan]], index=["a"], columns=["b"]), title="t"
    )
    assert "not estimable" in texts(empty)


def test_a_heat_map_tells_its_uncertainty():
    values = pd.DataFrame([[0.03, 0.001, np.nan]], index=["a"], columns=list("xyz"))
    ends = {"low": values - 0.02, "high": values + 0.02}
    figure = figures.heat(values, title="t", center=0.0, digits=2, **ends)
    shown = texts(figure)
    assert "0.03" in shown and "[0.01, 0.05]" in shown and "not estimable" in shown
    assert "[−0.02, 0.02]" in shown and "0.00 " in shown
    striped = [p for p in figure.axes[0].patches if p.get_hatch()]
    assert [p.get_x() for p in striped] == [0.5]  # the second cell may be chance
    figure = figures.heat(values, title="t", low=values * np.nan, high=values)
    assert "[" not in texts(figure)


def test_dots_stand_where_the_values_are():
    t = table()
    figure = figures.dots(t, title="t", xlabel="x")
    drawn = {c.get_label(): c.get_offsets()[:, 0] for c in figure.axes[0].collections}
    for scheme in ("mixture", "alone"):
        expected = t[t.scheme == scheme].set_index("group").value[GROUPS]
        found = np.ma.filled(np.ma.asarray(drawn[scheme], float), np.nan)
        np.testing.assert_allclose(found, expected)


def test_shares_add_up():
    figure = figures.stack(cells(), title="t", xlabel="x")
    widths = np.array([bar.get_width() for bar in figure.axes[0].patches])
    np.testing.assert_allclose(widths.reshape(2, 4).sum(axis=0), [1, 1, 1, 0])


def test_names_at_the_ends_do_not_overlap():
    t = months()
    t["share"] = 1.0  # all lines end at one point
    figure = figures.lines_by_group(
        t, x="month", y="share", title="t", xlabel="", ylabel=""
    )
    places = sorted(a.xy[1] for a in figure.axes[0].texts)
    assert np.all(np.diff(places) >= 0.05) and places[-1] <= 1.0


def test_no_global_state():
    import matplotlib

    before = dict(matplotlib.rcParams)
    for draw in PICTURES.values():
        draw(title="t")
    assert dict(matplotlib.rcParams) == before
