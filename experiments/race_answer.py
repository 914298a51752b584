"""The first lines of the race page: what can be read, and what hides it."""

import pandas as pd

from equity_jax.audit import OK, view
from equity_jax.audit.pages.page import interval_text
from equity_jax.run import Result
from equity_jax.store import Store
from experiments.race_frontier import PRICE, PROBE, REMOVES
from experiments.race_probes import LINE, MEAN, READERS
from experiments.race_reader import PLANTED, Reader


def read(result: Result, reader: Reader) -> list[tuple[str, str]]:
    """How well the attribute is read, for the top of the page."""
    rows = view(reader.table, group=MEAN, status=OK)
    said = {
        r.reader: interval_text(r.value, r.low, r.high)
        for r in rows[rows["reader"] != PLANTED].itertuples()
    }
    name, line = result.dataset.spec.group, READERS[LINE]
    if line not in said:
        return []
    text = f"AUROC {said[line]}, mean over groups (0.5: not at all)"
    own = said.get(f"{name} classifier")
    text += f"; from the images themselves, by a network of its own, {own}" * bool(own)
    return [(f"How well {name} is read from the frozen network", f"{text}.")]


def removed(store: Store) -> list[tuple[str, str]]:
    """What hides the attribute, for the top of the page; [] where none was tried."""
    if not (store.path / "removal.csv").exists():
        return []
    table = store.read_csv("removal.csv")
    rows = view(table[table["group"].isna()], what=PROBE)
    found = {word: _listed(view(rows, verdict=word)) for word in (REMOVES, PRICE)}
    free = f"At no measurable price: {found[REMOVES] or 'nothing'}."
    dear = f" At a price: {found[PRICE]}." if found[PRICE] else ""
    return [("What made it harder to read", free + dear)]


def _listed(rows: pd.DataFrame) -> str:
    """Each method, and at which strengths."""
    words = {}
    for r in rows.itertuples():
        words.setdefault(r.method, []).extend([f"{r.strength:g}"] * (r.strength > 0))
    return ", ".join(m + f" at {', '.join(s)}" * bool(s) for m, s in words.items())
