"""The first screen of an audit's page: who is served worse, by how much, how sure."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from equity_jax.audit.pages import audit_names as names
from equity_jax.audit.pages.audit_methods import MEANINGS
from equity_jax.audit.pages.audit_names import Primary
from equity_jax.audit.pages.words import p_text
from equity_jax.audit.table import OK, view


def answer(report: Any, first: Primary) -> list[tuple[str, str]]:
    """Who is served worse, by how much, how sure, on how many patients.

    A group is named only where its simultaneous band lies wholly on the worse side of
    another group's; if the gap's interval contains 0 no group is.
    """
    where = {"system": first.system, "label": first.label}
    where |= {"attribute": first.attribute, "metric": first.metric}
    rows = view(report.table, **where)
    gaps = view(rows, contrast="gap", status=OK)
    unit = report.meta.get("unit", "row")
    size = _size(rows, "all", unit, names.least(report))
    if not len(gaps):
        text = "No groups can be compared: fewer than two are large enough."
        return [("Who is served worse", text), ("On how many", size)]
    gap, title = gaps.iloc[0], names.title(first.metric)
    groups = len(names.named(view(rows, contrast="group", status=OK)))
    pairs = names.told_apart(rows, first.metric) if gap.low > 0 else []
    much = f"{title}, largest minus smallest group: {names.told(gap)}"
    much = _difference(rows, pairs) + much + _corrected(report, where, gap)
    sure = "\n".join(_sure(report, where, gap, groups))
    return [
        ("Who is served worse", _who(rows, pairs, gap, title)),
        ("By how much", much),
        ("How sure", sure),
        ("On how many", "\n".join([size, *_own(rows, pairs, names.least(report))])),
    ]


def _who(rows: pd.DataFrame, pairs: list, gap: Any, title: str) -> str:
    if gap.low <= 0:
        return "No group can be told apart from the others on these data."
    if not pairs:
        return (
            f"Some groups differ in {title}, but these data cannot say which: each"
            " group's own band overlaps all others."
        )
    known = view(rows, contrast="group").set_index("group")
    value = {group: names.told(known.loc[group]) for pair in pairs for group in pair}
    parts = [f"{group}: {title} {value[group]}" for group, _ in pairs[:3]]
    better = list(dict.fromkeys(other for _, other in pairs[:3]))
    more = f" (and {len(pairs) - 3} more)" if len(pairs) > 3 else ""
    against = names.listed([f"{other} ({value[other]})" for other in better])
    return f"{'; '.join(parts)}{more}\nagainst {against}"


def _difference(rows: pd.DataFrame, pairs: list) -> str:
    """The difference of the first pair, where the table has it."""
    if not pairs:
        return ""
    for contrast in ("pair", "difference"):
        found = view(rows, contrast=contrast, status=OK)
        for group, other in (pairs[0], pairs[0][::-1]):
            for row in view(found, group=group, reference=other).itertuples():
                return f"{group} minus {other}: {names.told(row)}\n"
    return ""


def _corrected(report: Any, where: dict[str, str], gap: Any) -> str:
    found = view(names.tests(report), **where, status=OK)
    if not len(found) or pd.isna(found.iloc[0].gap_corrected):
        return "."
    left = names.near(found.iloc[0].gap_corrected, gap.low, gap.high)
    return f"; {left} after taking off what chance alone adds."


def _sure(report: Any, where: dict[str, str], gap: Any, groups: int) -> Iterator[str]:
    if gap.low > 0:
        yield "The gap's interval excludes 0: some groups are served differently."
    else:
        yield "The gap's interval contains 0: it may be chance."
    if report.meta.get("unit", "row") == "row":
        yield "No patient column: each row counts as a patient of its own."
    level = 100 * report.meta.get("level", 0.95)
    yield f"Intervals of {level:g} %; the gap's allows for looking at {groups} groups."
    found = view(names.tests(report), **where, status=OK)
    if len(found):
        p, adjusted = (p_text(float(found.iloc[0][c])) for c in ("p", "p_adjusted"))
        text = f"Test that all groups are alike: p {'' if '<' in p else '= '}{p}"
        yield f"{text.replace('<', '< ')} ({adjusted} adjusted over metrics)."
        if gap.low > 0 and found.iloc[0].p_adjusted > 1 - level / 100:
            yield "Among so many metrics, such a gap in one of them may be chance."


def _own(rows: pd.DataFrame, pairs: list, hidden: str) -> list[str]:
    shown = list(dict.fromkeys(g for pair in pairs[:3] for g in pair))
    return [f"{group}: {_size(rows, group, '', hidden)}" for group in shown]


def _size(rows: pd.DataFrame, group: str, unit: str, hidden: str) -> str:
    row = view(rows, contrast="group", group=group).iloc[0]
    text = f"{names.count(row.n, hidden)} rows"
    if unit == "row":
        return text
    return f"{text} of {names.count(row.patients, hidden)}" + (unit and f" {unit}s")


def title(report: Any) -> str:
    """The question, with the names of the models."""
    systems = [str(name) for name in report.table.system.unique() if name]
    named = names.listed(systems) if systems else "a model"
    return f"Who is served worse by {named if len(systems) < 4 else 'these models'}?"


def subtitle(report: Any, first: Primary) -> str:
    """What was asked, of how much, and that the rest follows."""
    groups = view(report.table, contrast="group")
    asked = [f"**{first.attribute}**"]
    for column in ("label", "system"):
        if groups[column].nunique() > 1:
            word = {"label": "label", "system": "model"}[column]
            asked.append(f"{word} **{getattr(first, column)}**")
    rest = names.several(groups, "system", "label", "attribute")
    words = {"system": "models", "label": "labels", "attribute": "attributes"}
    others = names.listed([words[c] for c in rest]) if rest else ""
    more = f" Table 1 has the other {others}." if rest else ""
    means = MEANINGS.get(first.metric, "see Methods")
    metric = names.title(first.metric)
    return f"Answered here for {names.listed(asked)}, in {metric}: {means}.{more}"
