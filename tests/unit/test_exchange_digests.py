"""A transfer's running digests: each attempt goes on where the one before ended, and reads what it must."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity.errors import FileChanged
from comity.protocol.exchange.events import ContentHashed, Hashed, Trouble
from comity.protocol.exchange.layout import Edges
from comity.protocol.exchange.manifest import CONTENT, RUNNING, Digests
from comity.services.exchange.content import Content
from comity.services.exchange.hashing import Hasher, HashEvent
from comity.services.exchange.planning import Plan
from comity.services.exchange.running_digests import RunningDigests

CHUNK = 1000
SIZE = 7 * CHUNK + 5


class Counted(Content):
    """Counts what is read of it."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self.bytes_read = 0

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.bytes_read += len(buffer)
        super().read_into(offset, buffer)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "model.bin"
    made.write_bytes(os.urandom(SIZE))
    return made


@pytest.fixture
def content(path: Path) -> Iterator[Counted]:
    opened = os.open(path, os.O_RDWR)
    yield Counted(opened)
    os.close(opened)


def hasher_of(content: Content, digests: RunningDigests, kind: Digests = RUNNING) -> Hasher:
    return Hasher(content, Plan(kind, Edges(content.size, CHUNK)), digests)


def run(hasher: Hasher, most: int = 1000, *, all_wanted: bool = False) -> list[HashEvent]:
    """Its first events."""
    worker = threading.Thread(target=hasher.run, args=(all_wanted,))
    worker.start()
    found: list[HashEvent] = []
    while len(found) < most and (not found or isinstance(found[-1], Hashed)):
        event = hasher.next(10)
        assert event is not None
        found.append(event)
    hasher.stop()
    worker.join(10)
    assert not worker.is_alive()
    return found


def test_a_second_attempt_reads_nothing_that_is_hashed(path: Path, content: Counted) -> None:
    digests = RunningDigests(content)
    first = run(hasher_of(content, digests))
    assert first[-1] == ContentHashed("sha256:" + hashlib.sha256(path.read_bytes()).hexdigest())
    assert content.bytes_read == SIZE
    assert run(hasher_of(content, digests)) == first
    assert content.bytes_read == SIZE


@pytest.mark.parametrize("before", [1, 3, 8])
def test_hashing_goes_on_where_it_ended(content: Counted, before: int) -> None:
    whole = run(hasher_of(content, RunningDigests(content)))
    content.bytes_read = 0
    digests = RunningDigests(content)
    run(hasher_of(content, digests), most=before)
    assert len(digests) >= before
    assert run(hasher_of(content, digests)) == whole
    assert content.bytes_read == SIZE


def test_what_is_hashed_is_read_ahead_where_all_of_it_is_wanted(path: Path, content: Counted) -> None:
    digests = RunningDigests(content)
    first = run(hasher_of(content, digests))
    hasher = hasher_of(content, digests)
    worker = threading.Thread(target=hasher.run, args=(True,))
    worker.start()
    for number, expected in enumerate(first[:-1]):
        assert hasher.next(10) == expected
        piece = hasher.take(number * CHUNK, min(CHUNK, SIZE - number * CHUNK))
        assert piece is not None
        assert bytes(piece) == path.read_bytes()[number * CHUNK : (number + 1) * CHUNK]
        hasher.give_back()
    assert hasher.next(10) == first[-1]
    worker.join(10)


def test_a_file_that_changed_between_two_attempts_is_noticed(content: Counted) -> None:
    digests = RunningDigests(content)
    run(hasher_of(content, digests))
    descriptor = content._descriptor
    os.pwrite(descriptor, b"x", 0)
    os.utime(descriptor, (1, 1))
    last = run(hasher_of(content, digests))[-1]
    assert isinstance(last, Trouble)
    assert isinstance(last.error, FileChanged)


def test_digests_of_content_begin_anew(content: Counted) -> None:
    digests = RunningDigests(content)
    for _ in range(2):
        run(hasher_of(content, digests, CONTENT))
    assert content.bytes_read == 2 * SIZE
    assert len(digests) == 0
