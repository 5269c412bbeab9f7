"""Who may come in: the network asks here for each hello, and reports whom it turned away.

It asks the guard, and knows which service listens on which virtual port. What the wire shows to a key that is
not approved is always the same; the distinct cause goes to the log (SECURITY.md rule 10).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from comity import limits
from comity.clock import Clock
from comity.errors import ComityError
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.policy.allowance import Allowance
from comity.policy.operation import Operation
from comity.protocol.hello import (
    ECHO_PORT,
    EVENTS_PORT,
    EXCHANGE_PORT,
    FORWARD_PORT,
    SESSION_PORT,
    UNIFORM_REFUSAL,
    WITNESS_PORT,
    Hello,
    Refused,
)
from comity.services.guard import Guard

log = logging.getLogger("comity.gate")

SERVICES = {
    ECHO_PORT: "echo",
    SESSION_PORT: "session",
    WITNESS_PORT: "witness",
    EXCHANGE_PORT: "exchange",
    EVENTS_PORT: "events",
    FORWARD_PORT: "forward",
}


class GuardedGate:
    """``interface.Gate``. ``approved`` tells whether an agreement with a key is in force."""

    def __init__(self, approved: Callable[[PublicKey], bool], guard: Guard, clock: Clock) -> None:
        self._approved = approved
        self._guard = guard
        self._clock = clock
        self._logged = Allowance(
            limits.REFUSALS_LOGGED_BURST, limits.REFUSALS_LOGGED_PER_SECOND, clock.monotonic()
        )

    def approved(self, peer: PublicKey) -> bool:
        """Whether this key has an agreement in force here."""
        return self._approved(peer)

    def admit(self, peer: PublicKey, hello: Hello) -> Refused | None:
        """None to welcome; a reason for an approved peer; ``UNIFORM_REFUSAL`` for any other key."""
        service = SERVICES.get(hello.port)
        if service is None:
            refused = Refused(code="unknown_port", reason=f"nothing is served on port {hello.port}")
            return refused if self._approved(peer) else UNIFORM_REFUSAL
        operation = Operation(
            kind="accept", peer=peer, service=service, agreement=hello.agreement, charter=hello.charter
        )
        try:
            decision = self._guard.check(operation)
        except ComityError as error:  # what can't be put on record may not happen
            log.error("decision not recorded", extra={"fields": {"code": error.code, "why": error}})  # noqa: TRY400  no bug of ours: the disk
            return Refused(code="unavailable", reason="the node cannot record decisions now")
        if decision.allowed:
            return None
        if not self._approved(peer):
            return UNIFORM_REFUSAL
        return Refused(code="denied", reason="; ".join(decision.reasons)[: limits.CLAIM_BYTES])

    def refused(self, peer: PublicKey | None, remote: str, code: str, reason: str) -> None:
        """Log a connection that was turned away, with the cause that the wire doesn't show.

        Over a rate they are only counted, and the next line has the number: a scan must not push everything
        else out of the log.
        """
        if not self._logged.take(self._clock.monotonic()):
            return
        who = peer.fingerprint.short if peer else None
        fields = {"peer": who, "remote": remote, "code": code, "why": printable(reason)}
        unlogged = self._logged.settle()
        log.warning("connection refused", extra={"fields": fields | {"unlogged": unlogged or None}})
