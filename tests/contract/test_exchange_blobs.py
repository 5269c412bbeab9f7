"""Received files behave the same on a filesystem, on one without hard links, and in memory."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from comity import limits
from comity.errors import DiskFull, HomeUnsafe, LocalProtocolError, NameRefused, StorageUnusable, TooLarge
from comity.protocol.exchange.listing import EMPTY_FOLDER, Listing
from comity.storage.blobs import BlobStore, FileBlobStore, Occupied, numbered
from comity.storage.blobs_memory import MemoryBlobStore
from comity.storage.parts import FilePart

PART = "5e" * 16


class WithoutLinks(FileBlobStore):
    """On a filesystem that has no hard links: the kernel's answer is real, links across devices fail too."""

    def publish(self, part: str, folder: str, name: str) -> None:
        with no_links():
            super().publish(part, folder, name)


@contextmanager
def no_links() -> Iterator[None]:
    real = os.link

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    os.link = refuse  # the operating system's call, as vfat answers it
    try:
        yield
    finally:
        os.link = real


@pytest.fixture(params=["files", "without-links", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStore]:
    if request.param == "memory":
        yield MemoryBlobStore()
        return
    kind = FileBlobStore if request.param == "files" else WithoutLinks
    store = kind(tmp_path / "incoming", tmp_path / "received")
    yield store
    store.close()


def read(blobs: BlobStore, folder: str, name: str) -> bytes:
    if isinstance(blobs, MemoryBlobStore):
        return blobs.content(folder, name)
    return Path(blobs.path(folder, name)).read_bytes()


def complete(blobs: BlobStore, part: str, content: bytes) -> None:
    made = blobs.create(part, len(content))
    made.write(0, content)
    made.sync()
    made.close()


def test_a_part_takes_writes_in_any_order(blobs: BlobStore) -> None:
    part = blobs.create(PART, 10)
    part.write(6, b"6789")
    part.write(0, memoryview(b"012"))
    buffer = bytearray(8)
    part.read_into(1, memoryview(buffer))
    assert buffer == b"12" + bytes(3) + b"678"
    part.sync()
    part.close()
    assert blobs.parts() == (PART,)
    blobs.publish(PART, "peer", "file")
    assert read(blobs, "peer", "file") == b"012\0\0\0" + b"6789"


def test_an_empty_part_becomes_an_empty_file(blobs: BlobStore) -> None:
    complete(blobs, PART, b"")
    blobs.publish(PART, "peer", "file")
    assert read(blobs, "peer", "file") == b""


def test_a_file_outlives_its_part(blobs: BlobStore) -> None:
    complete(blobs, PART, b"content")
    assert not blobs.present("peer", "file")
    assert not blobs.published(PART, "peer", "file")
    blobs.publish(PART, "peer", "file")
    assert blobs.published(PART, "peer", "file")
    blobs.discard(PART)
    assert blobs.parts() == ()
    assert blobs.published(PART, "peer", "file")
    assert blobs.present("peer", "file")
    assert read(blobs, "peer", "file") == b"content"


def test_nothing_is_ever_overwritten(blobs: BlobStore) -> None:
    for number in range(3):
        part = f"{number:032x}"
        complete(blobs, part, str(number).encode())
        if number:
            with pytest.raises(Occupied):
                blobs.publish(part, "peer", "file")
            assert not blobs.published(part, "peer", "file")
        blobs.publish(part, "peer", blobs.vacant("peer", "file"))
        blobs.discard(part)
    found = [read(blobs, "peer", name) for name in ("file", "file.2", "file.3")]
    assert found == [b"0", b"1", b"2"]
    assert blobs.vacant("other", "file") == "file"


def test_parts_are_discarded_without_a_trace(blobs: BlobStore) -> None:
    complete(blobs, PART, b"content")
    blobs.discard(PART)
    blobs.discard(PART)
    assert blobs.parts() == ()
    assert not blobs.present("peer", "file")
    complete(blobs, PART, b"again")


def test_a_part_is_made_once(blobs: BlobStore) -> None:
    complete(blobs, PART, b"")
    with pytest.raises(LocalProtocolError):
        blobs.create(PART, 0)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "..", "", "a\0b", ".hidden", "a\nb"])
def test_hostile_names_reach_no_folder(blobs: BlobStore, name: str) -> None:
    complete(blobs, PART, b"content")
    with pytest.raises(NameRefused):
        blobs.publish(PART, "peer", name)
    with pytest.raises(NameRefused):
        blobs.publish(PART, name, "file")
    with pytest.raises(NameRefused):
        blobs.vacant("peer", name)
    with pytest.raises(NameRefused):
        blobs.present(name, "file")
    with pytest.raises(NameRefused):
        blobs.create(name, 0)


def test_free_space_is_told(blobs: BlobStore) -> None:
    assert blobs.free_bytes() > 0


def test_a_full_memory_is_a_full_disk() -> None:
    part = MemoryBlobStore(capacity=5).create(PART, 10)
    part.write(0, b"12345")
    with pytest.raises(DiskFull):
        part.write(5, b"6")


def test_a_full_disk_is_told() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    part = FilePart(os.open("/dev/full", os.O_RDWR), Path("here"))
    with pytest.raises(DiskFull):
        part.write(0, b"x")
    part.close()


def test_numbered_names_stay_possible() -> None:
    names = numbered("é" * 127)
    assert next(names) == "é" * 127
    second = next(names)
    assert second.endswith(".2")
    assert len(second.encode()) <= limits.FILE_NAME_BYTES


def test_there_is_an_end_to_numbers() -> None:
    class Full(MemoryBlobStore):
        def vacant(self, folder: str, name: str) -> str:
            for candidate in numbered(name):
                self._files[folder, candidate] = bytearray()
            return super().vacant(folder, name)

    with pytest.raises(TooLarge):
        Full().vacant("peer", "file")


# ── folders ───────────────────────────────────────────────────────────────────────────────────────────

LISTING = Listing([("a", 3), ("b/c", 4), ("b/d", 0), ("e/f", EMPTY_FOLDER), ("g", 6)])
BYTES = b"aaaccccgggggg"


def tree(path: Path) -> dict[str, bytes | None]:
    return {
        each.relative_to(path).as_posix(): each.read_bytes() if each.is_file() else None
        for each in path.rglob("*")
    }


def filled(blobs: BlobStore) -> None:
    part = blobs.create(PART, LISTING.size, LISTING)
    part.write(5, BYTES[5:])
    part.write(0, BYTES[:5])
    buffer = bytearray(len(BYTES))
    part.read_into(0, memoryview(buffer))
    assert buffer == BYTES
    part.sync()
    part.close()


def test_a_folder_appears_once_and_whole(blobs: BlobStore) -> None:
    filled(blobs)
    assert blobs.parts() == (PART,)
    assert not blobs.published(PART, "peer", "model")
    blobs.publish(PART, "peer", "model")
    assert blobs.published(PART, "peer", "model")
    blobs.discard(PART)
    assert blobs.parts() == ()
    assert blobs.published(PART, "peer", "model")
    assert blobs.present("peer", "model")
    assert blobs.vacant("peer", "model") == "model.2"
    source = blobs.source("peer", "model")
    assert source is not None
    assert source.listing is not None
    assert source.listing.items == LISTING.items
    buffer = bytearray(7)
    source.read_into(2, memoryview(buffer))
    assert buffer == BYTES[2:9]
    source.close()


def test_a_folder_replaces_nothing(blobs: BlobStore) -> None:
    complete(blobs, "ab" * 16, b"file")
    blobs.publish("ab" * 16, "peer", "model")
    filled(blobs)
    with pytest.raises(Occupied):
        blobs.publish(PART, "peer", "model")
    assert not blobs.published(PART, "peer", "model")
    blobs.discard(PART)
    assert blobs.parts() == ("ab" * 16,) or blobs.parts() == ()
    assert read(blobs, "peer", "model") == b"file"


def test_a_folder_is_taken_up_again_only_as_itself(blobs: BlobStore) -> None:
    filled(blobs)
    again = blobs.reopen(PART, LISTING.size, LISTING)
    assert again is not None
    buffer = bytearray(len(BYTES))
    again.read_into(0, memoryview(buffer))
    assert buffer == BYTES
    again.close()
    other = Listing([("a", 3), ("b/c", 4), ("new", 6)])
    assert blobs.reopen(PART, other.size, other) is None


# ── on disk only ──────────────────────────────────────────────────────────────────────────────────────


def on_disk(tmp_path: Path) -> FileBlobStore:
    return FileBlobStore(tmp_path / "incoming", tmp_path / "received")


def test_files_are_private(tmp_path: Path) -> None:
    store = on_disk(tmp_path)
    complete(store, PART, b"content")
    store.publish(PART, "peer", "file")
    modes = {
        path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.lstat().st_mode)
        for path in tmp_path.rglob("*")
    }
    store.close()
    assert modes == {
        "incoming": 0o700,
        f"incoming/{PART}.part": 0o600,
        "received": 0o700,
        "received/peer": 0o700,
        "received/peer/file": 0o600,
    }


def test_a_folder_is_laid_out_as_it_is_listed(tmp_path: Path) -> None:
    store = on_disk(tmp_path)
    filled(store)
    store.publish(PART, "peer", "model")
    assert tree(Path(store.path("peer", "model"))) == {
        "a": b"aaa",
        "b": None,
        "b/c": b"cccc",
        "b/d": b"",
        "e": None,
        "e/f": None,
        "g": b"gggggg",
    }
    assert list((tmp_path / "incoming").iterdir()) == []
    store.close()


@pytest.mark.parametrize("items", [3, limits.FOLDER_SYNC_EACH + 10])
def test_zeros_that_nobody_wrote_are_there(tmp_path: Path, items: int) -> None:
    """Chunks of zeros are not written: the files have their lengths all the same, however they are synced."""
    store = on_disk(tmp_path)
    listing = Listing((f"{number:03}", 10) for number in range(items))
    part = store.create(PART, listing.size, listing)
    part.write(10, b"1" * 5)
    assert part.hole(0, 10)
    assert part.hole(10, 10)
    assert not part.hole(10, 5)
    part.sync()
    part.close()
    store.publish(PART, "peer", "model")
    expected: dict[str, bytes | None] = {f"{number:03}": bytes(10) for number in range(items)}
    assert tree(Path(store.path("peer", "model"))) == expected | {"001": b"1" * 5 + bytes(5)}
    store.close()


def test_links_in_a_part_of_a_folder_lead_nowhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    store = on_disk(tmp_path)
    part = store.create(PART, LISTING.size, LISTING)
    (tmp_path / "incoming" / f"{PART}.part" / "b").symlink_to(elsewhere)
    (tmp_path / "incoming" / f"{PART}.part" / "a").symlink_to(elsewhere / "a")
    with pytest.raises(StorageUnusable):
        part.write(0, b"aaa")
    with pytest.raises(StorageUnusable):
        part.write(3, b"cccc")
    part.close()
    assert store.reopen(PART, LISTING.size, LISTING) is None
    store.discard(PART)
    assert store.parts() == ()
    assert list(elsewhere.iterdir()) == []
    store.close()


def test_links_are_never_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    store = on_disk(tmp_path)
    (tmp_path / "incoming" / f"{PART}.part").symlink_to(elsewhere / "a")
    with pytest.raises(LocalProtocolError):
        store.create(PART, 5)
    (tmp_path / "received" / "peer").symlink_to(elsewhere)
    complete(store, "ab" * 16, b"content")
    with pytest.raises(HomeUnsafe):
        store.publish("ab" * 16, "peer", "file")
    (tmp_path / "received" / "other").mkdir(mode=0o700)
    (tmp_path / "received" / "other" / "file").symlink_to(elsewhere / "b")
    assert store.vacant("other", "file") == "file.2"
    with pytest.raises(Occupied):
        store.publish("ab" * 16, "other", "file")
    assert not store.present("other", "file")
    assert list(elsewhere.iterdir()) == []
    store.close()


def test_folders_that_are_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "incoming").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeUnsafe):
        on_disk(tmp_path)


def test_unwritten_bytes_take_no_space(tmp_path: Path) -> None:
    store = on_disk(tmp_path)
    part = store.create(PART, 2**32)
    part.write(2**31, b"x")
    part.close()
    status = (tmp_path / "incoming" / f"{PART}.part").stat()
    store.close()
    assert status.st_size == 2**32
    assert status.st_blocks * 512 < 2**20
