"""The one place where an operation is allowed or denied, and where that is put on record.

It asks how the peer stands, lets ``policy.rules`` decide, asks the charter where one governs, and writes the
decision with its reasons to the audit log, allowed or not. What a charter counts is reserved in the same
transaction. A denial stays on record even where the caller's transaction is undone because of
it. Peers could fill the disk by being denied: beyond a rate, their denials are counted instead, and the count
is in the next one that is recorded. It enforces nothing by itself: each service asks before it acts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from comity import limits
from comity.clock import Clock
from comity.errors import Denied
from comity.identity.keys import PublicKey
from comity.policy.operation import Decision, Operation, Standing
from comity.policy.rules import decide
from comity.services.allowances import Allowances
from comity.services.audit import AuditService
from comity.services.charter.governance import Governance
from comity.services.charter.judging import DIRECTIONS, Verdict


class Guard:
    """``standing`` tells the latest agreement with a peer, or None; it is asked anew for each operation.

    ``charters`` is asked too; without it no charter governs anything.
    """

    def __init__(
        self,
        standing: Callable[[PublicKey], Standing | None],
        audit: AuditService,
        clock: Clock,
        charters: Governance | None = None,
    ) -> None:
        self._standing = standing
        self._audit = audit
        self._clock = clock
        self._charters = charters
        self._denials = Allowances(
            lambda peer: standing(peer) is not None, limits.DENIALS_BURST, limits.DENIALS_PER_SECOND, clock
        )

    def governs(self, peer: PublicKey) -> bool:
        """Whether a charter is, or ever was, in force with this peer."""
        return self._charters is not None and self._charters.governs(peer)

    @property
    def version(self) -> int:
        """Changes whenever charters or suspensions do; a window's end leaves it."""
        return 0 if self._charters is None else self._charters.version

    def in_force(self, peer: PublicKey) -> tuple[str, ...]:
        """The charters that operations with this peer may name."""
        return () if self._charters is None else self._charters.in_force(peer)

    def consider(self, operation: Operation) -> Decision:
        """What ``check`` would decide now. Nothing is recorded, counted or done."""
        return self._decide(operation)[0]

    def check(self, operation: Operation) -> Decision:
        """Decide and record; the caller acts on ``allowed``. What a charter counts is counted, or reserved.

        AuditInvalid, DiskFull, StorageUnusable where it can't be recorded: then nothing may happen.
        """
        with nullcontext() if self._charters is None else self._charters.alone():
            decision, standing, verdict = self._decide(operation)
            if decision.allowed:
                if verdict is not None and self._charters is not None:
                    self._charters.spend(operation, verdict)
                self._audit.append("decision", **_fields(operation, standing, decision, 0))
            elif not operation.by_them or self._denials.take(operation.peer):
                unrecorded = self._denials.settle(operation.peer) if operation.by_them else 0
                self._audit.append_for_good("decision", **_fields(operation, standing, decision, unrecorded))
            if verdict is not None and self._charters is not None:
                self._charters.heed(operation, verdict, allowed=decision.allowed)
        return decision

    def consumed(self, kind: str, peer: PublicKey, transfer: str) -> None:
        """All of a transfer that was allowed (``send`` or ``receive``) was sent: it counts for good."""
        if self._charters is not None:
            self._charters.consumed(peer, DIRECTIONS[kind], transfer)

    def released(self, kind: str, peer: PublicKey, transfer: str) -> None:
        """Nothing of a transfer that was allowed has passed: it does not count."""
        if self._charters is not None:
            self._charters.released(peer, DIRECTIONS[kind], transfer)

    def _decide(self, operation: Operation) -> tuple[Decision, Standing | None, Verdict | None]:
        standing = self._standing(operation.peer)
        verdict = None if self._charters is None else self._charters.judge(operation)
        if standing is not None and verdict is not None:
            standing = replace(standing, charter=operation.charter or verdict.charter)
        decision = decide(operation, standing, self._clock.now())
        if verdict is None:
            return decision, standing, None
        said = tuple(f"{reason.clause}: {reason.text}" for reason in verdict.reasons)
        if not verdict.allowed:
            reasons = said if decision.allowed else decision.reasons + said
            return Decision(False, reasons, verdict.charter), standing, verdict
        if not decision.allowed:
            return replace(decision, charter=verdict.charter), standing, verdict
        return Decision(True, decision.reasons + said, verdict.charter), standing, verdict

    def require(self, operation: Operation) -> Decision:
        """``check``, and Denied with all reasons where it is not allowed."""
        decision = self.check(operation)
        if decision.allowed:
            return decision
        said = f"{operation.kind} ({operation.service}) was denied: {'; '.join(decision.reasons)}"
        if self.governs(operation.peer):
            raise Denied(said, hint="run comity charter status to see what is allowed")
        raise Denied(said)


def _fields(
    operation: Operation, standing: Standing | None, decision: Decision, unrecorded: int
) -> dict[str, Any]:
    """What the audit entry says; absent details are left out."""
    detail = {
        "service": operation.service,
        "agreement": operation.agreement if standing is None else standing.agreement,
        "charter": decision.charter or operation.charter,
        "name": operation.name,
        "bytes": operation.bytes,
        "topic": operation.topic,
        "port": operation.port,
        "format": operation.format,
        "signer": operation.signer,
        "unrecorded": unrecorded or None,
    }
    return {
        "peer": operation.peer,
        "operation": operation.kind,
        "decision": "allow" if decision.allowed else "deny",
        "reasons": decision.reasons[: limits.AUDIT_REASONS],
        "digest": operation.digest,
        **{name: value for name, value in detail.items() if value is not None},
    }
