"""The one place where an operation is allowed or denied, and where that is put on record.

It asks how the peer stands, lets ``policy.rules`` decide, and writes the decision with its reasons to the
audit log, allowed or not. A denial stays on record even where the caller's transaction is undone because of
it. Peers could fill the disk by being denied: beyond a rate, their denials are counted instead, and the count
is in the next one that is recorded. It enforces nothing by itself: each service asks before it acts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comity import limits
from comity.clock import Clock
from comity.errors import Denied
from comity.identity.keys import PublicKey
from comity.policy.operation import Decision, Operation, Standing
from comity.policy.rules import decide
from comity.services.allowances import Allowances
from comity.services.audit import AuditService

#: What peers try by themselves, as often as they like; the other kinds are what people here do.
_BY_PEERS = frozenset({"accept", "receive", "expose"})


class Guard:
    """``standing`` tells the latest agreement with a peer, or None; it is asked anew for each operation."""

    def __init__(
        self,
        standing: Callable[[PublicKey], Standing | None],
        audit: AuditService,
        clock: Clock,
    ) -> None:
        self._standing = standing
        self._audit = audit
        self._clock = clock
        self._denials = Allowances(
            lambda peer: standing(peer) is not None, limits.DENIALS_BURST, limits.DENIALS_PER_SECOND, clock
        )

    def check(self, operation: Operation) -> Decision:
        """Decide and record; the caller acts on ``allowed``.

        AuditInvalid, DiskFull, StorageUnusable where it can't be recorded: then nothing may happen.
        """
        standing = self._standing(operation.peer)
        decision = decide(operation, standing, self._clock.now())
        if decision.allowed:
            self._audit.append("decision", **_fields(operation, standing, decision, 0))
        elif operation.kind not in _BY_PEERS or self._denials.take(operation.peer):
            unrecorded = self._denials.settle(operation.peer) if operation.kind in _BY_PEERS else 0
            self._audit.append_for_good("decision", **_fields(operation, standing, decision, unrecorded))
        return decision

    def require(self, operation: Operation) -> None:
        """``check``, and Denied with all reasons where it is not allowed."""
        decision = self.check(operation)
        if not decision.allowed:
            raise Denied(f"{operation.kind} ({operation.service}) was denied: {'; '.join(decision.reasons)}")


def _fields(
    operation: Operation, standing: Standing | None, decision: Decision, unrecorded: int
) -> dict[str, Any]:
    """What the audit entry says; absent details are left out."""
    detail = {
        "service": operation.service,
        "agreement": operation.agreement if standing is None else standing.agreement,
        "charter": operation.charter,
        "name": operation.name,
        "bytes": operation.bytes,
        "port": operation.port,
        "unrecorded": unrecorded or None,
    }
    return {
        "peer": operation.peer,
        "operation": operation.kind,
        "decision": "allow" if decision.allowed else "deny",
        "reasons": decision.reasons,
        "digest": operation.digest,
        **{name: value for name, value in detail.items() if value is not None},
    }
