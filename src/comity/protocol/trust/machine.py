"""The transitions of a relationship: ``handle(relationship, own key, event, now) -> (relationship,
effects)``.

An event is either something that this side signed just now (``…Issued``) or a statement of the peer that was
opened, found fresh, addressed to us and not seen before (``…Arrived``); the checks left for here are those
that need the relationship. What cannot be accepted raises ``TrustRefused``, and the relationship stays as it
was.

    outgoing   ──RequestIssued──► open ──ApprovalArrived, RejectionArrived, RevocationIssued──► gone
    incoming   ──RequestArrived─► open ──ApprovalIssued, RejectionIssued, Revocation…─────────► gone
    agreement  none or ended ──Approval…──► active ──Revocation…──► ended (for that agreement, for ever)
    all three  ──PeerKeyEnded, OwnKeyEnded──► gone and ended (for that key, for ever)

Both sides come to the same end whatever crosses on the way, because each peer's statements arrive in order:

- Of two agreements that form at once, both keep the one of greater ``rank``.
- After a revocation its signer stands under no agreement and honours no approval of what it had asked before;
  so it ends whatever agreement its signer's half of precedes it, even one that it could not name.

Mutual handshakes (SECURITY.md rule 5): when both sides have asked, with equal charter, the node with the
larger key approves at once and the other waits, so that one agreement forms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from comity import limits
from comity.errors import RemoteProtocolError
from comity.protocol.statements import Approval, HandshakeRequest, Rejection
from comity.protocol.trust.events import (
    Agreed,
    ApprovalArrived,
    ApprovalIssued,
    ApproveMutual,
    Effect,
    Ended,
    Event,
    Outcome,
    OwnKeyEnded,
    PeerKeyEnded,
    RejectionArrived,
    RejectionIssued,
    RequestArrived,
    RequestIssued,
    RevocationArrived,
    RevocationIssued,
    TurnedDown,
)
from comity.protocol.trust.keys import own_key_ended, peer_key_ended
from comity.protocol.trust.relationship import Agreement, Ending, Incoming, Outgoing, Relationship


class TrustRefused(RemoteProtocolError):
    """A well-formed statement that this relationship doesn't allow: replayed, late, or about something
    else.
    """

    code = "trust_refused"
    exit_status = 64


def handle(rel: Relationship, own: str, event: Event, now: float) -> Outcome:
    """The relationship after ``event``, and what follows from it.

    ``own`` is this node's key in hexadecimal, ``now`` seconds UTC. Raises TrustRefused.
    """
    if rel.retired is not None and not isinstance(event, PeerKeyEnded | OwnKeyEnded):
        raise TrustRefused(f"the key of {rel.hostname} has ended: {rel.retired.reason}")
    return TRANSITIONS[type(event)](rel, own, event, now)


# ── requests ──────────────────────────────────────────────────────────────────────────────────────────


def as_outgoing(statement: HandshakeRequest, digest: str, envelope: str) -> Outgoing:
    """What is remembered of a request that we signed."""
    return Outgoing(
        digest=digest,
        nonce=statement.nonce,
        envelope=envelope,
        justification=statement.justification,
        charter=statement.charter,
        expires=statement.expires,
        until=statement.until,
        at=statement.issued,
        sequence=statement.sequence,
    )


def _request_issued(rel: Relationship, own: str, event: RequestIssued, now: float) -> Outcome:
    kept = tuple(asked for asked in rel.outgoing if asked.expires > now)
    if len(kept) >= limits.OUTGOING_REQUESTS:
        raise TrustRefused(f"{len(kept)} requests to this peer wait for an answer already")
    rel = msgspec.structs.replace(rel, outgoing=(*kept, event.asked), rejection=None, renewal=None)
    return rel, _mutual(rel, own, now)


def _request_arrived(rel: Relationship, own: str, event: RequestArrived, now: float) -> Outcome:
    asked = event.statement
    if asked.until <= now:
        raise TrustRefused("the handshake asks for an agreement that has already ended")
    incoming = Incoming(
        digest=event.digest,
        nonce=asked.nonce,
        envelope=event.envelope,
        justification=asked.justification,
        requested_by=asked.requested_by,
        organization=asked.organization,
        contact=asked.contact,
        charter=asked.charter,
        expires=asked.expires,
        until=asked.until,
        received_at=int(now),
        sequence=asked.sequence,
        shown=False,
        predecessor=event.predecessor,
    )
    rel = msgspec.structs.replace(rel, incoming=incoming)
    return rel, _mutual(rel, own, now)


def _mutual(rel: Relationship, own: str, now: float) -> tuple[Effect, ...]:
    ours, theirs = rel.open_outgoing, rel.incoming
    if ours is None or theirs is None or own < rel.peer or _overtaken(rel, ours):
        return ()
    if ours.charter != theirs.charter or min(ours.expires, theirs.expires) <= now:
        return ()
    return (ApproveMutual(request=theirs, reason=ours.justification, until=min(ours.until, theirs.until)),)


def _overtaken(rel: Relationship, ours: Outgoing) -> bool:
    """Whether they revoked after we had asked: an approval may still answer it, but it consents to nothing
    new.
    """
    ending = rel.agreement.ending if rel.agreement else None
    return ending is not None and ending.by == "them" and ending.at >= ours.at


# ── approvals ─────────────────────────────────────────────────────────────────────────────────────────


def _approval_issued(rel: Relationship, own: str, event: ApprovalIssued, now: float) -> Outcome:
    incoming = rel.incoming
    said = event.statement
    if incoming is None or said.request != incoming.digest:
        raise TrustRefused("there is no such request to approve")
    claimed = (incoming.requested_by, incoming.organization, incoming.contact)
    agreement = _made(incoming, event, "them", claimed, incoming.sequence)
    left = msgspec.structs.replace(rel, incoming=None, predecessor=incoming.predecessor)
    return _agree(left, agreement)


def _approval_arrived(rel: Relationship, own: str, event: ApprovalArrived, now: float) -> Outcome:
    said = event.statement
    ours = _answered(rel, said)
    if ours is None:
        raise TrustRefused("the approval answers no request that is open")
    if ours.expires <= now:
        raise TrustRefused("the approval answers a request that has lapsed")
    if said.charter != ours.charter:
        raise TrustRefused("the approval names another charter than the request")
    if not now < said.until <= ours.until:
        raise TrustRefused("the approval's end is not within what was asked for")
    agreement = _made(ours, event, "us", ("", said.organization, said.contact), said.sequence)
    answered = msgspec.structs.replace(rel, outgoing=_after(rel, ours), rejection=None)
    if said.reason:  # mutual: the approval answers both requests
        answered = msgspec.structs.replace(answered, incoming=None)
    return _agree(answered, agreement)


def _made(
    asked: Incoming | Outgoing,
    event: ApprovalIssued | ApprovalArrived,
    requester: Literal["us", "them"],
    claimed: tuple[str, str, str],
    their_sequence: int,
) -> Agreement:
    """The agreement of a request and its approval; ``claimed``: the peer's person, organization, contact."""
    said = event.statement
    requested_by, organization, contact = claimed
    return Agreement(
        digest=event.digest,
        request=asked.envelope,
        approval=event.envelope,
        request_digest=asked.digest,
        requester=requester,
        justification=asked.justification,
        reason=said.reason,
        requested_by=requested_by,
        organization=organization,
        contact=contact,
        charter=said.charter,
        allow=said.allow,
        approved_at=said.issued,
        until=said.until,
        rank=asked.sequence + said.sequence,
        their_sequence=their_sequence,
    )


def replaced_by(old: Agreement, new: Agreement) -> Agreement:
    """The agreement that ``new`` took over from, as it goes into the history: ended, without a revocation."""
    ending = Ending(by="us", at=new.approved_at, reason=replacement(new.digest), envelope="")
    return msgspec.structs.replace(old, ending=ending)


def replacement(digest: str) -> str:
    """The reason of an agreement's end by the one with that digest."""
    return f"replaced by {digest}"


def _agree(rel: Relationship, agreement: Agreement) -> Outcome:
    current = rel.agreement
    if current is None or current.ending is not None:
        return msgspec.structs.replace(rel, agreement=agreement), (Agreed(agreement, None),)
    if (agreement.rank, agreement.digest) < (current.rank, current.digest):
        return rel, ()
    return msgspec.structs.replace(rel, agreement=agreement), (Agreed(agreement, current),)


# ── rejections and revocations ────────────────────────────────────────────────────────────────────────


def _rejection_issued(rel: Relationship, own: str, event: RejectionIssued, now: float) -> Outcome:
    if rel.incoming is None or event.statement.request != rel.incoming.digest:
        raise TrustRefused("there is no such request to reject")
    return msgspec.structs.replace(rel, incoming=None), ()


def _rejection_arrived(rel: Relationship, own: str, event: RejectionArrived, now: float) -> Outcome:
    said = event.statement
    ours = _answered(rel, said)
    if ours is None:
        raise TrustRefused("the rejection answers no request that is open")
    left = msgspec.structs.replace(rel, outgoing=_after(rel, ours), rejection=said.reason)
    return left, (TurnedDown(said.reason),)


def _revocation_issued(rel: Relationship, own: str, event: RevocationIssued, now: float) -> Outcome:
    said = event.statement
    agreement = rel.agreement
    if agreement is None or agreement.ending is not None or said.agreement != agreement.digest:
        raise TrustRefused("the revocation names no agreement that stands")
    ended = _ended(agreement, "us", event, now)
    # What was asked before the end is void with it: a new start needs a new request.
    return msgspec.structs.replace(rel, agreement=ended, outgoing=(), incoming=None), (Ended(ended),)


def _revocation_arrived(rel: Relationship, own: str, event: RevocationArrived, now: float) -> Outcome:
    said = event.statement
    agreement = rel.agreement
    incoming = rel.incoming
    void = incoming is not None and incoming.sequence < said.sequence
    left = msgspec.structs.replace(rel, incoming=None) if void else rel
    if agreement is not None and agreement.ending is None and agreement.their_sequence < said.sequence:
        ended = _ended(agreement, "them", event, now)
        return msgspec.structs.replace(left, agreement=ended), (Ended(ended),)
    if not void:
        raise TrustRefused("the revocation ends no agreement that stands")
    return left, ()


def _ended(
    agreement: Agreement, by: Literal["us", "them"], event: RevocationIssued | RevocationArrived, now: float
) -> Agreement:
    ending = Ending(by=by, at=int(now), reason=event.statement.reason, envelope=event.envelope)
    return msgspec.structs.replace(agreement, ending=ending)


def _answered(rel: Relationship, said: Approval | Rejection) -> Outgoing | None:
    """The open request of ours that an answer quotes by digest and nonce."""
    for asked in rel.outgoing:
        if said.request == asked.digest and said.request_nonce == asked.nonce:
            return asked
    return None


def _after(rel: Relationship, answered: Outgoing) -> tuple[Outgoing, ...]:
    """Our requests that are newer than the answered one: older ones were overtaken by it at the peer's."""
    return rel.outgoing[rel.outgoing.index(answered) + 1 :]


TRANSITIONS: dict[type, Callable[..., Outcome]] = {
    RequestIssued: _request_issued,
    RequestArrived: _request_arrived,
    ApprovalIssued: _approval_issued,
    ApprovalArrived: _approval_arrived,
    RejectionIssued: _rejection_issued,
    RejectionArrived: _rejection_arrived,
    RevocationIssued: _revocation_issued,
    RevocationArrived: _revocation_arrived,
    PeerKeyEnded: peer_key_ended,
    OwnKeyEnded: own_key_ended,
}
