"""Whatever order chunks come in, what is assembled and its digest are the artifact's."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.errors import LocalProtocolError
from comity.services.exchange.assembly import Assembly
from comity.storage.blobs_memory import MemoryBlobStore

PIECES = st.lists(st.sampled_from([b"\0\0\0", b"aa", b"bbbb", b"\0a", b"c"]), max_size=20)


@given(PIECES, st.data())
def test_any_order_yields_the_whole(pieces: list[bytes], data: st.DataObject) -> None:
    content = b"".join(pieces)
    offsets = [sum(map(len, pieces[:index])) for index in range(len(pieces))]
    store = MemoryBlobStore()
    part = store.create("part", len(content))
    assembly = Assembly(part, len(content))
    placed: dict[bytes, int] = {}
    for index in data.draw(st.permutations(range(len(pieces)))):
        piece = pieces[index]
        if piece in placed:
            assembly.copy(placed[piece], offsets[index], len(piece))
        else:
            assembly.take(offsets[index], memoryview(piece), hashlib.sha256(piece).digest())
            placed[piece] = offsets[index]
    told: list[int] = []
    assert assembly.content_digest(told.append) == "sha256:" + hashlib.sha256(content).hexdigest()
    assert told == sorted(told)
    store.publish("part", "peer", "file")
    assert store.content("peer", "file") == content


def test_a_gap_is_a_bug() -> None:
    assembly = Assembly(MemoryBlobStore().create("part", 10), 10)
    assembly.take(5, memoryview(b"56789"), hashlib.sha256(b"56789").digest())
    with pytest.raises(LocalProtocolError):
        assembly.content_digest(lambda _: None)
