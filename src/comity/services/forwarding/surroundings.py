"""What forwarding works with, handed in as one value; tests hand in others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from comity.clock import Clock
from comity.entropy import Entropy
from comity.identity.keys import PublicKey
from comity.services.audit import AuditService
from comity.services.guard import Guard
from comity.services.trust import KnownPeer
from comity.storage.database import Database
from comity.storage.forwarding import ExposureStore
from comity.transport.interface import Network

#: What agreements and policies call it.
SERVICE = "forward"


class Trust(Protocol):
    """What forwarding asks about peers; ``services.trust.TrustService`` answers."""

    async def resolve(self, text: str) -> KnownPeer:
        """The approved peer that a PEER argument names. UnknownPeer, UntrustedPeer, AmbiguousPeer."""

    def known(self, peer: PublicKey) -> KnownPeer | None:
        """The peer with this key, if an agreement with it is in force."""

    def lineage(self, peer: PublicKey) -> frozenset[str]:
        """The agreement in force with this peer, and those that it replaced without a gap."""

    def hostname(self, peer: PublicKey) -> str:
        """What a peer is or was called here."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """``db`` is where ``store`` and ``audit`` write, so that one transaction holds both."""

    network: Network
    trust: Trust
    guard: Guard
    audit: AuditService
    db: Database
    store: ExposureStore
    clock: Clock
    entropy: Entropy
