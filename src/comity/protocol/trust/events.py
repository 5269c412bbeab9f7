"""What happens to a relationship (events) and what follows from it (effects): the vocabulary of
``machine``.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.protocol.statements import Approval, HandshakeRequest, Rejection, Revocation
from comity.protocol.trust.relationship import Agreement, Incoming, Outgoing, Relationship


@dataclass(frozen=True)
class RequestIssued:
    asked: Outgoing


@dataclass(frozen=True)
class RequestArrived:
    """``predecessor``: the partner's key whose verified Rotation the request carries."""

    statement: HandshakeRequest
    digest: str
    envelope: str
    predecessor: str | None = None


@dataclass(frozen=True)
class ApprovalIssued:
    statement: Approval
    digest: str
    envelope: str


@dataclass(frozen=True)
class ApprovalArrived:
    statement: Approval
    digest: str
    envelope: str


@dataclass(frozen=True)
class RejectionIssued:
    statement: Rejection


@dataclass(frozen=True)
class RejectionArrived:
    statement: Rejection


@dataclass(frozen=True)
class RevocationIssued:
    statement: Revocation
    envelope: str


@dataclass(frozen=True)
class RevocationArrived:
    statement: Revocation
    envelope: str


@dataclass(frozen=True)
class PeerKeyEnded:
    """The peer's key was retired (``envelope`` holds the proof), or rotated to another (it is empty)."""

    reason: str
    envelope: str


@dataclass(frozen=True)
class OwnKeyEnded:
    """Our own key was: ``envelope`` as above; where it is empty, the agreement is to be renewed."""

    reason: str
    envelope: str


Event = (
    RequestIssued
    | RequestArrived
    | ApprovalIssued
    | ApprovalArrived
    | RejectionIssued
    | RejectionArrived
    | RevocationIssued
    | RevocationArrived
    | PeerKeyEnded
    | OwnKeyEnded
)


@dataclass(frozen=True)
class ApproveMutual:
    """Both have asked: sign an Approval of ``request`` now, with our justification as its reason."""

    request: Incoming
    reason: str
    until: int


@dataclass(frozen=True)
class Agreed:
    """An agreement came into force; ``replaced`` is the one that it took over from."""

    agreement: Agreement
    replaced: Agreement | None


@dataclass(frozen=True)
class Ended:
    """An agreement ended, by a revocation of either side or with a key."""

    agreement: Agreement


@dataclass(frozen=True)
class TurnedDown:
    """Our request was rejected."""

    reason: str


Effect = ApproveMutual | Agreed | Ended | TurnedDown

#: The relationship after an event, and what follows from it.
Outcome = tuple[Relationship, tuple[Effect, ...]]
