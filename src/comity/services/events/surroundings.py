"""What events work with, handed in as one value; tests hand in others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from comity.clock import Clock
from comity.entropy import Entropy
from comity.identity.keys import PublicKey
from comity.services.audit import AuditService
from comity.services.guard import Guard
from comity.services.trust import KnownPeer
from comity.storage.database import Database
from comity.storage.events import EventStore
from comity.transport.interface import Buffer, Network

#: What agreements and policies call it.
SERVICE = "events"


class Trust(Protocol):
    """What events ask about peers; ``services.trust.TrustService`` answers."""

    @property
    def version(self) -> int:
        """Changes whenever an agreement does; an expiry leaves it."""

    async def resolve(self, text: str) -> KnownPeer:
        """The approved peer that a PEER argument names. UnknownPeer, UntrustedPeer, AmbiguousPeer."""

    def known(self, peer: PublicKey) -> KnownPeer | None:
        """The peer with this key, if an agreement with it is in force."""

    def trusted_peers(self) -> Sequence[KnownPeer]:
        """Every peer with an agreement in force."""

    def lineage(self, peer: PublicKey) -> frozenset[str]:
        """The agreement in force with this peer, and those that it replaced without a gap."""

    def hostname(self, peer: PublicKey) -> str:
        """What a peer is or was called here."""


class Sessions(Protocol):
    """What events ask about sessions: whether it is worth dialling."""

    async def wait_up(self, peer: PublicKey, timeout: float) -> bool:
        """Whether a session stands within ``timeout`` seconds."""


class Frames(Protocol):
    """What is needed of a stream; its methods raise what ``transport.interface.Stream``'s do."""

    peer: PublicKey

    async def send(self, body: Buffer) -> None:
        """One DATA frame."""

    async def receive(self) -> bytes | None:
        """The next DATA frame's body, or None at the other side's END."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """``db`` is where ``store`` and ``audit`` write, so that one transaction holds both; ``own`` is this
    node's key. ``counted``: up to which position of each broker a charter has counted what was read.
    """

    own: PublicKey
    network: Network
    trust: Trust
    sessions: Sessions
    guard: Guard
    audit: AuditService
    db: Database
    store: EventStore
    clock: Clock
    entropy: Entropy
    counted: dict[PublicKey, int] = field(default_factory=dict)
