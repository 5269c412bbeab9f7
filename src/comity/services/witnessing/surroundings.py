"""What both sides of countersigning stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from comity.clock import Clock
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.services.audit import AuditService
from comity.services.guard import Guard
from comity.services.trust import KnownPeer
from comity.storage.database import Database
from comity.storage.witness import WitnessStore
from comity.transport.interface import Network

#: The guard's name for it, and the purpose that a hello gives.
SERVICE = "witness"


class Partners(Protocol):
    """What countersigning needs of trust."""

    def trusted_peers(self) -> list[KnownPeer]:
        """Every peer with an agreement in force."""

    def hostname(self, peer: PublicKey) -> str:
        """What a peer is or was called here."""

    def predecessor(self, peer: PublicKey) -> PublicKey | None:
        """The earlier key of this peer's node, on whose word its key was approved."""


class Sessions(Protocol):
    """What it needs of sessions."""

    def tunnel(self, peer: PublicKey) -> object | None:
        """The standing session, if there is one."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """``certificate``: the LogKey statement of this node's log key. ``chosen``: names and fingerprints of the
    partners that are asked to countersign, all where it is empty.
    """

    own: PublicKey
    network: Network
    trust: Partners
    sessions: Sessions
    guard: Guard
    audit: AuditService
    db: Database
    store: WitnessStore
    certificate: Envelope
    chosen: tuple[str, ...]
    clock: Clock
