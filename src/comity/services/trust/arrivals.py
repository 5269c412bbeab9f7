"""What a statement that came from a peer means: its kind, and the event that it is to the machine.

The statement was verified; checked here is whether it speaks of names and terms that people here know.
"""

from __future__ import annotations

from comity import limits
from comity.identity.envelope import Envelope
from comity.identity.text import printable
from comity.protocol.statements import (
    Approval,
    HandshakeRequest,
    PairStatement,
    Rejection,
    Revocation,
    payload_type,
)
from comity.protocol.trust import events, machine
from comity.protocol.trust.relationship import Relationship

KINDS: tuple[type[PairStatement], ...] = (HandshakeRequest, Approval, Rejection, Revocation)
_BY_TYPE = {payload_type(kind): kind for kind in KINDS}


def kind_of(envelope: Envelope) -> type[PairStatement]:
    """The statement type of an envelope; TrustRefused where it is none of trust's."""
    kind = _BY_TYPE.get(envelope.payload_type)
    if kind is None:
        raise machine.TrustRefused("a statement of that type has no place here")
    return kind


def arrived(
    statement: PairStatement, envelope: Envelope, rel: Relationship, own: str, predecessor: str | None
) -> events.Event:
    """What the statement means to the machine, once names and terms are those that people here know.

    ``own`` is this node's hostname, ``predecessor`` a partner's key that the sender follows.
    """
    text = envelope.to_json().decode()
    match statement:
        case HandshakeRequest():
            _check_named(statement, rel)
            if statement.subject_hostname != own:
                meant = printable(statement.subject_hostname)
                raise machine.TrustRefused(f"the request was meant for {meant}, and this node is {own}")
            if statement.until - statement.issued > limits.AGREEMENT_LIFETIME_MOST:
                raise machine.TrustRefused("the request is for longer than ten years")
            if statement.charter is not None:
                raise machine.TrustRefused("the request is under a charter, which this version cannot show")
            return events.RequestArrived(statement, envelope.digest, text, predecessor)
        case Approval():
            _check_named(statement, rel)
            return events.ApprovalArrived(statement, envelope.digest, text)
        case Rejection():
            return events.RejectionArrived(statement)
        case Revocation():
            return events.RevocationArrived(statement, text)
    raise machine.TrustRefused("a statement of that type has no place here")


def _check_named(statement: HandshakeRequest | Approval, rel: Relationship) -> None:
    if (statement.hostname, statement.address) != (rel.hostname, rel.address):
        raise machine.TrustRefused(
            f"the {statement.TYPE} names another hostname or address than its key is known under"
        )
