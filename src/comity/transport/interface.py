"""What services see of the network, and the errors that each call raises. Adapters: ``peers``,
``rendezvous``, ``memory``.

It holds no behaviour. Services take these protocols; only ``node.build`` picks adapters. One contract suite
(``tests/contract``) runs over the real adapters and the in-memory ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.protocol.hello import Hello, Refused
from comity.protocol.punching import PunchedPath, Step
from comity.protocol.registry import Mail, Record, Registered, RelayOffer

Buffer = bytes | bytearray | memoryview
PathName = Literal["direct", "punched", "relay"]


@dataclass(frozen=True)
class LinkInfo:
    """How a link runs: ``remote`` is the address at the other end of its TCP connection, ``via`` what else is
    between (a proxy, say), empty for nothing.
    """

    path: PathName
    remote: str
    tls: str
    cipher: str
    group: str
    via: str = ""


#: Asked by a lane's thread how many of so many bytes may be written now. It may wait a moment; 0: ask again.
Pace = Callable[[int], int]


class Lane(Protocol):
    """The blocking face of a stream: bytes in bulk, moved by one thread.

    Every method raises LinkLost when the connection ends early or nothing moves for ``limits.LANE_TIMEOUT``,
    and RemoteProtocolError for a malformed frame.
    """

    @property
    def info(self) -> LinkInfo:
        """How the link runs that the next frame leaves on."""

    @property
    def peer(self) -> PublicKey:
        """Whose key is at the other end."""

    @property
    def round_trip(self) -> float:
        """The least seconds to the next machine and back that were seen of late; 0 where nobody knows."""

    def send(self, *parts: Buffer, pace: Pace | None = None, more: bool = False) -> None:
        """One DATA frame whose body is the parts joined, at most ``limits.LANE_FRAME_BYTES``.

        ``pace`` says how fast; without it as fast as the line takes it. ``more``: another frame follows at
        once, and this one may wait to leave with it.
        """

    def receive(self) -> memoryview | None:
        """The next DATA frame's body; None at the peer's authenticated END.

        One of more than ``limits.FRAME_BYTES`` stays valid while ``limits.LANE_FRAMES_KEPT`` more such are
        received, so that they can be worked on while others arrive; a smaller one until the next call.
        """

    def ready(self, wait: float = 0.0) -> bool:
        """Whether something of the peer's has arrived, so that ``receive`` need not wait for it to begin.

        It may look for up to ``wait`` seconds; at least once.
        """

    def end(self) -> None:
        """Send END, after which only ``receive`` and ``finish`` follow."""

    def finish(self) -> None:
        """Send END and read up to the peer's END; the link can then carry another stream."""

    def abort(self) -> None:
        """End the link at once; the one method that another thread may call, to unblock this one."""


class Stream(Protocol):
    """One authenticated byte stream to a peer's virtual port, as DATA frames.

    ``receive`` and ``send`` raise LinkLost when the link ends without END, RemoteProtocolError for malformed
    frames. A stream that is neither finished nor aborted keeps its link; use it as ``async with``: leaving
    normally finishes, leaving by an exception aborts.
    """

    peer: PublicKey
    hello: Hello
    info: LinkInfo
    #: The peer's daemon start (its hello's or welcome's ``instance``).
    instance: str

    async def send(self, body: Buffer) -> None:
        """One DATA frame, at most ``limits.FRAME_BYTES``; returns when it is handed to TLS."""

    async def receive(self) -> bytes | None:
        """The next DATA frame's body, or None at the peer's authenticated END."""

    async def finish(self) -> None:
        """Send END and read up to the peer's END; returns the link to its pool."""

    def abort(self) -> None:
        """End the link at once, from the event loop's thread."""

    def lane(self) -> Lane:
        """Hand the link to a thread; from then on every other method but ``abort`` raises
        LocalProtocolError.
        """

    async def __aenter__(self) -> Stream: ...

    async def __aexit__(self, kind: object, error: object, trace: object) -> None: ...


StreamHandler = Callable[[Stream], Awaitable[None]]


class Gate(Protocol):
    """Who may come in. Asked by the acceptor for each hello, and before it follows a relay offer."""

    def approved(self, peer: PublicKey) -> bool:
        """Whether this key has an agreement in force here."""

    def admit(self, peer: PublicKey, hello: Hello) -> Refused | None:
        """None to welcome; a reason for an approved peer; ``UNIFORM_REFUSAL`` for any other key."""

    def refused(self, peer: PublicKey | None, remote: str, code: str, reason: str) -> None:
        """Told of each connection that was turned away, with the distinct cause that the wire doesn't
        show.
        """


class Network(Protocol):
    """Streams to and from peers, over whatever path works."""

    def serve(self, port: int, handler: StreamHandler) -> None:
        """Answer a virtual port. The handler owns the stream; what it raises aborts the stream."""

    async def dial(
        self,
        peer: PublicKey,
        port: int,
        *,
        agreement: str | None = None,
        charter: str | None = None,
        purpose: str = "",
        better_than: str | None = None,
    ) -> Stream:
        """A welcomed stream, on a pooled link or a new one; only on a path ``better_than`` the one named.

        Raises PeerUnreachable (every path failed; the message says how each did), PeerRefused with the
        peer's reason, IdentityMismatch (another key answered), VersionMismatch.
        """

    def learn(self, peer: PublicKey, candidates: Sequence[str], expires: float) -> None:
        """Where a fresh statement of this approved peer says that it can be dialled, until ``expires``.

        The sequence was filtered by ``protocol.candidates`` already (SECURITY.md rule 9).
        """

    def candidates(self) -> tuple[str, ...]:
        """Where this node can be dialled: empty without ``--listen``."""

    def drop(self, peer: PublicKey, *, spare: int | None = None) -> int:
        """End every link with this peer at once, pooled or in use; how many there were.

        ``spare``: leave the links whose stream is on that port.
        """


@dataclass(frozen=True)
class PunchWord:
    """One step of a simultaneous open, named by ``call``; see ``protocol.statements.Punch``."""

    call: str
    step: Step
    local: tuple[str, ...] = ()
    observed: tuple[str, ...] = ()


#: Told of each word of an approved peer, with where it can be met and which path that would be (rule 9).
PunchEar = Callable[[PublicKey, PunchWord, Mapping[str, PunchedPath]], None]


class PunchPost(Protocol):
    """What carries a punch's words between two nodes, signed."""

    def ready(self, peer: PublicKey) -> bool:
        """Whether words can reach this peer now."""

    async def send(self, peer: PublicKey, word: PunchWord) -> None:
        """Return once the peer has it; PeerUnreachable."""

    def listen(self, ear: PunchEar) -> None:
        """Who is told of the words that come."""

    def observers(self) -> tuple[str, ...]:
        """``IP:PORT`` of those who can tell this node how its connections look from outside."""


class RendezvousListener(Protocol):
    """What a node does with what its rendezvous pushes. Called on the event loop, one at a time, in order."""

    async def registered(self, answer: Registered) -> None:
        """This node is registered, at start or again after a reconnection."""

    async def mail(self, mail: Mail) -> None:
        """A sealed message; kept mail comes again until it is acknowledged."""

    async def relay_offered(self, offer: RelayOffer) -> None:
        """A peer waits at the relay."""

    async def retired(self, key: PublicKey, retirement: str) -> None:
        """A peer's key is said to be retired; ``retirement`` is the envelope that has to prove it."""

    def lost(self, error: Exception) -> None:
        """The connection ended; the client reconnects by itself unless the error is final."""


class TicketOffice(Protocol):
    """Where a dialler gets tickets for the relay."""

    async def ask_relay(self, peer: PublicKey, call: bytes) -> bytes:
        """This side's ticket for a lane to ``peer``. PeerUnreachable where the peer is not online."""


class Rendezvous(TicketOffice, Protocol):
    """The client side of the registry, the mailbox and the ticket office.

    Every coroutine raises RendezvousUnreachable while there is no connection, RateLimited, RendezvousRefused
    with the server's reason, and TimedOut.
    """

    #: The SHA-256 fingerprint of its key, which the join URL pins.
    fingerprint: Fingerprint
    network: int
    authority: str

    @property
    def online(self) -> bool:
        """Whether this node is registered now."""

    async def resolve(
        self, *, hostname: str | None = None, address: str | None = None, key: PublicKey | None = None
    ) -> Record:
        """One node's record; exactly one argument. UnknownPeer where there is none."""

    async def find(self, tag: str | None = None) -> tuple[Record, ...]:
        """Public nodes of this network, at most ``limits.FIND_RESULTS``."""

    async def post(self, recipient: PublicKey, message_id: bytes, blob: bytes, *, keep: bool) -> bool:
        """Leave a sealed message; whether the recipient is online. MailboxFull where there is no room."""

    async def acknowledge(self, sender: PublicKey, message_id: bytes) -> None:
        """Let the server forget a message."""

    async def reserve(self, senders: Sequence[PublicKey]) -> None:
        """Keep mailbox slots for these senders."""

    async def retire(self, key: PublicKey, retirement: str) -> None:
        """Publish the revocation certificate of a key, this node's own or another's."""

    def update(self, *, public: bool, tags: Sequence[str]) -> None:
        """What the next registration claims; registers again at once when online."""
