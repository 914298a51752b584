import io
import json
from functools import cache

import altair as alt
import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from equity_jax.audit.pages import chart_parts, charts, vega
from equity_jax.audit.pages.style import COLORS

EVIL = "</script><script>alert(1)</script>\u2028'\"\\ + datum"


def dots(metrics=("AUROC",), labels=("",), systems=("m",), groups=("A", EVIL, "tiny")):
    rows = []
    for metric in metrics:
        for label in labels:
            for system in systems:
                for i, group in enumerate(groups):
                    value = np.nan if group == "tiny" else 0.8 + 0.01 * i
                    rows.append(
                        {
                            "metric": metric,
                            "label": label,
                            "system": system,
                            "attribute": "race",
                            "policy": system,
                            "place": i,
                            "line": f"{group}\n10 rows",
                            **{"value": value, "low": value - 0.1, "high": value + 0.1},
                            **{"band_low": value - 0.2, "band_high": value + 0.2},
                            "nominal": np.nan,
                            "short": "suppressed" if group == "tiny" else "0.80",
                            "told": "SUPPRESSED" if group == "tiny" else "0.80 [...]",
                            "whole": False,
                        }
                    )
    return pd.DataFrame(rows)


def curve(count=50, attribute="race", panel="A", system="m", label=""):
    x = np.linspace(0, 1, count)
    frame = pd.DataFrame({"x": x, "y": np.sqrt(x)})
    names = {"attribute": attribute, "panel": panel, "system": system, "label": label}
    frame = frame.assign(low=frame.y - 0.1, high=frame.y + 0.1, n=20, **names)
    return frame.astype({"n": "Int64"})


def cells(panel="A"):
    frame = pd.DataFrame(
        {
            "truth": ["has it", "has it", "has it not", "has it not"],
            "called": ["yes", "no"] * 2,
            "count": ["30", "<10", "200", "1,200"],
            "share": [np.nan, np.nan, 0.14, 0.86],
            "percent": ["", "suppressed", "14 %", "86 %"],
        }
    )
    return frame.assign(attribute="race", panel=panel, system="m", label="")


ALL = {
    "intervals": (charts.intervals, dots()),
    "intervals of many": (
        charts.intervals,
        dots(("AUROC", "Brier"), ("x", "y"), ("m", "n", "o")),
    ),
    "policies": (charts.policies, dots(("recall", "FPR"), systems=("blind", "aware"))),
    "roc": (charts.roc, pd.concat([curve(), curve(300, panel=EVIL)])),
    "roc of two": (charts.roc, pd.concat([curve(), curve(system="n")])),
    "calibration": (charts.calibration, pd.concat([curve(8), curve(8, panel=EVIL)])),
    "confusion": (charts.confusion, pd.concat([cells(), cells(EVIL)])),
}


@cache
def made(name, simulated=False):
    draw, rows = ALL[name]
    return draw(rows, "by race", simulated=simulated)


def image(spec):
    return matplotlib.image.imread(io.BytesIO(vega.png(spec, scale=1)))


def share(picture, color):
    """Share of the picture's pixels that have this very color."""
    rgb = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return float(np.mean(np.all(np.abs(picture[..., :3] - rgb) < 0.02, axis=-1)))


@pytest.mark.parametrize("name", ALL)
def test_specs_are_valid_json_and_the_same_each_time(name):
    spec = made(name)
    json.dumps(spec, allow_nan=False)  # NaN is no JSON
    alt.Chart.from_dict(spec)  # raises what Vega-Lite's schema refuses
    assert spec == made.__wrapped__(name)


@pytest.mark.parametrize("name", ALL)
def test_specs_draw_something_in_our_colors(name):
    picture = image(made(name))
    assert share(picture, "#ffffff") > 0.3
    blue = "#0072B2" if name != "confusion" else "#eeeeee"  # a suppressed cell is gray
    assert share(picture, blue) > 3e-4


def test_every_row_is_drawn_and_what_is_missing_is_null():
    rows = made("intervals")["datasets"]["rows"]
    assert [r["line"].split("\n")[0] for r in rows] == ["A", EVIL, "tiny"]
    assert rows[2]["value"] is None and rows[2]["short"] == "suppressed"
    assert rows[0]["value"] == 0.8 and rows[0]["band_low"] == pytest.approx(0.6)
    words = json.dumps(made("intervals")["layer"])
    assert "!isValid(datum.value)" in words and '"short"' in words


def test_why_there_is_no_number_is_short_where_lines_are_narrow():
    one, many = (
        json.dumps(made(n)["layer"]) for n in ("intervals", "intervals of many")
    )
    assert '"calculate": "datum.short"' in one
    assert "split(datum.short, ':')[0]" in many  # "not estimable", without the reason


def test_numbers_are_short_and_names_are_data_only():
    frame = pd.DataFrame({"a": [1 / 3, np.inf], "b": [True, False], "c": ["x", None]})
    assert chart_parts.records(frame) == [
        {"a": 0.33333, "b": True, "c": "x"},
        {"a": None, "b": False, "c": None},
    ]
    for name in ALL:
        spec = made(name)
        tests = json.dumps({k: v for k, v in spec.items() if k != "datasets"})
        assert "alert(1)" not in tests


def test_a_title_with_any_letters_is_still_drawn():
    spec = charts.intervals(dots(("AUROC", "Brier")), f"by {EVIL}", simulated=False)
    assert share(image(spec), "#1a1d21") > 1e-3  # ink


def test_menus_only_where_there_is_a_choice():
    assert "params" not in made("intervals")
    params = made("intervals of many")["params"]
    assert [p["name"] for p in params] == ["pick_metric", "pick_label"]
    assert params[0]["bind"]["options"] == ["AUROC", "Brier"]
    assert params[0]["value"] == "AUROC"
    test = json.dumps(made("intervals of many"))
    assert "datum.metric === pick_metric && datum.label === pick_label" in test


def test_title_follows_the_menu_and_says_simulated():
    plain, menu = (made(n)["title"] for n in ("intervals", "intervals of many"))
    assert plain["text"] == "AUROC by race" and "subtitle" not in plain
    assert menu["text"] == {"expr": 'pick_metric + " by race"'}
    for name in ALL:
        assert made(name, simulated=True)["title"]["subtitle"] == "SIMULATED"


def test_color_never_stands_alone():
    for name, second in (
        ("intervals of many", "shape"),
        ("policies", "shape"),
        ("roc of two", "strokeDash"),
    ):
        found = []

        def walk(node, found=found, second=second):
            if isinstance(node, dict):
                if isinstance(node.get(second), dict) and "color" in node:
                    found.append((node["color"], node[second]))
                node = list(node.values())
            for one in node if isinstance(node, list) else []:
                walk(one)

        walk(made(name))
        assert found
        for color, other in found:
            color = color.get("condition", color)
            assert color["field"] == other["field"]
            ranges = [c["scale"]["range"] for c in (color, other)]
            domain = color["scale"]["domain"]
            assert all(len({str(x) for x in r}) == len(domain) > 1 for r in ranges)
            assert set(ranges[0]) <= set(COLORS)


def test_roc_thinned_stays_on_the_curve():
    rng = np.random.default_rng(0)
    ends = np.array([0.0]), np.array([1.0])
    x, y = (np.concatenate([ends[0], np.sort(rng.random(9000)), ends[1]]) for _ in "xy")
    y = np.sort(y**0.3)
    thin = chart_parts.thinned(pd.DataFrame({"x": x, "y": y}), 101)
    assert len(thin["x"]) <= 101
    assert (thin["x"][0], thin["y"][0], thin["x"][-1], thin["y"][-1]) == (0, 0, 1, 1)
    away = np.abs(np.interp(x, thin["x"], thin["y"]) - y)
    assert away.max() < 0.021  # a step along x + y is 0.02
    short = pd.DataFrame({"x": [0.0, 0.0, 1.0], "y": [0.0, 1.0, 1.0]})
    assert chart_parts.thinned(short, 101) == {"x": [0, 0, 1], "y": [0, 1, 1]}


def test_calibration_axis_reaches_the_farthest_end_and_no_farther():
    rows = curve(8).assign(x=lambda r: r.x * 0.2, y=lambda r: r.y * 0.2)
    rows = rows.assign(low=rows.y - 0.02, high=rows.y + 0.02)
    spec = charts.calibration(rows, "t", simulated=False)
    domains = {tuple(s["domain"]) for s in scales(spec) if "domain" in s}
    assert domains == {(0, 0.3), ("m",)}


def scales(node):
    if isinstance(node, dict):
        if isinstance(node.get("scale"), dict):
            yield node["scale"]
        node = list(node.values())
    for one in node if isinstance(node, list) else []:
        yield from scales(one)


def test_small_multiples_tell_the_page_how_they_fit():
    for name in ("roc", "calibration", "confusion", "policies"):
        spec = made(name)
        assert {"margin", "inner", "square"} == set(spec["usermeta"])
        assert spec["columns"] > 1 and spec["spec"]["width"] > 100
    assert made("intervals")["width"] == "container"


def test_the_bundle_can_stand_in_a_script_element():
    text = vega.bundle()
    assert "vegaEmbed" in text and "</script" not in text and "<!--" not in text
    assert vega.bundle() is text
