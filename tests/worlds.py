"""What simulations are made of: nodes whose keys follow from their names, and listeners that remember."""

from __future__ import annotations

import asyncio
import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy, PredictableEntropy
from comity.identity.card import JoinUrl
from comity.identity.envelope import Envelope
from comity.identity.keys import Identity, PublicKey
from comity.protocol.registry import Mail, Registered, RelayOffer
from comity.protocol.statements import Registration, SealingKey, payload, payload_type
from comity.transport.memory_links import Weather
from comity.transport.memory_registry import MemoryRegistry
from comity.transport.memory_rendezvous import MemoryRendezvous, MemoryServer
from comity.transport.memory_world import World
from comity.transport.simulation import Simulation


def identity_of(name: str) -> Identity:
    """The same key for the same name: a simulation's trace does not depend on chance."""
    return Identity(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


class Signer:
    """Signs what a node says to its rendezvous, as the notary does."""

    def __init__(self, identity: Identity, join: JoinUrl, clock: Clock, entropy: Entropy) -> None:
        self.identity = identity
        self._join = join
        self._clock = clock
        self._entropy = entropy
        self._sealing: dict[int, Envelope] = {}
        self.sequence = 1

    def register(self, nonce: str, *, hostname: str, public: bool, tags: tuple[str, ...]) -> Envelope:
        now = int(self._clock.now())
        statement = Registration(
            rendezvous=str(self._join.fingerprint),
            network=self._join.network,
            issuer=self.identity.public.hex,
            nonce=nonce,
            issued=now,
            expires=now + limits.REGISTRATION_LIFETIME,
            hostname=hostname,
            public=public,
            tags=tags,
        )
        return self.identity.sign_statement(payload_type(Registration), payload(statement))

    def sealing_key(self) -> Envelope:
        """The certificate of the key in use; another one when ``sequence`` was raised."""
        if self.sequence not in self._sealing:
            now = int(self._clock.now())
            statement = SealingKey(
                rendezvous=str(self._join.fingerprint),
                network=self._join.network,
                issuer=self.identity.public.hex,
                nonce=self._entropy.token(32).hex(),
                issued=now,
                expires=now + limits.SEALING_KEY_LIFETIME,
                public=(b"%04d" % self.sequence * 304).hex(),
                sequence=self.sequence,
            )
            self._sealing[self.sequence] = self.identity.sign_statement(
                payload_type(SealingKey), payload(statement)
            )
        return self._sealing[self.sequence]


@dataclass
class Diary:
    """A listener that writes down what it is told."""

    registrations: list[Registered] = field(default_factory=list)
    letters: list[Mail] = field(default_factory=list)
    offers: list[RelayOffer] = field(default_factory=list)
    retirements: list[tuple[PublicKey, str]] = field(default_factory=list)
    losses: list[Exception] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def registered(self, answer: Registered) -> None:
        self.registrations.append(answer)
        self._news.set()

    async def mail(self, mail: Mail) -> None:
        self.letters.append(mail)
        self._news.set()

    async def relay_offered(self, offer: RelayOffer) -> None:
        self.offers.append(offer)
        self._news.set()

    async def retired(self, key: PublicKey, retirement: str) -> None:
        self.retirements.append((key, retirement))
        self._news.set()

    def lost(self, error: Exception) -> None:
        self.losses.append(error)
        self._news.set()

    async def until(self, condition: Callable[[Diary], bool], seconds: float = 60.0) -> None:
        """Wait until what is written satisfies ``condition``."""
        async with asyncio.timeout(seconds):
            while not condition(self):
                self._news.clear()
                await self._news.wait()


class Town:
    """A world with one rendezvous, and nodes at places that are called as their hostnames are."""

    def __init__(
        self,
        simulation: Simulation,
        weather: Weather | None = None,
        registry: Callable[[int, Clock, Entropy], MemoryRegistry] = MemoryRegistry,
        server: type[MemoryServer] = MemoryServer,
    ) -> None:
        self.simulation = simulation
        self.clock = simulation.clock
        self.world = World(simulation.seed, weather)
        self.registry = registry(1, simulation.clock, simulation.entropy)
        self.server = server(self.world, identity_of("rendezvous").public, self.registry)
        self.server.start()

    def beside(self, place: str, network: int = 1) -> Town:
        """The same world, seen by those whose rendezvous is another one, at ``place``."""
        other = copy.copy(self)
        other.registry = MemoryRegistry(network, self.simulation.clock, self.simulation.entropy)
        other.server = MemoryServer(self.world, identity_of(place).public, other.registry, place)
        other.server.start()
        return other

    def entropy(self, name: str) -> PredictableEntropy:
        """A generator of a node's own, so that nodes don't change each other's draws."""
        return PredictableEntropy(
            int.from_bytes(hashlib.sha256(f"{self.simulation.seed} {name}".encode()).digest())
        )

    def signer(self, name: str) -> Signer:
        return Signer(identity_of(name), self.server.join, self.clock, self.entropy(f"{name}, signing"))

    def client(
        self,
        name: str,
        diary: Diary,
        *,
        hostname: str | None = None,
        signer: Signer | None = None,
        public: bool = False,
        tags: tuple[str, ...] = (),
        clock: Clock | None = None,
        join: JoinUrl | None = None,
        daemon: str = "",
    ) -> MemoryRendezvous:
        """A node's client; ``daemon`` tells two processes with the same key apart."""
        signer = signer or self.signer(name)
        return MemoryRendezvous(
            self.server,
            name,
            identity_of(name),
            diary,
            sealing_key=signer.sealing_key,
            register=signer.register,
            hostname=hostname or name,
            public=public,
            tags=tags,
            clock=clock,
            entropy=self.entropy(name),
            instance=hashlib.sha256(f"{name}{daemon}".encode()).hexdigest()[:32],
            join=join,
        )
