"""The audit log as services use it, and as people ask about it.

``service`` appends and signs; ``reading`` shows and proves; ``checking`` recomputes; ``exporting`` writes
evidence; ``desk`` puts all of that at the control API's disposal, long readings in threads of their own.
Countersigning is ``services.witnessing``'s.
"""

from comity.services.audit.service import AuditService

__all__ = ["AuditService"]
