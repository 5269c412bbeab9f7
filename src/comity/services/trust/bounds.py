"""How much trust a node keeps at once: partners, and statements that one partner has not taken yet.

A revocation, and the end or change of a key, are never held back: whoever says no is always heard.
"""

from __future__ import annotations

from comity import limits
from comity.errors import MailboxFull, TooLarge
from comity.identity.keys import PublicKey
from comity.protocol.statements import Approval, HandshakeRequest, PairStatement, Rejection
from comity.services.trust.peers import PeerBook
from comity.storage.trust import TrustStore

_MAY_WAIT = (HandshakeRequest, Approval, Rejection)


def check_owed(store: TrustStore, peer: PublicKey, statement: PairStatement) -> None:
    """MailboxFull where this peer has taken too little of what it was told to be told more."""
    if isinstance(statement, _MAY_WAIT) and store.owed_to(peer) >= limits.OUTBOX_PER_PEER:
        raise MailboxFull(f"{limits.OUTBOX_PER_PEER} statements wait for this peer already")


def check_partners(store: TrustStore, peers: PeerBook, peer: PublicKey, most: int) -> None:
    """TooLarge where one more partner would be more than ``most``. Looks at all only where it must."""
    if store.count() < most or peers.known(peer) is not None:
        return
    keys = (PublicKey.from_hex(rel.peer) for rel in store.all())
    if sum(peers.known(key) is not None for key in keys) >= most:
        raise TooLarge(
            f"this node has agreements with {most} peers",
            hint="end one that is over: comity revoke PEER",
        )
