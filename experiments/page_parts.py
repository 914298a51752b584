"""What sections of a study's page share: names, wide tables, saved pictures."""

import pandas as pd
from matplotlib.figure import Figure as Drawing

from equity_jax.audit import NOT_ESTIMABLE
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Figure, interval_text
from equity_jax.run import Result
from equity_jax.store import Store

TITLES = {
    "deviance": "Mean deviance (-2 log-likelihood a cell)",
    "observed_expected": "Observed / expected deaths",
    "coverage90": "Coverage of the 90 % predictive interval",
    "auroc": "AUROC of high burden",
}
HEADLINE = ("mixture", "alone", "transfer")


def main_metric(result: Result) -> str:
    """What groups are compared by: calibration for counts, ranking for classes."""
    there = set(result.report.table["metric"])
    return "observed_expected" if "observed_expected" in there else "auroc"


def plain_method(result: Result) -> str:
    """The method of the headline: erm where it was run."""
    methods = result.store.config.train.methods
    return "erm" if "erm" in methods else methods[0]


def wide(table: pd.DataFrame, column: str = "scheme") -> pd.DataFrame:
    """Groups × `column`, cells "value [low, high]"."""
    text = [
        interval_text(r.value, r.low, r.high) if r.status != NOT_ESTIMABLE else r.status
        for r in table.itertuples()
    ]
    cells = table.assign(text=text)
    names = list(dict.fromkeys(cells[column]))
    shaped = cells.pivot_table("text", "group", column, "first", sort=False)[names]
    return shaped.reset_index()


def picture(
    result: Result, name: str, figure: Drawing, caption: str, alt: str
) -> Figure:
    """Saves a figure in the run directory and gives its place on the page."""
    with result.store.place(f"figures/{name}.png") as path:
        figures.save(figure, path)
    return Figure(f"figures/{name}.png", caption, alt)


def short(scheme: str) -> str:
    """A scheme's name for a table's head: "transfer('full') @ 5%" -> "full @ 5%".

    Example:
        >>> short("transfer('full')"), short("mixture")
        ('full', 'mixture')
    """
    return scheme.replace("transfer('", "").replace("')", "")


def closing(store: Store) -> list[str]:
    """The last lines of what a study prints: how many runs, how long, where to look."""
    seconds = store.read_json("env.json")["seconds"]
    spent = ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
    runs = f"{len(store.read_csv('runs.csv'))} runs; {spent}"
    return [runs, f"report: {store.path / 'report.html'}"]
