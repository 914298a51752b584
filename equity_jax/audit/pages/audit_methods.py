"""The last section of an audit's page: how it was done, and what metrics mean."""

from typing import Any

import pandas as pd

from equity_jax.audit.pages import audit_names as names
from equity_jax.audit.pages.page import Section, Table
from equity_jax.audit.pages.words import number_text

MEANINGS = {
    "auroc": "the chance that a row with the label scores higher than one without it;"
    " 0.5 is guessing, 1 is perfect",
    "auprc": "the precision averaged over all thresholds; it falls with the prevalence",
    "accuracy": "the share of rows called rightly",
    "balanced_accuracy": "the mean of sensitivity and specificity",
    "precision": "of the rows called positive, the share that has the label",
    "npv": "of the rows called negative, the share that does not have the label",
    "recall": "of the rows with the label, the share called positive",
    "specificity": "of the rows without the label, the share called negative",
    "fpr": "of the rows without the label, the share called positive (false alarms)",
    "fnr": "of the rows with the label, the share called negative (missed)",
    "f1": "the harmonic mean of precision and recall",
    "selection_rate": "the share of rows called positive, right or wrong",
    "brier": "the mean squared distance of the score from the truth; 0 is perfect",
    "log_loss": "the mean surprise at the truth, in nats; 0 is perfect",
    "ece_width": "how far scores are from observed shares, on average over bins",
    "ece_mass": "the same with bins of equal size; both are too high in small groups",
    "calibration_slope": "1 is right; below 1 the scores are too extreme",
    "calibration_intercept": "0 is right; above 0 the scores are too low on average",
    "observed_expected": "events that happened per event expected; 1 is right",
    "deviance": "-2 times the mean log-likelihood; it grows with the size of counts, so"
    " compare models by it, not groups",
    "absolute_error": "the mean distance of the score from the truth",
    "prevalence": "the share of rows that has the label",
    "xauc_positives": "the chance that a row of the group with the label scores higher"
    " than one without it of another group",
    "xauc_negatives": "the chance that a row of the group without the label scores"
    " lower than one with it of another group",
    "net_benefit": "true positives less false ones, weighed by the threshold's odds",
    "es_auc": "AUROC lowered by the spread between groups; noise lowers it too, so it"
    " must not be used for ranking",
}
REFERENCES = (
    "DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44: intervals of an AUROC;"
    " computed as in Sun & Xu (2014), IEEE Signal Processing Letters 21.",
    "Obuchowski (1997), Biometrics 53: the AUROC when a patient has several rows.",
    "Wilson (1927), JASA 22: intervals of a proportion; with clusters, Korn & Graubard"
    " (1998), Survey Methodology 24.",
    "Hesterberg (2015), The American Statistician 69: why bootstrap intervals are"
    " stretched; Owen (2007), Annals of Applied Statistics 1: seeds and patients drawn"
    " together.",
    "Westfall & Young (1993), Resampling-Based Multiple Testing: simultaneous bands.",
    "Zou & Donner (2008), Statistics in Medicine 27: the interval of a difference from"
    " those of its two parts.",
    "Cochran (1954), Biometrics 10: the test of homogeneity.",
    "Holm (1979), Scandinavian Journal of Statistics 6; Benjamini & Hochberg (1995),"
    " JRSS B 57: many tests at once.",
    "Hardt, Price & Srebro (2016), NeurIPS 29: equalized odds.",
    "Kallus & Zhou (2019), NeurIPS 32: xAUC between groups.",
    "Luo et al. (2024), CVPR (FairCLIP): the equity-scaled AUC.",
    "Vickers & Elkin (2006), Medical Decision Making 26: net benefit.",
    "Van Calster et al. (2016), Journal of Clinical Epidemiology 74; (2019), BMC"
    " Medicine 17: what calibration means.",
    "Seyyed-Kalantari et al. (2021), Nature Medicine 27: underdiagnosis by group.",
)
BLIND = (
    "What no interval here covers: whether the labels are right, whether these rows are"
    " like the patients the model will meet, and whether a group's name stands for what"
    " matters. A gap is not a cause."
)


def methods(report: Any) -> Section:
    """How every number was made, and the references."""
    meta = report.meta
    unit = meta.get("unit", "row")
    replicates = number_text(meta.get("replicates", 1000))
    adjusted = meta.get("adjustment") or "nothing"
    adjusted = ADJUSTMENTS.get(adjusted, adjusted)
    text = [
        f"**Resampling.** The unit is the {unit}: all rows of one are drawn together,"
        f" and all groups, metrics and models share the same {replicates} replicates,"
        " so that differences are paired.",
        f"**Intervals** are of level {100 * meta.get('level', 0.95):g} %: DeLong's for"
        " AUROC (clustered where a patient has several rows), Wilson's for proportions"
        " with the effective number of rows, the expanded percentile bootstrap for the"
        " rest. Simultaneous bands hold for all groups at once.",
        "**The gap** is the largest minus the smallest group value. Its interval comes"
        " from simultaneous bands over all pairs of groups, and can contain 0; the"
        " usual percentile bootstrap of a gap never does.",
        "**The test** asks whether all groups share one value, with the covariance of"
        f" the groups; p-values over metrics are adjusted by {adjusted}.",
        "**Thresholds** come from the validation rows where these are given, and are"
        " frozen; a row is called positive if its score reaches the threshold."
        f" {_thresholds(report)}",
        f"**Words for numbers.** NOT_ESTIMABLE: too few rows, {unit}s, or only one"
        f" class. SUPPRESSED: fewer than {meta.get('min_rows', 10)} rows, which might"
        " point at a person. The group “not recorded” is shown and joins no comparison."
        " Nothing is averaged away.",
        BLIND,
    ]
    there = [
        m for m in dict.fromkeys(report.table.metric) if m.partition("@")[0] in MEANINGS
    ]
    frame = pd.DataFrame(
        {
            "Metric": [names.title(m) for m in there],
            "Meaning": [MEANINGS[m.partition("@")[0]] for m in there],
        }
    )
    tables = [Table("What the metrics mean", frame)] if there else []
    return Section("Methods and references", text, tables, items=REFERENCES)


ADJUSTMENTS = {"holm": "Holm's method", "bh": "Benjamini and Hochberg's method"}


def _thresholds(report: Any) -> str:
    used = report.table[report.table.threshold_source.fillna("") != ""]
    used = used.drop_duplicates(["system", "label", "threshold_source", "threshold"])
    several = names.several(used, "label", "system")
    told = [
        f"{' '.join([*(str(r[c]) for c in several), ''])}{r.threshold:.4g}"
        f" ({r.threshold_source})"
        for _, r in used.iterrows()
    ]
    more = f" and {len(told) - 6} more" if len(told) > 6 else ""
    return f"Here: {'; '.join(told[:6])}{more}." if told else ""
