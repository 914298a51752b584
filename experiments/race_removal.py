"""Section of the page: what it costs to take the attribute out, and whether it works.

Two claims are kept apart. A method that aims at the features (an adversary, a
distance, an erasure) promises that the attribute cannot be read any more; whether that
is so is for a fresh reader to say. One that aims at errors (balanced rows, the worst
group, scores that are alike) promises something else, and is shown beside the others
for what it leaves.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from equity_jax import removal as machine
from equity_jax.audit import NOT_ESTIMABLE, OK, view
from equity_jax.audit.pages import race_figures
from equity_jax.audit.pages.page import Figure, Section, Table, interval_text
from equity_jax.config import Config
from equity_jax.methods import METHODS
from equity_jax.run import Result
from equity_jax.store import Store
from experiments import race_frontier, race_rates
from experiments.page_parts import picture
from experiments.race_frontier import DISEASE, FAILS, PRICE, PROBE, REMOVES, WRONG
from experiments.race_views import Views

TITLE = "What removal costs"
AIMS = ("dann", "cdann", "laftr", "mmd", "coral", "leace", "inlp")
"""What promises that the attribute cannot be read from the features."""


def refuse(config: Config) -> None:
    """Looks up every name of config.removal, before anything is read or written.

    Raises:
        InputError: an unknown method, closed form or model; steps, a batch or a rate
            that nothing can be learned with.
    """
    machine.planned(config.removal)
    for name in config.removal.images:
        METHODS.get(name)


def removal(result: Result, views: Views, quiet: bool = True) -> Section | None:
    """removal.csv, its picture and its section; None where nothing was asked for."""
    wanted = result.config.removal
    if not (wanted.methods or wanted.closed or wanted.images):
        return None
    spec = result.dataset.spec
    if len(race_frontier.told(result.dataset)[0]) < 2:
        text = (
            f"Fewer than two groups of {spec.group} have rows enough to be told apart."
        )
        return Section(TITLE, [text])
    made = race_frontier.judged(result, views, quiet)
    table = race_frontier.frontier(result, made)
    result.store.write_csv("removal.csv", table)
    odds: list[str] = []
    if race_rates.ODDS in wanted.closed:
        rates, said = race_rates.rates(result, made)
        result.store.write_csv("removal_rates.csv", rates)
        odds = [*race_rates.sentences(rates), said]
    text = [
        f"**What it takes to hide {spec.group}.** Every way to take {spec.group} out of"
        " the frozen features is judged twice on the same test patients: by a fresh"
        " reader (logistic regression, nearest neighbors or a perceptron, whichever"
        " reads most on validation rows), trained after the removal, and by what is"
        " left of the findings. A reader is a lower bound: what it cannot read, another"
        " one might.",
        "Changes are against the same encoder, or the same last layer, without any"
        " removal, in the same replicates of patients. No strength was chosen on test"
        " rows: all are shown, and among so many intervals one in twenty misses by"
        " chance.",
        *_sentences(table),
        *odds,
    ]
    everyone = table[table["group"] == ""]
    tables = [_everyone(everyone), _groups(table, spec.group)]
    return Section(TITLE, text, tables, [_drawn(result, everyone)])


def _drawn(result: Result, everyone: pd.DataFrame) -> Figure:
    spec = result.dataset.spec
    figure = race_figures.frontier(
        _points(everyone),
        title=f"What is left of {spec.group}, and of the findings",
        xlabel=f"AUROC of {spec.group} by a fresh reader (0.5: nothing can be read)",
        ylabel="AUROC of the findings, mean over labels",
        simulated=spec.simulated,
    )
    caption = f"Findings against {spec.group}, every method and strength"
    return picture(result, "removal", figure, caption, caption)


def summary(store: Store) -> list[str]:
    """What the command prints: every method at its strongest; [] where none was run."""
    if not (store.path / "removal.csv").exists():
        return []
    table = store.read_csv("removal.csv").fillna({"group": "", "verdict": ""})
    lines = ["What is left to read, and of the findings, after each removal:"]
    for probe, disease in _pairs(_strongest(table[table["group"] == ""])):
        words = probe.verdict or "nothing removed"
        lines.append(f"  {_named(probe)}: {_text(probe)}, {_text(disease)}; {words}")
    return lines


def _strongest(everyone: pd.DataFrame) -> pd.DataFrame:
    """Of every method the rows of its strongest strength."""
    most = everyone.groupby("method")["strength"].transform("max")
    return everyone[everyone["strength"].isna() | (everyone["strength"] == most)]


def _pairs(everyone: pd.DataFrame) -> Iterator[tuple[Any, Any]]:
    """(probe, disease), the two rows of every system."""
    sides = (view(everyone, what=what).itertuples() for what in (PROBE, DISEASE))
    return zip(*sides, strict=True)


def _named(row: Any) -> str:
    return f"{row.method} at {row.strength:g}" if row.strength > 0 else row.method


def _text(row: Any) -> str:
    return interval_text(row.value, row.low, row.high)


def _moved(row: Any) -> str:
    if row.method == row.against:
        return "–"
    return interval_text(row.change, row.change_low, row.change_high)


def _sentences(table: pd.DataFrame) -> list[str]:
    """Where everyone starts, and which methods keep what they promise."""
    both = list(_pairs(_strongest(table[table["group"] == ""])))
    start = "; ".join(
        f"{p.method}: {_text(p)}, findings {_text(d)}" for p, d in both if not p.verdict
    )
    said = [f"**Nothing removed.** What a fresh reader reads: {start}."]
    aims = [p for p, _ in both if p.verdict and p.method.split("(")[0] in AIMS]
    rest = [p for p, _ in both if p.verdict and p not in aims]
    kinds = {
        "Methods that promise features without it, at their strongest": aims,
        "Methods that promise something else": rest,
    }
    for title, rows in kinds.items():
        words = [
            f"{word}: {', '.join(f'{_named(p)} ({_moved(p)})' for p in mine)}"
            for word in (REMOVES, PRICE, FAILS, WRONG, NOT_ESTIMABLE)
            for mine in [[p for p in rows if p.verdict == word]]
            if mine
        ]
        if words:
            said.append(
                f"**{title}** (change of what can be read). {'; '.join(words)}."
            )
    failed = [p for p in aims if p.verdict in (FAILS, WRONG)]
    if failed:
        names = ", ".join(f"{_named(p)}{_weaker(table, p.method)}" for p in failed)
        said.append(
            f"**Not as promised:** {names}. The interval of the change does not lie"
            " below 0: a fresh reader may read as much as before."
        )
    return said


def _weaker(table: pd.DataFrame, method: str) -> str:
    """The strengths of a method that do remove, though its strongest does not."""
    rows = view(table[table["group"] == ""], method=method, what=PROBE)
    fine = rows.loc[rows["verdict"].isin([REMOVES, PRICE]), "strength"]
    return f" (it does at {', '.join(f'{s:g}' for s in fine)})" if len(fine) else ""


def _points(everyone: pd.DataFrame) -> pd.DataFrame:
    """What race_figures.frontier draws."""
    rows = []
    for probe, disease in _pairs(everyone):
        row = {"method": probe.method, "strength": probe.strength, "how": probe.how}
        row |= {"reference": probe.method == probe.against}
        for axis, side in (("x", probe), ("y", disease)):
            row |= {
                axis: side.value,
                f"{axis}_low": side.low,
                f"{axis}_high": side.high,
            }
        rows.append(row)
    return pd.DataFrame(rows)


def _everyone(everyone: pd.DataFrame) -> Table:
    rows = [
        {
            "method": p.method,
            "strength": p.strength,
            "read by": p.reader,
            "what can be read": _text(p),
            "its change": _moved(p),
            "findings": _text(d),
            "their change": _moved(d),
            "verdict": p.verdict or "reference",
        }
        for p, d in _pairs(everyone)
    ]
    note = (
        f"AUROC, findings as the {everyone['labels'].iloc[-1]} labels. A method"
        f' "{REMOVES}" where the interval of the change of what can be read lies below'
        ' 0, "at a price" where that of the findings does too. All is in removal.csv.'
    )
    return Table(
        "Every way to remove it, and its price", pd.DataFrame(rows), note, True
    )


def _groups(table: pd.DataFrame, attribute: str) -> Table:
    """Findings in every group and in the one served worst."""
    rows = table[table["what"].ne(PROBE) & table["group"].ne("")]
    rows = rows.assign(
        text=[_text(r) if r.status == OK else r.status for r in rows.itertuples()],
        column=rows["group"].where(rows["what"].eq(DISEASE), "served worst"),
        name=[_named(r) for r in rows.itertuples()],
    )
    worst = rows["what"].ne(DISEASE)
    rows["text"] = rows["text"].where(~worst, rows["group"] + " " + rows["text"])
    wide = rows.pivot_table("text", "name", "column", "first", sort=False).fillna("–")
    wide = wide[list(dict.fromkeys(rows["column"]))].reset_index()
    note = (
        f"AUROC, {rows['labels'].iloc[0] if len(rows) else 'no'} labels that every"
        " group has rows enough of. The interval of the group served worst allows for"
        " looking at all groups."
    )
    frame = wide.rename_axis(columns=None).rename(columns={"name": "method"})
    return Table(f"The price by {attribute}", frame, note, True)
