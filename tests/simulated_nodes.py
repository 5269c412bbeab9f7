"""Whole nodes in the in-memory world: the daemon's own wiring on networks, files and clocks of the
simulation.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from comity import control
from comity.identity.card import Card
from comity.identity.envelope import Envelope
from comity.identity.place import Place
from comity.node.assembly import assemble
from comity.node.parts import Ground
from comity.protocol.candidates import Surroundings
from comity.services.about import NodeFacts
from comity.services.guard import Guard
from comity.services.logkey import make_certificate
from comity.services.membership import Memberships
from comity.services.notary import Notary
from comity.services.trust.ledger import Claims
from comity.storage.blobs_memory import MemoryBlobStore
from comity.storage.config import Config
from comity.storage.database import MEMORY, Database
from comity.storage.logkey import AuditKey
from comity.storage.places import places_of
from comity.storage.schema import open_node_database
from comity.transport.interface import Gate, PunchPost, RendezvousListener
from comity.transport.memory import MemoryNetwork
from comity.transport.memory_rendezvous import MemoryRendezvous, MemoryServer
from tests.worlds import Town, identity_of

PORT = 7443
#: A log keeps its key when its node starts again.
AUDIT_KEYS: dict[str, AuditKey] = {}


class ConfigInMemory:
    """``services.directory.ConfigFile``."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def read_config(self) -> Config:
        return self.config

    def write_config(self, config: Config) -> None:
        self.config = config


class SimulatedNode:
    """One daemon at the place ``name``. ``life`` tells restarts apart; ``db`` is kept over them."""

    def __init__(
        self,
        town: Town,
        name: str,
        *,
        hostname: str | None = None,
        listen: bool = False,
        life: int = 0,
        db: Database | None = None,
        public: bool = False,
        tags: tuple[str, ...] = (),
        guard: type[Guard] = Guard,
        also: Mapping[str, MemoryServer] | None = None,
    ) -> None:
        self.name = name
        self.town = town
        self.identity = identity_of(name)
        self.key = self.identity.public
        self.audit_key = AUDIT_KEYS.setdefault(name, AuditKey.generate(self.key))
        self.db = db or open_node_database(MEMORY)
        servers = self.servers = {"main": town.server, **(also or {})}
        join = town.server.join
        self.card = Card(hostname or name, join.authority, self.key.fingerprint)
        entropy = town.entropy(f"{name} {life}")
        instance = hashlib.sha256(f"{name} {life}".encode()).hexdigest()[:32]
        others = tuple(str(Place(called, one.join)) for called, one in (also or {}).items())
        config = Config(hostname=hostname or name, join=str(join), networks=others, public=public, tags=tags)
        self.config = ConfigInMemory(config)

        def rendezvous(
            place: Place,
            called: str,
            listener: RendezvousListener,
            notary: Notary,
            sealing_key: Callable[[], Envelope],
        ) -> MemoryRendezvous:
            return MemoryRendezvous(
                servers[place.name],
                name,
                self.identity,
                listener,
                sealing_key=sealing_key,
                register=notary.registration,
                hostname=called,
                entropy=entropy,
                instance=instance,
                public=public,
                tags=tags,
            )

        def network(memberships: Memberships, gate: Gate, _: PunchPost) -> MemoryNetwork:
            return MemoryNetwork(
                town.server,
                name,
                self.key,
                memberships,
                gate,
                town.clock,
                entropy,
                instance,
                PORT if listen else None,
                lambda peer: servers[memberships.of(peer).name],
            )

        self.node = assemble(
            Ground(
                identity=self.identity,
                places=tuple(places_of(config)),
                predecessor=lambda _: None,
                claims=Claims(hostname or name, f"{name} hospital", f"pi@{name}.example"),
                facts=NodeFacts(
                    home="/nowhere",
                    pid=1,
                    started=town.clock.monotonic(),
                    fingerprint=self.key.fingerprint,
                    listen="",
                    organization=f"{name} hospital",
                    contact=f"pi@{name}.example",
                ),
                shown=control.VisibilityResult(hostname or name, public, tags),
                clock=town.clock,
                entropy=entropy,
                db=self.db,
                audit_key=self.audit_key,
                log_certificate=lambda notary: make_certificate(self.audit_key, notary, town.clock, entropy),
                witnesses=(),
                blobs=MemoryBlobStore(),
                config=self.config,
                rendezvous=rendezvous,
                network=network,
                surroundings=lambda listening: Surroundings(listening=listening),
                guard=guard,
            )
        )
        self._running: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Everything that the daemon runs; returns once registered."""
        node = self.node
        node.trust.start()
        node.exchange.start()
        node.events.start()
        node.forwarding.start()
        await node.network.start()
        jobs = (
            node.sessions.run(node.trust),
            node.memberships.run(),
            node.evidence.witness.run(),
            node.charters.run(),
        )
        self._running = [asyncio.create_task(job) for job in jobs]
        for member in node.memberships:
            while member.presence.state == "connecting":
                await member.presence.changed.wait()

    async def stop(self, *, kill: bool = False) -> None:
        """An orderly end, or that of kill -9; the database stays open for the next life."""
        if not kill:
            self.node.sessions.stop()
            await asyncio.wait(self._running[:1])
        await self.node.network.close()
        for task in self._running:
            task.cancel()
        await asyncio.wait(self._running)
        for task in self._running:
            if not task.cancelled():
                task.result()
        self.node.exchange.stop()

    async def agree_with(self, other: SimulatedNode, *, allow: tuple[str, ...] | None = None) -> None:
        """A handshake by card, approved there; returns once the tunnel is up on both sides."""
        await self.node.trust.asking.handshake(
            control.HandshakeRequest(peer=str(other.card), justification="IRB #2026-0142")
        )
        await asyncio.sleep(1)
        assert (await other.node.trust.answering.pending()).pending
        request = control.ApproveRequest(peer=self.card.hostname, allow=allow)
        await other.node.trust.answering.approve(request)
        assert await self.node.sessions.wait_up(other.key, 60)
        assert await other.node.sessions.wait_up(self.key, 60)

    def session(self, other: SimulatedNode) -> control.SessionView | None:
        return self.node.sessions.view(other.key)


@asynccontextmanager
async def running(*nodes: SimulatedNode) -> AsyncIterator[Sequence[SimulatedNode]]:
    """These nodes, started and registered; stopped and their databases closed at the end."""
    await asyncio.gather(*(node.start() for node in nodes))
    try:
        yield nodes
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))
        for node in nodes:
            node.db.close()
