"""Fuzzed conversations with a real inbox and a real outbox: only clear errors, and nothing partial is left.

Each example is a whole transfer of a file or a folder in which one or a few frames are damaged, swapped,
repeated, dropped or made up. ``COMITY_FUZZ`` says how many examples.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comity.errors import ComityError, LinkLost
from comity.identity.keys import Identity
from comity.protocol.exchange.listing import LISTING_HEADER, Listing
from comity.protocol.exchange.messages import (
    FILE,
    FOLDER,
    Accept,
    Close,
    Offer,
    Page,
    Range,
    SignedReceipt,
    Want,
    chunk_header,
    encode_message,
    manifest_of,
    parse_message,
)
from comity.protocol.hello import EXCHANGE_PORT
from comity.transport.interface import Stream
from tests.exchange_nodes import Node
from tests.exchanges import AGREEMENT, digest_of, entry_for, signed_receipt
from tests.integration.test_exchange_hostile import Scene
from tests.lanes import MemoryNet, World

EXAMPLES = int(os.environ.get("COMITY_FUZZ", "40"))
PIECES = (b"first", b"second", b"third one")
WHOLE = b"".join(PIECES)
LISTING = Listing([("a", 5), ("b/c", 6), ("d", 9), ("e", -1), ("f", 0)])

Edit = tuple[str, int, int, bytes]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "drop", "repeat", "swap", "insert"]),
        st.integers(0, 7),
        st.integers(0, 2000),
        st.binary(max_size=40),
    ),
    min_size=1,
    max_size=3,
)


def conversation(kind: str) -> list[bytes]:
    """All that an honest sender says."""
    before = LISTING.encoded if kind == FOLDER else b""
    offer = Offer(
        transfer="7a" * 16,
        nonce="0f" * 32,
        kind=kind,
        name="model",
        bytes=len(WHOLE),
        chunks=len(PIECES),
        agreement=AGREEMENT,
        charter=None,
        listing=LISTING.digest if kind == FOLDER else None,
        items=len(LISTING.items) if kind == FOLDER else 0,
    )
    manifest = manifest_of(offer)
    entries = tuple(map(entry_for, PIECES))
    for entry in entries:
        manifest.add(entry)
    frames = [encode_message(offer)]
    if kind == FOLDER:
        frames.append(LISTING_HEADER + LISTING.encoded)
    frames.append(encode_message(Page(0, entries)))
    frames += [chunk_header(index) + piece for index, piece in enumerate(PIECES)]
    frames.append(encode_message(Close(digest=digest_of(before + WHOLE), manifest=manifest.total_digest)))
    return frames


def damaged(frames: list[bytes], edits: Sequence[Edit]) -> list[bytes]:
    for how, at, where, extra in edits:
        at %= len(frames)
        frame = bytearray(frames[at])
        if how == "flip" and frame:
            frame[where % len(frame)] ^= 1 + where % 255
            frames[at] = bytes(frame)
        elif how == "cut":
            frames[at] = bytes(frame[: where % (len(frame) + 1)]) + extra
        elif how == "drop" and len(frames) > 1:
            del frames[at]
        elif how == "repeat":
            frames.insert(at, bytes(frame))
        elif how == "swap":
            other = where % len(frames)
            frames[at], frames[other] = frames[other], frames[at]
        elif how == "insert":
            frames.insert(at, extra)
    return frames


def content_at(path: Path) -> bytes:
    if path.is_file():
        return path.read_bytes()
    return b"".join((path / name).read_bytes() for name, length in LISTING.items if length >= 0)


async def say_all(stream: Stream, frames: list[bytes], patience: float = 0.3) -> None:
    """Speak, and listen, so that nobody waits for room; for the answers ``patience`` seconds at most."""
    listening = asyncio.create_task(_listen(stream))
    try:
        for frame in frames:
            await stream.send(frame)
        await asyncio.wait([listening], timeout=patience)
    except (LinkLost, ComityError):
        pass
    finally:
        stream.abort()
        listening.cancel()
        await asyncio.wait([listening])


async def _listen(stream: Stream) -> None:
    try:
        while await stream.receive() is not None:
            pass
    except ComityError:
        return


async def received_from(frames: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder))
        try:
            await say_all(await scene.dial(), frames)
            await scene.world.nodes[scene.bob.key].idle()
            rows = scene.bob.rows()
            assert all(row.state in ("done", "failed", "interrupted") for row in rows)
            visible = list((scene.bob.home / "received").glob("*/*"))
            assert len(visible) == sum(row.state == "done" for row in rows)
            for path in visible:
                assert content_at(path) == WHOLE
            # What a lost link left may go on; what was found to be wrong is gone.
            parts = list((scene.bob.home / "incoming").iterdir())
            assert len(parts) == sum(row.state == "interrupted" for row in rows)
        finally:
            await scene.close()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([FILE, FOLDER]), EDITS)
def test_whatever_a_sender_says(kind: str, edits: list[Edit]) -> None:
    asyncio.run(received_from(damaged(conversation(kind), edits)))


@settings(max_examples=4, deadline=None)
@given(st.sampled_from([FILE, FOLDER]))
def test_what_is_not_damaged_arrives(kind: str) -> None:
    async def arrives() -> None:
        with tempfile.TemporaryDirectory() as folder:
            scene = Scene(Path(folder))
            try:
                await say_all(await scene.dial(), conversation(kind), patience=60)
                await scene.world.nodes[scene.bob.key].idle()
                assert [row.state for row in scene.bob.rows()] == ["done"]
            finally:
                await scene.close()

    asyncio.run(arrives())


# ── a receiver's words ────────────────────────────────────────────────────────────────────────────────


async def answered_with(edits: list[Edit]) -> None:
    """Alice sends to who answers with damaged frames; a receipt that doesn't verify is no receipt."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        path.write_bytes(WHOLE)
        world = World()
        alice = Node(Path(folder) / "alice", "alice", lambda key: MemoryNet(world, key), patience=1.0)
        try:
            await _answer(world, alice, path, edits)
        finally:
            await world.close()
            alice.close()


async def _answer(world: World, alice: Node, path: Path, edits: list[Edit]) -> None:
    mallory = Identity.generate()
    net = MemoryNet(world, mallory.public)
    alice.trust.add(mallory.public, "mallory")
    alice.exchange.start()

    async def serve(stream: Stream) -> None:
        offer = parse_message(await stream.receive() or b"")
        assert isinstance(offer, Offer)
        receipt = signed_receipt(offer, digest_of(b""), digest_of(WHOLE))
        frames = damaged(
            [
                encode_message(Accept(transfer=offer.transfer)),
                encode_message(Want(1, (Range(0, 1),))),
                encode_message(SignedReceipt(receipt)),
            ],
            edits,
        )
        await say_all(stream, frames)

    net.serve(EXCHANGE_PORT, serve)
    try:
        await alice.send("mallory", path)
    except ComityError:
        assert alice.rows()[0].state in ("failed", "interrupted")
        assert alice.rows()[0].receipt is None
        return
    raise AssertionError("a receipt by a stranger was accepted")


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EDITS)
def test_whatever_a_receiver_says(edits: list[Edit]) -> None:
    asyncio.run(answered_with(edits))
