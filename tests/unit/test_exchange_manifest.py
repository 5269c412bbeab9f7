"""The manifest holds what was announced, nothing else, and its digest covers all of it."""

from __future__ import annotations

import hashlib

import pytest

from comity import limits
from comity.errors import LocalProtocolError, RemoteProtocolError, TooLarge
from comity.protocol.exchange.layout import equal_edges
from comity.protocol.exchange.manifest import Entry, Manifest, check_announced
from tests.exchanges import entry_for

PIECES = (b"one", b"twotwo", b"one")


def manifest(name: str = "m.bin", kind: str = "file", size: int = 12, chunks: int = 3) -> Manifest:
    return Manifest(kind=kind, name=name, size=size, chunks=chunks)


def filled(**changes: str) -> Manifest:
    made = manifest(**changes)  # type: ignore[arg-type]  # only names and kinds are varied
    for piece in PIECES:
        made.add(entry_for(piece))
    return made


def test_offsets_follow_lengths() -> None:
    made = filled()
    assert [made.offset(index) for index in range(4)] == [0, 3, 9, 12]
    assert [made.length(index) for index in range(3)] == [3, 6, 3]
    assert made.digest(2) == hashlib.sha256(b"one").digest()
    assert made.complete


def test_digest_is_the_documented_encoding() -> None:
    encoded = b"comity manifest v1\0" + b"\0\4file" + b"\0\5m.bin" + (12).to_bytes(8) + (3).to_bytes(8)
    for piece in PIECES:
        encoded += len(piece).to_bytes(4) + hashlib.sha256(piece).digest()
    assert filled().total_digest == "sha256:" + hashlib.sha256(encoded).hexdigest()


def test_digest_covers_name_and_kind() -> None:
    digests = {filled().total_digest, filled(name="m.bi").total_digest, filled(kind="fil").total_digest}
    assert len(digests) == 3


def test_digest_of_an_incomplete_manifest_is_a_bug() -> None:
    with pytest.raises(LocalProtocolError):
        _ = manifest().total_digest


@pytest.mark.parametrize("lengths", [(0,), (11,), (12,), (3, 9), (3, 6, 2), (3, 6, 4), (3, 6, 3, 1)])
def test_lengths_that_do_not_sum_are_refused(lengths: tuple[int, ...]) -> None:
    made = manifest()
    with pytest.raises(RemoteProtocolError):  # noqa: PT012  which entry is refused differs
        for length in lengths:
            made.add(Entry(length, bytes(32)))
        assert made.complete
    assert not made.complete or len(lengths) == 4


def test_a_chunk_over_the_bound_is_refused() -> None:
    made = manifest(size=limits.CHUNK_BYTES + 2, chunks=2)
    with pytest.raises(RemoteProtocolError):
        made.add(Entry(limits.CHUNK_BYTES + 1, bytes(32)))


@pytest.mark.parametrize(
    ("size", "chunks"), [(0, 1), (1, 0), (1, 2), (limits.CHUNK_BYTES + 1, 1), (2, 2**30), (2**60, 2**20)]
)
def test_announcements_that_cannot_be_are_refused(size: int, chunks: int) -> None:
    with pytest.raises((RemoteProtocolError, TooLarge)):
        check_announced(size, chunks)


@pytest.mark.parametrize("size", [0, 1, *(limits.CHUNK_BYTES * n + d for n in (1, 5) for d in (-1, 0, 1))])
def test_fixed_edges_cover_the_file(size: int) -> None:
    edges = list(equal_edges(size))
    assert len(edges) == len(equal_edges(size))
    assert sum(length for _, length in edges) == size
    check_announced(size, len(edges))
