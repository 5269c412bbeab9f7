"""Two rigs for one contract: real servers and sockets on loopback, and the in-memory world in virtual time.

A contract test is a scene: a coroutine that is given a rig and plays on either. ``Site`` is one node: its
client of the rendezvous, its network, its gate, and a diary of what its rendezvous pushed.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from comity.clock import Clock, SystemClock
from comity.entropy import Entropy, SystemEntropy
from comity.errors import LinkLost
from comity.identity.card import JoinUrl
from comity.identity.keys import Identity, PublicKey
from comity.protocol.registry import RelayOffer
from comity.rendezvous.options import Endpoint, Options
from comity.rendezvous.server import Server
from comity.transport.bounds import Bounds
from comity.transport.interface import Gate, Network, Rendezvous, Stream
from comity.transport.memory import MemoryNetwork
from comity.transport.memory_registry import MemoryRegistry
from comity.transport.memory_rendezvous import MemoryServer
from comity.transport.peers import PeerNetwork
from comity.transport.rendezvous import RendezvousClient
from comity.transport.simulation import Simulation, run_simulation
from comity.transport.tls import Credentials
from comity.transport.way import Way
from tests.integration.transport_nodes import ListGate
from tests.worlds import Diary, Signer, Town, identity_of


class RunningNetwork(Network, Protocol):
    """What both adapters have beyond the interface."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def relay_offered(self, offer: RelayOffer) -> None: ...


@dataclass
class SiteDiary(Diary):
    """Writes down what came, and follows relay offers as a node does."""

    network: RunningNetwork | None = None
    answered: list[Stream] = field(default_factory=list)
    broken: int = 0  # of the answered ones

    async def relay_offered(self, offer: RelayOffer) -> None:
        await super().relay_offered(offer)
        if self.network is not None:
            await self.network.relay_offered(offer)


@dataclass
class Site:
    """One node."""

    name: str
    key: PublicKey
    signer: Signer
    client: RendezvousClient
    diary: SiteDiary
    network: RunningNetwork
    gate: ListGate

    def approve(self, *others: Site) -> None:
        """From now on these may come in."""
        self.gate.keys |= {other.key for other in others}

    async def echo(self, stream: Stream) -> None:
        """A handler that sends back what comes."""
        self.diary.answered.append(stream)
        try:
            while (body := await stream.receive()) is not None:
                await stream.send(body)
            await stream.finish()
        except LinkLost:
            self.diary.broken += 1
            raise


class Rig(Protocol):
    """A rendezvous and whatever nodes a scene asks for."""

    clock: Clock

    async def stop(self) -> None:
        """The rendezvous goes away, and keeps what it had written down."""

    async def start(self) -> None:
        """It is there again, where it was."""

    def make(self, name: str, identity: Identity, diary: SiteDiary, claim: Claim) -> Site:
        """A node that has not connected yet."""
        ...


@dataclass(frozen=True)
class Claim:
    """What a site says of itself, and whether it can be dialled. ``daemon``: another process with its key."""

    hostname: str
    public: bool = False
    tags: tuple[str, ...] = ()
    listen: bool = False
    daemon: str = ""
    sequence: int = 1


@asynccontextmanager
async def site(rig: Rig, name: str, claim: Claim | None = None) -> AsyncIterator[Site]:
    """A node, registered; ``name`` is what its key follows from, and its hostname."""
    async with unregistered(rig, name, claim) as made:
        await made.diary.until(lambda diary: bool(diary.registrations))
        yield made


@asynccontextmanager
async def unregistered(rig: Rig, name: str, claim: Claim | None = None) -> AsyncIterator[Site]:
    """A node that is on its way to its rendezvous."""
    made = rig.make(name, identity_of(name), SiteDiary(), claim or Claim(name))
    made.diary.network = made.network
    await made.network.start()
    running = asyncio.create_task(made.client.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await made.network.close()


def _instance(name: str, claim: Claim) -> str:
    return hashlib.sha256(f"{name} {claim.daemon}".encode()).hexdigest()[:32]


class MemoryRig:
    """The in-memory world."""

    def __init__(
        self,
        simulation: Simulation,
        registry: Callable[[int, Clock, Entropy], MemoryRegistry] = MemoryRegistry,
        server: type[MemoryServer] = MemoryServer,
    ) -> None:
        self.town = Town(simulation, registry=registry, server=server)
        self.clock = simulation.clock
        self.join = self.town.server.join

    async def stop(self) -> None:
        await self.town.server.stop()

    async def start(self) -> None:
        self.town.server.start()

    def make(self, name: str, identity: Identity, diary: SiteDiary, claim: Claim) -> Site:
        signer = self.town.signer(name)
        signer.sequence = claim.sequence
        client = self.town.client(
            name,
            diary,
            hostname=claim.hostname,
            signer=signer,
            public=claim.public,
            tags=claim.tags,
            daemon=claim.daemon,
        )
        gate = ListGate()
        network = MemoryNetwork(
            self.town.server,
            name,
            identity.public,
            client,
            gate,
            self.clock,
            self.town.entropy(f"{name}, calling"),
            _instance(name, claim),
            listen=4000 if claim.listen else None,
        )
        return Site(name, identity.public, signer, *_typed(client, diary, network, gate))


class RealRig:
    """A rendezvous server in this process, and networks on loopback."""

    def __init__(self, state: Path) -> None:
        self.clock: Clock = SystemClock()
        self.entropy: Entropy = SystemEntropy()
        self._state = state
        self._port = 0
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._join: JoinUrl | None = None

    @property
    def join(self) -> JoinUrl:
        assert self._join is not None
        return self._join

    async def start(self) -> None:
        options = Options(listen=(Endpoint("127.0.0.1", self._port),), advertise=None, state=self._state)
        server = Server(options, self.clock, self.entropy)
        self._stop, ready = asyncio.Event(), asyncio.Event()
        self._running = asyncio.create_task(server.run(self._stop, ready.set))
        await asyncio.wait_for(ready.wait(), 60)
        assert server.join_url is not None
        self._join, self._port = server.join_url, server.join_url.port

    async def stop(self) -> None:
        self._stop.set()
        if self._running is not None:
            await self._running

    def make(self, name: str, identity: Identity, diary: SiteDiary, claim: Claim) -> Site:
        signer = Signer(identity, self.join, self.clock, self.entropy)
        signer.sequence = claim.sequence
        credentials = Credentials(identity, self.clock)
        client = RendezvousClient(
            self.join,
            credentials,
            diary,
            sealing_key=signer.sealing_key,
            register=signer.register,
            hostname=claim.hostname,
            public=claim.public,
            tags=claim.tags,
            clock=self.clock,
            entropy=self.entropy,
            instance=_instance(name, claim),
        )
        gate = ListGate()
        network = PeerNetwork(
            credentials,
            client,
            gate,
            self.clock,
            self.entropy,
            _instance(name, claim),
            "127.0.0.1:0" if claim.listen else None,
            Bounds(relay_head_start=30, punch_head_start=30),  # a busy machine's direct path wins, too
            way=lambda _: Way.to(client.authority),
        )
        return Site(name, identity.public, signer, *_typed(client, diary, network, gate))


def _typed(
    client: RendezvousClient, diary: SiteDiary, network: RunningNetwork, gate: ListGate
) -> tuple[RendezvousClient, SiteDiary, RunningNetwork, ListGate]:
    """Here the type checker holds the adapters to their interfaces."""
    rendezvous: Rendezvous = client
    asked: Gate = gate
    assert rendezvous is client
    assert asked is gate
    return client, diary, network, gate


Scene = Callable[[Rig], Awaitable[None]]
Stage = Callable[[Scene], None]


def in_memory(scene: Scene) -> None:
    """Play a scene in virtual time."""

    async def scenario(simulation: Simulation) -> None:
        await scene(MemoryRig(simulation))

    run_simulation(scenario, 1)


def on_loopback(scene: Scene) -> None:
    """Play a scene on real sockets."""

    async def main(state: Path) -> None:
        rig = RealRig(state)
        await rig.start()
        try:
            async with asyncio.timeout(30):
                await scene(rig)
        finally:
            await rig.stop()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder) / "state"))


STAGES = {"memory": in_memory, "loopback": on_loopback}
