"""A partner who cheats: raw frames against a real inbox and a real outbox, and what is left afterwards."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest

from comity import limits
from comity.errors import ComityError, DiskFull, LinkLost, RemoteProtocolError, TimedOut, VerificationFailed
from comity.identity.keys import Identity, PublicKey
from comity.protocol.exchange.manifest import Entry
from comity.protocol.exchange.messages import (
    Accept,
    Close,
    Fail,
    Message,
    Offer,
    Page,
    Range,
    Refuse,
    SignedReceipt,
    Want,
    Working,
    chunk_header,
    encode_message,
    parse_message,
)
from comity.protocol.exchange.receipt import Parties
from comity.protocol.hello import EXCHANGE_PORT
from comity.transport.interface import Stream
from tests.exchange_nodes import REALM, Node
from tests.exchanges import (
    AGREEMENT,
    OTHER_AGREEMENT,
    digest_of,
    entry_for,
    manifest_for,
    offer_for,
    signed_receipt,
)
from tests.lanes import MemoryNet, MemoryStream, World

PIECES = (b"first", b"second", b"first")
WHOLE = b"".join(PIECES)
OFFER = offer_for(PIECES)
CLOSE = Close(digest=digest_of(WHOLE), manifest=manifest_for(OFFER, PIECES).total_digest)
PAGE = Page(0, tuple(map(entry_for, PIECES)))


class Scene:
    """Bob is honest; mallory is trusted, and writes her frames herself."""

    def __init__(self, tmp_path: Path) -> None:
        self.world = World()
        self.tmp_path = tmp_path
        self.mallory = Identity.generate()
        self.net = MemoryNet(self.world, self.mallory.public)
        self.bob = Node(tmp_path / "bob", "bob", self.make_net, patience=1.0)
        self.bob.trust.add(self.mallory.public, "mallory")
        self.bob.exchange.start()

    def make_net(self, key: PublicKey) -> MemoryNet:
        return MemoryNet(self.world, key)

    async def dial(self) -> MemoryStream:
        return await self.net.dial(self.bob.key, EXCHANGE_PORT, agreement=AGREEMENT)

    async def close(self) -> None:
        await self.world.close()
        self.bob.close()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    yield made
    await made.close()


async def say(stream: Stream, *messages: Message) -> None:
    for message in messages:
        await stream.send(encode_message(message))


async def hear(stream: Stream) -> Message:
    body = await stream.receive()
    assert body is not None
    return parse_message(body)


async def give(stream: Stream, index: int, content: bytes) -> None:
    await stream.send(chunk_header(index) + content)


# ── mallory sends ─────────────────────────────────────────────────────────────────────────────────────


async def accepted(scene: Scene) -> MemoryStream:
    stream = await scene.dial()
    await say(stream, OFFER)
    assert await hear(stream) == Accept(transfer=OFFER.transfer, lanes=limits.LANES_MOST)
    return stream


async def gave_up(scene: Scene, stream: Stream, code: str) -> None:
    """Bob says why, finishes the stream in order, and keeps nothing."""
    while not isinstance(message := await hear(stream), Fail):
        assert isinstance(message, Want | Working)
    assert message.code == code
    await stream.finish()
    await scene.world.nodes[scene.bob.key].idle()
    assert scene.bob.on_disk() == []
    (entry,) = scene.bob.entries("exchange.failed")
    assert entry.detail["code"] == code
    assert scene.bob.rows()[0].state == "failed"


async def test_an_honest_sequence_is_kept(scene: Scene) -> None:
    stream = await accepted(scene)
    await say(stream, PAGE)
    assert await hear(stream) == Want(3, (Range(0, 2),))
    await give(stream, 1, PIECES[1])
    await give(stream, 0, PIECES[0])  # in any order
    await say(stream, CLOSE)
    assert isinstance(await hear(stream), SignedReceipt)
    await stream.finish()
    (file,) = await scene.bob.files()
    assert Path(file.path).read_bytes() == WHOLE


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "..", "a\x1b[2Jb", "a/b", "", "\u202egnp", ".ssh"])
async def test_a_hostile_name_is_refused(scene: Scene, name: str) -> None:
    stream = await scene.dial()
    await say(stream, msgspec.structs.replace(OFFER, name=name))
    answer = await hear(stream)
    assert isinstance(answer, Refuse)
    assert answer.code == "name_refused"
    await stream.finish()
    assert scene.bob.on_disk() == []
    (entry,) = scene.bob.entries("exchange.refused")
    assert entry.detail["name"] == name


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"bytes": limits.ARTIFACT_BYTES + 1}, "too_large"),
        ({"chunks": 2**40, "bytes": 2**40}, "too_large"),
        ({"chunks": 1, "bytes": 2**33}, "remote_protocol_error"),
        ({"kind": "directory"}, "version_mismatch"),
        ({"agreement": OTHER_AGREEMENT}, "denied"),
        ({"charter": OTHER_AGREEMENT}, "denied"),
        ({"bytes": 2**42, "chunks": 2**20}, "disk_full"),
    ],
)
async def test_an_impossible_offer_is_refused(scene: Scene, change: dict[str, object], code: str) -> None:
    stream = await scene.dial()
    await say(stream, msgspec.structs.replace(OFFER, **change))
    answer = await hear(stream)
    assert isinstance(answer, Refuse)
    assert answer.code == code
    await stream.finish()
    assert scene.bob.on_disk() == []
    assert len(scene.bob.entries("exchange.refused")) == 1


async def test_a_transfer_that_is_offered_again_ends_the_lane_before(scene: Scene) -> None:
    first = await accepted(scene)
    second = await accepted(scene)
    with pytest.raises(LinkLost):
        await hear(first)
    await say(second, PAGE)
    assert isinstance(await hear(second), Want)
    second.abort()
    await scene.world.nodes[scene.bob.key].idle()
    assert len(scene.bob.rows()) == 1


async def test_a_transfer_does_not_become_another(scene: Scene) -> None:
    first = await accepted(scene)
    first.abort()
    await scene.world.nodes[scene.bob.key].idle()
    stream = await scene.dial()
    await say(stream, msgspec.structs.replace(OFFER, name="other"))
    assert isinstance(await hear(stream), Refuse)
    await stream.finish()
    assert scene.bob.rows()[0].state == "interrupted"


async def test_one_peer_takes_so_many_places_and_no_more(scene: Scene) -> None:
    streams: list[MemoryStream] = []
    for number in range(limits.RECEIVING_PER_PEER + 1):
        streams.append(await scene.dial())
        await say(streams[-1], msgspec.structs.replace(OFFER, transfer=f"{number:032x}"))
        answer = await hear(streams[-1])
    assert isinstance(answer, Refuse)
    assert "too many" in answer.message


async def test_room_is_promised_once(scene: Scene) -> None:
    free = scene.bob.blobs.free_bytes() - limits.FREE_SPACE_MARGIN
    half = free * 2 // 3
    answers: list[Message] = []
    for number in range(2):
        stream = await scene.dial()
        offer = msgspec.structs.replace(
            OFFER, transfer=f"{number:032x}", bytes=half, chunks=-(-half // limits.CHUNK_BYTES)
        )
        await say(stream, offer)
        answers.append(await hear(stream))
    assert isinstance(answers[0], Accept)
    assert isinstance(answers[1], Refuse)
    assert answers[1].code == "disk_full"


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([encode_message(PAGE), encode_message(PAGE)], "remote_protocol_error"),
        ([encode_message(Page(1, PAGE.entries[:1]))], "remote_protocol_error"),
        ([encode_message(Page(0, (*PAGE.entries, entry_for(b"x"))))], "remote_protocol_error"),
        ([encode_message(Page(0, (Entry(16, bytes(32)),)))], "remote_protocol_error"),
        ([chunk_header(0) + b"first"], "remote_protocol_error"),
        ([chunk_header(0)], "remote_protocol_error"),
        ([chunk_header(0) + bytes(limits.FRAME_BYTES - 100)], "remote_protocol_error"),
        ([encode_message(PAGE), chunk_header(2) + b"first"], "remote_protocol_error"),
        ([encode_message(PAGE), chunk_header(0) + b"fIrst"], "verification_failed"),
        ([encode_message(PAGE), chunk_header(0) + b"second"], "verification_failed"),
        ([encode_message(CLOSE)], "remote_protocol_error"),
        ([encode_message(PAGE), chunk_header(0) + b"first", encode_message(CLOSE)], "remote_protocol_error"),
        ([encode_message(OFFER)], "remote_protocol_error"),
        ([encode_message(Want(0, ()))], "remote_protocol_error"),
        ([b""], "remote_protocol_error"),
        ([b"\xff" * 30], "remote_protocol_error"),
    ],
)
async def test_a_sender_that_breaks_the_rules_is_told_so(
    scene: Scene, frames: Sequence[bytes], code: str
) -> None:
    stream = await accepted(scene)
    for frame in frames:
        await stream.send(frame)
    await gave_up(scene, stream, code)


@pytest.mark.parametrize(
    "close",
    [
        Close(digest=digest_of(b"other"), manifest=CLOSE.manifest),
        Close(digest=CLOSE.digest, manifest=digest_of(b"other")),
    ],
)
async def test_a_close_that_lies_yields_no_file(scene: Scene, close: Close) -> None:
    stream = await accepted(scene)
    await say(stream, PAGE)
    await give(stream, 0, PIECES[0])
    await give(stream, 1, PIECES[1])
    await say(stream, close)
    await gave_up(scene, stream, "verification_failed")


async def test_an_early_end_yields_no_file(scene: Scene) -> None:
    stream = await accepted(scene)
    await say(stream, PAGE)
    await give(stream, 0, PIECES[0])
    await stream.finish()  # a well-formed END: still not the CLOSE
    await scene.world.nodes[scene.bob.key].idle()
    assert scene.bob.on_disk() == []
    assert scene.bob.entries("exchange.failed")[0].detail["code"] == "remote_protocol_error"


async def test_a_sender_that_gives_up_is_recorded(scene: Scene) -> None:
    stream = await accepted(scene)
    await say(stream, PAGE, Fail(code="file_changed", message="it changed\x1b[2J"))
    await stream.finish()
    await scene.world.nodes[scene.bob.key].idle()
    assert scene.bob.on_disk() == []
    (entry,) = scene.bob.entries("exchange.failed")
    assert entry.detail["code"] == "file_changed"
    assert entry.reasons[0].isprintable()


async def test_a_stream_without_a_word_leaves_no_trace(scene: Scene) -> None:
    stream = await scene.dial()
    await stream.finish()
    await scene.world.nodes[scene.bob.key].idle()
    assert scene.bob.rows() == []


@pytest.mark.parametrize("frame", [b"", b"\xff", b"\x01{}", b"\x01" + b"[" * 9000, encode_message(PAGE)])
async def test_a_stream_begins_with_an_offer(scene: Scene, frame: bytes) -> None:
    stream = await scene.dial()
    await stream.send(frame)
    assert isinstance(await hear(stream), Fail)
    await stream.finish()
    assert scene.bob.rows() == []
    assert len(scene.bob.entries("exchange.refused")) == 1


# ── mallory receives ──────────────────────────────────────────────────────────────────────────────────


class Receiver:
    """Mallory's inbox: takes what comes as an honest receiver would, then sends ``receipt``."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.chunks = 0
        self.last: Message | None = None

    async def answer(self, stream: Stream) -> None:
        offer = await hear(stream)
        assert isinstance(offer, Offer)
        await say(stream, Accept(transfer=offer.transfer))
        manifest = manifest_for(offer, [])
        while True:
            body = await stream.receive()
            assert body is not None
            if body[0] == 6:
                self.chunks += 1
                continue
            message = parse_message(body)
            if isinstance(message, Page):
                for entry in message.entries:
                    manifest.add(entry)
                await say(stream, Want(len(manifest), (Range(message.first, len(message.entries)),)))
            elif isinstance(message, Close):
                await say(stream, self.receipt(offer, message))
            else:
                self.last = message
                await stream.finish()
                return

    def receipt(self, offer: Offer, close: Close) -> Message:
        raise NotImplementedError


class Liar(Receiver):
    def __init__(self, scene: Scene, lie: str) -> None:
        super().__init__(scene)
        self.lie = lie

    def receipt(self, offer: Offer, close: Close) -> Message:
        key, bob = self.scene.mallory, self.scene.bob.key
        parties = Parties(bob, key.public, REALM, 1)
        match self.lie:
            case "signer":
                data = signed_receipt(
                    offer, close.manifest, close.digest, by=Identity.generate(), parties=parties
                )
            case "manifest":
                data = signed_receipt(offer, close.digest, close.digest, by=key, parties=parties)
            case "nonce":
                other = msgspec.structs.replace(offer, nonce="00" * 32)
                data = signed_receipt(other, close.manifest, close.digest, by=key, parties=parties)
            case _:
                data = b"{}"
        return SignedReceipt(data)


@pytest.mark.parametrize("lie", ["signer", "manifest", "nonce", "garbage"])
async def test_a_receipt_that_lies_is_no_delivery(scene: Scene, lie: str) -> None:
    receiver = Liar(scene, lie)
    scene.net.serve(EXCHANGE_PORT, receiver.answer)
    path = scene.tmp_path / "file"
    path.write_bytes(b"content")
    with pytest.raises(VerificationFailed):
        await scene.bob.send("mallory", path)
    await scene.net.idle()
    assert isinstance(receiver.last, Fail)
    assert receiver.last.code == "verification_failed"
    assert scene.bob.rows()[0].state == "failed"
    assert scene.bob.entries("exchange.sent") == []


class Script:
    """Mallory's inbox says these after the offer, whatever bob says, then reads to his end."""

    def __init__(self, *messages: Message | bytes) -> None:
        self.messages = messages

    async def answer(self, stream: Stream) -> None:
        await hear(stream)
        for message in self.messages:
            await stream.send(message if isinstance(message, bytes) else encode_message(message))
        while await stream.receive() is not None:
            pass
        await stream.finish()


ANY = "00" * 16


@pytest.mark.parametrize(
    ("messages", "kind"),
    [
        ((), TimedOut),
        ((Accept(transfer=ANY),), RemoteProtocolError),
        ((Want(0, ()),), RemoteProtocolError),
        ((b"\xff\xff",), RemoteProtocolError),
        ((SignedReceipt(b"{}"),), RemoteProtocolError),
        ((Fail(code="disk_full", message="a\x1b[2J"),), DiskFull),
    ],
)
async def test_answers_that_are_none_end_the_transfer(
    scene: Scene, messages: Sequence[Message | bytes], kind: type[ComityError]
) -> None:
    scene.net.serve(EXCHANGE_PORT, Script(*messages).answer)
    path = scene.tmp_path / "file"
    path.write_bytes(b"content")
    with pytest.raises(kind) as caught:
        await scene.bob.send("mallory", path)
    assert caught.value.message.isprintable()
    assert scene.bob.rows()[0].state == "failed"


class Greedy(Receiver):
    """Asks for everything again and again."""

    async def answer(self, stream: Stream) -> None:
        offer = await hear(stream)
        assert isinstance(offer, Offer)
        await say(stream, Accept(transfer=offer.transfer))
        try:
            while True:
                body = await stream.receive()
                if body is None:
                    break
                if body[0] == 6:
                    self.chunks += 1
                    await say(stream, Want(1, (Range(0, 1),)))
                    continue
                message = parse_message(body)
                if isinstance(message, Page) and message.first == 0:
                    await say(stream, Want(1, (Range(0, 1),)))
                elif isinstance(message, Fail):
                    break
        finally:
            await stream.finish()


async def test_a_receiver_cannot_make_us_send_for_ever(scene: Scene) -> None:
    greedy = Greedy(scene)
    scene.net.serve(EXCHANGE_PORT, greedy.answer)
    path = scene.tmp_path / "file"
    path.write_bytes(os.urandom(1000))
    with pytest.raises(RemoteProtocolError):
        await scene.bob.send("mallory", path)
    assert greedy.chunks == 1


async def test_an_end_before_the_receipt_is_no_delivery(scene: Scene) -> None:
    async def leave(stream: Stream) -> None:
        offer = await hear(stream)
        assert isinstance(offer, Offer)
        await say(stream, Accept(transfer=offer.transfer))
        await stream.finish()

    scene.net.serve(EXCHANGE_PORT, leave)
    path = scene.tmp_path / "file"
    path.write_bytes(b"content")
    with pytest.raises(RemoteProtocolError):
        await scene.bob.send("mallory", path)
    assert scene.bob.rows()[0].state == "failed"
