"""``charter explain PEER OP``: what the guard would say now, and by which clause. Nothing is done."""

from __future__ import annotations

from typing import cast

from comity import control
from comity.clock import Clock, rfc3339
from comity.errors import InvalidInput
from comity.identity.fingerprint import Fingerprint
from comity.policy.operation import Kind, Operation
from comity.services.charter.library import Library
from comity.services.guard import Guard
from comity.services.trust.peers import PeerBook

#: Each operation that can be asked about, and the service that an agreement has to open for it.
SERVICES: dict[str, str] = {
    "connect": "echo",
    "send": "exchange",
    "receive": "exchange",
    "publish": "events",
    "subscribe": "events",
    "forward": "forward",
    "expose": "forward",
}


class Explainer:
    """Asks the guard for people."""

    def __init__(self, guard: Guard, peers: PeerBook, library: Library, hostname: str, clock: Clock) -> None:
        self._guard = guard
        self._peers = peers
        self._library = library
        self._hostname = hostname
        self._clock = clock

    async def explain(self, request: control.CharterAskRequest) -> control.CharterExplainResult:
        """InvalidInput, UnknownPeer, UntrustedPeer, AmbiguousPeer."""
        service = SERVICES.get(request.operation)
        if service is None:
            raise InvalidInput(
                f"{request.operation} is not an operation", hint=f"use one of {', '.join(SERVICES)}"
            )
        known = await self._peers.trusted(request.peer)
        charter = next(iter(self._guard.in_force(known.key)), None)
        decision = self._guard.consider(
            Operation(
                kind=cast(Kind, request.operation),
                peer=known.key,
                service=service,
                charter=charter,
                digest=request.digest or None,
                signer=str(Fingerprint.parse(request.signer)) if request.signer else None,
                format=request.format or None,
                bytes=request.bytes,
                topic=request.topic or None,
                port=request.port or None,
            )
        )
        volume = self._library.get(decision.charter) if decision.charter else None
        reasons = [control.CharterReason(*_split(reason)) for reason in decision.reasons]
        return control.CharterExplainResult(
            allowed=decision.allowed,
            operation=request.operation,
            party=self._hostname,
            peer=known.hostname,
            at=rfc3339(self._clock.now()),
            charter=decision.charter or "",
            policy=volume.terms.policy if volume else "",
            reasons=tuple(reasons),
        )


def _split(reason: str) -> tuple[str, str]:
    """Clause and text; what is no charter's is the agreement's."""
    clause, colon, text = reason.partition(": ")
    return (clause, text) if colon and " " not in clause else ("agreement", reason)
