"""Agreements with peers: asking, answering, confirming, ending, exporting (docs: DESIGN, "Trust").

Errors: those of ``Client``, and those of the operation, which each docstring of ``comity.services.trust``
lists.
"""

from __future__ import annotations

from comity.control import (
    AgreementFile,
    ApproveRequest,
    ApproveResult,
    ConfirmRequest,
    ConfirmResult,
    ExportRequest,
    HandshakeRequest,
    HandshakeResult,
    PendingResult,
    RejectRequest,
    RejectResult,
    RetireRequest,
    RetireResult,
    RevokeRequest,
    RevokeResult,
    TrustResult,
)
from comity.sdk import asks
from comity.sdk.client import Client


def handshake(client: Client, request: HandshakeRequest) -> HandshakeResult:
    """Ask a peer for an agreement; with ``wait_seconds``, until it answers (TimedOut, HandshakeRejected)."""
    return client.ask(asks.handshake(request))


def pending(client: Client) -> PendingResult:
    """The requests that wait here. ``approve`` means them as they were shown by this."""
    return client.ask(asks.pending())


def approve(client: Client, request: ApproveRequest) -> ApproveResult:
    """Answer yes. NothingPending, RequestChanged, IdentityMismatch."""
    return client.ask(asks.approve(request))


def reject(client: Client, request: RejectRequest) -> RejectResult:
    """Answer no, with the reason that the asker is shown. NothingPending."""
    return client.ask(asks.reject(request))


def confirm(client: Client, request: ConfirmRequest) -> ConfirmResult:
    """Record a fingerprint that was compared out of band. IdentityMismatch where the key is another."""
    return client.ask(asks.confirm(request))


def agreements(client: Client) -> TrustResult:
    """Every agreement, in force and ended, and our open requests."""
    return client.ask(asks.agreements())


def revoke(client: Client, request: RevokeRequest) -> RevokeResult:
    """End an agreement, at once here; ``wait_seconds`` bounds how long the peer is tried to be told."""
    return client.ask(asks.revoke(request))


def retire(client: Client, request: RetireRequest) -> RetireResult:
    """End a key for good: this node's own, or the one in a revocation certificate. FileUnusable."""
    return client.call("retire", request, RetireResult, wait=request.wait_seconds)


def export(client: Client, request: ExportRequest) -> AgreementFile:
    """The signed statements of an agreement, for ``offline``. AgreementInvalid where there is none."""
    return client.ask(asks.export(request))
