"""Who may register: a network's members, and whoever holds one of its invitations (SECURITY.md rule 7).

A key that is registered stays so, whatever becomes of its invitation. A key that is new takes one, unless the
network is open; one that was removed takes one that was made after its removal. Whoever is not admitted
learns nothing: not whether the network exists, nor whether a name in it is taken, so admission comes first.

Functions over the stores, inside the caller's transaction: the use of an invitation and the registration are
written together or not at all. No IO, no clock.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from comity.errors import NameTaken, RendezvousRefused
from comity.protocol.registration import Claim, not_admitted
from comity.rendezvous import registry, retiring
from comity.rendezvous.stores import Books, Node
from comity.rendezvous.tenancy import Act, Invitation, Removal


def token_digest(token: str) -> bytes:
    """What is kept of an invitation's token (hexadecimal); 256 random bits need no salt."""
    return hashlib.sha256(b"comity invitation\0" + bytes.fromhex(token)).digest()


def admit(books: Books, claim: Claim, now: float) -> Node:
    """Enter a verified claim of somebody who may come in.

    NotAdmitted; KeyRetired; NameTaken, RemoteProtocolError (an older sealing key), RendezvousRefused (full).
    """
    key = claim.key.raw
    network = books.tenancy.network(claim.network)
    if network is None:
        raise not_admitted()
    retiring.check(books, key)
    known = books.nodes.get(claim.network, key)
    removal = None if known else books.tenancy.removal(claim.network, key)
    if known is None and not retiring.succeed(books, claim, now):
        invitation = None
        if removal is not None or not network.open:
            invitation = _redeem(books, claim, removal, now)
        if books.nodes.count(claim.network) >= network.max_nodes:
            raise RendezvousRefused("this network has as many nodes as it can hold")
        books.tenancy.readmit(claim.network, key)
        _note_joined(books, claim, invitation, now)
    if books.tenancy.released(claim.network, claim.hostname, key):
        raise NameTaken(f"the name {claim.hostname} was taken from this key")
    return registry.register(books.nodes, claim, now, number=removal.number if removal else None)


def check_known(books: Books, claim: Claim) -> None:
    """NotAdmitted unless this key is registered, or its network is open."""
    network = books.tenancy.network(claim.network)
    if network is None or not (network.open or books.nodes.get(claim.network, claim.key.raw)):
        raise not_admitted()


def _redeem(books: Books, claim: Claim, removal: Removal | None, now: float) -> Invitation:
    found = None if claim.invitation is None else books.tenancy.invitation_of(token_digest(claim.invitation))
    if (
        found is None
        or found.network != claim.network
        or found.revoked
        or found.used >= found.uses
        or found.expires <= now
        or (removal is not None and found.id <= removal.before)
    ):
        raise not_admitted()
    books.tenancy.put_invitation(replace(found, used=found.used + 1))
    return found


def _note_joined(books: Books, claim: Claim, invitation: Invitation | None, now: float) -> None:
    by = "open network" if invitation is None else f"invitation {invitation.id}"
    who = str(claim.key.fingerprint)
    books.tenancy.note(Act(int(now), who, "node joined", claim.network, f"{claim.hostname}, {by}"))
