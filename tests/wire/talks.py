"""Conversations: what an earlier program said above TLS, and what it was answered then.

A talk is a list of turns: who speaks, the bytes (none where it only listens), and the answers that it hears
next. ``play`` says the recorded bytes to head and hears the answers; with a script instead of a record it
makes one. Only what no two runs have alike (ports, tickets, the times of a real clock) is masked.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from comity import limits
from comity.clock import SystemClock
from comity.entropy import SystemEntropy
from comity.identity.card import JoinUrl
from comity.identity.envelope import Envelope
from comity.protocol import registry
from comity.protocol.exchange.messages import (
    Close,
    Offer,
    Page,
    Type,
    chunk_header,
    encode_message,
    manifest_of,
)
from comity.protocol.framing import Kind, end_body
from comity.protocol.hello import EXCHANGE_PORT, Hello
from comity.protocol.hello import encode_message as encode_hello
from comity.rendezvous.options import Endpoint, Options
from comity.rendezvous.server import Server
from comity.storage.private import make_private_folder, write_private
from comity.transport.channel import SecureChannel
from comity.transport.tls import Credentials
from tests.exchange_nodes import Node
from tests.exchanges import digest_of, entry_for
from tests.integration.transport_nodes import node, raw
from tests.lanes import MemoryNet, World
from tests.rendezvous.client import dial
from tests.rendezvous.nodes import Registrant
from tests.wire.keys import AGREEMENT, CALL, INSTANCE, LAB_A, LAB_B, NONCE, NOW, RENDEZVOUS, SERVER, sign
from tests.wire.statements import retirement

PATIENCE = 20.0


class Turn(msgspec.Struct, frozen=True):
    """``says`` and ``answers`` are bytes (base64 in the file), here with what is masked cut out of them."""

    by: str
    says: bytes | None
    answers: list[bytes]


#: Says something as somebody, and hears so many answers.
Say = Callable[[str, bytes | None, int], Awaitable[list[bytes]]]
Mask = Callable[[bytes], Any]


async def play(turns: list[Turn], say: Say) -> list[Turn]:
    """The same talk as it goes with head."""
    heard = []
    for turn in turns:
        answers = await say(turn.by, turn.says, len(turn.answers))
        heard.append(msgspec.structs.replace(turn, answers=answers))
    return heard


def read(file: Path) -> list[Turn]:
    """A recorded talk."""
    return msgspec.json.decode(file.read_bytes(), type=list[Turn])


def write(file: Path, turns: list[Turn]) -> None:
    """A new record."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("xb") as out:
        out.write(msgspec.json.format(msgspec.json.encode(turns), indent=1) + b"\n")


# ── a node and its rendezvous ─────────────────────────────────────────────────────────────────────────


class StillClock(SystemClock):
    """It is always the moment at which the vectors were made; deadlines run on."""

    def now(self) -> float:
        return float(NOW)


class RecordedNonces(SystemEntropy):
    """The system's, but for the challenges that the talk has answered already."""

    def __init__(self) -> None:
        super().__init__()
        self.next: list[bytes] = []

    def token(self, size: int) -> bytes:
        return self.next.pop() if self.next else super().token(size)


NONCES = {"lab-a": bytes.fromhex(NONCE), "lab-b": bytes.fromhex(CALL * 2)}
NODES = {
    "lab-a": Registrant(RENDEZVOUS, "lab-a-trainer", LAB_A, public=True, tags=("mri",), instance=INSTANCE),
    "lab-b": Registrant(RENDEZVOUS, "charité-trainer", LAB_B, instance=INSTANCE),
}


def rendezvous_script() -> list[Turn]:
    """Two nodes register, find each other, leave letters, ask for a lane, and one key is retired."""

    def turn(by: str, message: registry.NodeMessage | None, answers: int) -> Turn:
        said = None if message is None else registry.encode_message(message)
        return Turn(by, said, [b""] * answers)

    a, b = NODES["lab-a"], NODES["lab-b"]
    gone = registry.Retire(id=9, key=a.key.hex(), retirement=sign(retirement()).decode())
    return [
        turn("lab-a", a.open(), 1),
        turn("lab-a", a.register(NONCES["lab-a"], NOW), 1),
        turn("lab-b", b.open(), 1),
        turn("lab-b", b.register(NONCES["lab-b"], NOW), 1),
        turn("lab-b", registry.Reserve(id=2, senders=(a.key.hex(),)), 1),
        turn("lab-b", registry.Find(id=3, tag="mri"), 1),
        turn("lab-a", registry.Resolve(id=2, hostname="charité-trainer"), 1),
        turn("lab-a", registry.Resolve(id=3, hostname="nobody"), 1),
        turn("lab-a", registry.Resolve(id=4, address="1:0001.0000.0020"), 1),
        turn("lab-a", registry.Find(id=5), 1),
        turn("lab-a", registry.Post(id=6, recipient=b.key.hex(), message_id=CALL, blob=b"x", keep=True), 1),
        turn("lab-b", None, 1),
        turn("lab-b", registry.Acknowledge(id=4, sender=a.key.hex(), message_id=CALL), 1),
        turn("lab-a", registry.AskRelay(id=7, peer=b.key.hex(), call=CALL), 1),
        turn("lab-b", None, 1),
        turn("lab-a", registry.Ping(id=8), 1),
        turn("lab-a", gone, 2),
        turn("lab-b", None, 1),
        turn("lab-b", registry.Resolve(id=5, key=a.key.hex()), 1),
    ]


@asynccontextmanager
async def rendezvous_talk() -> AsyncIterator[Say]:
    """A head server at the vectors' moment, with their key; each speaker has a connection of its own."""
    clock, entropy = StillClock(), RecordedNonces()
    async with AsyncExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()), "state")
        make_private_folder(state)
        write_private(state / "rendezvous.key", SERVER.to_pem(), replace=False)
        join = await stack.enter_async_context(_serving(state, clock, entropy))
        channels: dict[str, SecureChannel] = {}

        async def say(by: str, said: bytes | None, answers: int) -> list[bytes]:
            if by not in channels:
                entropy.next = [NONCES[by]]
                client = await dial(join, NODES[by], clock)
                channels[by] = client.channel
                stack.callback(client.channel.abort)
            if said is not None:
                await channels[by].write_frame(Kind.DATA, said)
            async with asyncio.timeout(PATIENCE):
                return [(await channels[by].read_frame(registry.MESSAGE_BYTES))[1] for _ in range(answers)]

        yield say


@asynccontextmanager
async def _serving(state: Path, clock: StillClock, entropy: RecordedNonces) -> AsyncIterator[JoinUrl]:
    options = Options(listen=(Endpoint("127.0.0.1", 0),), advertise=None, state=state)
    server = Server(options, clock, entropy)
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(server.run(stop, ready.set))
    try:
        await ready.wait()
        assert server.join_url is not None
        yield server.join_url
    finally:
        stop.set()
        await running


def rendezvous_answer(body: bytes) -> Any:
    """Without the ports of this machine, tickets, and what is said to a person."""
    masked = ("observed", "observers", "ticket", "message")
    return {name: value for name, value in json.loads(body).items() if name not in masked}


# ── streams on a link ─────────────────────────────────────────────────────────────────────────────────


def link_script() -> list[Turn]:
    """A stream to the echo, a second one by a program that speaks later versions too, and one too new."""

    def hello(oldest: int, newest: int, **more: str) -> bytes:
        said = Hello(oldest=oldest, newest=newest, port=7, instance=INSTANCE, purpose="ping")
        members = json.loads(encode_hello(said)) | more
        return bytes([Kind.HELLO]) + json.dumps(members).encode()

    frames = [
        hello(1, 1),
        bytes([Kind.DATA]) + b"are you there",
        bytes([Kind.END]) + end_body(1, 13),
        hello(1, 3, later="a member that version 1 does not know"),
        bytes([Kind.DATA]) + b"still",
        bytes([Kind.END]) + end_body(1, 5),
        hello(2, 3),
    ]
    return [Turn("lab-a", frame, [b""]) for frame in frames]


@asynccontextmanager
async def link_talk() -> AsyncIterator[Say]:
    """A link to a head node that echoes on port 7."""
    async with node(identity=LAB_B) as acceptor:
        acceptor.gate.keys.add(LAB_A.public)
        channel = await raw(Credentials(LAB_A, SystemClock()), acceptor)

        async def say(by: str, said: bytes | None, answers: int) -> list[bytes]:
            if said is not None:
                await channel.write_frame(Kind(said[0]), said[1:])
            async with asyncio.timeout(PATIENCE):
                heard = [await channel.read_frame(limits.FRAME_BYTES) for _ in range(answers)]
            return [bytes([kind]) + body for kind, body in heard]

        try:
            yield say
        finally:
            channel.abort()


def link_answer(frame: bytes) -> Any:
    """Without the daemon's instance, and what is said to a person."""
    if frame[0] in (Kind.WELCOME, Kind.REFUSED):
        said = json.loads(frame[1:])
        return frame[0], {name: each for name, each in said.items() if name not in ("instance", "reason")}
    return frame


# ── a transfer ────────────────────────────────────────────────────────────────────────────────────────

PIECES = (b"first", b"second", b"third one")


def transfer_script() -> list[Turn]:
    """An offer, its page, its chunks and the close; the receiver asks for all of it, and signs."""
    offer = Offer(
        transfer=CALL, nonce=NONCE, kind="file", name="model", bytes=len(b"".join(PIECES)),
        chunks=len(PIECES), agreement=AGREEMENT, charter=None,
    )  # fmt: skip
    manifest = manifest_of(offer)
    entries = tuple(map(entry_for, PIECES))
    for entry in entries:
        manifest.add(entry)
    close = Close(digest=digest_of(b"".join(PIECES)), manifest=manifest.total_digest)
    return [
        Turn("lab-a", encode_message(offer), [b""]),
        Turn("lab-a", encode_message(Page(0, entries)), [b""]),
        *(Turn("lab-a", chunk_header(at) + piece, []) for at, piece in enumerate(PIECES)),
        Turn("lab-a", encode_message(close), [b""]),
    ]


@asynccontextmanager
async def transfer_talk() -> AsyncIterator[Say]:
    """A head node's inbox, with which lab A has an agreement; WORKING is not counted as an answer."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = World()
        net = MemoryNet(world, LAB_A.public)
        receiver = Node(folder / "lab-b", "lab-b", lambda key: MemoryNet(world, key), identity=LAB_B)
        stack.callback(receiver.close)
        stack.push_async_callback(world.close)
        receiver.trust.add(LAB_A.public, "lab-a", AGREEMENT)
        receiver.exchange.start()
        stream = await net.dial(receiver.key, EXCHANGE_PORT, agreement=AGREEMENT)

        async def say(by: str, said: bytes | None, answers: int) -> list[bytes]:
            if said is not None:
                await stream.send(said)
            heard: list[bytes] = []
            async with asyncio.timeout(PATIENCE):
                while len(heard) < answers:
                    answer = await stream.receive()
                    assert answer is not None, "it ended before its answer"
                    if answer[0] != Type.WORKING:
                        heard.append(answer)
            return heard

        yield say
        await stream.finish()
        (file,) = await receiver.files()
        assert Path(file.path).read_bytes() == b"".join(PIECES)


def transfer_answer(body: bytes) -> Any:
    """A receipt without its times and the test's rendezvous, and so without its signature; JSON as its
    members, of which a later version may say more.
    """
    if body[0] in (Type.ACCEPT, Type.REFUSE, Type.FAIL):
        return {"type": body[0], "says": json.loads(body[1:])}
    if body[0] != Type.RECEIPT:
        return body
    said = json.loads(Envelope.from_json(body[1:]).payload)
    return {name: each for name, each in said.items() if name not in ("issued", "expires", "rendezvous")}


# ── all of them ───────────────────────────────────────────────────────────────────────────────────────

#: By the name of their files: how each is first made, who answers, and what is compared.
TALKS: dict[str, tuple[Callable[[], list[Turn]], Callable[[], Any], Mask]] = {
    "rendezvous": (rendezvous_script, rendezvous_talk, rendezvous_answer),
    "link": (link_script, link_talk, link_answer),
    "transfer": (transfer_script, transfer_talk, transfer_answer),
}


async def record(name: str) -> list[Turn]:
    """The talk as head has it now."""
    script, scene, _ = TALKS[name]
    async with scene() as say:
        return await play(script(), say)
