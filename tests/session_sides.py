"""Two or more nodes' sessions in the in-memory world: the real service, guard and network; trust that is
decreed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

from comity.entropy import PredictableEntropy
from comity.errors import RemoteProtocolError
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.policy.operation import Standing
from comity.protocol.candidates import Surroundings
from comity.protocol.trust.relationship import Agreement
from comity.services.audit import AuditService
from comity.services.gate import GuardedGate
from comity.services.guard import Guard
from comity.services.notary import Notary
from comity.services.session import Herald, PunchDesk, SessionService
from comity.services.trust import KnownPeer
from comity.storage.database import MEMORY
from comity.storage.logkey import AuditKey
from comity.storage.schema import open_node_database
from comity.storage.trust import TrustStore
from comity.transport.memory import MemoryNetwork
from tests.worlds import Town, identity_of

PORT = 7443


class Decree:
    """Agreements that a test makes and ends by a word; what came over a session is kept."""

    def __init__(self, now: int) -> None:
        self.until: dict[PublicKey, int] = {}
        self.now = now
        self.received: list[tuple[PublicKey, Envelope]] = []
        self.on_receipt: list[PublicKey] = []
        self.hold: asyncio.Event | None = None  # until it is set, nothing that came is done with
        self.sessions: SessionService | None = None

    def trust(self, peer: PublicKey, seconds: int = 365 * 24 * 3600) -> None:
        self.until[peer] = self.now + seconds

    def trusted_peers(self) -> list[KnownPeer]:
        return [known for peer in self.until if (known := self.known(peer))]

    def known(self, peer: PublicKey) -> KnownPeer | None:
        if peer not in self.until:
            return None
        agreement = Agreement(
            digest="sha256:" + "0" * 64,
            request_digest="sha256:" + "1" * 64,
            request="",
            approval="",
            requester="us",
            justification="a simulation",
            reason="",
            requested_by="",
            organization="",
            contact="",
            allow=("exchange",),
            charter=None,
            approved_at=self.now,
            until=self.until[peer],
            rank=2,
            their_sequence=1,
        )
        return KnownPeer(peer, peer.hex[:8], "1:0001.0000.0010", peer.hex[:8], agreement)

    def standing(self, peer: PublicKey) -> Standing | None:
        if peer not in self.until:
            return None
        return Standing(
            agreement="sha256:" + "0" * 64, status="active", until=self.until[peer], allow=("exchange",)
        )

    async def receive(self, sender: PublicKey, envelope: Envelope) -> None:
        """Keep it; from a peer in ``on_receipt``, take it for the end of the agreement."""
        self.received.append((sender, envelope))
        if self.hold is not None:
            await self.hold.wait()
        if envelope.payload_type.endswith("forged.v1+json"):
            raise RemoteProtocolError("forged")
        if sender in self.on_receipt and self.sessions is not None:
            del self.until[sender]
            self.sessions.peer_ended(sender)


class Silence:
    """A courier when there is no rendezvous: nobody is ever told."""

    async def send(self, peer: PublicKey, envelope: Envelope, *, keep: bool) -> bool:
        return False


class Side:
    """One daemon at the place ``name``. ``life`` tells its restarts apart."""

    def __init__(self, town: Town, name: str, life: int = 0, *, listen: bool = True) -> None:
        self.name = name
        self.identity = identity_of(name)
        self.key = self.identity.public
        self.clock = town.clock
        self.decree = Decree(int(town.clock.now()))
        entropy = town.entropy(f"{name} {life}")
        self.db = open_node_database(MEMORY)
        self.audit = AuditService(self.db, AuditKey.generate(self.key), town.clock, PredictableEntropy(life))
        guard = Guard(self.decree.standing, self.audit, town.clock)
        gate = GuardedGate(lambda peer: self.decree.known(peer) is not None, guard, town.clock)
        instance = hashlib.sha256(f"{name} {life}".encode()).hexdigest()[:32]
        self.network = MemoryNetwork(
            town.server, name, self.key, None, gate, town.clock, entropy, instance, PORT if listen else None
        )
        realm = town.server.join.fingerprint
        self.notary = Notary(self.identity, realm, 1, TrustStore(self.db, f"{realm}/1"), town.clock, entropy)
        herald = Herald(self.network, self.notary, Silence(), Surroundings, town.clock)
        punches = PunchDesk(self.notary, lambda: self.sessions, Surroundings, tuple, town.clock)
        self.sessions = self.decree.sessions = SessionService(
            network=self.network,
            herald=herald,
            punches=punches,
            guard=guard,
            audit=self.audit,
            own=self.key,
            clock=town.clock,
            entropy=entropy,
        )
        self._running: asyncio.Task[None] | None = None

    def knows(self, *others: Side) -> None:
        """Trust these, and know where they are."""
        for other in others:
            self.decree.trust(other.key)
            self.network.learn(other.key, other.network.candidates(), self.clock.now() + 1e9)

    async def start(self) -> None:
        await self.network.start()
        await self.keep()

    async def keep(self) -> None:
        """Keep sessions, on a network that runs already."""
        self._running = asyncio.create_task(self.sessions.run(self.decree))

    async def stop(self) -> None:
        """An orderly end."""
        self.sessions.stop()
        await self._ended()
        await self.network.close()
        self.db.close()

    async def kill(self) -> None:
        """As kill -9 does: the system closes its connections, and nothing is said."""
        await self.network.close()
        if self._running is not None:
            self._running.cancel()
        await self._ended()
        self.db.close()

    def session(self, other: Side) -> tuple[PublicKey, str] | None:
        """Whose dial the standing session is, and its path."""
        tunnel = self.sessions.tunnel(other.key)
        return (tunnel.contender.client, tunnel.contender.path) if tunnel else None

    async def _ended(self) -> None:
        if self._running is not None:
            await asyncio.wait({self._running})
            if not self._running.cancelled():
                self._running.result()


async def up(sides: Sequence[Side]) -> None:
    for side in sides:
        await side.start()


async def down(sides: Sequence[Side]) -> None:
    await asyncio.gather(*(side.stop() for side in sides))
