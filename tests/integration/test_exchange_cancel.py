"""A transfer that is cancelled ends on both sides, leaves nothing, and is never taken up again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from comity import limits
from comity.control.exchange import CancelRequest, CancelResult, Progress, SendFileRequest, SendResult
from comity.errors import InvalidInput, TransferCancelled, UnknownTransfer
from comity.identity.keys import Identity, PublicKey
from comity.protocol.exchange.messages import (
    Accept,
    Cancel,
    Refuse,
    Type,
    encode_message,
    is_a,
    parse_message,
)
from comity.protocol.hello import EXCHANGE_PORT
from tests.exchange_nodes import Node, acquaint, opened
from tests.exchanges import AGREEMENT, offer_for
from tests.lanes import MemoryNet, Wire, World

CHUNK = limits.SMALL_CHUNK_BYTES


class Scene:
    """Alice sends to bob, over wires on which every transfer gets stuck in its middle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World()
        self.alice = Node(folder / "alice", "alice", self._net, patience=60.0, pauses=(0.01,) * 400)
        self.bob = Node(folder / "bob", "bob", self._net, patience=60.0)
        acquaint(self.alice, self.bob)
        self.nodes = [self.alice, self.bob]
        self.mallory = Identity.generate().public
        self.net = MemoryNet(self.world, self.mallory)
        self.bob.trust.add(self.mallory, "mallory")
        for node in self.nodes:
            node.exchange.start()
        self.path = folder / "model"
        self.path.write_bytes(os.urandom(6 * CHUNK))
        self.chunks = 0
        self.world.setup = self._setup

    def _net(self, key: PublicKey) -> MemoryNet:
        return MemoryNet(self.world, key)

    def _setup(self, wire: Wire) -> None:
        """Nothing follows the third chunk of a link: both sides wait in the middle of the transfer."""
        seen = 0

        def tamper(frame: bytes) -> bytes:
            nonlocal seen
            seen += is_a(Type.CHUNK, frame)
            self.chunks += is_a(Type.CHUNK, frame)
            if seen == 3:
                wire.room = 0
            return frame

        wire.tamper = tamper

    def send(self) -> asyncio.Task[SendResult]:
        return asyncio.create_task(self.alice.send("bob", self.path))

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():  # noqa: ASYNC110  what changes is in another thread, or in the database
                await asyncio.sleep(0.005)

    async def under_way(self) -> str:
        """Both sides are in the middle of it; its id."""
        await self.until(lambda: self.chunks >= 3)
        await self.until(lambda: bool(self.bob.rows()))
        return self.bob.rows()[0].transfer

    async def idle(self) -> None:
        await self.world.nodes[self.bob.key].idle()

    async def settled(self) -> None:
        """Cancelled on both sides, and nothing left."""
        await self.until(lambda: all(row.state == "cancelled" for node in self.nodes for row in node.rows()))
        await self.idle()
        assert [len(node.rows()) for node in self.nodes] == [1, 1]
        assert self.bob.on_disk() == []
        for node in self.nodes:
            assert len(node.entries("exchange.cancelled")) == 1
            assert node.store.owed(node.key) == []

    async def says(self, message: Cancel) -> object:
        """Mallory's cancellation, and bob's answer."""
        stream = await self.net.dial(self.bob.key, EXCHANGE_PORT, agreement=AGREEMENT)
        await stream.send(encode_message(message))
        body = await stream.receive()
        assert body is not None
        await stream.finish()
        return parse_message(body)

    async def close(self) -> None:
        await self.world.close()
        for node in self.nodes:
            node.close()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    yield made
    await made.close()


async def cancel(node: Node, transfer: str) -> CancelResult:
    return await node.exchange.cancel(CancelRequest(transfer))


async def test_the_sender_cancels_in_the_middle(scene: Scene) -> None:
    sending = scene.send()
    transfer = await scene.under_way()
    result = await cancel(scene.alice, transfer)
    assert (result.state, result.direction, result.peer, result.told) == ("cancelled", "out", "bob", True)
    with pytest.raises(TransferCancelled, match="cancelled here"):
        await sending
    await scene.settled()
    assert scene.bob.rows()[0].problem == "alice cancelled it"


async def test_the_receiver_cancels_in_the_middle(scene: Scene) -> None:
    sending = scene.send()
    transfer = await scene.under_way()
    result = await cancel(scene.bob, transfer[:8])
    assert (result.direction, result.peer, result.told) == ("in", "alice", True)
    with pytest.raises(TransferCancelled):
        await sending
    await scene.settled()


async def test_what_was_cancelled_is_not_continued_but_sent_anew(scene: Scene) -> None:
    sending = scene.send()
    transfer = await scene.under_way()
    await cancel(scene.alice, transfer)
    with pytest.raises(TransferCancelled):
        await sending
    scene.world.setup = lambda _: None
    result = await scene.alice.send("bob", scene.path)
    assert result.transfer != transfer
    assert result.bytes_sent == result.bytes
    await scene.idle()
    assert [row.state for row in scene.bob.rows()] == ["done", "cancelled"]


async def test_an_interrupted_one_is_cancelled_where_it_waits(scene: Scene) -> None:
    sending = scene.send()
    transfer = await scene.under_way()
    sending.cancel()
    await asyncio.wait([sending])
    scene.world.wires[-1].lose()
    await scene.idle()
    assert scene.bob.rows()[0].state == "interrupted"
    assert scene.bob.on_disk()
    assert (await cancel(scene.bob, transfer)).told
    await scene.settled()


async def test_one_who_is_away_is_told_when_it_can_be(scene: Scene) -> None:
    sending = scene.send()
    transfer = await scene.under_way()
    del scene.world.nodes[scene.bob.key]
    result = await cancel(scene.alice, transfer)
    assert not result.told
    with pytest.raises(TransferCancelled):
        await sending
    assert [row.transfer for row in scene.alice.store.owed(scene.bob.key)] == [transfer]
    assert not (await cancel(scene.alice, transfer)).told  # asked again: nothing more happens
    bob = scene.bob.network
    assert isinstance(bob, MemoryNet)
    scene.world.nodes[scene.bob.key] = bob
    assert (await cancel(scene.alice, transfer)).told
    await scene.settled()


async def test_a_receiver_that_could_not_tell_says_so_at_the_next_offer(scene: Scene) -> None:
    sending = scene.send()
    await scene.under_way()
    sending.cancel()
    await asyncio.wait([sending])
    scene.world.wires[-1].lose()
    await scene.idle()
    alice = scene.world.nodes.pop(scene.alice.key)
    assert not (await cancel(scene.bob, scene.bob.rows()[0].transfer)).told
    scene.world.nodes[scene.alice.key] = alice
    with pytest.raises(TransferCancelled):
        await scene.alice.send("bob", scene.path)
    await scene.settled()
    assert scene.bob.store.owed(scene.alice.key) == []


async def test_what_is_over_is_not_cancelled(scene: Scene) -> None:
    scene.world.setup = lambda _: None
    result = await scene.alice.send("bob", scene.path)
    for node in scene.nodes:
        with pytest.raises(InvalidInput, match="done already"):
            await cancel(node, result.transfer)
    await scene.idle()
    assert len(await scene.bob.files()) == 1


@pytest.mark.parametrize("text", ["", "abc", "../../etc", "zzzzzzzz", "5e5e5e5e\x1b[2J"])
async def test_ids_that_are_none(scene: Scene, text: str) -> None:
    with pytest.raises(InvalidInput):
        await cancel(scene.alice, text)


async def test_an_id_that_nobody_knows(scene: Scene) -> None:
    with pytest.raises(UnknownTransfer):
        await cancel(scene.alice, "0" * 32)


# ── mallory ───────────────────────────────────────────────────────────────────────────────────────────


async def test_nobody_cancels_or_finds_anothers_transfer(scene: Scene) -> None:
    sending = scene.send()
    transfer = await scene.under_way()
    for by in ("sender", "receiver"):
        message = msgspec.convert({"transfer": transfer, "by": by}, Cancel)
        unknown = msgspec.structs.replace(message, transfer="0" * 32)
        assert await scene.says(message) == Accept(transfer=transfer)
        assert await scene.says(unknown) == Accept(transfer="0" * 32)
    assert scene.bob.rows()[0].state == "running"
    assert scene.bob.entries("exchange.cancelled") == []
    await cancel(scene.alice, transfer)
    with pytest.raises(TransferCancelled):
        await sending


async def test_repeated_cancellations_change_and_record_nothing_more(scene: Scene) -> None:
    stream = await scene.net.dial(scene.bob.key, EXCHANGE_PORT, agreement=AGREEMENT)
    offer = offer_for([b"x"])
    await stream.send(encode_message(offer))
    assert await stream.receive() is not None
    for _ in range(30):
        await scene.says(Cancel(transfer=offer.transfer, by="sender"))
    await scene.idle()
    assert scene.bob.rows()[0].state == "cancelled"
    assert len(scene.bob.entries("exchange.cancelled")) == 1
    assert scene.bob.on_disk() == []
    again = await scene.net.dial(scene.bob.key, EXCHANGE_PORT, agreement=AGREEMENT)
    await again.send(encode_message(offer))
    body = await again.receive()
    assert body is not None
    answer = parse_message(body)
    assert isinstance(answer, Refuse)
    assert answer.code == "transfer_cancelled"
    await again.finish()


async def test_a_received_file_is_not_taken_back(scene: Scene) -> None:
    scene.world.setup = lambda _: None
    result = await scene.alice.send("bob", scene.path)
    await scene.idle()
    stream = await scene.alice.network.dial(scene.bob.key, EXCHANGE_PORT, agreement=AGREEMENT)
    await stream.send(encode_message(Cancel(transfer=result.transfer, by="sender")))
    assert await stream.receive() is not None
    await stream.finish()
    (file,) = await scene.bob.files()
    assert Path(file.path).read_bytes() == scene.path.read_bytes()
    assert scene.bob.rows()[0].state == "done"


async def test_who_hangs_up_has_not_cancelled(scene: Scene) -> None:
    """Ctrl-C at the client: it can be continued."""
    seen: list[Progress] = []
    with opened(scene.path) as descriptor:
        request = SendFileRequest(peer="bob", name="model", file="")
        sending = asyncio.create_task(scene.alice.exchange.send(request, descriptor, seen.append))
        await scene.under_way()
        sending.cancel()
        await asyncio.wait([sending])
    assert sending.cancelled()
    assert scene.alice.rows()[0].state == "interrupted"


async def test_the_first_reason_counts(scene: Scene) -> None:
    sending = scene.send()
    transfer = await scene.under_way()
    results = await asyncio.gather(
        cancel(scene.alice, transfer), cancel(scene.bob, transfer), cancel(scene.alice, transfer)
    )
    assert {result.state for result in results} == {"cancelled"}
    with pytest.raises(TransferCancelled):
        await sending
    await scene.settled()
