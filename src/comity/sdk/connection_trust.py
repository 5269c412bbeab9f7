"""The half of ``connection.Node`` that is about who one is, and whom one trusts."""

from __future__ import annotations

from collections.abc import Sequence

from comity import control
from comity.sdk import asks
from comity.sdk.client import Client


class TrustedNode:
    """``client`` is for operations that have no method here: ``comity.sdk.audit.log(node.client, …)``."""

    def __init__(self, client: Client) -> None:
        self.client = client

    # ── identity ──────────────────────────────────────────────────────────────────────────────────────

    def status(self) -> control.StatusResult:
        """How the daemon stands: name, address, fingerprint, card, whether it is registered."""
        return self.client.ask(asks.status())

    def info(self) -> control.InfoResult:
        """Claims, candidates and sessions, with what was negotiated on each link."""
        return self.client.ask(asks.info())

    def set_tags(self, *tags: str) -> control.VisibilityResult:
        """Replace the tags by which others find this node while it is public. InvalidInput."""
        return self.client.ask(asks.set_tags(control.SetTagsRequest(tags)))

    def set_visibility(self, *, public: bool) -> control.VisibilityResult:
        """List this node for others of its network, or stop that."""
        return self.client.ask(asks.set_visibility(control.SetVisibilityRequest(public)))

    # ── trust ─────────────────────────────────────────────────────────────────────────────────────────

    def find(self, name: str) -> control.FindResult:
        """What the rendezvous and this node know of one name. UnknownPeer, RateLimited."""
        return self.client.ask(asks.find(control.FindRequest(name)))

    def peers(self, tag: str | None = None) -> tuple[control.PeerView, ...]:
        """Peers with an agreement, and the network's public nodes; ``tag``: only those that bear it."""
        return self.client.ask(asks.peers(control.PeersRequest(tag))).peers

    def ping(self, peer: str, *, count: int = 3, timeout: float = 10.0) -> control.PingResult:
        """Round trips to a trusted peer, within ``timeout`` seconds. UntrustedPeer, PeerUnreachable."""
        return self.client.ask(asks.ping(control.PingRequest(peer, count, timeout)))

    def handshake(
        self,
        peer: str,
        justification: str,
        *,
        requested_by: str = "",
        lifetime: int | None = None,
        fingerprint: str | None = None,
        wait: float = 0.0,
    ) -> control.HandshakeResult:
        """Ask a peer for an agreement, and say why. A card as ``peer`` pins its key, as ``fingerprint`` does.

        ``lifetime``: the agreement's, in seconds. ``wait``: seconds for the peer's answer; then TimedOut,
        HandshakeRejected. UnknownPeer, IdentityMismatch, RendezvousUnreachable.
        """
        return self.client.ask(
            asks.handshake(
                control.HandshakeRequest(peer, justification, requested_by, lifetime, fingerprint, wait)
            )
        )

    def pending(self) -> tuple[control.PendingRequest, ...]:
        """The requests that wait for this side's answer."""
        return self.client.ask(asks.pending()).pending

    def approve(
        self,
        peer: str,
        *,
        allow: Sequence[str] | None = None,
        digest: str | None = None,
        fingerprint: str | None = None,
        wait: float = 5.0,
    ) -> control.ApproveResult:
        """Answer a request with yes: the one with ``digest``, else as ``pending`` showed it last.

        ``allow``: the services that the agreement opens (``exchange``, ``events``), all if not given.
        ``fingerprint``: the key that it has to be. ``wait``: seconds for the tunnel. NothingPending,
        RequestChanged, IdentityMismatch.
        """
        services = None if allow is None else tuple(allow)
        return self.client.ask(
            asks.approve(control.ApproveRequest(peer, services, digest, fingerprint, wait))
        )

    def reject(self, peer: str, reason: str) -> control.RejectResult:
        """Answer a request with no; the asker is shown the reason. NothingPending."""
        return self.client.ask(asks.reject(control.RejectRequest(peer, reason)))

    def confirm(self, peer: str, fingerprint: str) -> control.ConfirmResult:
        """Record a fingerprint that was compared out of band. IdentityMismatch where the key is another."""
        return self.client.ask(asks.confirm(control.ConfirmRequest(peer, fingerprint)))

    def revoke(self, peer: str, reason: str = "", *, wait: float = 2.0) -> control.RevokeResult:
        """End an agreement, at once here; the peer is told within ``wait`` seconds or later. UnknownPeer."""
        return self.client.ask(asks.revoke(control.RevokeRequest(peer, reason, wait)))

    def trusted(self) -> tuple[control.TrustedPeer, ...]:
        """The peers with an agreement in force."""
        return self.agreements().trusted

    def agreements(self) -> control.TrustResult:
        """Every agreement, in force and ended, and this side's open requests."""
        return self.client.ask(asks.agreements())

    def export_agreement(self, peer: str) -> control.AgreementFile:
        """The signed statements of an agreement, for an auditor. AgreementInvalid where there is none."""
        return self.client.ask(asks.export(control.ExportRequest(peer)))
