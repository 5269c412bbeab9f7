"""``pending``, ``approve``, ``reject``, ``confirm``: a person decides on what was asked.

A request is approved only by the digest that a person here was shown (SECURITY.md rule 5).
"""

from __future__ import annotations

import msgspec

from comity import control, limits
from comity.clock import rfc3339
from comity.errors import InvalidInput, NothingPending, RequestChanged, UnknownPeer
from comity.identity.keys import PublicKey
from comity.protocol.statements import Rejection
from comity.protocol.trust import events
from comity.protocol.trust.relationship import Incoming, Relationship
from comity.services.membership import Memberships
from comity.services.trust import views
from comity.services.trust.delivery import Delivery, Sessions
from comity.services.trust.ledger import DEFAULT_SERVICES, Ledger
from comity.services.trust.peers import PeerBook

#: What an approval can open; the last one only where a person says so.
SERVICES = frozenset({*DEFAULT_SERVICES, "forward"})


class Answering:
    """The asked side of a handshake."""

    def __init__(
        self,
        ledger: Ledger,
        peers: PeerBook,
        delivery: Delivery,
        sessions: Sessions,
        memberships: Memberships,
    ) -> None:
        self._ledger = ledger
        self._peers = peers
        self._delivery = delivery
        self._memberships = memberships
        self._sessions = sessions

    async def pending(self) -> control.PendingResult:
        """The requests that wait here; from now on ``approve`` means these, as they were shown."""
        now = self._ledger.clock.now()
        shown = []
        with self._ledger.db.transaction():
            for rel in self._ledger.store.all():
                if rel.incoming is None or rel.incoming.expires <= now:
                    continue
                if not rel.incoming.shown:
                    read = msgspec.structs.replace(rel.incoming, shown=True)
                    self._ledger.store.put(msgspec.structs.replace(rel, incoming=read))
                shown.append(views.pending(rel, rel.incoming, self._memberships.name_of(rel.realm)))
        return control.PendingResult(tuple(shown))

    async def approve(self, request: control.ApproveRequest) -> control.ApproveResult:
        """Answer yes to the request that was shown; where the asker is online, wait ``wait_seconds`` for the
        tunnel.

        Raises NothingPending, RequestChanged, IdentityMismatch, InvalidInput.
        """
        allow = DEFAULT_SERVICES if request.allow is None else tuple(dict.fromkeys(request.allow))
        unknown = sorted(set(allow) - SERVICES)
        if unknown:
            raise InvalidInput(
                f"no such service: {', '.join(unknown)}", hint="--allow takes exchange, events and forward"
            )
        rel, incoming = self._waiting(request.peer)
        _check_shown(incoming, request.digest)
        if request.fingerprint is not None:
            rel = self._ledger.pin(rel, request.fingerprint)
        peer = PublicKey.from_hex(rel.peer)
        with self._ledger.db.transaction():
            self._ledger.approve(rel, incoming, allow=allow, reason="", until=incoming.until)
        delivered = await self._delivery.flush(peer)
        await self._memberships.of(peer).reserving.follow()
        if delivered.reached:  # nobody who is away opens a tunnel
            await self._sessions.wait_up(peer, request.wait_seconds)
        return self._approved(peer)

    async def reject(self, request: control.RejectRequest) -> control.RejectResult:
        """Answer no, with a reason that the asker is shown. Raises NothingPending, InvalidInput."""
        reason = request.reason.strip()
        if not reason or len(reason.encode()) > limits.CLAIM_BYTES:
            raise InvalidInput(f"a rejection needs a reason of at most {limits.CLAIM_BYTES} bytes")
        rel, incoming = self._waiting(request.peer)
        peer = PublicKey.from_hex(rel.peer)
        with self._ledger.db.transaction():
            statement = self._ledger.notary.make(
                Rejection,
                peer,
                limits.REQUEST_LIFETIME,
                request=incoming.digest,
                request_nonce=incoming.nonce,
                reason=reason,
            )
            self._ledger.owe(peer, statement)
            self._ledger.audit.append(
                "handshake.rejected", peer=peer, digest=incoming.digest, by="us", reason=reason
            )
            self._ledger.advance(rel, events.RejectionIssued(statement))
        await self._delivery.flush(peer)
        return control.RejectResult("rejected", rel.hostname, rel.address, views.fingerprint(rel))

    async def confirm(self, request: control.ConfirmRequest) -> control.ConfirmResult:
        """Record that a fingerprint was compared out of band. IdentityMismatch where it is another."""
        rel = self._peers.one(request.peer, lambda _: True, UnknownPeer("nobody to confirm"))
        rel = self._ledger.pin(rel, request.fingerprint)
        return control.ConfirmResult(rel.hostname, rel.address, views.fingerprint(rel), views.identity(rel))

    def _waiting(self, text: str) -> tuple[Relationship, Incoming]:
        now = self._ledger.clock.now()
        missing = NothingPending("no request of that peer waits here")
        rel = self._peers.one(
            text, lambda rel: rel.incoming is not None and rel.incoming.expires > now, missing
        )
        if rel.incoming is None:
            raise missing
        return rel, rel.incoming

    def _approved(self, peer: PublicKey) -> control.ApproveResult:
        known = self._peers.known(peer)
        rel = self._ledger.store.get(peer)
        if known is None or rel is None:
            raise NothingPending("the agreement was revoked while it was made", hint="run comity trust")
        session = self._sessions.view(peer)
        return control.ApproveResult(
            status="trusted",
            hostname=known.hostname,
            address=known.address,
            fingerprint=views.fingerprint(rel),
            identity=views.identity(rel),
            agreement=known.agreement.digest,
            allow=known.agreement.allow,
            until=rfc3339(known.agreement.until),
            session=session is not None,
            path=session.path if session else None,
            cipher=session.cipher if session else None,
            group=session.group if session else None,
        )


def _check_shown(incoming: Incoming, wanted: str | None) -> None:
    if wanted is not None and wanted != incoming.digest:
        raise RequestChanged("the request that waits is not the one with that digest")
    if wanted is None and not incoming.shown:
        raise RequestChanged("the request that waits now has not been shown to anybody here")
