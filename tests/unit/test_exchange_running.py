"""Running digests: every byte hashed once at each end, and chunks that can only come in order."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import msgspec
import pytest

from comity import limits
from comity.errors import VerificationFailed, VersionMismatch
from comity.protocol.exchange.events import (
    Admitted,
    ChunkArrived,
    ContentDigest,
    Failed,
    KeepChunk,
    Look,
    Looked,
    MessageReceived,
    ReceiverOutput,
    Send,
    VerifyContent,
)
from comity.protocol.exchange.manifest import CONTENT, RUNNING, Entry, Manifest
from comity.protocol.exchange.messages import (
    Accept,
    Close,
    Offer,
    Page,
    Range,
    Want,
    encode_message,
    parse_message,
)
from comity.protocol.exchange.receiver import Receiver
from comity.services.exchange.assembly import Assembly
from comity.storage.blobs_memory import MemoryBlobStore
from tests.exchanges import NOW, digest_of, offer_for

PIECES = [b"aaaa", b"aaaa", b"cc"]  # two that are equal: their running digests are not
WHOLE = b"".join(PIECES)
OFFER: Offer = msgspec.structs.replace(offer_for(PIECES), digests=RUNNING)
ENDS = (4, 8, 10)
ENTRIES = tuple(
    Entry(len(piece), hashlib.sha256(WHOLE[:end]).digest()) for piece, end in zip(PIECES, ENDS, strict=True)
)


def judged() -> Receiver:
    """It has nothing, and has asked for everything in one word."""
    machine = Receiver()
    machine.handle(MessageReceived(encode_message(OFFER)), NOW)
    (accept,) = machine.handle(Admitted(), NOW)
    assert isinstance(accept, Send)
    assert parse_message(accept.body) == Accept(transfer=OFFER.transfer, all=True, lanes=limits.LANES_MOST)
    assert machine.handle(MessageReceived(encode_message(Page(0, ENTRIES))), NOW) == []
    return machine


def test_what_was_begun_before_is_asked_for_by_page() -> None:
    machine = Receiver()
    machine.handle(MessageReceived(encode_message(OFFER)), NOW)
    (accept,) = machine.handle(Admitted(held=True), NOW)
    assert isinstance(accept, Send)
    assert parse_message(accept.body) == Accept(transfer=OFFER.transfer, lanes=limits.LANES_MOST)
    assert machine.handle(MessageReceived(encode_message(Page(0, ENTRIES))), NOW) == [Look(0, 3)]
    (want,) = machine.handle(Looked(frozenset({0})), NOW)
    assert isinstance(want, Send)
    assert parse_message(want.body) == Want(3, (Range(1, 2),))  # equal chunks are asked for, each


def arrive(machine: Receiver, index: int) -> list[ReceiverOutput]:
    entry = ENTRIES[index]
    return machine.handle(ChunkArrived(index, entry.length, entry.digest), NOW)


def manifest_digest() -> str:
    manifest = Manifest(kind="file", name=OFFER.name, size=10, chunks=3, digests=RUNNING)
    for entry in ENTRIES:
        manifest.add(entry)
    return manifest.total_digest


def test_chunks_in_order_are_written_and_verified() -> None:
    machine = judged()
    for index, offset in enumerate((0, 4, 8)):
        assert arrive(machine, index) == [KeepChunk(offset, len(PIECES[index]))]
    close = Close(digest=digest_of(WHOLE), manifest=manifest_digest())
    assert machine.handle(MessageReceived(encode_message(close)), NOW) == [VerifyContent()]
    (commit,) = machine.handle(ContentDigest(digest_of(WHOLE)), NOW)
    assert not isinstance(commit, Failed)


def test_a_chunk_out_of_turn_ends_it() -> None:
    machine = judged()
    assert isinstance(arrive(machine, 1)[-1], Failed)


def test_a_chunk_that_breaks_the_run_ends_it() -> None:
    machine = judged()
    failed = machine.handle(ChunkArrived(0, 4, hashlib.sha256(b"aaab").digest()), NOW)[-1]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, VerificationFailed)


def test_digests_of_an_unknown_kind_are_refused() -> None:
    machine = Receiver()
    offer = msgspec.structs.replace(OFFER, digests="blake3")
    failed = machine.handle(MessageReceived(encode_message(offer)), NOW)[-1]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, VersionMismatch)


def test_both_kinds_of_manifest_have_digests_of_their_own() -> None:
    one = Manifest(kind="file", name="f", size=4, chunks=1, digests=RUNNING)
    other = Manifest(kind="file", name="f", size=4, chunks=1, digests=CONTENT)
    for manifest in (one, other):  # the same single entry: it covers the same bytes either way
        manifest.add(replace(ENTRIES[0]))
    assert one.total_digest != other.total_digest


@pytest.mark.parametrize("digests", [CONTENT, RUNNING])
def test_an_assembly_hashes_as_the_manifest_does(digests: str) -> None:
    part = MemoryBlobStore().create("part", len(WHOLE))
    assembly = Assembly(part, len(WHOLE), RUNNING if digests == RUNNING else CONTENT)
    offset = 0
    for piece, entry in zip(PIECES, ENTRIES, strict=True):
        expected = entry.digest if digests == RUNNING else hashlib.sha256(piece).digest()
        assert assembly.take(offset, memoryview(piece), expected) == expected
        offset += len(piece)
    assert assembly.content_digest(lambda _: None) == digest_of(WHOLE)


@pytest.mark.parametrize("digests", [CONTENT, RUNNING])
def test_an_assembly_writes_nothing_else_than_was_promised(digests: str) -> None:
    part = MemoryBlobStore().create("part", 4)
    assembly = Assembly(part, 4, RUNNING if digests == RUNNING else CONTENT)
    wrong = hashlib.sha256(b"aaab").digest()
    assert assembly.take(0, memoryview(b"aaaa"), wrong) == hashlib.sha256(b"aaaa").digest()
    there = bytearray(4)
    part.read_into(0, memoryview(there))
    assert there == bytes(4)
