"""What was hashed is remembered: while the file is the same, up to a bound, and never against the file."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity import limits
from comity.clock import SystemClock
from comity.errors import FileChanged
from comity.protocol.exchange.events import ContentHashed, Hashed, Trouble
from comity.protocol.exchange.layout import equal_edges
from comity.protocol.exchange.manifest import CONTENT, RUNNING, Digests
from comity.services.exchange.content import Content
from comity.services.exchange.hashes import Begun, Hashes
from comity.services.exchange.hashing import Hasher, HashEvent
from comity.services.exchange.planning import Plan

CHUNK = 1000
LATER = 2e10  # seconds UTC: long after any file here was written


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
    made.write_bytes(os.urandom(7 * CHUNK + 5))
    return made


@pytest.fixture
def descriptor(path: Path) -> Iterator[int]:
    opened = os.open(path, os.O_RDWR)
    yield opened
    os.close(opened)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> Hashes:
    """For files that were written a moment ago."""
    monkeypatch.setattr(limits, "HASHES_SETTLED", -60.0)
    return Hashes()


def hasher_of(content: Content, hashes: Hashes, digests: Digests = RUNNING) -> Hasher:
    return Hasher(content, Plan(digests, equal_edges(content.size, CHUNK)), hashes, SystemClock())


def run(hasher: Hasher, most: int = 1000) -> list[HashEvent]:
    """Its first events."""
    worker = threading.Thread(target=hasher.run)
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


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def test_the_second_time_nothing_is_read(path: Path, descriptor: int, hashes: Hashes) -> None:
    first = run(hasher_of(Content(descriptor), hashes))
    content = Counted(descriptor)
    again = hasher_of(content, hashes)
    assert run(again) == first
    assert again.recalled
    assert content.bytes_read == 0
    assert first[-1] == ContentHashed(digest(path.read_bytes()))


def test_what_is_known_is_read_ahead_where_all_of_it_is_wanted(
    path: Path, descriptor: int, hashes: Hashes
) -> None:
    first = run(hasher_of(Content(descriptor), hashes))
    hasher = hasher_of(Content(descriptor), hashes)
    worker = threading.Thread(target=hasher.run, args=(True,))
    worker.start()
    for number, expected in enumerate(first[:-1]):
        assert hasher.next(10) == expected
        piece = hasher.take(number * CHUNK, min(CHUNK, 7 * CHUNK + 5 - number * CHUNK))
        assert piece is not None
        assert bytes(piece) == path.read_bytes()[number * CHUNK : (number + 1) * CHUNK]
        hasher.give_back()
    assert hasher.next(10) == first[-1]
    worker.join(10)


@pytest.mark.parametrize("before", [1, 3, 8])
def test_hashing_goes_on_where_it_ended(path: Path, descriptor: int, hashes: Hashes, before: int) -> None:
    whole = run(hasher_of(Content(descriptor), Hashes()))
    run(hasher_of(Content(descriptor), hashes), most=before)
    content = Counted(descriptor)
    assert run(hasher_of(content, hashes)) == whole
    assert content.bytes_read <= content.size - before * CHUNK + CHUNK
    assert whole[-1] == ContentHashed(digest(path.read_bytes()))


def test_two_may_go_on_from_the_same(descriptor: int, hashes: Hashes) -> None:
    run(hasher_of(Content(descriptor), hashes), most=2)
    one, other = hasher_of(Content(descriptor), hashes), hasher_of(Content(descriptor), hashes)
    run(one, most=4)
    assert run(other) == run(hasher_of(Content(descriptor), Hashes()))


def test_a_file_that_was_written_to_is_hashed_again(path: Path, descriptor: int, hashes: Hashes) -> None:
    run(hasher_of(Content(descriptor), hashes))
    os.pwrite(descriptor, b"x" * CHUNK, CHUNK)
    os.utime(descriptor, (1, 1))
    again = hasher_of(Content(descriptor), hashes)
    assert run(again)[-1] == ContentHashed(digest(path.read_bytes()))
    assert not again.recalled


def test_a_file_that_changes_under_it_is_noticed_although_its_hashes_are_known(
    descriptor: int, hashes: Hashes
) -> None:
    run(hasher_of(Content(descriptor), hashes))
    content = Content(descriptor)
    hasher = hasher_of(content, hashes)
    os.pwrite(descriptor, b"x", 0)
    os.utime(descriptor, (1, 1))
    last = run(hasher)[-1]
    assert isinstance(last, Trouble)
    assert isinstance(last.error, FileChanged)


def test_what_was_written_a_moment_ago_is_not_remembered(descriptor: int) -> None:
    hashes = Hashes()
    run(hasher_of(Content(descriptor), hashes))
    again = hasher_of(Content(descriptor), hashes)
    run(again)
    assert not again.recalled


def test_digests_of_content_are_not_remembered(descriptor: int, hashes: Hashes) -> None:
    run(hasher_of(Content(descriptor), hashes, CONTENT))
    content = Counted(descriptor)
    run(hasher_of(content, hashes, CONTENT))
    assert content.bytes_read == content.size


def begun(content: Content, chunks: int) -> Begun:
    made = Begun.of(content)
    for number in range(chunks):
        made.add(memoryview(b"%d" % number))
    return made


def contents(folder: Path, count: int) -> list[Content]:
    made = []
    for number in range(count):
        (folder / str(number)).write_bytes(bytes(number))
        made.append(Content(os.open(folder / str(number), os.O_RDONLY)))
    return made


def test_there_is_a_bound_and_the_longest_unused_goes(tmp_path: Path) -> None:
    hashes, files = Hashes(most=10), contents(tmp_path, 4)
    for file in files[:3]:
        hashes.keep(file, begun(file, 3), LATER)
    assert [len(hashes.begin(file)) for file in files] == [3, 3, 3, 0]
    hashes.begin(files[0])
    hashes.keep(files[3], begun(files[3], 4), LATER)
    assert [len(hashes.begin(file)) for file in files] == [3, 0, 3, 4]
    hashes.keep(files[1], begun(files[1], 11), LATER)
    assert len(hashes.begin(files[1])) == 0
    hashes.keep(files[1], begun(files[1], 10), LATER)
    assert [len(hashes.begin(file)) for file in files] == [0, 10, 0, 0]


def test_more_is_kept_and_less_is_not(tmp_path: Path) -> None:
    hashes, (file,) = Hashes(), contents(tmp_path, 1)
    for chunks, known in ((2, 2), (5, 5), (3, 5)):
        hashes.keep(file, begun(file, chunks), LATER)
        assert len(hashes.begin(file)) == known
    hashes.forget(file)
    hashes.forget(file)
    assert len(hashes.begin(file)) == 0
    hashes.keep(file, begun(file, 1), file.changed)  # as if it had been written just now
    assert len(hashes.begin(file)) == 0


def test_what_was_handed_out_changes_nothing_that_is_kept(tmp_path: Path) -> None:
    hashes, (file,) = Hashes(), contents(tmp_path, 1)
    kept = begun(file, 2)
    hashes.keep(file, kept, LATER)
    kept.add(memoryview(b"more"))
    hashes.begin(file).add(memoryview(b"else"))
    assert hashes.begin(file).whole() == begun(file, 2).whole()
    assert hashes.begin(file).digest(1) == begun(file, 2).digest(1)
