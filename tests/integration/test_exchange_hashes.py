"""A file that was hashed before is not hashed again, whoever it goes to; and it is never merely believed."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comity import limits
from comity.errors import TransferFailed
from comity.identity.keys import PublicKey
from comity.services.exchange.content import Content
from comity.services.exchange.hashes import Begun, Hashes
from tests.exchange_nodes import Node, acquaint
from tests.lanes import MemoryNet, Wire, World

CHUNK = limits.RUNNING_CHUNK_BYTES


class Three:
    """Alice, who sends, and two partners."""

    def __init__(self, folder: Path) -> None:
        self.world = World()
        self.path = folder / "model.bin"
        self.path.write_bytes(os.urandom(4 * CHUNK + 17))
        self.nodes = {name: Node(folder / name, name, self._net) for name in ("alice", "bob", "carol")}
        self.alice, self.bob, self.carol = self.nodes.values()
        for partner in (self.bob, self.carol):
            acquaint(self.alice, partner)
        for node in self.nodes.values():
            node.exchange.start()

    @property
    def hashes(self) -> Hashes:
        return self.alice.around.hashes

    def known(self) -> int:
        """How many chunks."""
        descriptor = os.open(self.path, os.O_RDONLY)
        found = len(self.hashes.begin(Content(descriptor)))
        os.close(descriptor)
        return found

    async def stored(self, node: Node) -> list[bytes]:
        return [Path(file.path).read_bytes() for file in await node.files()]

    async def close(self) -> None:
        await self.world.close()
        for node in self.nodes.values():
            node.close()

    def _net(self, key: PublicKey) -> MemoryNet:
        return MemoryNet(self.world, key)


@pytest.fixture
async def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Three]:
    monkeypatch.setattr(limits, "HASHES_SETTLED", -60.0)  # for a file that was written a moment ago
    made = Three(tmp_path)
    yield made
    await made.close()


class Count:
    """Bytes that ``Begun`` hashed, of every content."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        add = Begun.add

        def counted(begun: Begun, piece: memoryview) -> bytes:
            self.bytes += len(piece)
            return add(begun, piece)

        monkeypatch.setattr(Begun, "add", counted)


async def test_the_second_partner_costs_no_hashing(three: Three, monkeypatch: pytest.MonkeyPatch) -> None:
    count, content = Count(monkeypatch), three.path.read_bytes()
    results = [await three.alice.send(partner, three.path) for partner in ("bob", "carol")]
    assert count.bytes == len(content)
    assert {result.digest for result in results} == {"sha256:" + hashlib.sha256(content).hexdigest()}
    assert {result.bytes_sent for result in results} == {len(content)}
    for node in (three.bob, three.carol):
        assert await three.stored(node) == [content]


async def test_a_file_that_changed_goes_out_as_it_is_now(three: Three) -> None:
    await three.alice.send("bob", three.path)
    content = bytearray(three.path.read_bytes())
    content[CHUNK + 5] ^= 1
    three.path.write_bytes(content)
    await three.alice.send("carol", three.path)
    assert await three.stored(three.carol) == [content]


async def test_what_is_remembered_wrongly_fails_nothing_and_is_forgotten(three: Three) -> None:
    """As if a write had left both times of the file as they were."""
    descriptor = os.open(three.path, os.O_RDONLY)
    content = Content(descriptor)
    wrong = Begun.of(content)
    for _ in range(4):
        wrong.add(memoryview(bytes(CHUNK)))
    three.hashes.keep(content, wrong, three.alice.clock.now())
    os.close(descriptor)
    assert three.known() == 4
    result = await three.alice.send("bob", three.path)
    assert await three.stored(three.bob) == [three.path.read_bytes()]
    assert result.digest == "sha256:" + hashlib.sha256(three.path.read_bytes()).hexdigest()
    assert three.known() == 5
    assert three.bob.on_disk() == [f"received/alice-{three.alice.key.hex[:8]}/model.bin"]
    assert sorted(row.state for row in three.alice.rows()) == ["done", "failed"]


async def test_an_attempt_after_a_lost_link_goes_on_hashing_where_it_was(
    three: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.path.write_bytes(os.urandom(12 * CHUNK + 17))

    def cut(wire: Wire) -> None:
        wire.cut_after = 9  # offer, acceptance, then a page and a chunk each

    three.world.setup = cut
    with pytest.raises(TransferFailed):
        await three.alice.send("bob", three.path)
    await three.world.nodes[three.bob.key].idle()
    before = three.known()
    assert 3 <= before < 12
    three.world.setup = lambda _: None
    count = Count(monkeypatch)
    async with asyncio.timeout(30):
        await three.alice.send("bob", three.path)
    assert count.bytes == three.path.stat().st_size - before * CHUNK
    assert await three.stored(three.bob) == [three.path.read_bytes()]
