"""A key follows another: a partner's, whose request carries a rotation, and this node's own (SECURITY.md
rule 4).

The old key's word says whose the new one is, and gives it nothing: a person here approves the request again,
and only then does the old agreement end. Our own new key takes the database over at its first start: what
stood under the old one ends, and the same partners are asked again on the same terms.
"""

from __future__ import annotations

import logging

from comity import control
from comity.errors import ComityError
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.protocol.realm import Realm
from comity.protocol.statements import HandshakeRequest
from comity.protocol.succession import open_rotation
from comity.protocol.trust import events, machine
from comity.services.membership import Membership, Memberships
from comity.services.trust.asking import Asking
from comity.services.trust.ledger import Ledger

log = logging.getLogger("comity.trust")

OWN_ROTATION = "our own key was rotated"


class Succeeding:
    """A membership's ``predecessor`` is this node's own old key with its rotation, while partners there may
    have to see it.
    """

    def __init__(self, ledger: Ledger, asking: Asking, memberships: Memberships) -> None:
        self._ledger = ledger
        self._asking = asking
        self._memberships = memberships

    def check(self, said: HandshakeRequest, sender: PublicKey, realm: Realm) -> str | None:
        """The partner's key that the sender follows, None where we had no agreement with one.

        RemoteProtocolError where the rotation does not verify; TrustRefused where that key has ended before.
        """
        if said.predecessor is None:
            return None
        ledger = self._ledger
        old, _ = open_rotation(
            said.predecessor,
            sender,
            rendezvous=realm.rendezvous,
            network=realm.network,
            now=ledger.clock.now(),
        )
        retired = ledger.store.retired(old)
        if retired is not None:
            raise machine.TrustRefused(f"it follows a key that was retired: {printable(retired.reason)}")
        rel = ledger.store.get(old)
        if rel is None or rel.agreement is None or rel.realm != str(realm):
            return None
        if rel.retired is not None:
            raise machine.TrustRefused(f"it follows a key that has ended: {printable(rel.retired.reason)}")
        return old.hex if rel.standing == "active" else None

    def take_over(self) -> None:
        """Once at the start: where the database was another key's of ours, end what stood under that."""
        ledger = self._ledger
        with ledger.db.transaction():
            if ledger.store.take_over(ledger.notary.public) is None:
                return
            for rel in ledger.store.all():
                ledger.advance(rel, events.OwnKeyEnded(OWN_ROTATION, ""))
            ledger.store.forget_numbers()
            said = next((each.predecessor for each in self._memberships if each.predecessor), None)
            old = PublicKey.from_hex(said.key) if said else None
            ledger.audit.append(
                "key.rotated", peer=old, successor=str(ledger.notary.public.fingerprint), own=True
            )

    async def renew(self, member: Membership) -> None:
        """Ask every partner of our old key there again. The first problem is raised once all were asked."""
        problem: ComityError | None = None
        for rel in self._ledger.store.all():
            if rel.renewal is None or rel.realm != str(member.realm):
                continue
            left = rel.renewal.until - int(self._ledger.clock.now())
            if left <= 0:
                continue
            request = control.HandshakeRequest(
                peer=f"{rel.address}@{member.name}",
                justification=rel.renewal.justification,
                requested_by="key rotation",
                lifetime_seconds=left,
                fingerprint=str(PublicKey.from_hex(rel.peer).fingerprint),
            )
            try:
                await self._asking.handshake(request, member.predecessor)
            except ComityError as error:
                log.info("a partner is yet to be asked again", extra={"fields": {"code": error.code}})
                problem = problem or error
        if problem is not None:
            raise problem
