"""Vega-Lite specs of an audit's pictures, built by Altair; nothing is drawn here.

Every function takes a DataFrame and gives a spec, a dict. Colors are those of Okabe &
Ito and never carry a meaning alone: shapes, dashes or words say it too. Where a
DataFrame has several labels, systems or metrics, a menu chooses among them; what has no
value says why in words. Numbers are rounded to five digits, to keep the page small.
"""

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from equity_jax.audit.pages import chart_parts as parts
from equity_jax.audit.pages.style import INK, SOFT, distinct

DOTS = [
    *("metric", "label", "system", "place", "line", "value", "low", "high"),
    *("short", "told", "whole"),
]
POINTS = 101  # points of a ROC curve that are drawn
OTHERS = "#cdd3da"  # the curves of the other groups
KEYS = ["attribute", "label", "system", "panel"]
CELL = 104  # pixels high, a confusion matrix


def intervals(rows: pd.DataFrame, title: str, *, simulated: bool) -> dict[str, Any]:
    """Dots with their interval and a pale simultaneous band, one line a group.

    Args:
        rows: metric (its title), label, system, place (order of the lines), line (the
            group's name and rows), value, low, high, band_low, band_high, nominal
            (NaN: none), short (the number, or why there is none), told (the number
            with its interval), whole (whether the line is of all rows).
        title: what follows the metric: "by race".
        simulated: whether the data are.

    Returns:
        dict, a spec as wide as what it stands in.
    """
    rows = rows[[*DOTS, "band_low", "band_high", "nominal"]]
    menus, chosen = parts.menus(rows, metric="Metric", label="Label")
    base = alt.Chart().transform_filter(chosen)
    nominal = base.transform_filter("isValid(datum.nominal)")
    nominal = nominal.mark_rule(color=SOFT, strokeDash=[4, 3])
    layers = [nominal.encode(x="nominal:Q"), *parts.dots(base, rows, "system")]
    if rows.system.nunique() == 1:
        whole = base.transform_filter("datum.whole")
        whole = whole.mark_rule(color=SOFT, strokeDash=[1, 3]).encode(x="value:Q")
        layers.insert(0, whole)
    chart = alt.layer(*layers, data=parts.ROWS).add_params(*menus)
    height = _step(rows, "system") * rows.place.nunique()
    chart = chart.properties(width="container", height=height)
    if not menus or menus[0].name != "pick_metric":
        title = f"{rows.metric.iloc[0]} {title}"
    return parts.finish(chart, rows, parts.led(menus, title), simulated=simulated)


def policies(rows: pd.DataFrame, title: str, *, simulated: bool) -> dict[str, Any]:
    """A panel a metric, a line a group, a dot with its interval a policy.

    Args:
        rows: metric (its title), attribute, label, system, policy, and place, line,
            value, low, high, short, told, whole as for `intervals`.
        title: what the picture says.
        simulated: whether the data are.
    """
    order = {name: i for i, name in enumerate(distinct(rows.metric))}
    rows = rows[["attribute", "policy", *DOTS]].assign(turn=rows.metric.map(order))
    turn = alt.EncodingSortField("turn", op="min")
    menus, chosen = parts.menus(
        rows, attribute="Groups by", label="Label", system="Model"
    )
    layers = alt.layer(*parts.dots(alt.Chart(), rows, "policy"))
    height = alt.Step(_step(rows, "policy"), **{"for": "position"})
    width = parts.PANEL + 40
    chart = layers.properties(width=width, height=height).facet(
        facet=alt.Facet("metric:N", sort=turn, title=None),
        data=parts.ROWS,
        columns=2,
        spacing=parts.GAP,
    )
    chart = chart.resolve_axis(x="independent")  # under every panel
    chart = chart.transform_filter(chosen).add_params(*menus)
    longest = max(len(part) for name in rows.line for part in name.split("\n"))
    fit = {"margin": 7 * longest, "inner": parts.GAP, "square": False}
    return parts.finish(chart, rows, title, simulated=simulated, fit=fit)


def roc(rows: pd.DataFrame, title: str, *, simulated: bool) -> dict[str, Any]:
    """A panel a group: its ROC curve before those of all others, in gray.

    Args:
        rows: attribute, label, system, panel (the group's name and rows), x (false
            positive rate), y (true positive rate), in the order of the curve.
        title: what the picture says.
        simulated: whether the data are.
    """
    curves = rows.groupby(KEYS, sort=False)
    thin = [parts.thinned(curve, POINTS) for _, curve in curves]
    rows = pd.DataFrame([name for name, _ in curves], columns=KEYS)
    rows = rows.join(pd.DataFrame(thin))  # a line a curve, unfolded by the chart
    _, chosen = parts.menus(rows, attribute="Groups by", label="Label")
    x, y = _axes(("false positive rate", "true positive rate"), 1.0)
    others = alt.Chart(parts.ROWS).transform_filter(chosen)
    others = _unfolded(others).mark_line(color=OTHERS, strokeWidth=1)
    others = others.encode(x, y, detail=["panel:N", "system:N"], order="step:Q")
    color, dash = parts.kinds(rows, "system", "dash")
    own = _unfolded(alt.Chart()).mark_line(strokeWidth=2.2)
    own = own.encode(x, y, color, dash, order="step:Q")
    layers = alt.layer(parts.diagonal(1.0).encode(x, y), others, own)
    return parts.panels(layers, rows, title, simulated=simulated)


def calibration(rows: pd.DataFrame, title: str, *, simulated: bool) -> dict[str, Any]:
    """A panel a group: the observed share over a bin's mean score, with intervals.

    Args:
        rows: attribute, label, system, panel, x (mean score), y (observed share), low,
            high, n.
        title: what the picture says.
        simulated: whether the data are.
    """
    rows = rows[[*KEYS, "x", "y", "low", "high", "n"]]
    far = np.nanmax(rows[["x", "y", "high"]].to_numpy(float), initial=0.1)
    top = min(math.ceil(10 * far) / 10, 1.0)
    x, y = _axes(("mean score", "observed share"), top)
    color, shape = parts.kinds(rows, "system")
    names = {"x": "mean score", "y": "observed share", "n": "rows"}
    told = [alt.Tooltip(f"{c}:Q", title=name) for c, name in names.items()]
    base = alt.Chart()
    low = alt.Y("low:Q", scale=alt.Scale(domain=[0, top]))
    dot = base.mark_point(filled=True, opacity=1, size=46, clip=True)
    layers = alt.layer(
        parts.diagonal(top).encode(x, y),
        base.mark_rule(clip=True).encode(x, low, alt.Y2("high"), color),
        base.mark_line(clip=True, strokeWidth=1).encode(x, y, color),
        dot.encode(x, y, color, shape, tooltip=told),
    )
    return parts.panels(layers, rows, title, simulated=simulated)


def confusion(rows: pd.DataFrame, title: str, *, simulated: bool) -> dict[str, Any]:
    """A panel a group, its four cells: rows counted, and their share of the truth.

    Args:
        rows: attribute, label, system, panel, truth, called, count (text, "<10" if
            suppressed), share (of the rows of this truth, NaN if suppressed), percent
            (text).
        title: what the picture says.
        simulated: whether the data are.
    """
    rows = rows[[*KEYS, "truth", "called", "count", "share", "percent"]]
    flat = alt.Axis(domain=False, ticks=False, labelAngle=0, labelExpr=parts.SPLIT)
    ends = [alt.Scale(domain=distinct(rows[c])) for c in ("truth", "called")]
    x = alt.X("truth:N", scale=ends[0], title=None, axis=flat)
    y = alt.Y("called:N", scale=ends[1], title=None, axis=flat)
    scale = alt.Scale(domain=[0, 1], scheme="blues")
    fill = alt.Color("share:Q", legend=None, scale=scale)
    base = alt.Chart().encode(x, y)
    ink = alt.condition("datum.share > 0.6", alt.value("#ffffff"), alt.value(INK))
    known = base.transform_filter("isValid(datum.share)")
    count = base.mark_text(dy=-8, fontSize=13, fontWeight="bold")
    layers = alt.layer(
        base.mark_rect(stroke="#ffffff", strokeWidth=2, fill="#eeeeee"),
        known.mark_rect(stroke="#ffffff", strokeWidth=2).encode(fill),
        count.encode(text="count:N", color=ink),
        base.mark_text(dy=9, fontSize=11).encode(text="percent:N", color=ink),
    )
    return parts.panels(
        layers, rows, title, simulated=simulated, by_system=True, height=CELL
    )


def _unfolded(curves: alt.Chart) -> alt.Chart:
    """A point a row, from a curve a row; step orders the points."""
    points = curves.transform_flatten(["x", "y"])
    return points.transform_calculate(step="datum.x + datum.y")


def _axes(titles: tuple[str, str], top: float) -> tuple[alt.X, alt.Y]:
    """Two axes from 0 to `top`, with few ticks."""
    scale = alt.Scale(domain=[0, top])
    axis = alt.Axis(tickCount=4, labelFlush=False)
    return (
        alt.X("x:Q", title=titles[0], scale=scale, axis=axis),
        alt.Y("y:Q", title=titles[1], scale=scale, axis=axis),
    )


def _step(rows: pd.DataFrame, by: str) -> int:
    """Pixels of a line of dots: room for its name and for each kind of dot."""
    names = max(name.count("\n") + 1 for name in rows.line)
    return max(44, 13 * names + 10, 15 * rows[by].nunique() + 6)
