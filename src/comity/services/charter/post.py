"""How charters and what was signed about them reach the other parties.

A charter goes out in parts, a signature or an end as a note; each is owed to a peer like every statement: in
order, until the peer or its mailbox has it. A party is a fingerprint; what can be sent goes to those parties
that this node has an agreement with. The rest learn it from whom they have one with: who proposed a version
hands every signature on, and who hears of an end for the first time does.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

from comity import limits
from comity.errors import InvalidInput
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.protocol.charter.statements import CharterNote, CharterPart
from comity.services.trust.ledger import Ledger
from comity.services.trust.peers import PeerBook


class Post:
    """Owes; delivery is the outbox's. Methods that owe run in the caller's transaction."""

    def __init__(self, ledger: Ledger, peers: PeerBook) -> None:
        self._ledger = ledger
        self._peers = peers

    def partners(self, parties: Iterable[str], *, past: bool = False) -> dict[str, PublicKey]:
        """The keys of those parties that this node has an agreement with, or with ``past``, ever had."""
        wanted = set(parties)
        found = {}
        for rel in self._ledger.store.all():
            key = PublicKey.from_hex(rel.peer)
            party = str(key.fingerprint)
            if party in wanted and (self._peers.known(key) is not None or (past and rel.agreement)):
                found[party] = key
        return found

    def among(self, partners: Iterable[PublicKey]) -> PublicKey:
        """One of these, by whom to know the realm of what all of them are told; this node's own key for none.

        InvalidInput where they are met in different networks: none of them can be told of the others.
        """
        keys = list(partners)
        if len({self._ledger.notary.realm_of(key) for key in keys}) > 1:
            names = ", ".join(sorted(self._peers.spelled(key) for key in keys))
            raise InvalidInput(
                f"a charter's parties have to be of one network; these are not: {names}",
                hint="run comity peers, and write a charter for each network",
            )
        return keys[0] if keys else self._ledger.notary.public

    def owe_charter(self, peer: PublicKey, digest: str, canonical: bytes) -> None:
        """Hand a charter's bytes over."""
        size = limits.CHARTER_PART_BYTES
        pieces = [canonical[at : at + size] for at in range(0, len(canonical), size)]
        for number, piece in enumerate(pieces, start=1):
            part = self._ledger.notary.make(
                CharterPart,
                peer,
                limits.REQUEST_LIFETIME,
                charter=digest,
                part=number,
                parts=len(pieces),
                data=base64.b64encode(piece).decode(),
            )
            self._ledger.owe(peer, part)

    def owe_note(self, peer: PublicKey, envelope: Envelope | str) -> None:
        """Hand over what was signed by a party."""
        text = envelope if isinstance(envelope, str) else envelope.to_json().decode()
        note = self._ledger.notary.make(CharterNote, peer, limits.REQUEST_LIFETIME, statement=text)
        self._ledger.owe(peer, note)
