"""``handshake``: ask a peer for an agreement, and wait for its answer where the caller wants to."""

from __future__ import annotations

import asyncio

from comity import control, limits
from comity.errors import HandshakeRejected, InvalidInput, KeyRetired, TimedOut
from comity.identity.keys import PublicKey
from comity.policy.operation import Operation
from comity.protocol.statements import HandshakeRequest, Predecessor
from comity.protocol.trust import events, machine
from comity.protocol.trust.relationship import Outgoing, Relationship
from comity.services.membership import Memberships
from comity.services.trust import views
from comity.services.trust.bounds import check_partners
from comity.services.trust.delivery import Delivery
from comity.services.trust.ledger import Ledger
from comity.services.trust.peers import Found, PeerBook


class Asking:
    """The asker's side of a handshake."""

    def __init__(self, ledger: Ledger, peers: PeerBook, delivery: Delivery, memberships: Memberships) -> None:
        self._ledger = ledger
        self._peers = peers
        self._delivery = delivery
        self._memberships = memberships

    async def handshake(
        self, request: control.HandshakeRequest, predecessor: Predecessor | None = None
    ) -> control.HandshakeResult:
        """Ask for an agreement; with ``wait_seconds``, until it is answered (TimedOut, HandshakeRejected).

        Raises InvalidInput, UnknownPeer, IdentityMismatch, and what ``Rendezvous.resolve`` raises. Once
        signed, the request is delivered whenever the rendezvous can be reached: ``status`` is ``queued``
        until then. ``predecessor`` is an old key of ours that the peer knows.
        """
        lifetime = _check(request)
        found = await self._peers.look_up(request.peer, request.fingerprint)
        rel, asked = self._ask(found, request, lifetime, predecessor)
        problem = (await self._delivery.flush(found.key)).problem
        await self._memberships.of(found.key).reserving.follow()
        if request.wait_seconds > 0:
            return await self._answer(found.key, asked, request.wait_seconds)
        status = "approved" if rel.open_outgoing is None else "queued" if problem else "sent"
        return views.handshake(rel, asked, status, delivered=problem is None)

    def _ask(
        self,
        found: Found,
        request: control.HandshakeRequest,
        lifetime: int,
        predecessor: Predecessor | None,
    ) -> tuple[Relationship, Outgoing]:
        ledger = self._ledger
        if ledger.store.retired(ledger.notary.public) is not None:
            raise KeyRetired("this node's key was retired")
        with ledger.db.transaction():
            rel = ledger.relationship(found)
            self._peers.check_name_free(rel)
            ledger.store.put(rel)  # where it is met: its numbers count there
            check_partners(ledger.store, self._peers, found.key, ledger.most_partners)
            ledger.guard.require(Operation(kind="handshake", peer=found.key, service="handshake"))
            statement = ledger.notary.make(
                HandshakeRequest,
                found.key,
                limits.REQUEST_LIFETIME,
                hostname=ledger.hostname(rel.realm),
                address=ledger.own_address(rel.realm),
                subject_hostname=found.hostname,
                organization=ledger.claims.organization,
                contact=ledger.claims.contact,
                requested_by=request.requested_by,
                justification=request.justification.strip(),
                charter=None,
                until=int(ledger.clock.now()) + lifetime,
                predecessor=predecessor,
            )
            envelope = ledger.owe(found.key, statement)
            ledger.audit.append(
                "handshake.requested",
                peer=found.key,
                digest=envelope.digest,
                hostname=found.hostname,
                identity=views.identity(rel),
            )
            asked = machine.as_outgoing(statement, envelope.digest, envelope.to_json().decode())
            return ledger.advance(rel, events.RequestIssued(asked)), asked

    async def _answer(self, peer: PublicKey, asked: Outgoing, seconds: float) -> control.HandshakeResult:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    changed = self._ledger.changed
                    result = self._settled(peer, asked)
                    if result is not None:
                        return result
                    await changed.wait()
        except TimeoutError:
            raise TimedOut(
                f"no answer to the handshake within {seconds:.0f} s; the request stays open",
                hint="run comity trust later to see whether it was approved",
            ) from None

    def _settled(self, peer: PublicKey, asked: Outgoing) -> control.HandshakeResult | None:
        rel = self._ledger.store.get(peer)
        if rel is None:
            return None
        if rel.rejection is not None:
            raise HandshakeRejected(f"{rel.hostname} rejected the handshake: {rel.rejection}")
        agreed = rel.agreement
        if agreed is None or agreed.ending is not None:
            return None
        answered = agreed.request_digest == asked.digest
        crossed = asked in rel.outgoing and rel.open_outgoing is None
        return views.handshake(rel, asked, "approved", delivered=True) if answered or crossed else None


def _check(request: control.HandshakeRequest) -> int:
    justification = request.justification.strip()
    if not justification:
        raise InvalidInput(
            "a handshake needs a justification", hint='comity handshake PEER "STUDY, IRB NUMBER"'
        )
    if len(justification.encode()) > limits.JUSTIFICATION_BYTES:
        raise InvalidInput(f"the justification is longer than {limits.JUSTIFICATION_BYTES} bytes")
    if len(request.requested_by.encode()) > limits.CLAIM_BYTES:
        raise InvalidInput(f"--as is longer than {limits.CLAIM_BYTES} bytes")
    lifetime = limits.AGREEMENT_LIFETIME if request.lifetime_seconds is None else request.lifetime_seconds
    if not limits.AGREEMENT_LIFETIME_LEAST <= lifetime <= limits.AGREEMENT_LIFETIME_MOST:
        raise InvalidInput("an agreement lasts between one second and ten years", hint="use --expires 90d")
    return lifetime
