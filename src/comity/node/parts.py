"""What a node is made of: the ground that it stands on, and its services once they are wired.

``build`` brings the ground, ``assembly`` wires, ``run`` starts. It holds no logic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from comity import control
from comity.clock import Clock
from comity.entropy import Entropy
from comity.identity.envelope import Envelope
from comity.identity.keys import Identity
from comity.identity.place import Place
from comity.node.evidence import Evidence
from comity.protocol.candidates import Surroundings
from comity.protocol.registry import RelayOffer
from comity.protocol.statements import Predecessor
from comity.services.about import AboutService, NodeFacts
from comity.services.audit import AuditService
from comity.services.charter.service import CharterService
from comity.services.directory import ConfigFile, DirectoryService
from comity.services.events import EventsService
from comity.services.exchange import ExchangeService, Rules
from comity.services.forwarding import ForwardingService
from comity.services.guard import Guard
from comity.services.membership import Memberships, RunningRendezvous
from comity.services.networks import NetworkService
from comity.services.notary import Notary
from comity.services.presence import Presence
from comity.services.session import SessionService
from comity.services.settled import Settled
from comity.services.trust import TrustService
from comity.services.trust.ledger import Claims
from comity.storage.blobs import BlobStore
from comity.storage.database import Database
from comity.storage.logkey import AuditKey
from comity.transport.interface import Gate, Network, PunchPost, RendezvousListener


class RunningNetwork(Network, Protocol):
    """A network that has to be started."""

    async def start(self) -> None:
        """Listen, where asked to, and accept."""

    async def close(self) -> None:
        """End every link at once, and every task."""

    async def relay_offered(self, offer: RelayOffer) -> None:
        """Follow a peer to the relay, if it is approved; returns at once."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a node stands on. ``rendezvous`` (for each of ``places``, under a hostname) and ``network`` make
    the adapters once what they need is there; ``guard`` makes what decides.
    """

    identity: Identity
    places: tuple[Place, ...]
    predecessor: Callable[[Place], Predecessor | None]
    claims: Claims
    facts: NodeFacts
    shown: control.VisibilityResult
    clock: Clock
    entropy: Entropy
    db: Database
    audit_key: AuditKey
    log_certificate: Callable[[Notary], Envelope]
    witnesses: tuple[str, ...]
    blobs: BlobStore
    exchange: Rules = field(default_factory=Rules)
    config: ConfigFile
    rendezvous: Callable[[Place, str, RendezvousListener, Notary, Callable[[], Envelope]], RunningRendezvous]
    network: Callable[[Memberships, Gate, PunchPost], RunningNetwork]
    surroundings: Callable[[tuple[str, ...]], Surroundings]
    guard: type[Guard] = Guard


@dataclass(frozen=True, kw_only=True)
class Node:
    """The services of one node, wired and not yet started."""

    memberships: Memberships
    networks: NetworkService
    network: RunningNetwork
    notary: Notary
    audit: AuditService
    evidence: Evidence
    guard: Guard
    settled: Settled
    sessions: SessionService
    trust: TrustService
    charters: CharterService
    exchange: ExchangeService
    events: EventsService
    forwarding: ForwardingService
    directory: DirectoryService
    about: AboutService

    @property
    def presence(self) -> Presence:
        """At the first of its rendezvous."""
        return self.memberships.first.presence

    @property
    def rendezvous(self) -> RunningRendezvous:
        """The client of the first one."""
        return self.memberships.first.rendezvous
