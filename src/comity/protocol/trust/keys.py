"""What the end of a key does to a relationship: ours or the peer's, retired or rotated (``succession``).

Everything that was open under that key is gone, and its agreement ends with it. The statements stay what they
are, so that old agreements can be verified. These are transitions of ``machine``.
"""

from __future__ import annotations

import msgspec

from comity.protocol.trust.events import Ended, Outcome, OwnKeyEnded, PeerKeyEnded
from comity.protocol.trust.relationship import Ending, Relationship, Renewal


def peer_key_ended(rel: Relationship, own: str, event: PeerKeyEnded, now: float) -> Outcome:
    """The peer's key is retired or rotated: nothing more comes of it."""
    if rel.retired is not None and (rel.retired.envelope or not event.envelope):
        return rel, ()  # the first proof stands
    ending = Ending(by="them", at=int(now), reason=event.reason, envelope=event.envelope)
    return _without_key(msgspec.structs.replace(rel, retired=ending), ending)


def own_key_ended(rel: Relationship, own: str, event: OwnKeyEnded, now: float) -> Outcome:
    """Ours is: after a rotation, what stood until now is to be asked for again."""
    agreement = rel.agreement
    renewal = None
    if agreement is not None and agreement.ending is None and agreement.until > now and not event.envelope:
        renewal = Renewal(justification=agreement.justification, until=agreement.until)
    ending = Ending(by="us", at=int(now), reason=event.reason, envelope=event.envelope)
    return _without_key(msgspec.structs.replace(rel, renewal=renewal, rejection=None), ending)


def _without_key(rel: Relationship, ending: Ending) -> Outcome:
    left = msgspec.structs.replace(rel, outgoing=(), incoming=None)
    agreement = rel.agreement
    if agreement is None or agreement.ending is not None:
        return left, ()
    ended = msgspec.structs.replace(agreement, ending=ending)
    return msgspec.structs.replace(left, agreement=ended), (Ended(ended),)
