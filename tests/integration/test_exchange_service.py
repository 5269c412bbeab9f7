"""Two nodes exchange files over lanes in memory: what arrives, what is recorded, what is refused."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from comity import limits
from comity.control.exchange import Progress, ReceivedRequest, SendFileRequest
from comity.errors import (
    ComityError,
    Denied,
    DiskFull,
    FileChanged,
    FileUnusable,
    NameRefused,
    PeerRefused,
    PeerUnreachable,
    TimedOut,
    TooLarge,
    TransferFailed,
    UntrustedPeer,
    VerificationFailed,
)
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.protocol.exchange.messages import Type
from comity.protocol.statements import Receipt, open_statement
from comity.storage.blobs import BlobStore
from comity.storage.blobs_memory import MemoryBlobStore
from tests.exchange_nodes import REALM, Node, acquaint, opened
from tests.exchanges import AGREEMENT, OTHER_AGREEMENT
from tests.lanes import MemoryNet, Wire, World

CHUNK = limits.SMALL_CHUNK_BYTES


class Pair:
    def __init__(self, tmp_path: Path, bob_blobs: BlobStore | None = None, *, patience: float = 60.0) -> None:
        self.world = World()
        self.tmp_path = tmp_path
        self.alice = Node(tmp_path / "alice", "alice", self.net, patience=60.0)
        self.bob = Node(tmp_path / "bob", "bob", self.net, blobs=bob_blobs, patience=patience)
        acquaint(self.alice, self.bob)
        self.alice.exchange.start()
        self.bob.exchange.start()

    def net(self, key: PublicKey) -> MemoryNet:
        return MemoryNet(self.world, key)

    def bob_net(self) -> MemoryNet:
        return self.world.nodes[self.bob.key]

    def file(self, name: str, content: bytes) -> Path:
        path = self.tmp_path / name
        path.write_bytes(content)
        return path

    async def close(self) -> None:
        await self.world.close()
        self.alice.close()
        self.bob.close()


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    made = Pair(tmp_path)
    yield made
    await made.close()


@asynccontextmanager
async def with_bobs_disk(tmp_path: Path, blobs: BlobStore) -> AsyncIterator[Pair]:
    made = Pair(tmp_path, blobs)
    yield made
    await made.close()


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("size", [0, 1, CHUNK, 2 * CHUNK + 5])
async def test_a_file_arrives_with_its_evidence(pair: Pair, size: int) -> None:
    content = os.urandom(size)
    result = await pair.alice.send("bob", pair.file("weights.pt", content))
    await pair.bob_net().idle()
    (received,) = await pair.bob.files()
    assert Path(received.path).read_bytes() == content
    assert Path(received.path).parent.name == f"alice-{pair.alice.key.hex[:8]}"
    assert (received.name, received.bytes, received.digest) == ("weights.pt", size, digest(content))
    assert (received.from_, received.agreement) == ("alice", AGREEMENT)
    assert received.note == "may contain code that runs when loaded"
    assert (result.digest, result.bytes, result.bytes_sent) == (digest(content), size, size)
    assert (result.to, result.first_path, result.path) == ("bob", "direct", "direct")
    assert result.paths == {"direct": size}
    assert result.seconds >= 0
    sent, arrived = pair.alice.rows()[0], pair.bob.rows()[0]
    assert (sent.state, arrived.state) == ("done", "done")
    assert sent.envelope == arrived.envelope
    assert sent.envelope is not None
    envelope = Envelope.from_json(sent.envelope.encode())
    receipt = open_statement(
        envelope, Receipt, issuer=pair.bob.key, rendezvous=REALM, network=1, now=pair.alice.clock.now()
    )
    assert (receipt.digest, receipt.bytes, receipt.manifest) == (result.digest, size, result.manifest)
    assert envelope.digest == result.receipt == sent.receipt == arrived.receipt
    for node, kind in ((pair.alice, "exchange.sent"), (pair.bob, "exchange.received")):
        (entry,) = node.entries(kind)
        assert entry.digest == digest(content)
        assert entry.detail["receipt"] == result.receipt
        assert entry.detail["agreement"] == AGREEMENT
        assert (entry.detail["name"], entry.detail["bytes"]) == ("weights.pt", size)
    assert pair.bob.on_disk() == [f"received/alice-{pair.alice.key.hex[:8]}/weights.pt"]


async def test_equal_chunks_travel_once_and_holes_stay_holes(pair: Pair) -> None:
    path = pair.tmp_path / "sparse.bin"
    with path.open("wb") as file:
        file.write(b"head")
        file.truncate(12 * CHUNK)
    result = await pair.alice.send("bob", path)
    assert result.bytes == 12 * CHUNK
    assert result.bytes_sent == 2 * CHUNK
    (received,) = await pair.bob.files()
    assert received.digest == result.digest
    assert Path(received.path).stat().st_blocks * 512 <= 2 * CHUNK
    with path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == received.digest.removeprefix("sha256:")


async def test_a_second_file_of_a_name_gets_another_path(pair: Pair) -> None:
    for number in range(3):
        await pair.alice.send("bob", pair.file("round.bin", str(number).encode()))
    files = await pair.bob.files()
    assert [Path(file.path).name for file in files] == ["round.bin.3", "round.bin.2", "round.bin"]
    assert [Path(file.path).read_bytes() for file in files] == [b"2", b"1", b"0"]
    assert {file.name for file in files} == {"round.bin"}


async def test_many_transfers_at_once(pair: Pair) -> None:
    paths = [pair.file(f"file-{number}", os.urandom(1000 + number)) for number in range(10)]
    results = await asyncio.gather(
        *(pair.alice.send("bob", path) for path in paths),
        *(pair.bob.send("alice", path) for path in paths),
    )
    assert len({result.transfer for result in results}) == 20
    for node in (pair.alice, pair.bob):
        files = await node.files()
        assert {file.name: file.digest for file in files} == {
            path.name: digest(path.read_bytes()) for path in paths
        }


async def test_the_same_file_at_once_gets_several_names(pair: Pair) -> None:
    path = pair.file("same", b"content")
    await asyncio.gather(*(pair.alice.send("bob", path) for _ in range(4)))
    assert {Path(file.path).name for file in await pair.bob.files()} == {"same", "same.2", "same.3", "same.4"}


async def test_progress_is_told_on_the_loop(pair: Pair) -> None:
    seen: list[Progress] = []
    with opened(pair.file("big", os.urandom(3 * CHUNK))) as descriptor:
        request = SendFileRequest(peer="bob", name="big", file="")
        result = await pair.alice.exchange.send(request, descriptor, seen.append)
        os.fstat(descriptor)  # still the caller's
    await asyncio.sleep(0)
    assert seen[0].state == "connecting"
    assert {progress.state for progress in seen} <= {"connecting", "sending", "verifying"}
    assert all(progress.transfer == result.transfer for progress in seen)
    done = [progress.bytes_done for progress in seen]
    assert done == sorted(done)
    assert seen[-1].bytes == 3 * CHUNK


# ── what is refused before anything is dialled ────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a\x1b[2Jb", "", ".hidden"])
async def test_hostile_names_are_refused_here(pair: Pair, name: str) -> None:
    with pytest.raises(NameRefused):
        await pair.alice.send("bob", pair.file("f", b""), name)
    assert pair.world.wires == []


async def test_only_files_can_be_sent(pair: Pair) -> None:
    os.mkfifo(pair.tmp_path / "pipe")
    for unusable in (pair.tmp_path, pair.tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(FileUnusable):
            await pair.alice.send("bob", unusable, "name")
    with pytest.raises(FileUnusable):
        await pair.alice.send("bob", 10**6, "name")
    assert pair.world.wires == []


async def test_an_unreadable_descriptor_is_told(pair: Pair) -> None:
    descriptor = os.open(pair.file("f", b"content"), os.O_WRONLY)
    try:
        with pytest.raises(FileUnusable):
            await pair.alice.send("bob", descriptor, "name")
    finally:
        os.close(descriptor)
    await pair.bob_net().idle()
    assert pair.bob.on_disk() == []


async def test_a_file_beyond_the_bounds_is_refused(pair: Pair) -> None:
    path = pair.tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(limits.ARTIFACT_BYTES + 1)
    with pytest.raises(TooLarge):
        await pair.alice.send("bob", path)


async def test_strangers_get_nothing(pair: Pair) -> None:
    with pytest.raises(UntrustedPeer):
        await pair.alice.send("carol", pair.file("f", b""))


async def test_the_guard_is_asked_first(pair: Pair) -> None:
    pair.alice.trust.allow = ("events",)
    with pytest.raises(Denied):
        await pair.alice.send("bob", pair.file("f", b""))
    assert pair.world.wires == []
    (entry,) = [each for each in pair.alice.entries("decision") if each.decision == "deny"]
    assert (entry.operation, entry.detail["name"]) == ("send", "f")


# ── what the peer refuses ─────────────────────────────────────────────────────────────────────────────


async def refused(pair: Pair, kind: type[ComityError], content: bytes = b"content") -> ComityError:
    with pytest.raises(kind) as caught:
        await pair.alice.send("bob", pair.file("f", content))
    await pair.bob_net().idle()
    assert pair.bob.on_disk() == []
    (ours,) = pair.alice.entries("exchange.refused")
    (theirs,) = pair.bob.entries("exchange.refused")
    assert ours.reasons == (caught.value.message,)
    assert theirs.detail["name"] == "f"
    assert pair.alice.rows()[0].state == "failed"
    assert not [wire for wire in pair.world.wires if wire.lost]
    return caught.value


async def test_a_receiver_that_does_not_allow_it_says_why(pair: Pair) -> None:
    pair.bob.trust.allow = ("events",)
    error = await refused(pair, PeerRefused)
    assert "does not open the service exchange" in error.message


async def test_another_agreement_is_refused(pair: Pair) -> None:
    pair.bob.trust.add(pair.alice.key, "alice", OTHER_AGREEMENT)
    error = await refused(pair, PeerRefused)
    assert "another agreement" in error.message


async def test_an_artifact_without_room_is_refused_before_its_first_byte(tmp_path: Path) -> None:
    async with with_bobs_disk(tmp_path, MemoryBlobStore(limits.FREE_SPACE_MARGIN + 6)) as pair:
        error = await refused(pair, DiskFull)
        assert error.message == "the peer refused: it has no room for the file"
        assert "partner" in error.hint
        assert [frame[0] for frame in pair.world.wires[0].carried] == [Type.OFFER]
        await pair.alice.send("bob", pair.file("smaller", b"123456"))


async def test_an_unreachable_peer_is_recorded(pair: Pair) -> None:
    del pair.world.nodes[pair.bob.key]
    with pytest.raises(PeerUnreachable):
        await pair.alice.send("bob", pair.file("f", b""))
    (entry,) = pair.alice.entries("exchange.failed")
    assert entry.detail["code"] == "peer_unreachable"


async def test_a_refused_stream_is_recorded(pair: Pair) -> None:
    pair.bob_net().refusing = PeerRefused("the peer refused: not approved")
    with pytest.raises(PeerRefused):
        await pair.alice.send("bob", pair.file("f", b""))
    assert len(pair.alice.entries("exchange.refused")) == 1


# ── what goes wrong under way ─────────────────────────────────────────────────────────────────────────


class Filling(MemoryBlobStore):
    """A disk that others fill up meanwhile."""

    def free_bytes(self) -> int:
        return 2**40

    def take(self, size: int) -> None:
        if self.capacity < size:
            raise DiskFull("no space left for /home/bob/secret")
        self.capacity -= size


async def test_a_disk_that_fills_up_is_told_to_the_sender(tmp_path: Path) -> None:
    blobs = Filling(capacity=CHUNK)
    async with with_bobs_disk(tmp_path, blobs) as pair:
        with pytest.raises(DiskFull) as caught:
            await pair.alice.send("bob", pair.file("f", os.urandom(3 * CHUNK)))
        await pair.bob_net().idle()
        assert caught.value.message == "the peer gave up: it has no room for the file"
        assert blobs.parts() == ()
        (entry,) = pair.bob.entries("exchange.failed")
        assert "secret" in entry.reasons[0]
        assert not pair.world.wires[0].lost


def rig(pair: Pair, kind: Type, count: int, action: Callable[[bytes], object]) -> None:
    """Do something when the next dialler's ``count``-th frame of this type travels."""
    seen = 0

    def tamper(frame: bytes) -> bytes:
        nonlocal seen
        if frame[0] == kind:
            seen += 1
            if seen == count:
                changed = action(frame)
                return changed if isinstance(changed, bytes) else frame
        return frame

    def setup(wire: Wire) -> None:
        wire.tamper = tamper

    pair.world.setup = setup


@pytest.mark.parametrize("kind", [Type.PAGE, Type.CHUNK, Type.CLOSE])
async def test_a_file_that_changes_under_way_is_noticed(pair: Pair, kind: Type) -> None:
    path = pair.file("f", os.urandom(24 * CHUNK))

    def write(_: bytes) -> None:
        with path.open("r+b") as file:
            file.seek(23 * CHUNK + 5)
            file.write(b"changed")

    rig(pair, kind, 1, write)
    if kind is Type.CLOSE:  # too late to matter: everything was read
        await pair.alice.send("bob", path)
        return
    with pytest.raises(FileChanged):
        await pair.alice.send("bob", path)
    await pair.bob_net().idle()
    assert pair.bob.on_disk() == []
    assert await pair.bob.files() == ()


async def test_a_file_that_shrinks_is_noticed(pair: Pair) -> None:
    path = pair.file("f", os.urandom(40 * CHUNK // 2))
    rig(pair, Type.PAGE, 1, lambda _: os.truncate(path, 10))
    with pytest.raises(FileChanged):
        await pair.alice.send("bob", path)
    await pair.bob_net().idle()
    assert pair.bob.on_disk() == []


async def test_a_file_that_vanishes_arrives_all_the_same(pair: Pair) -> None:
    content = os.urandom(2 * CHUNK)
    path = pair.file("f", content)
    rig(pair, Type.PAGE, 1, lambda _: path.unlink())
    result = await pair.alice.send("bob", path)
    assert result.digest == digest(content)


async def test_a_changed_byte_is_never_kept(pair: Pair) -> None:
    def flip(frame: bytes) -> bytes:
        return frame[:-1] + bytes([frame[-1] ^ 1])

    rig(pair, Type.CHUNK, 1, flip)
    with pytest.raises(VerificationFailed):
        await pair.alice.send("bob", pair.file("f", os.urandom(100)))
    await pair.bob_net().idle()
    assert pair.bob.on_disk() == []
    (entry,) = pair.bob.entries("exchange.failed")
    assert entry.detail["code"] == "verification_failed"


@pytest.mark.parametrize("cut_after", range(14))
async def test_a_link_lost_anywhere_leaves_no_partial_file(pair: Pair, cut_after: int) -> None:
    content = os.urandom(CHUNK + 10)

    def setup(wire: Wire) -> None:
        wire.cut_after = cut_after

    pair.world.setup = setup
    try:
        await pair.alice.send("bob", pair.file("f", content))
        problem = ""
    except TransferFailed as error:
        problem = error.message
    await pair.bob_net().idle()
    files = await pair.bob.files()
    assert all(Path(file.path).read_bytes() == content for file in files)
    visible = [path for path in pair.bob.on_disk() if path.startswith("received/")]
    assert visible == [Path(file.path).relative_to(pair.bob.home).as_posix() for file in files]
    assert "the link to bob was lost" in problem or files
    assert {row.state for row in pair.alice.rows()} <= {"done", "failed", "interrupted"}
    assert {row.state for row in pair.bob.rows()} <= {"done", "interrupted"}
    assert len(pair.bob.entries("exchange.received")) == len(files)


async def test_a_revocation_under_way_ends_both_sides(pair: Pair) -> None:
    loop = asyncio.get_running_loop()

    def revoke(_: bytes) -> None:
        pair.world.wires[-1].room = 0  # nothing more travels before the loop has come to it
        loop.call_soon_threadsafe(pair.bob.trust.end, pair.alice.key)
        loop.call_soon_threadsafe(pair.alice.trust.end, pair.bob.key)
        loop.call_soon_threadsafe(pair.bob.network.drop, pair.alice.key)

    rig(pair, Type.CHUNK, 2, revoke)
    with pytest.raises(TransferFailed) as caught:
        await pair.alice.send("bob", pair.file("f", os.urandom(20 * CHUNK)))
    assert "the agreement with bob ended" in caught.value.message
    await pair.bob_net().idle()
    assert pair.bob.on_disk() == []
    assert "the agreement with alice ended" in pair.bob.entries("exchange.failed")[0].reasons[0]


async def test_an_agreement_that_ends_before_the_commit_yields_nothing(pair: Pair) -> None:
    loop = asyncio.get_running_loop()
    rig(pair, Type.CLOSE, 1, lambda _: loop.call_soon_threadsafe(pair.bob.trust.end, pair.alice.key))
    with pytest.raises(TransferFailed) as caught:
        await pair.alice.send("bob", pair.file("f", b"content"))
    assert "agreement ended" in caught.value.message
    await pair.bob_net().idle()
    assert pair.bob.on_disk() == []


async def test_a_cancelled_send_leaves_nothing_visible(pair: Pair) -> None:
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stick(_: bytes) -> None:
        pair.world.wires[-1].room = 0  # it must not be done before it is cancelled
        loop.call_soon_threadsafe(started.set)

    rig(pair, Type.CHUNK, 1, stick)
    sending = asyncio.create_task(pair.alice.send("bob", pair.file("f", os.urandom(30 * CHUNK))))
    await started.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await pair.bob_net().idle()
    assert await pair.bob.files() == ()
    assert [path.split("/")[0] for path in pair.bob.on_disk()] == ["incoming"]
    assert pair.alice.rows()[0].problem == "it was interrupted here"


async def test_an_offer_that_never_comes_is_not_waited_for(tmp_path: Path) -> None:
    pair = Pair(tmp_path, patience=0.2)
    stream = await pair.alice.network.dial(pair.bob.key, 1001)
    await pair.bob_net().idle()
    assert isinstance(pair.bob_net().handled[0], TimedOut)
    stream.abort()
    await pair.close()


# ── received and transfers ────────────────────────────────────────────────────────────────────────────


async def test_received_waits_for_a_name(pair: Pair) -> None:
    waiting = asyncio.create_task(pair.bob.exchange.received(ReceivedRequest(wait="late", timeout=60)))
    await pair.alice.send("bob", pair.file("early", b"1"))
    await asyncio.sleep(0)
    assert not waiting.done()
    await pair.alice.send("bob", pair.file("late", b"2"))
    (file,) = (await waiting).files
    assert file.name == "late"
    again = await pair.bob.exchange.received(ReceivedRequest(wait="late", timeout=0))
    assert again.files == (file,)


async def test_received_gives_up_in_time(pair: Pair) -> None:
    for timeout in (0.0, 0.05):
        with pytest.raises(TimedOut):
            await pair.bob.exchange.received(ReceivedRequest(wait="never\x1b", timeout=timeout))


async def test_received_lists_what_is_still_there(pair: Pair) -> None:
    await pair.alice.send("bob", pair.file("moved", b"1"))
    await pair.alice.send("bob", pair.file("kept", b"2"))
    moved, kept = sorted(await pair.bob.files(), key=lambda file: file.name != "moved")
    Path(moved.path).unlink()
    assert await pair.bob.files() == (kept,)
    with pytest.raises(TimedOut):
        await pair.bob.exchange.received(ReceivedRequest(wait="moved", timeout=0))


async def test_received_is_asked_by_peer(pair: Pair) -> None:
    await pair.alice.send("bob", pair.file("f", b"1"))
    fingerprint = str(pair.alice.key.fingerprint)
    for named in ("alice", fingerprint, "1:0001.0000.0010", f"comity:alice@127.0.0.1:7000#{fingerprint}"):
        assert len((await pair.bob.exchange.received(ReceivedRequest(peer=named))).files) == 1
    for other in ("carol", "00" * 32):
        assert (await pair.bob.exchange.received(ReceivedRequest(peer=other))).files == ()


async def test_transfers_are_listed_in_both_directions(pair: Pair) -> None:
    done = await pair.alice.send("bob", pair.file("f", b"content"))
    pair.bob.trust.allow = ()
    with pytest.raises(PeerRefused):
        await pair.alice.send("bob", pair.file("g", b"content"))
    failed, sent = pair.alice.exchange.transfers().transfers
    assert (sent.direction, sent.state, sent.bytes_done, sent.peer) == ("out", "done", 7, "bob")
    assert (sent.receipt, sent.digest, sent.path) == (done.receipt, done.digest, "direct")
    assert (failed.state, failed.receipt) == ("failed", None)
    assert "refused" in failed.problem
    (came,) = pair.bob.exchange.transfers().transfers
    assert (came.direction, came.state, came.bytes_done, came.peer) == ("in", "done", 7, "alice")


async def test_running_transfers_show_how_far_they_are(pair: Pair) -> None:
    loop = asyncio.get_running_loop()
    reached = asyncio.Event()
    rig(pair, Type.CHUNK, 10, lambda _: loop.call_soon_threadsafe(reached.set))
    sending = asyncio.create_task(pair.alice.send("bob", pair.file("f", os.urandom(12 * CHUNK))))
    await reached.wait()
    (running,) = pair.alice.exchange.transfers().transfers
    assert running.state in ("running", "done")
    assert running.bytes_done > 0
    await sending
