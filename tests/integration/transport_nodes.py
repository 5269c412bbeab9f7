"""Nodes for the transport's tests: networks whose gates remember, and a rendezvous with a relay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from comity import limits
from comity.clock import Clock, SystemClock
from comity.entropy import SystemEntropy
from comity.errors import PeerUnreachable, UnknownPeer
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity, PublicKey
from comity.protocol.framing import Kind
from comity.protocol.hello import UNIFORM_REFUSAL, Hello, Refused, encode_message
from comity.protocol.registry import RELAY_PREFACE_BYTES, RELAY_READY, Record, RelayOffer
from comity.transport.bounds import Bounds
from comity.transport.channel import SecureChannel
from comity.transport.interface import Network, Rendezvous, Stream
from comity.transport.peers import PeerNetwork
from comity.transport.tcp import connect_tcp
from comity.transport.tls import Credentials
from comity.transport.way import Way
from tests.gateways import free_port
from tests.integration.transport_rig import QUICK, until

FAR = 4e9


class ListGate:
    """A gate whose approved keys are a set, and that keeps what it was told."""

    def __init__(self, *approved: PublicKey) -> None:
        self.keys = set(approved)
        self.reasons: dict[PublicKey, Refused] = {}
        self.turned_away: list[tuple[PublicKey | None, str, str]] = []
        self.fault: Exception | None = None

    def approved(self, peer: PublicKey) -> bool:
        return peer in self.keys

    def admit(self, peer: PublicKey, hello: Hello) -> Refused | None:
        return self.reasons.get(peer) if peer in self.keys else UNIFORM_REFUSAL

    def refused(self, peer: PublicKey | None, remote: str, code: str, reason: str) -> None:
        if self.fault is not None:
            raise self.fault
        self.turned_away.append((peer, code, reason))

    @property
    def codes(self) -> list[str]:
        return [code for _, code, _ in self.turned_away]

    async def wait_for(self, count: int) -> list[str]:
        """The codes, once there are ``count``."""
        await until(lambda: len(self.turned_away) >= count)
        return self.codes


@dataclass
class Node:
    """``streams`` are what echoed on port 7."""

    identity: Identity
    gate: ListGate
    network: PeerNetwork
    streams: list[Stream] = field(default_factory=list)

    @property
    def key(self) -> PublicKey:
        return self.identity.public

    @property
    def port(self) -> int:
        return int(self.network.candidates()[0].rpartition(":")[2])

    async def echo(self, stream: Stream) -> None:
        self.streams.append(stream)
        while (body := await stream.receive()) is not None:
            await stream.send(body)
        await stream.finish()


@asynccontextmanager
async def node(
    *,
    listen: str | None = "127.0.0.1:0",
    rendezvous: Rendezvous | None = None,
    bounds: Bounds = QUICK,
    identity: Identity | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Node]:
    identity, clock = identity or Identity.generate(), clock or SystemClock()
    gate, entropy = ListGate(), SystemEntropy()
    network = PeerNetwork(
        Credentials(identity, clock),
        rendezvous,
        gate,
        clock,
        entropy,
        entropy.token(16).hex(),
        listen,
        bounds,
        way=None if rendezvous is None else lambda _: Way.to(rendezvous.authority),
    )
    typed: Network = network  # the type checker holds it to the interface
    made = Node(identity, gate, network)
    typed.serve(7, made.echo)
    await network.start()
    try:
        yield made
    finally:
        await network.close()


@asynccontextmanager
async def pair(
    *, bounds: Bounds = QUICK, dialler_bounds: Bounds | None = None
) -> AsyncIterator[tuple[Node, Node]]:
    """A dialler and an acceptor that approve each other; the dialler knows the acceptor's address."""
    async with node(listen=None, bounds=dialler_bounds or bounds) as dialler, node(bounds=bounds) as acceptor:
        introduce(dialler, acceptor)
        dialler.network.learn(acceptor.key, acceptor.network.candidates(), FAR)
        yield dialler, acceptor


def introduce(one: Node, other: Node) -> None:
    one.gate.keys.add(other.key)
    other.gate.keys.add(one.key)


async def ping(stream: Stream, body: bytes = b"ping") -> None:
    await stream.send(body)
    assert await stream.receive() == body


async def raw(credentials: Credentials, acceptor: Node, bounds: Bounds = QUICK) -> SecureChannel:
    """A channel to a node on which nothing has been said yet."""
    sock = await connect_tcp("127.0.0.1", acceptor.port, 5)
    return await SecureChannel.connect(sock, credentials, acceptor.key.fingerprint, bounds)


def hello(port: int = 7) -> bytes:
    return encode_message(Hello(oldest=1, newest=1, port=port, instance="0" * 32))


async def greeted(dialler: Node, acceptor: Node, port: int = 7) -> SecureChannel:
    """A channel with one welcomed stream on it, whose frames the test writes itself."""
    channel = await raw(Credentials(dialler.identity, SystemClock()), acceptor)
    await channel.write_frame(Kind.HELLO, hello(port))
    kind, _ = await channel.read_frame(limits.HELLO_BYTES)
    assert kind is Kind.WELCOME
    return channel


def closed_port() -> int:
    return free_port()


class FakeRendezvous:
    """A rendezvous of which only the relay's desk is open.

    It implements the whole protocol, so that it can stand where a client stands.
    """

    def __init__(self, asker: PublicKey | None = None) -> None:
        self.fingerprint: Fingerprint = Identity.generate().public.fingerprint
        self.network = 1
        self.authority = ""
        self.asker = asker
        self.asked = 0
        self.prefaces: list[bytes] = []
        self.ready = RELAY_READY
        self.forgetful = False
        self.tasks: set[asyncio.Task[object]] = set()
        self._offer: Callable[[RelayOffer], Awaitable[None]] | None = None
        self._lanes: dict[bytes, bytes] = {}  # each ticket's counterpart
        self._waiting: dict[bytes, asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = {}

    def offer_to(self, peer: Callable[[RelayOffer], Awaitable[None]] | None) -> None:
        """Who is told of a lane that was asked for; None: nobody is online."""
        self._offer = peer

    @property
    def redeemed(self) -> int:
        return len(self.prefaces)

    @property
    def online(self) -> bool:
        return True

    async def resolve(
        self, *, hostname: str | None = None, address: str | None = None, key: PublicKey | None = None
    ) -> Record:
        raise UnknownPeer("nobody is registered here")

    async def find(self, tag: str | None = None) -> tuple[Record, ...]:
        return ()

    async def post(self, recipient: PublicKey, message_id: bytes, blob: bytes, *, keep: bool) -> bool:
        return False

    async def acknowledge(self, sender: PublicKey, message_id: bytes) -> None:
        return

    async def reserve(self, senders: Sequence[PublicKey]) -> None:
        return

    def update(self, *, public: bool, tags: Sequence[str]) -> None:
        return

    async def retire(self, key: PublicKey, retirement: str) -> None:
        return

    async def ask_relay(self, peer: PublicKey, call: bytes) -> bytes:
        self.asked += 1
        if self._offer is None or self.asker is None:
            raise PeerUnreachable("the peer is not online")
        ours, theirs = (SystemEntropy().token(32) for _ in range(2))
        self._lanes[ours], self._lanes[theirs] = theirs, ours
        await self._offer(RelayOffer(peer=self.asker.hex, call=call.hex(), ticket=theirs.hex()))
        return ours

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection at the relay."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            preface = await reader.readexactly(RELAY_PREFACE_BYTES)
            self.prefaces.append(preface)
            mine = bytes.fromhex(preface[-65:-1].decode())
            other = self._lanes.pop(mine, b"")
            if not other or self.forgetful:
                return
            if (arrived := self._waiting.pop(mine, None)) is None:
                self._waiting[other] = asyncio.get_running_loop().create_future()
                their_reader, their_writer = await self._waiting[other]
                writer.write(self.ready)
                their_writer.write(self.ready)
                await asyncio.gather(splice(reader, their_writer), splice(their_reader, writer))
            else:
                arrived.set_result((reader, writer))
                await writer.wait_closed()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the test is over
        finally:
            writer.close()
            self.tasks.discard(task)


async def splice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def relay(asker: PublicKey | None = None) -> AsyncIterator[FakeRendezvous]:
    made = FakeRendezvous(asker)
    server = await asyncio.start_server(made.carry, "127.0.0.1", 0)
    made.authority = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        for task in list(made.tasks):
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)
        await server.wait_closed()
