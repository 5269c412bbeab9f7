"""A transfer that was interrupted goes on where it stopped, and what arrives is the file that was sent."""

from __future__ import annotations

import mmap
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comity import limits
from comity.control.exchange import Progress, SendFileRequest
from comity.errors import ComityError, TransferFailed
from comity.identity.keys import PublicKey
from comity.protocol.exchange.messages import Type
from comity.services.exchange.recovery import recover
from comity.services.exchange.running_digests import RunningDigests
from tests.exchange_nodes import Node, acquaint, opened
from tests.lanes import MemoryNet, Wire, World

CHUNK = limits.SMALL_CHUNK_BYTES
IN_FLIGHT = 1  # chunks: the one on the wire; what had arrived counts


class Line:
    """Two nodes, and a line that breaks when a test says so."""

    def __init__(self, folder: Path, pauses: tuple[float, ...] = ()) -> None:
        self.folder = folder
        self.world = World()
        self.alice = Node(folder / "alice", "alice", self._net, patience=60.0, pauses=pauses)
        self.bob = Node(folder / "bob", "bob", self._net, patience=60.0)
        acquaint(self.alice, self.bob)
        self.alice.exchange.start()
        self.bob.exchange.start()

    def _net(self, key: PublicKey) -> MemoryNet:
        return MemoryNet(self.world, key)

    def breaks(self, *, at: Type, count: int, times: int = 1) -> None:
        """The next ``times`` links are lost when the sender's ``count``-th frame of this type travels."""
        left = times

        def setup(wire: Wire) -> None:
            nonlocal left
            seen = 0
            left -= 1
            wire.room = CHUNK

            def tamper(frame: bytes) -> bytes:
                nonlocal seen
                seen += frame[0] == at
                if seen == count:
                    wire.lose("the cable was pulled")
                return frame

            wire.tamper = tamper if left >= 0 else None

        self.world.setup = setup

    async def idle(self) -> None:
        await self.world.nodes[self.bob.key].idle()

    async def interrupted(self, path: Path) -> int:
        """Send, and lose the link; how many bytes were sent."""
        sent: list[Progress] = []
        request = SendFileRequest(peer="bob", name=path.name, file="")
        with opened(path) as descriptor, pytest.raises(TransferFailed, match="was lost"):
            await self.alice.exchange.send(request, descriptor, sent.append)
        await self.idle()
        assert await self.bob.files() == ()
        return max((progress.bytes_sent for progress in sent), default=0)

    async def arrived(self, *contents: bytes) -> None:
        """Exactly these files are there, the newest first, and nothing else."""
        await self.idle()
        files = await self.bob.files()
        assert [Path(file.path).read_bytes() for file in files] == list(contents)
        assert len(self.bob.on_disk()) == len(contents)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    made = Line(tmp_path)
    yield made
    await made.world.close()
    made.alice.close()
    made.bob.close()


def make(line: Line, content: bytes | bytearray) -> Path:
    path = line.folder / "model"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("count", [1, 2, 5, 9])
async def test_only_what_is_missing_travels(line: Line, count: int) -> None:
    content = os.urandom(9 * CHUNK + 5)
    path = make(line, content)
    line.breaks(at=Type.CHUNK, count=count)
    await line.interrupted(path)
    assert {row.state for row in (*line.alice.rows(), *line.bob.rows())} == {"interrupted"}
    assert line.alice.entries("exchange.interrupted")
    result = await line.alice.send("bob", path)
    assert result.bytes_sent <= len(content) - (count - 1 - IN_FLIGHT) * CHUNK
    assert result.bytes_sent >= len(content) - count * CHUNK
    await line.arrived(content)
    assert [row.state for row in (*line.alice.rows(), *line.bob.rows())] == ["done", "done"]


async def test_holes_stay_unsent_and_chunks_in_place_too(line: Line) -> None:
    path = line.folder / "sparse"
    with path.open("wb") as file:
        for index in range(4):
            file.seek(3 * index * CHUNK)
            file.write(os.urandom(CHUNK))
        file.truncate(20 * CHUNK)
    line.breaks(at=Type.CHUNK, count=4)
    await line.interrupted(path)
    result = await line.alice.send("bob", path)
    assert result.bytes_sent <= (5 - 3 + IN_FLIGHT) * CHUNK
    await line.arrived(path.read_bytes())


@pytest.mark.parametrize("lost", range(1, 12))
async def test_a_lost_receipt_is_given_again(line: Line, lost: int) -> None:
    """Whatever had happened by the time that the link was lost, sending again ends well."""
    content = os.urandom(CHUNK + 10)
    path = make(line, content)

    def setup(wire: Wire) -> None:
        wire.cut_after = lost

    line.world.setup = setup
    try:
        await line.alice.send("bob", path)
        return
    except ComityError:
        await line.idle()
    done = await line.bob.files()
    line.world.setup = lambda _: None
    result = await line.alice.send("bob", path)
    await line.arrived(content)
    assert result.receipt == line.bob.rows()[0].receipt == line.alice.rows()[0].receipt
    if done and line.alice.rows()[0].nonce == line.bob.rows()[0].nonce:
        assert result.bytes_sent == 0


async def test_a_file_that_changed_since_arrives_as_it_is_now(line: Line) -> None:
    content = bytearray(os.urandom(8 * CHUNK))
    path = make(line, content)
    line.breaks(at=Type.CHUNK, count=6)
    await line.interrupted(path)
    content[CHUNK + 3] ^= 1
    path.write_bytes(content)
    result = await line.alice.send("bob", path)
    # What was changed has to arrive before this side can tell that what follows it is here.
    assert 2 * CHUNK <= result.bytes_sent <= 7 * CHUNK
    await line.arrived(bytes(content))


async def test_a_file_that_changed_after_it_arrived_is_another_file(line: Line) -> None:
    old, new = os.urandom(100), os.urandom(100)
    path = make(line, old)

    def setup(wire: Wire) -> None:
        wire.cut_after = 5  # offer, accept, page, chunk, close: the receipt is lost

    line.world.setup = setup
    with pytest.raises(TransferFailed):
        await line.alice.send("bob", path)
    await line.idle()
    assert len(await line.bob.files()) == 1
    line.world.setup = lambda _: None
    path.write_bytes(new)
    await line.alice.send("bob", path)
    await line.arrived(new, old)


async def test_what_rotted_on_disk_is_sent_again(line: Line) -> None:
    content = os.urandom(6 * CHUNK)
    path = make(line, content)
    line.breaks(at=Type.CHUNK, count=6)
    await line.interrupted(path)
    (part,) = (line.bob.home / "incoming").iterdir()
    with part.open("r+b") as file:
        file.seek(CHUNK + 1)
        file.write(b"rot")
    result = await line.alice.send("bob", path)
    assert 2 * CHUNK <= result.bytes_sent <= 5 * CHUNK
    await line.arrived(content)


async def test_a_line_that_breaks_often_is_no_reason_to_give_up(tmp_path: Path) -> None:
    line = Line(tmp_path, pauses=(0.01,) * 6)
    content = os.urandom(12 * CHUNK)
    path = make(line, content)
    line.breaks(at=Type.CHUNK, count=4, times=5)
    seen: list[Progress] = []
    with opened(path) as descriptor:
        request = SendFileRequest(peer="bob", name="model", file="")
        result = await line.alice.exchange.send(request, descriptor, seen.append)
    assert result.bytes_sent <= len(content) + 5 * IN_FLIGHT * CHUNK
    assert "reconnecting" in [progress.state for progress in seen]
    await line.arrived(content)
    await line.world.close()
    line.alice.close()
    line.bob.close()


class Hashed:
    """Counts the bytes that a sender hashes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        add = RunningDigests.add

        def counted(digests: RunningDigests, piece: memoryview) -> bytes:
            self.bytes += len(piece)
            return add(digests, piece)

        monkeypatch.setattr(RunningDigests, "add", counted)


async def test_a_line_that_breaks_costs_no_second_hashing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, hashed = Line(tmp_path, pauses=(0.01,) * 6), Hashed(monkeypatch)
    content = os.urandom(20 * CHUNK + 3)
    line.breaks(at=Type.CHUNK, count=5, times=3)
    await line.alice.send("bob", make(line, content))
    await line.arrived(content)
    assert hashed.bytes == len(content)
    await line.world.close()
    line.alice.close()
    line.bob.close()


@pytest.mark.parametrize("again", ["the same", "another"])
async def test_nothing_is_believed_of_a_file_that_was_sent_before(line: Line, again: str) -> None:
    """Its times need not tell: a program that has it mapped, as numpy.memmap does, leaves them alone."""
    path = make(line, os.urandom(4 * CHUNK))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 4 * CHUNK) as mapped:
        mapped[0] = mapped[0]  # dirty from here on, so that the next write is not noticed
        before = bytes(mapped)
        await line.alice.send("bob", path)
        mapped[1] ^= 255
        now = bytes(mapped)
        with opened(path) as descriptor:
            await line.alice.send("bob", descriptor, "model" if again == "the same" else "other")
    await line.arrived(now, before)


async def test_what_is_taken_up_again_arrives_as_it_is_now_although_its_times_say_nothing(
    line: Line,
) -> None:
    path = make(line, os.urandom(8 * CHUNK))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 8 * CHUNK) as mapped:
        mapped[0] = mapped[0]
        line.breaks(at=Type.CHUNK, count=6)
        await line.interrupted(path)
        line.world.setup = lambda _: None
        mapped[0] ^= 255
        now = bytes(mapped)
        await line.alice.send("bob", path)
    await line.arrived(now)


async def test_a_line_that_is_gone_is_given_up(tmp_path: Path) -> None:
    line = Line(tmp_path, pauses=(0.01, 0.01))
    path = make(line, os.urandom(4 * CHUNK))
    line.breaks(at=Type.CHUNK, count=1, times=10)
    with pytest.raises(TransferFailed) as caught:
        await line.alice.send("bob", path)
    assert "continues" in caught.value.hint
    await line.world.close()
    line.alice.close()
    line.bob.close()


async def test_what_nobody_takes_up_is_given_up_in_the_end(line: Line) -> None:
    path = make(line, os.urandom(4 * CHUNK))
    line.breaks(at=Type.CHUNK, count=3)
    await line.interrupted(path)
    assert len(line.bob.on_disk()) == 1
    recover(line.bob.around)
    assert len(line.bob.on_disk()) == 1
    line.bob.db.execute("UPDATE transfer SET ended = ended - ?", (limits.PARTIAL_LIFETIME + 1,))
    recover(line.bob.around)
    assert line.bob.on_disk() == []
    (row,) = line.bob.rows()
    assert (row.state, row.problem) == ("failed", "it was not taken up again")


async def test_a_peer_can_leave_only_so_many_parts(line: Line) -> None:
    for number in range(limits.PARTIALS_PER_PEER + 2):
        path = line.folder / f"model-{number}"
        path.write_bytes(os.urandom(2 * CHUNK))
        line.breaks(at=Type.CHUNK, count=2)
        await line.interrupted(path)
    assert len(line.bob.on_disk()) == limits.PARTIALS_PER_PEER
