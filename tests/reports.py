"""A made-up AuditReport, with every corner that a page must show, in no time.

Scores are binormal: each group has its prevalence, its threshold and its AUROC, so that
tables and curves agree with each other; standard errors are Hanley & McNeil's.
"""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy import stats

EVIL = "<script>alert(1)</script>"
RACE = {  # rows, prevalence, AUROC
    "White": (6200, 0.18, 0.88),
    "Black": (2100, 0.22, 0.80),
    "Hispanic or Latino": (900, 0.17, 0.86),
    "Native Hawaiian or other Pacific Islander": (42, 0.12, 0.90),
    EVIL: (64, 0.25, 0.84),
    "a | b & c": (7, 0.2, 0.8),
    "not recorded": (120, 0.2, 0.83),
}
SEX = {"F": (4800, 0.17, 0.86), "M": (4633, 0.2, 0.855)}
MIN_ROWS, LEVEL, CUT = 10, 0.95, 0.30
METRICS = ("auroc", "recall", "fpr", "brier", "calibration_slope", "selection_rate")
NAMES = "run seed system method scheme target split".split()


def report(systems=("torch",), labels=("",), simulated=False, null=False, crossed=True):
    """AuditReport-like: table, tests, power, curves, confusion, policies, ..., meta."""
    shapes = {"race": RACE, "sex": SEX}
    if null:  # every group is served alike
        shapes = {"race": {g: (n, p, 0.85) for g, (n, p, _) in RACE.items()}}
    if crossed and not null:
        shapes["race × sex"] = {
            f"{r} × {s}": (n // 2, p, a - 0.01 * (s == "M"))
            for (r, (n, p, a)), s in product(RACE.items(), SEX)
        }
    cells = product(enumerate(systems), labels, shapes.items())
    made = [Made(s, i, x, a, g) for (i, s), x, (a, g) in cells]
    parts = {
        name: pd.concat([getattr(m, name)() for m in made], ignore_index=True)
        for name in "table tests power curves confusion policies".split()
    }
    for name in ("n", "patients", "positives", "negatives"):
        parts["table"][name] = parts["table"][name].astype("Int64")
    return SimpleNamespace(
        **parts, sensitivity=sensitivity(), notes=NOTES, meta=meta(shapes, simulated)
    )


NOTES = [
    "17 rows have no score and were left out.",
    f"3 patients have conflicting records of race ({EVIL}); the first was kept.",
]


def meta(shapes, simulated):
    return {
        "title": "Audit of torch on chest films",
        "unit": "patient",
        "rows": 9433,
        "patients": 7546,
        "seed": 0,
        "replicates": 1000,
        "level": LEVEL,
        "min_rows": MIN_ROWS,
        "reference": {a: next(iter(g)) for a, g in shapes.items()},
        "attributes": list(shapes),
        "left_out": {"no score": 17},
        "simulated": simulated,
        "fingerprint": "5f" * 32,
        "source": "predictions.csv",
        "adjustment": "holm",
    }


def sensitivity():
    """What wrong labels and other records do to one difference."""
    common = {"system": "torch", "label": "", "attribute": "race", "group": "Black"}
    common |= {"reference": "White", "metric": "recall", "n": 2100, "status": "OK"}
    none = {"value": np.nan, "low": np.nan, "high": np.nan}
    lines = [
        (
            "label error",
            "2 % of labels wrong",
            {"value": 0.1, "low": 0.02, "high": 0.2},
        ),
        ("label error", "5 % of labels wrong", none | {"status": "NOT_ESTIMABLE"}),
        ("label error", "smallest share that closes it", none | {"value": 0.03}),
        ("conflict policy", "first", none | {"value": 0.12}),
    ]
    rows = [common | {"kind": k, "setting": s} | more for k, s, more in lines]
    hidden = {"group": "a | b & c", "n": None, "status": "SUPPRESSED"}
    rows.append(rows[-1] | none | hidden)
    return pd.DataFrame(rows).astype({"n": "Int64"})


class Made:
    """The numbers of one system, label and attribute."""

    def __init__(self, system, turn, label, attribute, groups):
        self.where = {"system": system, "label": label, "attribute": attribute}
        self.groups, self.names = groups, [g for g in groups if g != "not recorded"]
        self.turn, self.shift = turn, -0.02 * turn

    def number(self, metric, group):
        """(value, standard error) of a group."""
        n, p, a = self.groups[group]
        a += self.shift
        gain = np.sqrt(2) * stats.norm.ppf(a)
        tpr, fpr = stats.norm.sf(1 - gain), stats.norm.sf(1)
        value, rows = {
            "auroc": (a, n * p),
            "recall": (tpr, n * p),
            "fpr": (fpr, n * (1 - p)),
            "brier": (0.5 * p * (1 - p), n * 4),
            "calibration_slope": (1.3 - 0.5 * (1 - a), n / 8),
            "selection_rate": (tpr * p + fpr * (1 - p), n),
        }[metric]
        if metric == "auroc":
            q = a / (2 - a), 2 * a * a / (1 + a)
            spread = a * (1 - a) + (n * p - 1) * (q[0] - a * a)
            spread += (n * (1 - p) - 1) * (q[1] - a * a)
            return a, np.sqrt(spread / (n * p * n * (1 - p)))
        return value, np.sqrt(abs(value * (1 - value)) / rows) + 0.002

    def state(self, metric, group):
        n, p, _ = self.groups[group]
        if n < MIN_ROWS:
            return "SUPPRESSED", "fewer rows than may be shown"
        if metric == "recall" and n * p < 10:
            return "NOT_ESTIMABLE", "fewer than 10 positives"
        return "OK", ""

    def row(self, metric, contrast, group, value, se, z=1.96, reference="", state=None):
        n, p, _ = self.groups.get(group, (9433, 0.19, 0))
        status, why = state or ("OK", "wilson")
        known = status == "OK"
        counts = (n, int(0.8 * n), round(n * p), n - round(n * p))
        if n < MIN_ROWS:
            counts = (None,) * 4
        elif counts[2] < MIN_ROWS:
            counts = (*counts[:2], None, None)
        sizes = dict(zip("n patients positives negatives".split(), counts, strict=True))
        top = np.inf if metric == "calibration_slope" else 1
        ends = value, max(value - z * se, 0), min(value + z * se, top)
        ends = ends if known else (np.nan,) * 3
        if contrast in ("difference", "ratio"):
            ends = (value, value - z * se, value + z * se) if known else ends
        cut = metric not in ("auroc", "brier", "calibration_slope")
        return (
            dict.fromkeys(NAMES, "")
            | self.where
            | {"group": group, "reference": reference, "contrast": contrast}
            | sizes
            | {"metric": metric, "interval": why, "status": status}
            | dict(zip(("value", "low", "high"), ends, strict=True))
            | {"threshold": CUT if cut else np.nan}
            | {"threshold_source": "validation: youden" if cut else ""}
        )

    def table(self):
        rows = []
        for metric in METRICS:
            first = self.number(metric, self.names[0])
            whole = (first[0] - 0.015, first[1] / 1.3)
            rows.append(self.row(metric, "group", "all", *whole))
            for group in self.groups:
                state = self.state(metric, group)
                value, se = self.number(metric, group)
                rows.append(self.row(metric, "group", group, value, se, state=state))
                if group == "not recorded":
                    continue
                rows.append(self.row(metric, "band", group, value, se, 2.8, "", state))
                if group != self.names[0]:
                    gained = value - first[0], np.hypot(se, first[1]), 1.96
                    row = "difference", group, *gained, self.names[0], state
                    rows.append(self.row(metric, *row))
            rows += self.extremes(metric)
        rows.append(self.row("es_auc", "summary", "", 0.74, 0.02))
        for g, h in product(self.names, self.names):
            state = self.state("fpr", g)
            row = "cross", g, 0.8, 0.02, 1.96, h, state
            rows += [self.row("xauc_positives", *row)] if g != h else []
        if self.turn:  # against the first model, on the same rows
            for metric, group in product(METRICS, self.groups):
                row = "difference", group, -0.02, 0.01, 1.96, "method:torch"
                rows.append(self.row(metric, *row, self.state(metric, group)))
        return pd.DataFrame(rows)

    def extremes(self, metric):
        known = [g for g in self.names if self.state(metric, g)[0] == "OK"]
        pairs = [(g, h) for g in known for h in known if g != h]
        number = {g: self.number(metric, g) for g in known}
        gained = [number[h][0] - number[g][0] for g, h in pairs]
        half = [2.8 * np.hypot(number[h][1], number[g][1]) for g, h in pairs]
        low = max(0, max(a - b for a, b in zip(gained, half, strict=True)))
        at = int(np.argmax(gained))
        gap = self.row(metric, "gap", pairs[at][0], gained[at], 0, 0, pairs[at][1])
        gap |= {"low": low, "high": min(gained[at] + half[at], 1)}
        return [gap, self.row(metric, "worst", pairs[at][0], *number[pairs[at][0]])]

    def tests(self):
        rows = []
        for metric in METRICS:
            gap = self.extremes(metric)[0]
            p = 0.2 if gap["low"] == 0 else 1e-6
            numbers = {"groups": len(self.names) - 1, "statistic": 12.5, "df": 4}
            numbers |= {"p": p, "p_adjusted": min(6 * p, 1), "adjustment": "holm"}
            numbers |= {k: gap[k] for k in ("low", "high")} | {"gap": gap["value"]}
            numbers["gap_corrected"] = 0.9 * gap["value"]
            rows.append(self.where | {"metric": metric, "status": "OK"} | numbers)
        return pd.DataFrame(rows)

    def power(self):
        rows = []
        for metric, group in product(("auroc", "recall"), self.names[1:]):
            state = self.state(metric, group)[0]
            se = self.number(metric, group)[1]
            n = self.groups[group][0]
            numbers = {
                "detectable": 2.8 * se,
                "rows_needed": n * (2.8 * se / 0.05) ** 2,
            }
            if state != "OK":
                numbers = dict.fromkeys(numbers, np.nan)
            numbers |= {
                "metric": metric,
                "group": group,
                "wanted": 0.05,
                "status": state,
            }
            numbers |= {"reference": self.names[0]}
            numbers["n"] = n if state != "SUPPRESSED" else None
            rows.append(self.where | numbers)
        return pd.DataFrame(rows).astype({"n": "Int64"})

    def curves(self):
        parts = []
        z = np.linspace(4, -7, 400)
        for group, (n, _, a) in self.groups.items():
            if n < MIN_ROWS:
                continue
            gain = np.sqrt(2) * stats.norm.ppf(a + self.shift)
            x, y = stats.norm.sf(z), stats.norm.sf(z - gain)
            roc = pd.DataFrame({"kind": "roc", "x": x, "y": y, "n": n})
            bins = np.linspace(0.05, 0.75, 8)
            share = bins**1.2
            half = 1.96 * np.sqrt(share * (1 - share) / (n / 8))
            line = pd.DataFrame({"kind": "calibration", "x": bins, "y": share})
            ends = {"low": np.maximum(share - half, 0)}
            ends |= {"high": np.minimum(share + half, 1)}
            line = line.assign(n=max(n // 8, 10), **ends)
            parts.append(pd.concat([roc, line]).assign(group=group, **self.where))
        return pd.concat(parts)

    def confusion(self):
        rows = []
        for group, (n, p, _) in self.groups.items():
            if n < MIN_ROWS:
                cells = dict.fromkeys(("tp", "fp", "fn", "tn"))
            else:
                sick, tpr, fpr = round(n * p), 0.7, 0.16
                cells = {"tp": round(sick * tpr), "fp": round((n - sick) * fpr)}
                cells |= {"fn": sick - cells["tp"], "tn": n - sick - cells["fp"]}
                cells = {k: None if 0 < v < MIN_ROWS else v for k, v in cells.items()}
            status = "SUPPRESSED" if n < MIN_ROWS else "OK"
            rows.append(
                self.where
                | {"group": group, "threshold": CUT, "status": status}
                | cells
            )
        frame = pd.DataFrame(rows)
        return frame.astype(dict.fromkeys(("tp", "fp", "fn", "tn"), "Int64"))

    def policies(self):
        rows = []
        kinds = ("group-blind", "group-aware", "equalized odds")
        metrics = ("selection_rate", "recall", "fpr", "accuracy")
        for (group, (n, _, _)), k, metric in product(
            self.groups.items(), range(3), metrics
        ):
            small, odd = n < MIN_ROWS, list(self.groups).index(group)
            value = {"recall": 0.7, "fpr": 0.16, "accuracy": 0.8}.get(metric, 0.3)
            value += 0.02 * odd * (k == 0) - 0.05 * (k == 2) * (metric == "accuracy")
            value = min(value, 0.99)
            half = np.sqrt(value * (1 - value) / max(n, 1))
            ends = (value, value - half, value + half)
            found = dict(
                zip(
                    ("value", "low", "high"),
                    (np.nan,) * 3 if small else ends,
                    strict=True,
                )
            )
            rows.append(
                self.where
                | {"group": group, "policy": kinds[k], "metric": metric}
                | {"threshold": np.nan if k == 2 else 0.3 - 0.02 * odd * k}
                | found
                | {"n": None if small else n, "status": "SUPPRESSED" if small else "OK"}
            )
        return pd.DataFrame(rows).astype({"n": "Int64"})
