"""What the charts share: their look, their menus, dots with intervals, small multiples.

Nothing here names a group in an expression: names are data, or JSON strings.
"""

import json
import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from equity_jax.audit.pages.style import COLORS, INK, RULE, SOFT, WARN, distinct

SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4], [1, 3])
PANEL = 168  # pixels a side of a small multiple
GAP = 20  # pixels between them
SPLIT = r"split(datum.label, '\n')"  # names may have two lines
MIDDLE = {  # raises a name of several lines so that its middle is at the dot
    "condition": [
        {"test": f"split(datum.label, '\\n').length === {n}", "value": -6.5 * (n - 1)}
        for n in range(2, 9)
    ],
    "value": 0,
}
CONFIG = {
    "font": "system-ui, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif",
    "background": "#ffffff",
    "padding": 6,
    "view": {"stroke": None},
    "axis": {
        **{"labelColor": INK, "titleColor": INK, "gridColor": RULE},
        **{"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
        **{"domainColor": RULE, "tickColor": RULE, "labelLimit": 260},
    },
    "legend": {
        **{"orient": "top", "labelFontSize": 12, "labelColor": INK, "title": None},
        **{"symbolOpacity": 1},  # that of the dots, not of the pale band
    },
    "title": {
        **{"anchor": "start", "color": INK, "fontSize": 14, "offset": 12},
        **{"subtitleColor": WARN, "subtitleFontWeight": "bold", "frame": "bounds"},
    },
    "header": {
        **{"labelColor": INK, "labelFontSize": 12, "labelFontWeight": "bold"},
        **{"labelAnchor": "start", "title": None},
    },
}


ORDER = alt.EncodingSortField("place", op="min")  # a list would be an expression
ROWS = alt.NamedData("rows")  # what every chart draws; `finish` puts it in


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as plain values: NaN is null, numbers have five digits."""
    names = list(rows.columns)
    return [
        dict(zip(names, map(_value, row), strict=True))
        for row in rows.itertuples(index=False)
    ]


def _value(x: Any) -> Any:
    if isinstance(x, bool | np.bool_):
        return bool(x)
    if isinstance(x, str):
        return x
    if isinstance(x, list):
        return [_value(one) for one in x]
    if pd.isna(x) or not math.isfinite(x):
        return None
    return int(x) if isinstance(x, int | np.integer) else float(f"{x:.5g}")


def menus(rows: pd.DataFrame, **titles: str) -> tuple[list[alt.Parameter], str]:
    """A menu for each column that has several values, and the test that it makes.

    Example:
        >>> rows = pd.DataFrame({"label": ["a", "b"], "system": ["m", "m"]})
        >>> menus(rows, label="Label", system="Model")[1]
        'datum.label === pick_label'
    """
    made, tests = [], []
    for column, title in titles.items():
        values = distinct(rows[column])
        if len(values) > 1:
            bind = alt.binding_select(options=values, name=title)
            made.append(alt.param(name=f"pick_{column}", bind=bind, value=values[0]))
            tests.append(f"datum.{column} === pick_{column}")
    return made, " && ".join(tests) or "true"


def kinds(
    rows: pd.DataFrame, column: str, channel: str = "shape"
) -> tuple[alt.Color, alt.Shape | alt.StrokeDash]:
    """Color and shape (or dash) of what is told apart; one kind needs no legend."""
    names = distinct(rows[column])
    made, looks = (
        (alt.Shape, SHAPES) if channel == "shape" else (alt.StrokeDash, DASHES)
    )

    def scale(values: Sequence[Any]) -> alt.Scale:
        many = [values[i % len(values)] for i in range(len(names))]
        return alt.Scale(domain=names, range=many)

    legend = {} if len(names) > 1 else {"legend": None}
    if sum(len(str(name)) + 6 for name in names) > 110:  # more than a line holds
        room = max(1, 110 // max(len(str(name)) + 6 for name in names))
        legend = {"legend": alt.Legend(columns=room, labelLimit=400)}
    color = alt.Color(f"{column}:N", scale=scale(COLORS), title=None, **legend)
    return color, made(f"{column}:N", scale=scale(looks), title=None, **legend)


def dots(base: alt.Chart, rows: pd.DataFrame, by: str) -> list[alt.Chart]:
    """Band, interval, dot and number of each line; a word where there is no number."""
    names = distinct(rows[by])
    color, shape = kinds(rows, by)
    axis = alt.Axis(
        labelExpr=SPLIT, labelOffset=MIDDLE, ticks=False, domain=False, labelPadding=8
    )
    place: dict[str, Any] = {"y": alt.Y("line:N", sort=ORDER, title=None, axis=axis)}
    if len(names) > 1:
        place["yOffset"] = alt.YOffset(f"{by}:N", scale=alt.Scale(domain=names))
    else:
        color = alt.condition("datum.whole", alt.value(INK), alt.value(COLORS[0]))

    def x(field: str) -> alt.X:
        axis = alt.Axis(tickCount=6, labelFlush=False)
        return alt.X(f"{field}:Q", title=None, scale=alt.Scale(zero=False), axis=axis)

    told = [alt.Tooltip(f"{c}:N", title=t) for c, t in (("line", "group"), (by, by))]
    told.append(alt.Tooltip("told:N", title="value"))
    why = "datum.short" if len(names) == 1 else "split(datum.short, ':')[0]"
    point = base.mark_point(filled=True, size=80, opacity=1)
    line = base.mark_rule(strokeWidth=2.2)
    layers = [
        line.encode(x("low"), alt.X2("high"), color=color, **place),
        point.encode(x("value"), color=color, shape=shape, tooltip=told, **place),
        base.transform_filter("!isValid(datum.value)")
        .transform_calculate(why=why)
        .mark_text(align="left", fontStyle="italic", color=SOFT, lineBreak="\n")
        .encode(x=alt.value(4), text="why:N", **place),
    ]
    if "band_low" in rows:
        band = base.mark_rule(strokeWidth=10, opacity=0.22, strokeCap="round")
        ends = x("band_low"), alt.X2("band_high")
        layers.insert(0, band.encode(*ends, color=color, **place))
    if len(names) == 1:
        number = base.transform_filter("isValid(datum.value)")
        number = number.mark_text(dy=-12, fontSize=11, color=INK)
        layers.append(number.encode(x("value"), text="short:N", **place))
    return layers


def panels(
    layers: alt.LayerChart,
    rows: pd.DataFrame,
    title: str,
    *,
    simulated: bool,
    by_system: bool = False,
    height: int = PANEL,
) -> dict[str, Any]:
    """Small multiples, one a group; page.js fits their columns to the screen."""
    titles = {"attribute": "Groups by", "label": "Label"}
    titles |= {"system": "Model"} if by_system else {}
    made, chosen = menus(rows, **titles)
    header = alt.Header(labelExpr=SPLIT, labelLimit=PANEL + GAP)
    order = {name: i for i, name in enumerate(distinct(rows.panel))}
    rows = rows.assign(place=rows.panel.map(order))
    by = alt.Facet("panel:N", sort=ORDER, title=None, header=header)
    chart = layers.properties(width=PANEL, height=height).facet(
        facet=by, data=ROWS, columns=4, spacing=GAP
    )
    chart = chart.resolve_axis(x="independent")  # under every panel
    chart = chart.transform_filter(chosen).add_params(*made)
    fit = {"margin": 84, "inner": GAP, "square": height == PANEL}
    return finish(chart, rows, title, simulated=simulated, fit=fit)


def diagonal(top: float) -> alt.Chart:
    """A dashed line from (0, 0) to (top, top)."""
    ends = alt.Data(values=[{"x": 0, "y": 0}, {"x": top, "y": top}])
    return alt.Chart(ends).mark_line(color=SOFT, strokeDash=[4, 3], strokeWidth=1)


def thinned(curve: pd.DataFrame, points: int) -> dict[str, list[float]]:
    """At most `points` points of a rising curve, evenly spread along x + y."""
    x, y = curve.x.to_numpy(float), curve.y.to_numpy(float)
    if len(curve) > points:
        wanted = np.linspace(x[0] + y[0], x[-1] + y[-1], points)
        kept = np.unique(np.abs((x + y)[:, None] - wanted).argmin(axis=0))
        x, y = x[kept], y[kept]
    return {"x": x.tolist(), "y": y.tolist()}


def finish(
    chart: alt.TopLevelMixin,
    rows: pd.DataFrame,
    title: str,
    *,
    simulated: bool,
    fit: Any = None,
) -> dict[str, Any]:
    """The spec with its rows, title and look.

    fit: what page.js needs to fit small multiples to the screen: margin, pixels that
    axes take left of all panels; inner, those that each panel takes beside its own
    width; square, whether a panel is as high as it is wide.
    """
    text: dict[str, Any] = {"text": title}
    if title.startswith("="):  # an expression, such as one that reads a menu
        text["text"] = alt.ExprRef(title[1:])
    if simulated:
        text["subtitle"] = "SIMULATED"
    spec = chart.properties(title=alt.TitleParams(**text)).to_dict()
    spec |= {"datasets": {"rows": records(rows)}, "config": CONFIG}
    return spec | ({"usermeta": fit} if fit else {})


def led(made: Sequence[alt.Parameter], title: str) -> str:
    """A title that begins with what the menu of metrics shows."""
    if not any(param.name == "pick_metric" for param in made):
        return title
    return "=pick_metric + " + json.dumps(" " + title)
