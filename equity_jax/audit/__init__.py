"""The machine that judges: who is served worse, and how sure we are.

`audit` needs predictions only, whoever made them. Figures and pages are imported on
use: `from equity_jax.audit import figures, page`.
"""

from equity_jax.audit.report import AuditReport, against, audit
from equity_jax.audit.table import COLUMNS, NOT_ESTIMABLE, OK, view
from equity_jax.face import answer_calls

__all__ = ["COLUMNS", "NOT_ESTIMABLE", "OK", "AuditReport", "against", "audit", "view"]

answer_calls(__name__)
