"""Queued files: sent when the peer is there, in order, as they were queued, whatever is restarted between."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from comity import limits
from comity.control.exchange import CancelRequest, QueueFileRequest, QueueResult
from comity.errors import FileChanged, FileUnusable, InvalidInput, NameRefused, TooLarge, UntrustedPeer
from comity.identity.keys import Identity, PublicKey
from comity.protocol.exchange.messages import Type, encode_message
from comity.protocol.hello import EXCHANGE_PORT
from comity.services.exchange import ExchangeService
from comity.services.exchange.finding import identity_of, reopen
from tests.exchange_nodes import Node, acquaint, opened
from tests.exchanges import AGREEMENT, OTHER_AGREEMENT, offer_for
from tests.lanes import MemoryNet, MemoryStream, Wire, World

CHUNK = limits.SMALL_CHUNK_BYTES


class Doors:
    """Implements ``Sessions``: who is there, as the test says."""

    def __init__(self) -> None:
        self.here: set[PublicKey] = set()
        self._changed = asyncio.Event()

    def come(self, peer: PublicKey) -> None:
        self.here.add(peer)
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_up(self, peer: PublicKey, timeout: float) -> bool:
        while peer not in self.here:
            await self._changed.wait()
        return True


class Scene:
    """Alice queues for bob and carol, who are away until they come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World()
        self.doors = Doors()
        self.alice = Node(folder / "alice", "alice", self._net, patience=60.0, sessions=self.doors)
        self.bob = Node(folder / "bob", "bob", self._net, patience=60.0)
        self.carol = Node(folder / "carol", "carol", self._net, patience=60.0)
        self.nodes = (self.alice, self.bob, self.carol)
        acquaint(self.alice, self.bob)
        acquaint(self.alice, self.carol)
        for node in self.nodes:
            node.exchange.start()
        self.exchange = self.alice.exchange
        self._life: asyncio.Task[None] | None = None

    def _net(self, key: PublicKey) -> MemoryNet:
        return MemoryNet(self.world, key)

    def run(self) -> None:
        self._life = asyncio.create_task(self.exchange.run())

    async def stop(self) -> None:
        """As a daemon ends; what was running is interrupted."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait([self._life])
            self._life = None

    async def restart(self) -> None:
        await self.stop()
        self.exchange.stop()
        self.exchange = ExchangeService(self.alice.around)
        self.exchange.start()
        self.run()

    def file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    async def queue(
        self,
        file: Path,
        peer: str = "bob",
        *,
        name: str = "",
        path: str | None = None,
        limit: int | None = None,
    ) -> QueueResult:
        where = str(file) if path is None else path
        with opened(file) as descriptor:
            request = QueueFileRequest(peer, name or file.name, "", where, limit)
            return await self.exchange.queue(request, descriptor)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():  # noqa: ASYNC110  what changes is in the database
                await asyncio.sleep(0.005)

    async def ended(self, *states: str) -> None:
        """All that alice queued is over, like this, the oldest first."""
        await self.until(lambda: self.states() == list(states))
        for node in (self.bob, self.carol):
            await self.world.nodes[node.key].idle()

    def states(self) -> list[str]:
        return [row.state for row in reversed(self.alice.rows())]

    async def close(self) -> None:
        await self.stop()
        await self.world.close()
        for node in self.nodes:
            node.close()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    made.run()
    yield made
    await made.close()


async def contents(node: Node) -> list[bytes]:
    """The oldest first."""
    return [Path(file.path).read_bytes() for file in reversed(await node.files())]


async def test_it_waits_for_its_peer_and_arrives(scene: Scene) -> None:
    path = scene.file("model", os.urandom(2 * CHUNK))
    result = await scene.queue(path)
    assert (result.state, result.position, result.to, result.bytes) == ("queued", 1, "bob", 2 * CHUNK)
    (listed,) = scene.exchange.transfers().transfers
    assert (listed.state, listed.transfer, listed.bytes_done) == ("queued", result.transfer, 0)
    await asyncio.sleep(0.05)
    assert scene.states() == ["queued"]
    scene.doors.come(scene.bob.key)
    await scene.ended("done")
    assert await contents(scene.bob) == [path.read_bytes()]
    assert scene.alice.rows()[0].transfer == result.transfer
    assert scene.alice.entries("exchange.queued")
    assert scene.alice.entries("exchange.sent")
    assert scene.alice.around.queue.peers() == []


async def test_order_is_kept_for_each_peer(scene: Scene) -> None:
    for number in range(5):
        result = await scene.queue(scene.file(f"b{number}", b"b%d" % number))
        assert result.position == number + 1
    await scene.queue(scene.file("c", b"c"), "carol")
    scene.doors.come(scene.carol.key)
    await scene.until(lambda: scene.states()[-1] == "done")
    assert scene.states()[:5] == ["queued"] * 5
    scene.doors.come(scene.bob.key)
    await scene.ended(*["done"] * 6)
    assert await contents(scene.bob) == [b"b0", b"b1", b"b2", b"b3", b"b4"]
    assert await contents(scene.carol) == [b"c"]


async def test_what_waits_survives_a_restart(scene: Scene) -> None:
    for number in range(3):
        await scene.queue(scene.file(f"f{number}", b"%d" % number))
    await scene.restart()
    scene.doors.come(scene.bob.key)
    await scene.ended("done", "done", "done")
    assert await contents(scene.bob) == [b"0", b"1", b"2"]


async def test_what_was_on_its_way_when_the_node_stopped_goes_on(scene: Scene) -> None:
    content = os.urandom(6 * CHUNK)
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    def setup(wire: Wire) -> None:
        seen = 0

        def tamper(frame: bytes) -> bytes:
            nonlocal seen
            seen += frame[0] == Type.CHUNK
            if seen == 4:
                wire.room = 0
                loop.call_soon_threadsafe(reached.set)
            return frame

        wire.tamper = tamper

    scene.world.setup = setup
    await scene.queue(scene.file("model", content))
    scene.doors.come(scene.bob.key)
    await reached.wait()
    scene.world.setup = lambda _: None
    await scene.restart()
    await scene.ended("done")
    assert await contents(scene.bob) == [content]
    assert len(scene.bob.rows()) == 1
    assert scene.alice.entries("exchange.interrupted")


async def test_a_lost_link_is_tried_again(scene: Scene) -> None:
    content = os.urandom(3 * CHUNK)
    scene.world.setup = _breaks_twice()
    await scene.queue(scene.file("model", content))
    scene.doors.come(scene.bob.key)
    await scene.ended("done")
    assert await contents(scene.bob) == [content]


def _breaks_twice() -> Callable[[Wire], None]:
    left = iter((0, 4))

    def setup(wire: Wire) -> None:
        wire.cut_after = next(left, None)

    return setup


async def test_a_busy_peer_is_asked_again(scene: Scene) -> None:
    streams = [await occupied(scene, number) for number in range(limits.RECEIVING_AT_ONCE)]
    await scene.queue(scene.file("model", b"weights"))
    scene.doors.come(scene.bob.key)
    await scene.until(lambda: "too many" in scene.alice.rows()[0].problem)
    assert scene.states() == ["queued"]
    for stream in streams:
        stream.abort()
    await scene.ended("done")


async def occupied(scene: Scene, number: int) -> MemoryStream:
    """One of bob's places, taken by somebody else who is trusted."""
    stranger = Identity.generate().public
    scene.bob.trust.add(stranger, f"peer-{number}")
    stream = await MemoryNet(scene.world, stranger).dial(scene.bob.key, EXCHANGE_PORT, agreement=AGREEMENT)
    await stream.send(encode_message(offer_for([b"x"])))
    assert await stream.receive() is not None
    return stream


# ── the file ──────────────────────────────────────────────────────────────────────────────────────────


def rewritten(path: Path) -> None:
    path.write_bytes(b"other12")


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"weights")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


def linked_away(path: Path) -> None:
    secret = path.with_name("secret")
    path.rename(secret)
    path.symlink_to(secret)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (rewritten, "changed"),
        (replaced, "changed"),
        (linked_away, "changed"),
        (a_pipe, "changed"),
        (Path.unlink, "cannot be read"),
    ],
)
async def test_a_file_that_is_another_now_is_not_sent(
    scene: Scene, change: Callable[[Path], None], says: str
) -> None:
    path = scene.file("model", b"weights")
    await scene.queue(path)
    await scene.queue(scene.file("next", b"next"))
    await asyncio.sleep(0.05)
    change(path)
    scene.doors.come(scene.bob.key)
    await scene.ended("failed", "done")
    assert await contents(scene.bob) == [b"next"]
    assert says in scene.alice.rows()[1].problem
    assert scene.alice.entries("exchange.failed")


async def test_a_path_does_not_open_what_was_not_handed_over(scene: Scene) -> None:
    handed, other = scene.file("handed", b"mine"), scene.file("other", b"secret")
    folder = scene.folder / "shards"
    folder.mkdir()
    for path in (str(other), str(scene.folder), "/dev/zero"):
        for real in (handed, folder):
            with pytest.raises(FileChanged):
                await scene.queue(real, path=path)
    for path in ("handed", "", "./handed"):
        with pytest.raises(InvalidInput):
            await scene.queue(handed, path=path)
    for path in ("/nowhere/at/all", "/a\x00b"):
        with pytest.raises(FileUnusable):
            await scene.queue(handed, path=path)
    assert scene.states() == []


def shards(scene: Scene) -> Path:
    folder = scene.folder / "checkpoint"
    (folder / "below").mkdir(parents=True)
    (folder / "one.bin").write_bytes(b"one")
    (folder / "below" / "two.bin").write_bytes(b"two")
    return folder


async def test_a_folder_waits_too(scene: Scene) -> None:
    queued = await scene.queue(shards(scene))
    assert (queued.name, queued.bytes) == ("checkpoint", 6)
    await scene.restart()
    scene.doors.come(scene.bob.key)
    await scene.ended("done")
    (file,) = await scene.bob.files()
    assert {path.name: path.read_bytes() for path in Path(file.path).rglob("*.bin")} == {
        "one.bin": b"one",
        "two.bin": b"two",
    }


@pytest.mark.parametrize("change", ["write", "add", "remove", "rename", "replace"])
async def test_a_folder_that_changed_is_not_sent(scene: Scene, change: str) -> None:
    folder = shards(scene)
    await scene.queue(folder)
    await asyncio.sleep(
        0.05
    )  # a change leaves another time than what it changes, on kernels that count in ticks
    match change:
        case "write":
            before = (folder / "one.bin").stat()
            (folder / "one.bin").write_bytes(b"eno")
            os.utime(folder / "one.bin", ns=(before.st_atime_ns, before.st_mtime_ns))
        case "add":
            (folder / "below" / "three.bin").write_bytes(b"")
        case "remove":
            (folder / "one.bin").unlink()
        case "rename":
            (folder / "one.bin").rename(folder / "three.bin")
        case "replace":
            folder.rename(scene.folder / "away")
            shards(scene)
    scene.doors.come(scene.bob.key)
    await scene.restart()
    await scene.ended("failed")
    assert "changed after it was queued" in scene.alice.rows()[0].problem
    assert await scene.bob.files() == ()


async def test_what_cannot_be_sent_is_not_queued(scene: Scene) -> None:
    path = scene.file("model", b"weights")
    with pytest.raises(UntrustedPeer):
        await scene.queue(path, "dave")
    with pytest.raises(NameRefused):
        await scene.queue(path, name="../x")
    with pytest.raises(InvalidInput):
        await scene.queue(path, limit=5)
    (scene.folder / "linked").mkdir()
    (scene.folder / "linked" / "elsewhere").symlink_to("/etc")
    with pytest.raises(FileUnusable, match="symbolic link"):
        await scene.queue(scene.folder / "linked")
    assert scene.states() == []


async def test_the_queue_has_an_end(scene: Scene) -> None:
    path = scene.file("model", b"weights")
    for _ in range(limits.QUEUED_PER_PEER):
        result = await scene.queue(path)
    with pytest.raises(TooLarge, match="100 files wait"):
        await scene.queue(path)
    await scene.queue(path, "carol")
    await scene.exchange.cancel(CancelRequest(result.transfer))
    await scene.queue(path)


# ── the agreement, and the will ───────────────────────────────────────────────────────────────────────


async def test_nothing_is_sent_under_another_agreement(scene: Scene) -> None:
    await scene.queue(scene.file("model", b"weights"))
    scene.alice.trust.end(scene.bob.key)
    scene.alice.trust.add(scene.bob.key, "bob", agreement=OTHER_AGREEMENT)
    await scene.restart()
    scene.doors.come(scene.bob.key)
    await scene.ended("failed")
    assert "has ended" in scene.alice.rows()[0].problem
    assert await contents(scene.bob) == []


async def test_what_waits_is_cancelled_without_a_word_to_the_peer(scene: Scene) -> None:
    results = [await scene.queue(scene.file(f"f{number}", b"%d" % number)) for number in range(3)]
    done = await scene.exchange.cancel(CancelRequest(results[1].transfer))
    assert (done.state, done.told) == ("cancelled", True)
    scene.doors.come(scene.bob.key)
    await scene.ended("done", "cancelled", "done")
    assert await contents(scene.bob) == [b"0", b"2"]
    assert len(scene.bob.rows()) == 2


async def test_one_that_runs_is_cancelled_and_the_next_one_s_turn_comes(scene: Scene) -> None:
    path = scene.file("model", os.urandom(4 * CHUNK))
    first = await scene.queue(path, limit=limits.RATE_LEAST)
    await scene.queue(scene.file("next", b"next"))
    scene.doors.come(scene.bob.key)
    await scene.until(lambda: begun(scene))
    await scene.exchange.cancel(CancelRequest(first.transfer))
    await scene.ended("cancelled", "done")
    assert await contents(scene.bob) == [b"next"]
    assert [row.state for row in scene.bob.rows()] == ["done", "cancelled"]


async def test_who_was_away_is_told_of_a_cancellation_when_it_comes(scene: Scene) -> None:
    sending = asyncio.create_task(
        scene.alice.send("bob", scene.file("model", os.urandom(3 * CHUNK)), limit=limits.RATE_LEAST)
    )
    await scene.until(lambda: begun(scene))
    sending.cancel()
    await asyncio.wait([sending])
    await scene.until(lambda: scene.bob.rows()[0].state == "interrupted")
    bob = scene.world.nodes.pop(scene.bob.key)
    assert not (await scene.exchange.cancel(CancelRequest(scene.alice.rows()[0].transfer))).told
    scene.world.nodes[scene.bob.key] = bob
    await scene.restart()
    scene.doors.come(scene.bob.key)
    await scene.until(lambda: scene.bob.rows()[0].state == "cancelled")
    assert scene.bob.on_disk() == []


def begun(scene: Scene) -> bool:
    """Whether bob accepted what is on the newest wire, and alice knows."""
    return bool(scene.world.wires) and any(
        frame[:1] == bytes([Type.PAGE]) for frame in scene.world.wires[-1].carried
    )


@contextmanager
def descriptor_of(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_a_file_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"weights")
    with descriptor_of(path) as descriptor:
        identity = identity_of(os.fstat(descriptor))
    found = reopen(str(path), identity)
    assert os.read(found, 10) == b"weights"
    os.close(found)
