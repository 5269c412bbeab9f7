"""Requests and results about trust: handshake, pending, approve, reject, confirm, trust, revoke,
agreement.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HandshakeRequest:
    """``lifetime_seconds`` is the agreement's; ``fingerprint`` pins a peer that is named without a card."""

    peer: str
    justification: str
    requested_by: str = ""
    lifetime_seconds: int | None = None
    fingerprint: str | None = None
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class HandshakeResult:
    """``status``: ``sent``, ``approved`` or ``rejected``. ``digest`` is the request's.

    ``agreement`` is there once approved; ``identity`` is ``confirmed`` or ``unconfirmed``.
    """

    status: str
    hostname: str
    address: str
    fingerprint: str
    identity: str
    digest: str
    delivered: bool
    agreement: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class PendingRequest:
    """A handshake that waits for this side. ``verified``: ``signature``, or ``fingerprint`` where it was
    pinned. ``predecessor`` is the fingerprint of a trusted key that has named this one its successor.
    """

    address: str
    hostname: str
    justification: str
    fingerprint: str
    verified: str
    received_at: str
    organization: str
    contact: str
    requested_by: str
    until: str
    digest: str
    predecessor: str | None = None
    network: str = ""


@dataclass(frozen=True)
class PendingResult:
    pending: tuple[PendingRequest, ...]


@dataclass(frozen=True)
class ApproveRequest:
    """``digest``: the request that was read; without it, the one that ``pending`` showed last for this
    peer.
    """

    peer: str
    allow: tuple[str, ...] | None = None
    digest: str | None = None
    fingerprint: str | None = None
    wait_seconds: float = 5.0


@dataclass(frozen=True)
class ApproveResult:
    """``session`` tells whether the tunnel came up while the command waited; then path, cipher and group."""

    status: str
    hostname: str
    address: str
    fingerprint: str
    identity: str
    agreement: str
    allow: tuple[str, ...]
    until: str
    session: bool
    path: str | None = None
    cipher: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class RejectRequest:
    peer: str
    reason: str


@dataclass(frozen=True)
class RejectResult:
    status: str
    hostname: str
    address: str
    fingerprint: str


@dataclass(frozen=True)
class ConfirmRequest:
    peer: str
    fingerprint: str


@dataclass(frozen=True)
class ConfirmResult:
    hostname: str
    address: str
    fingerprint: str
    identity: str


@dataclass(frozen=True)
class TrustedPeer:
    """One agreement. ``status``: ``active``, ``expired``, ``revoked``, ``replaced``, or ``resting`` where
    this node has left its network; ``revoked_by``: ``us``, ``them`` or empty.
    """

    address: str
    hostname: str
    fingerprint: str
    identity: str
    justification: str
    approved_at: str
    agreement: str
    until: str
    allow: tuple[str, ...]
    organization: str
    contact: str
    status: str
    requested_by: str = ""
    revoked_by: str = ""
    revoked_at: str | None = None
    network: str = ""


@dataclass(frozen=True)
class TrustResult:
    """``trusted`` holds agreements in force; ``ended`` the expired and the revoked; ``outgoing`` our open
    requests.
    """

    trusted: tuple[TrustedPeer, ...]
    ended: tuple[TrustedPeer, ...]
    outgoing: tuple[HandshakeResult, ...]


@dataclass(frozen=True)
class RevokeRequest:
    peer: str
    reason: str = ""
    wait_seconds: float = 2.0


@dataclass(frozen=True)
class RevokeResult:
    """``links_closed`` counts what was torn down; ``notified`` is false while the peer has yet to be told."""

    status: str
    hostname: str
    address: str
    fingerprint: str
    agreement: str
    links_closed: int
    notified: bool


@dataclass(frozen=True)
class ExportRequest:
    peer: str


@dataclass(frozen=True)
class AgreementFile:
    """``content`` is the file's text: both signed statements, and the revocation where there is one."""

    content: str
    agreement: str
    hostname: str


@dataclass(frozen=True)
class Party:
    """``role``: ``requester`` or ``approver``; ``verified``: ``anchor`` when a given fingerprint matched,
    else ``none``.
    """

    role: str
    hostname: str
    organization: str
    contact: str
    fingerprint: str
    verified: str
    reason: str
    signed_at: str
    requested_by: str = ""


@dataclass(frozen=True)
class AgreementVerification:
    """``identities``: ``verified`` only when every party was matched by a fingerprint that the reader
    gave.
    """

    valid: bool
    identities: str
    agreement: str
    parties: tuple[Party, ...]
    justification: str
    signed_at: str
    until: str
    allow: tuple[str, ...]
    rendezvous: str
    network: int
    revoked: bool
    revoked_at: str | None = None
    revoked_by: str = ""


@dataclass(frozen=True)
class RetireRequest:
    """``certificate``: the text of a revocation certificate, None to retire this node's own key."""

    reason: str = ""
    certificate: str | None = None
    wait_seconds: float = 5.0


@dataclass(frozen=True)
class RetireResult:
    """``published``: the rendezvous and all partners were told; else they are as soon as they can be.

    ``hostname`` is empty where nobody here has dealt with that key.
    """

    status: str
    hostname: str
    fingerprint: str
    own: bool
    reason: str
    agreements_ended: int
    published: bool


@dataclass(frozen=True)
class RotateResult:
    """``certificate`` is the file with the new key's revocation certificate."""

    hostname: str
    fingerprint: str
    former_fingerprint: str
    card: str
    certificate: str
