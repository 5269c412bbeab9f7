"""What sessions need of trust, and how one is shown: with the name that its agreement gives its peer."""

from __future__ import annotations

from typing import Protocol

from comity import control
from comity.clock import rfc3339
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.policy.operation import Standing
from comity.services.session.tunnel import Tunnel
from comity.services.trust.peers import KnownPeer


class Agreements(Protocol):
    """What sessions need of ``services.trust``."""

    def trusted_peers(self) -> list[KnownPeer]:
        """Every peer with an agreement in force."""

    def known(self, peer: PublicKey) -> KnownPeer | None:
        """The peer with this key, if an agreement with it is in force."""

    def standing(self, peer: PublicKey) -> Standing | None:
        """The current or last agreement."""

    async def receive(self, sender: PublicKey, envelope: Envelope) -> None:
        """A statement that came over a session."""


def session_view(tunnel: Tunnel, known: KnownPeer) -> control.SessionView:
    """The session with a peer as people see it."""
    info = tunnel.stream.info
    return control.SessionView(
        address=known.address,
        hostname=known.hostname,
        fingerprint=str(known.key.fingerprint),
        path=info.path,
        rtt_ms=None if tunnel.rtt_ms is None else round(tunnel.rtt_ms, 3),
        cipher=info.cipher,
        group=info.group,
        remote=info.remote,
        since=rfc3339(tunnel.since),
    )


def session_fields(tunnel: Tunnel) -> dict[str, str]:
    """The session as the log names it."""
    info = tunnel.stream.info
    return {"peer": tunnel.stream.peer.fingerprint.short, "path": info.path, "remote": info.remote}
