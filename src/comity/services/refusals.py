"""What peers sent and had turned away, put on record at a bounded rate.

A refusal costs its sender nothing, and each would grow the audit log: beyond the rate they are counted, and
the count is in the next one that is recorded. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comity import limits
from comity.clock import Clock
from comity.errors import ComityError
from comity.identity.keys import PublicKey
from comity.services.allowances import Allowances
from comity.services.audit import AuditService


class Refusals:
    """Entries of one ``kind``; ``partner`` as in ``Allowances``."""

    def __init__(
        self, kind: str, audit: AuditService, clock: Clock, partner: Callable[[PublicKey], bool]
    ) -> None:
        self._kind = kind
        self._audit = audit
        self._allowances = Allowances(partner, limits.DENIALS_BURST, limits.DENIALS_PER_SECOND, clock)

    def record(self, peer: PublicKey, error: ComityError, message: str | None = None) -> None:
        """Record why something of ``peer`` was refused, or count it. ``message`` names the letter."""
        if not self._allowances.take(peer):
            return
        detail: dict[str, Any] = {"unrecorded": self._allowances.settle(peer), "message": message}
        said = {name: value for name, value in detail.items() if value}
        self._audit.append(self._kind, peer=peer, reasons=(error.code, error.message), **said)
