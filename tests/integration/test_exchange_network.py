"""The exchange over real sockets and TLS: threads in real lanes, pooled links, revocation, sparse files."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from comity import limits
from comity.errors import TransferFailed
from comity.transport.landing import Landings
from tests.exchange_nodes import Node, acquaint
from tests.integration import transport_nodes
from tests.integration.transport_rig import until

CHUNK = limits.SMALL_CHUNK_BYTES
#: With COMITY_HEAVY=1 more than 32 bits count; ``test_labs_bad_files`` always sends as much.
SPARSE = 4 * limits.GIB if os.environ.get("COMITY_HEAVY") else limits.GIB // 4


@dataclass
class Pair:
    alice: Node
    bob: Node
    wires: tuple[transport_nodes.Node, transport_nodes.Node]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with transport_nodes.pair() as wires:
        alice, bob = (
            Node(tmp_path / name, name, lambda _, wire=wire: wire.network, identity=wire.identity)  # type: ignore[misc]  # bound early on purpose
            for name, wire in zip(("alice", "bob"), wires, strict=True)
        )
        acquaint(alice, bob)
        alice.exchange.start()
        bob.exchange.start()
        yield Pair(alice, bob, wires)
    alice.close()
    bob.close()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


async def test_files_travel_and_links_are_used_again(pair: Pair, tmp_path: Path) -> None:
    for number, size in enumerate((0, 5, 2 * CHUNK + 1)):
        content = os.urandom(size)
        result = await pair.alice.send("bob", write(tmp_path / f"file-{number}", content))
        assert (result.path, result.bytes_sent) == ("direct", size)
        newest, *_ = await pair.bob.files()
        assert Path(newest.path).read_bytes() == content
    assert pair.wires[0].network.drop(pair.bob.key) == 1  # one link carried all three


async def test_a_lane_gives_its_memory_back_at_once(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the collector, which comes seldom where little else happens: it counts objects, not bytes."""
    there: weakref.WeakSet[Landings] = weakref.WeakSet()
    ever = 0
    begin = Landings.__init__

    def begun(self: Landings) -> None:
        nonlocal ever
        begin(self)
        there.add(self)
        ever += 1

    monkeypatch.setattr(Landings, "__init__", begun)
    gc.disable()
    try:
        for number in range(3):
            path = write(tmp_path / f"file-{number}", os.urandom(2 * CHUNK))
            await pair.alice.send("bob", path)
            await until(lambda: not there)
        assert ever == 6
    finally:
        gc.enable()


async def test_a_refusal_leaves_the_link_usable(pair: Pair, tmp_path: Path) -> None:
    path = write(tmp_path / "file", os.urandom(100))
    pair.bob.trust.allow = ()
    with pytest.raises(Exception, match="does not open the service"):
        await pair.alice.send("bob", path)
    pair.bob.trust.allow = ("exchange",)
    await pair.alice.send("bob", path)
    assert pair.wires[0].network.drop(pair.bob.key) == 1


async def test_a_revocation_cuts_the_transfer(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "endless"
    with path.open("wb") as file:
        for index in range(60):  # different chunks, little space
            file.seek(index * CHUNK)
            file.write(index.to_bytes(4))
        file.truncate(60 * CHUNK)
    sending = asyncio.create_task(pair.alice.send("bob", path, limit=4 * CHUNK))  # it must not be faster
    await until(lambda: any(row.bytes_done for row in pair.bob.exchange.transfers().transfers))
    pair.bob.trust.end(pair.alice.key)
    pair.bob.network.drop(pair.alice.key)
    with pytest.raises(TransferFailed):
        await sending
    await until(lambda: pair.bob.rows()[0].state == "failed")
    assert "the agreement with alice ended" in pair.bob.rows()[0].problem
    assert pair.bob.on_disk() == []
    assert await pair.bob.files() == ()


@pytest.mark.timeout(300)
async def test_a_sparse_file_travels_as_one_chunk(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "sparse.bin"
    with path.open("wb") as file:
        file.truncate(SPARSE)
    result = await pair.alice.send("bob", path)
    assert (result.bytes, result.bytes_sent) == (SPARSE, CHUNK)
    (received,) = await pair.bob.files()
    status = Path(received.path).stat()
    assert status.st_size == SPARSE
    assert status.st_blocks * 512 <= CHUNK
    assert received.digest == result.digest
    with path.open("rb") as file:
        assert result.digest == f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
