"""A receiver whose disk takes long says so meanwhile, and keeps its file open until the disk is done."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from comity.clock import SystemClock
from comity.errors import LinkLost
from comity.protocol.exchange.events import Admitted, Commit, MessageReceived
from comity.protocol.exchange.messages import (
    Close,
    Page,
    Want,
    Working,
    chunk_header,
    encode_message,
    parse_message,
)
from comity.protocol.exchange.receiver import Receiver
from comity.services.exchange.progress import Meter
from comity.services.exchange.receiving import Receiving
from comity.services.exchange.threads import Threads
from comity.storage.blobs_memory import MemoryBlobStore
from comity.storage.parts import Buffer, Part
from tests.exchanges import NOW, SENDER, digest_of, entry_for, manifest_for, offer_for
from tests.lanes import End, MemoryLane, Wire

PIECES = (b"content",)
OFFER = offer_for(PIECES)


class SlowPart:
    """Its sync ends when the test lets it."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.syncing = threading.Event()
        self.go_on = threading.Event()
        self.closed = threading.Event()

    def write(self, offset: int, data: Buffer) -> None:
        self.part.write(offset, data)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.part.read_into(offset, buffer)

    def hole(self, offset: int, length: int) -> bool:
        return False

    def sync(self) -> None:
        self.syncing.set()
        assert self.go_on.wait(60)
        assert not self.closed.is_set()

    def close(self) -> None:
        self.closed.set()


class Scene:
    def __init__(self) -> None:
        self.wire = Wire()
        self.sender = MemoryLane(End(self.wire, 0), SENDER.public)
        lane = MemoryLane(End(self.wire, 1), SENDER.public)
        clock = SystemClock()
        machine = Receiver()
        machine.handle(MessageReceived(encode_message(OFFER)), NOW)
        machine.handle(Admitted(), NOW)
        meter = Meter(transfer=OFFER.transfer, name=OFFER.name, size=OFFER.bytes, clock=clock)
        self.part = SlowPart(MemoryBlobStore().create("part", OFFER.bytes))
        self.threads = Threads()
        receiving = Receiving(machine, lane, meter, clock, speak_every=0.02)
        self.outcome: Future[object] = self.threads.start(receiving.fill, lambda _: self.part, self.threads)
        self.sender.send(encode_message(Page(0, (entry_for(b"content"),))))
        assert isinstance(self.hear(), Want)
        self.sender.send(chunk_header(0), b"content")
        manifest = manifest_for(OFFER, PIECES).total_digest
        self.sender.send(encode_message(Close(digest=digest_of(b"content"), manifest=manifest)))
        assert self.part.syncing.wait(60)

    def hear(self) -> object:
        body = self.sender.receive()
        assert body is not None
        return parse_message(body)


async def test_a_receiver_says_that_it_works() -> None:
    scene = Scene()
    for _ in range(3):
        assert scene.hear() == Working(7)
    assert not scene.outcome.done()
    scene.part.go_on.set()
    assert isinstance(scene.outcome.result(60), Commit)
    assert scene.part.closed.is_set()
    scene.threads.close()


async def test_a_lost_link_waits_for_the_disk() -> None:
    scene = Scene()
    scene.sender.abort()
    await asyncio.sleep(0.5)  # it has noticed by now
    assert not scene.part.closed.is_set()
    scene.part.go_on.set()
    with pytest.raises(LinkLost):
        scene.outcome.result(60)
    assert scene.part.closed.is_set()
    scene.threads.close()
