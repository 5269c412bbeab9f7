"""The file that is sent: what can be read, what changed, and hashing ahead in a thread."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from comity import limits
from comity.errors import FileChanged, FileUnusable
from comity.protocol.exchange.events import ContentHashed, Hashed, Trouble
from comity.protocol.exchange.layout import equal_edges
from comity.protocol.exchange.manifest import CONTENT, RUNNING, Digests, Entry
from comity.services.exchange.content import Content
from comity.services.exchange.hashing import Hasher, HashEvent
from comity.services.exchange.planning import Plan
from comity.services.exchange.running_digests import RunningDigests

CHUNK = limits.SMALL_CHUNK_BYTES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_bytes(b"0123456789")
    return made


@pytest.fixture
def content(path: Path) -> Iterator[Content]:
    descriptor = os.open(path, os.O_RDONLY)
    yield Content(descriptor)
    os.close(descriptor)


def hasher_of(content: Content, digests: Digests = RUNNING) -> Hasher:
    return Hasher(content, Plan(digests, equal_edges(content.size)), RunningDigests(content))


def read(content: Content, offset: int, length: int) -> bytes:
    buffer = bytearray(length)
    content.read_into(offset, memoryview(buffer))
    return bytes(buffer)


def test_reading_leaves_the_callers_position_alone(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.lseek(descriptor, 3, os.SEEK_SET)
    made = Content(descriptor)
    assert made.size == 10
    assert read(made, 2, 5) == b"23456"
    made.check_unchanged()
    assert os.read(descriptor, 2) == b"34"
    os.close(descriptor)


def test_a_hole_reads_as_zeros(tmp_path: Path) -> None:
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(1000)
    descriptor = os.open(tmp_path / "hole", os.O_RDONLY)
    assert read(Content(descriptor), 5, 900) == bytes(900)
    os.close(descriptor)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"other bytes"),
        lambda path: path.write_bytes(b"9876543210"),
        lambda path: os.truncate(path, 5),
        lambda path: os.utime(path, (1, 1)),  # as who hides a change would do
    ],
)
def test_a_change_is_noticed(content: Content, path: Path, change: Callable[[Path], object]) -> None:
    content.check_unchanged()
    change(path)
    with pytest.raises(FileChanged):
        content.check_unchanged()


def test_a_change_under_a_kept_time_is_noticed(content: Content, path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"9876543210")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(FileChanged):
        content.check_unchanged()


def test_a_name_that_goes_is_no_change(content: Content, path: Path) -> None:
    path.unlink()
    content.check_unchanged()
    assert read(content, 0, 10) == b"0123456789"


def test_a_file_replaced_under_its_name_is_no_change(content: Content, path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"new version")
    other.replace(path)
    content.check_unchanged()


def test_a_file_that_ends_early_has_changed(content: Content, path: Path) -> None:
    os.truncate(path, 5)
    with pytest.raises(FileChanged):
        read(content, 0, 10)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    ends = socket.socketpair()
    opened = [
        os.open(tmp_path, os.O_RDONLY),
        os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK),
        os.open("/dev/null", os.O_RDONLY),
    ]
    found = []
    for descriptor in (*opened, ends[0].fileno()):
        with pytest.raises(FileUnusable) as caught:
            Content(descriptor)
        found.append(caught.value.message.split(" cannot")[0])
    for descriptor in opened:
        os.close(descriptor)
    for end in ends:
        end.close()
    assert found == ["a folder", "a pipe", "a device", "a socket"]


def test_a_closed_descriptor_is_refused(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    made = Content(descriptor)
    os.close(descriptor)
    for use in (lambda: Content(descriptor), made.check_unchanged, lambda: read(made, 0, 1)):
        with pytest.raises(FileUnusable):
            use()


def taken(hasher: Hasher) -> HashEvent:
    event = hasher.next(10)
    assert event is not None
    return event


def hashes(hasher: Hasher) -> list[HashEvent]:
    worker = threading.Thread(target=hasher.run)
    worker.start()
    found = [taken(hasher)]
    while isinstance(found[-1], Hashed):
        found.append(taken(hasher))
    worker.join(10)
    assert not worker.is_alive()
    return found


def test_chunks_are_hashed_in_order(path: Path) -> None:
    data = os.urandom(2 * CHUNK + 7)
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    found = hashes(hasher_of(Content(descriptor), CONTENT))
    running = hashes(hasher_of(Content(descriptor)))
    os.close(descriptor)
    pieces = [data[:CHUNK], data[CHUNK : 2 * CHUNK], data[2 * CHUNK :]]
    assert found == [
        *(Hashed((Entry(len(piece), hashlib.sha256(piece).digest()),)) for piece in pieces),
        ContentHashed("sha256:" + hashlib.sha256(data).hexdigest()),
    ]
    ends = (CHUNK, 2 * CHUNK, len(data))
    assert [event.entries[0].digest for event in running if isinstance(event, Hashed)] == [
        hashlib.sha256(data[:end]).digest() for end in ends
    ]
    assert running[-1] == found[-1]


def test_what_was_hashed_is_still_in_memory_until_its_room_is_needed(path: Path) -> None:
    data = os.urandom(8 * CHUNK)
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    hasher = hasher_of(Content(descriptor))
    hashes(hasher)
    assert hasher.take(0, CHUNK) is None
    last = hasher.take(7 * CHUNK, CHUNK)
    assert last is not None
    assert bytes(last) == data[7 * CHUNK :]
    hasher.give_back()
    assert hasher.take(7 * CHUNK, CHUNK) is None
    os.close(descriptor)


def test_what_is_sent_as_it_is_hashed_is_read_once(path: Path) -> None:
    """However slow the network is: whoever hashes waits for it."""
    data = os.urandom(12 * CHUNK)
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    content = Content(descriptor)
    hasher = hasher_of(content)
    worker = threading.Thread(target=hasher.run)
    worker.start()
    for number in range(12):
        assert isinstance(taken(hasher), Hashed)
        piece = hasher.take(number * CHUNK, CHUNK)
        assert piece is not None
        time.sleep(0.005)  # longer than hashing takes
        assert piece == data[number * CHUNK : (number + 1) * CHUNK]
        hasher.give_back()
    assert isinstance(taken(hasher), ContentHashed)
    worker.join(10)
    os.close(descriptor)


def test_an_empty_file_is_hashed(path: Path) -> None:
    path.write_bytes(b"")
    descriptor = os.open(path, os.O_RDONLY)
    whole = ContentHashed("sha256:" + hashlib.sha256(b"").hexdigest())
    assert hashes(hasher_of(Content(descriptor))) == [whole]
    os.close(descriptor)


def test_trouble_comes_in_its_turn(content: Content, path: Path) -> None:
    path.write_bytes(b"changed")
    (trouble,) = hashes(hasher_of(content))
    assert isinstance(trouble, Trouble)
    assert isinstance(trouble.error, FileChanged)


def test_a_hasher_that_nobody_asks_stops(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(50 * CHUNK)
    descriptor = os.open(path, os.O_RDONLY)
    hasher = hasher_of(Content(descriptor))
    worker = threading.Thread(target=hasher.run)
    worker.start()
    assert isinstance(taken(hasher), Hashed)
    hasher.stop()
    worker.join(10)
    assert not worker.is_alive()
    os.close(descriptor)
