"""Evidence for people: what happened with one partner, put together from the audit log.

``gathering`` sorts entries, ``service`` adds what is known of both sides and ties it to the signed head.
"""

from comity.services.reporting.service import ReportService

__all__ = ["ReportService"]
