r"""Audits anybody's predictions: who is served worse, by how much, how sure.

    python -m scripts.audit --predictions=FILE.csv --label=y --score=prob \
        --attributes=race,sex --patient=patient_id --split=split --out=DIR

FILE is a CSV (or .csv.gz), one row per prediction, whatever made it. DIR gets audit.csv
(one long table), report.html (one page that opens offline), report.md and figures.

Several labels: --label=A,B --score=pA,pB. Classes: one label that names the class, and
--score=p_COVID,p_Normal,p_Viral. Counts: --exposure=COLUMN, the score is the expected
count. Several models on the same rows: --score=torch:prob --score=vendor:risk, or
--system=COLUMN --id=COLUMN where each model has rows of its own. A name with a comma
is put in double quotes: --attributes='race,"age, years"'.

Exit codes: 0 done, 2 the file or a flag is wrong (one line on stderr).
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

from equity_jax.audit import OK, AuditReport, audit, view
from equity_jax.audit.pages.words import interval_text
from equity_jax.metrics import FACTS
from equity_jax.types import InputError
from experiments.launch import exit_codes, parse
from scripts.audit_flags import define, settings
from scripts.places import folder

NEEDED = ("predictions", "label", "score", "attributes", "out")
MAIN = ("auroc", "observed_expected")  # what the lines for a person are about
MOST = 8  # such lines


def lines(report: AuditReport) -> list[str]:
    """For a person: per attribute and model, the group served worst, and how sure.

    The metric is AUROC or, for counts, observed / expected; else the first.
    """
    worst = report.worst()
    worst = worst[~worst["attribute"].str.contains(" × ", regex=False)]
    there = list(dict.fromkeys(worst["metric"]))
    metric = next((name for name in (*MAIN, *there) if name in there), "")
    found = [_line(report, row) for row in view(worst, metric=metric).itertuples()]
    if len(found) > MOST:
        found[MOST:] = [f"... and {len(found) - MOST} more like these in audit.csv"]
    empty = len(report.not_estimable)
    if empty:
        found.append(f"{empty:,} numbers could not be estimated or may not be shown")
    return found


def main(argv: Sequence[str]) -> None:
    """Reads the flags, audits, says who is served worst and where the page is."""
    values = define()
    rest = parse(values, argv, __doc__, NEEDED)
    if rest:
        raise InputError(f"unexpected argument {json.dumps(rest[0])}")
    chosen = settings(values)
    chosen["quiet"] |= not sys.stderr.isatty()  # no progress bar in a log
    with folder(values.out) as out:
        report = audit(values.predictions, **chosen)
        page = report.write(out)
    if not values.quiet:
        print("\n".join([*lines(report), f"report: {page}"]))


def _line(report: AuditReport, row: Any) -> str:
    what = [name for name in (row.system, row.label, row.attribute) if name]
    about = f"{', '.join(what)}: {FACTS[row.metric].title}"
    if row.status != OK:
        return f"{about}: {row.status} ({row.interval})"
    where = {name: getattr(row, name) for name in ("system", "label", "attribute")}
    gaps = view(report.gaps(metric=row.metric, **where), status=OK)
    text = f"{about} is worst in {row.group}, "
    text += f"{interval_text(row.value, row.low, row.high)} on {row.n:,} rows"
    if not len(gaps):
        return text
    gap = gaps.iloc[0]
    sure = "excludes 0" if gap.low > 0 else "contains 0: it may be chance"
    width = interval_text(gap.value, gap.low, gap.high)
    return f"{text}; gap {width}, which {sure}"


if __name__ == "__main__":
    sys.exit(exit_codes(main))
