"""The daemon's operations as values: name, request, what comes back, and how long the operation may wait.

Blocking and asynchronous clients ask them alike, so what an operation is called and how patient its caller
is stands here once. Each function takes the operation's request; the control types describe their fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from comity import control, limits

T = TypeVar("T")


@dataclass(frozen=True)
class Ask(Generic[T]):
    """``wait``: seconds that the operation itself may wait for somebody, besides the daemon's own time."""

    operation: str
    request: object | None
    result: type[T]
    wait: float = 0.0


# ── this node ─────────────────────────────────────────────────────────────────────────────────────────


def status() -> Ask[control.StatusResult]:
    """How the daemon stands."""
    return Ask("status", None, control.StatusResult)


def info() -> Ask[control.InfoResult]:
    """Address, claims, candidates, sessions, and what was negotiated on each link."""
    return Ask("info", None, control.InfoResult)


def network_list() -> Ask[control.NetworkMembershipsResult]:
    """The networks that this node is a member of."""
    return Ask("network-list", None, control.NetworkMembershipsResult)


def network_join(request: control.NetworkJoinRequest) -> Ask[control.NetworkMembership]:
    """Become a member of one more."""
    return Ask("network-join", request, control.NetworkMembership, request.wait_seconds)


def network_leave(request: control.NetworkLeaveRequest) -> Ask[control.NetworkLeaveResult]:
    """Be a member of one less."""
    return Ask("network-leave", request, control.NetworkLeaveResult)


def set_tags(request: control.SetTagsRequest) -> Ask[control.VisibilityResult]:
    """Replace the tags by which others find this node while it is public."""
    return Ask("set-tags", request, control.VisibilityResult)


def set_visibility(request: control.SetVisibilityRequest) -> Ask[control.VisibilityResult]:
    """List this node for others of its network, or stop that."""
    return Ask("set-visibility", request, control.VisibilityResult)


# ── others ────────────────────────────────────────────────────────────────────────────────────────────


def find(request: control.FindRequest) -> Ask[control.FindResult]:
    """What the rendezvous and this node know of one name."""
    return Ask("find", request, control.FindResult)


def peers(request: control.PeersRequest) -> Ask[control.PeersResult]:
    """Peers with an agreement, and the network's public nodes."""
    return Ask("peers", request, control.PeersResult)


def ping(request: control.PingRequest) -> Ask[control.PingResult]:
    """Round trips to a trusted peer's echo service."""
    return Ask("ping", request, control.PingResult, request.timeout)


# ── agreements ────────────────────────────────────────────────────────────────────────────────────────


def handshake(request: control.HandshakeRequest) -> Ask[control.HandshakeResult]:
    """Ask a peer for an agreement."""
    return Ask("handshake", request, control.HandshakeResult, request.wait_seconds)


def pending() -> Ask[control.PendingResult]:
    """The requests that wait here."""
    return Ask("pending", None, control.PendingResult)


def approve(request: control.ApproveRequest) -> Ask[control.ApproveResult]:
    """Answer yes."""
    return Ask("approve", request, control.ApproveResult, request.wait_seconds)


def reject(request: control.RejectRequest) -> Ask[control.RejectResult]:
    """Answer no."""
    return Ask("reject", request, control.RejectResult)


def confirm(request: control.ConfirmRequest) -> Ask[control.ConfirmResult]:
    """Record a fingerprint that was compared out of band."""
    return Ask("confirm", request, control.ConfirmResult)


def agreements() -> Ask[control.TrustResult]:
    """Every agreement, and our open requests."""
    return Ask("trust", None, control.TrustResult)


def revoke(request: control.RevokeRequest) -> Ask[control.RevokeResult]:
    """End an agreement."""
    return Ask("revoke", request, control.RevokeResult, request.wait_seconds)


def export(request: control.ExportRequest) -> Ask[control.AgreementFile]:
    """The signed statements of an agreement."""
    return Ask("agreement-export", request, control.AgreementFile)


# ── ports ─────────────────────────────────────────────────────────────────────────────────────────────


def expose(request: control.ExposeRequest) -> Ask[control.ExposureView]:
    """Let a peer reach a port of this machine."""
    return Ask("expose", request, control.ExposureView)


def unexpose(request: control.UnexposeRequest) -> Ask[control.UnexposeResult]:
    """End that."""
    return Ask("unexpose", request, control.UnexposeResult)


def exposures() -> Ask[control.ExposuresResult]:
    """Which ports are exposed, and to whom."""
    return Ask("exposures", None, control.ExposuresResult)


# ── artifacts and events ──────────────────────────────────────────────────────────────────────────────


def received(request: control.ReceivedRequest) -> Ask[control.ReceivedResult]:
    """What has arrived."""
    return Ask("received", request, control.ReceivedResult, request.timeout)


def transfers() -> Ask[control.TransfersResult]:
    """What is on its way, and what was."""
    return Ask("transfers", None, control.TransfersResult)


def sign_artifact(request: control.SignArtifactRequest) -> Ask[control.SignArtifactResult]:
    """Stand for an artifact, for whoever sends it."""
    return Ask("sign-artifact", request, control.SignArtifactResult)


def queue_file(request: control.QueueFileRequest) -> Ask[control.QueueResult]:
    """Send a file when its peer is there."""
    return Ask("queue-file", request, control.QueueResult)


def cancel(request: control.CancelRequest) -> Ask[control.CancelResult]:
    """End a transfer for good."""
    return Ask("cancel", request, control.CancelResult)


def publish(request: control.PublishRequest) -> Ask[control.PublishResult]:
    """Store events, here or with a peer."""
    return Ask("publish", request, control.PublishResult, limits.EVENTS_PUBLISH_TIMEOUT)


def acknowledge(request: control.AcknowledgeRequest) -> Ask[control.AcknowledgeResult]:
    """Say how far a subscription's reader is."""
    return Ask("acknowledge", request, control.AcknowledgeResult, request.wait)
