"""All that a node remembers about one peer key, as frozen values (stored as they are, by ``storage.trust``).

Envelopes are kept as the JSON text that was signed and sent: the evidence never depends on this program's
types.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from comity import limits
from comity.identity.text import printable


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A request that we made and that is not answered yet. Times are seconds UTC."""

    digest: str
    nonce: str
    envelope: str
    justification: str
    charter: str | None
    expires: int
    until: int
    at: int
    sequence: int


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """The request of theirs that waits for a person here; ``shown``: someone has read exactly this one.

    ``predecessor`` is a partner's key that has named the asker's its successor.
    """

    digest: str
    nonce: str
    envelope: str
    justification: str
    requested_by: str
    organization: str
    contact: str
    charter: str | None
    expires: int
    until: int
    received_at: int
    sequence: int
    shown: bool
    predecessor: str | None = None


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How an agreement, or a key, ended.

    ``envelope`` is the signed revocation or retirement, empty where another agreement or key took over.
    """

    by: Literal["us", "them"]
    at: int
    reason: str
    envelope: str

    @property
    def told(self) -> str:
        """To the person here: who revoked it, and why."""
        why = f": {printable(self.reason, limits.CLAIM_BYTES)}" if self.reason else ""
        return f"{'you' if self.by == 'us' else 'they'} revoked it{why}"


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """A handshake and the approval that quotes its digest.

    ``digest`` is the approval's. ``requester`` tells whose request it was. ``rank`` is the sum of both
    statements' sequences, the same number on both sides: of two agreements that formed at once, both prefer
    the greater. ``their_sequence`` is that of the peer's half: only what the peer signed after it can end the
    agreement.
    """

    digest: str
    request: str
    approval: str
    request_digest: str
    requester: Literal["us", "them"]
    justification: str
    reason: str
    requested_by: str
    organization: str
    contact: str
    charter: str | None
    allow: tuple[str, ...]
    approved_at: int
    until: int
    rank: int
    their_sequence: int
    ending: Ending | None = None


class Renewal(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask a partner for again, since our own key was rotated: on the terms of before."""

    justification: str
    until: int


class Relationship(msgspec.Struct, frozen=True, kw_only=True):
    """One peer key. ``realm`` is where it is met, as ``protocol.realm`` writes it, empty for this node's
    first one. ``pinned``: a card or a fingerprint named it (SECURITY.md rule 5).

    ``outgoing`` holds our unanswered requests, the newest last: an approval may still be on its way to an
    older one. ``rejection`` holds the reason of the last request of ours that was turned down. ``retired`` is
    the end of the key itself: nothing that it says counts after that. ``predecessor`` is the key on whose
    word this one was approved; ``renewal`` is due where our own key was rotated.
    """

    peer: str
    hostname: str
    address: str
    local_id: str
    pinned: bool = False
    outgoing: tuple[Outgoing, ...] = ()
    incoming: Incoming | None = None
    agreement: Agreement | None = None
    rejection: str | None = None
    retired: Ending | None = None
    predecessor: str | None = None
    renewal: Renewal | None = None
    realm: str = ""

    @property
    def standing(self) -> Literal["none", "active", "ended"]:
        """Whether an agreement stands, its expiry aside."""
        if self.agreement is None:
            return "none"
        return "active" if self.agreement.ending is None else "ended"

    @property
    def dealt_with(self) -> bool:
        """Whether a person here has asked this key for an agreement, or had one with it."""
        return bool(self.outgoing) or self.agreement is not None

    @property
    def open_outgoing(self) -> Outgoing | None:
        """Our newest request, unless an agreement that was approved since has answered it (a crossed
        handshake).
        """
        asked = self.outgoing[-1] if self.outgoing else None
        agreed = self.agreement
        if asked is None or agreed is None or agreed.requester == "us":
            return asked
        return asked if agreed.approved_at < asked.at else None
