"""The machine that judges: who is served worse, and how sure we are.

`audit` needs predictions only, whoever made them. The spine is options -> judging
(subjects, asking, status) -> contrasts, companions, panels -> table, report; its rooms:
reading (files), resampling (every number in every replicate), statistics (intervals,
tests), decisions (thresholds, errors), pages (what a reader sees; imported on use).
"""

from equity_jax.audit.report import AuditReport, against, audit
from equity_jax.audit.status import NOT_ESTIMABLE, OK, SUPPRESSED
from equity_jax.audit.table import COLUMNS, view
from equity_jax.face import answer_calls

__all__ = [
    "COLUMNS",
    "NOT_ESTIMABLE",
    "OK",
    "SUPPRESSED",
    "AuditReport",
    "against",
    "audit",
    "view",
]

answer_calls(__name__)
