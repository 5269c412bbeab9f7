"""Files that are none, that are empty or enormous, that change or vanish, or that the receiver can't write.

Each ends in a clear error or a right result, and nothing partial is ever visible at the receiver.
"""

from __future__ import annotations

import hashlib
import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.labs import Lab, eventually
from tests.region import MIB, Region, region, under_way

BIG = 64 * MIB  # more than is hashed before a byte must move
WHOLE = 16 * MIB
#: Of those, so much is let through before it is held up, and only then is all of it sure to be hashed: the
#: sender hashes four chunks of 1 MiB ahead of the one that it sends, and more only if the receiver is slow to
#: ask. Held up earlier, it would not read on until the lane is given up for dead, after a minute.
PASSED = 12 * MIB
SPARSE = 4096 * MIB
CHANGED = "the file changed while it was sent"
#: head -c 4294967296 /dev/zero | sha256sum
SPARSE_DIGEST = "sha256:8479e43911dc45e89f934fe48d01297e16f51d17aa561d4d1c216b1ae0fcddca"


@pytest.fixture(scope="module")
def here() -> Iterator[Region]:
    """Labs a and b have an agreement; everything between them goes through the proxy."""
    with region(proxied=True) as made:
        made.pair()
        yield made


@pytest.fixture
def a(here: Region) -> Lab:
    return here.labs[0]


@pytest.fixture
def b(here: Region) -> Iterator[Lab]:
    """Nothing arrives there but what a test expects, and no part stays behind."""
    lab = here.labs[1]
    yield lab
    # Its sender may have heard of the end a little earlier.
    eventually(lambda: list((lab.home / "incoming").iterdir()) == [], "no part is left")
    for path in lab.received():
        path.unlink()


@pytest.fixture(scope="module")
def big() -> bytes:
    return os.urandom(BIG)


def arrived(lab: Lab) -> Path:
    """The one file that is there."""
    (path,) = lab.received()
    return path


# ── what is no file ───────────────────────────────────────────────────────────────────────────────────


def test_what_is_not_a_file(a: Lab, b: Lab) -> None:
    os.mkfifo(a.folder / "fifo")
    (a.folder / "loop").symlink_to("loop")
    words = {
        "fifo": "neither a file nor a folder",
        "loop": "symbolic links",
        "absent": "no such file",
        "absent/absent": "no such file",
        "/dev/null": "neither a file nor a folder",
        "x" * 256: "name too long",
    }
    for path, reason in words.items():
        refusal = a.refused("send-file", "lab-b-trainer", path)
        assert refusal.told == ("file_unusable", 40)
        assert reason in refusal.message
    assert b.received() == []


# ── sizes ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_file(a: Lab, b: Lab) -> None:
    (a.folder / "empty").touch()
    sent = a.ask("send-file", "lab-b-trainer", "empty")
    assert (sent["bytes"], sent["bytes_sent"]) == (0, 0)
    assert sent["digest"] == f"sha256:{hashlib.sha256().hexdigest()}"
    assert arrived(b).read_bytes() == b""


@pytest.mark.timeout(300)  # both ends hash all of it: 9 s on two idle cores
def test_four_gibibytes_of_zeros(a: Lab, b: Lab) -> None:
    """Equal chunks travel once, and zeros take no room at the receiver."""
    space = os.statvfs(b.home)
    if space.f_bavail * space.f_frsize < SPARSE + 1024 * MIB:
        pytest.skip("the disk has no room for 4 GiB")
    with open(a.folder / "zeros", "wb") as file:
        file.truncate(SPARSE)
    sent = a.begin("send-file", "lab-b-trainer", "zeros").answer(seconds=240)
    assert sent["digest"] == SPARSE_DIGEST
    assert sent["bytes"] == SPARSE
    assert 0 < sent["bytes_sent"] <= 8 * MIB
    status = arrived(b).stat()
    assert status.st_size == SPARSE
    assert status.st_blocks * 512 < 64 * MIB
    (file,) = b.ask("received")["files"]
    assert (file["bytes"], file["digest"]) == (SPARSE, sent["digest"])


def test_more_than_the_receiver_has_room_for(a: Lab, b: Lab) -> None:
    """Refused when it is announced, before a byte of it is sent: by the disk, by the quota, by the limit."""
    enormous = a.folder / "enormous"
    space = os.statvfs(b.home)
    try:
        enormous.touch()
        os.truncate(enormous, 8 * 1024 * 1024 * MIB)
    except OSError as error:
        pytest.skip(f"no file of 8 TiB can be made here: {error}")
    assert a.refused("send-file", "lab-b-trainer", "enormous").told == ("inbox_full", 49)
    more_than_the_disk = space.f_bavail * space.f_frsize + 64 * 1024 * MIB  # others may make room meanwhile
    if more_than_the_disk < 10**12:  # the quota, by default
        os.truncate(enormous, more_than_the_disk)
        assert a.refused("send-file", "lab-b-trainer", "enormous").told == ("disk_full", 43)
    os.truncate(enormous, 8 * 1024 * 1024 * MIB + 1)
    assert a.refused("send-file", "lab-b-trainer", "enormous").told == ("too_large", 46)
    enormous.unlink()
    assert b.received() == []


# ── files that change ─────────────────────────────────────────────────────────────────────────────────


def truncated(path: Path) -> None:
    os.truncate(path, BIG // 2)


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        for megabyte in range(0, path.stat().st_size, MIB):
            file.seek(megabyte)
            file.write(b"another weight")


def appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"one more epoch")


@pytest.mark.parametrize("change", [truncated, overwritten, appended])
def test_a_file_that_changes_while_it_is_sent(
    here: Region, a: Lab, b: Lab, big: bytes, change: Callable[[Path], None]
) -> None:
    with under_way(here, a, b, big) as (command, path):
        change(path)
    assert command.refusal().told == ("file_changed", 41)
    assert a.failed_transfer().problem == CHANGED
    problem = str(b.failed_transfer().problem)
    if change is overwritten and CHANGED not in problem:
        # It was hashed before and read again after: then the receiver is who notices, and tells the sender.
        assert re.fullmatch(r"chunk \d+ is not what the manifest promised", problem)
    else:
        assert CHANGED in problem
    assert b.received() == []
    path.write_bytes(big[:1000])
    assert a.ask("send-file", "lab-b-trainer", path.name)["bytes"] == 1000


def removed(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    beside = path.with_name("beside")
    beside.write_bytes(b"another model")
    beside.replace(path)


def bytes_read(lab: Lab) -> int:
    """All that its daemon has read so far, from files and sockets."""
    return int(re.findall(r"^rchar: (\d+)$", Path(f"/proc/{lab.pid}/io").read_text(), re.MULTILINE)[0])


@pytest.mark.skipif(sys.platform != "linux", reason="nothing else tells how much a process has read")
@pytest.mark.parametrize("change", [appended, removed, replaced])
def test_what_was_opened_and_hashed_is_what_arrives(
    here: Region, a: Lab, b: Lab, big: bytes, change: Callable[[Path], None]
) -> None:
    whole, before = big[:WHOLE], bytes_read(a)
    with under_way(here, a, b, whole, after=PASSED) as (command, path):
        eventually(lambda: bytes_read(a) - before >= WHOLE, "all of it was read, and hashed")
        change(path)
    if change is appended and command.end().returncode != 0:
        # What was counted as read came by a socket too, or was read again to be sent, and the hash was not
        # done: then it must be noticed.
        assert command.refusal().told == ("file_changed", 41)
        eventually(lambda: b.received() == [], "nothing is left of it")
        return
    assert command.answer()["digest"] == f"sha256:{hashlib.sha256(whole).hexdigest()}"
    assert arrived(b).read_bytes() == whole


# ── the receiver's end ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="no other process's limits can be set here")
def test_a_receiver_that_cannot_write(here: Region, a: Lab, b: Lab, big: bytes) -> None:
    """Its file may not grow beyond 16 MiB from the middle of the transfer on, as by a quota."""
    before = resource.prlimit(b.pid, resource.RLIMIT_FSIZE)
    with under_way(here, a, b, big) as (command, _):
        resource.prlimit(b.pid, resource.RLIMIT_FSIZE, (16 * MIB, before[1]))
    refusal = command.refusal()
    resource.prlimit(b.pid, resource.RLIMIT_FSIZE, before)
    assert refusal.told == ("transfer_failed", 44)
    assert str(b.home) not in refusal.message
    assert "file too large" in str(b.failed_transfer().problem)
    assert b.received() == []
    assert a.ask("send-file", "lab-b-trainer", "model.bin")["bytes"] == BIG
    assert arrived(b).read_bytes() == big


def test_no_lab_was_harmed(here: Region, a: Lab, b: Lab) -> None:
    for lab in (a, b):
        assert lab.ask("audit", "verify")["valid"]
        eventually(partial(has_one_session, lab), "the session stands")


def has_one_session(lab: Lab) -> bool:
    return bool(lab.ask("status")["sessions"] == 1)
