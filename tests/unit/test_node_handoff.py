"""Open files for the daemon, over a real Unix socket; and whose user is at the other end of one."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comity import limits
from comity.errors import InvalidInput
from comity.node.handoff import Handoff
from comity.storage.sockets import listen_private, peer_user, same_user

TOKEN = "0123456789abcdef" * 2


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Handoff, Path]]:
    path = tmp_path / "handoff.sock"
    handoff = Handoff(listen_private(path))
    handoff.start()
    yield handoff, path
    handoff.close()


async def hand_over(path: Path, token: bytes, *descriptors: int) -> bytes:
    """What the daemon answers."""

    def talk() -> bytes:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(path))
            try:  # a daemon that refuses may hang up before it was told anything
                if descriptors:
                    socket.send_fds(sock, [token], list(descriptors))
                else:
                    sock.send(token)
                return sock.recv(16)
            except (BrokenPipeError, ConnectionResetError):
                return b""

    return await asyncio.to_thread(talk)


def content(descriptor: int) -> bytes:
    try:
        return os.pread(descriptor, 100, 0)
    finally:
        os.close(descriptor)


async def test_a_file_is_handed_over_once(served: tuple[Handoff, Path], tmp_path: Path) -> None:
    handoff, path = served
    (tmp_path / "model").write_bytes(b"weights")
    with (tmp_path / "model").open("rb") as file:
        assert await hand_over(path, TOKEN.encode(), file.fileno()) == b"OK\n"
    taken = handoff.take(TOKEN)
    assert not os.get_inheritable(taken)
    assert content(taken) == b"weights"
    with pytest.raises(InvalidInput):
        handoff.take(TOKEN)


async def test_what_is_no_handoff_is_refused_and_leaks_nothing(
    served: tuple[Handoff, Path], tmp_path: Path
) -> None:
    handoff, path = served
    (tmp_path / "model").write_bytes(b"weights")
    before = len(os.listdir("/proc/self/fd"))
    with (tmp_path / "model").open("rb") as file:
        descriptor = file.fileno()
        assert await hand_over(path, b"short", descriptor) == b""
        assert await hand_over(path, TOKEN.upper().encode(), descriptor) == b""
        assert await hand_over(path, TOKEN.encode()) == b""
        assert await hand_over(path, TOKEN.encode(), descriptor, descriptor) == b""
        assert await hand_over(path, TOKEN.encode(), *([descriptor] * 9)) == b""
        assert await hand_over(path, TOKEN.encode(), descriptor) == b"OK\n"
        assert await hand_over(path, TOKEN.encode(), descriptor) == b""  # the name is taken
    os.close(handoff.take(TOKEN))
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_there_is_room_for_so_many(served: tuple[Handoff, Path], tmp_path: Path) -> None:
    handoff, path = served
    (tmp_path / "model").write_bytes(b"")
    with (tmp_path / "model").open("rb") as file:
        for number in range(limits.HANDOFF_FILES):
            assert await hand_over(path, f"{number:032x}".encode(), file.fileno()) == b"OK\n"
        assert await hand_over(path, b"f" * 32, file.fileno()) == b""
    os.close(handoff.take(f"{0:032x}"))  # and close() sees to the others


def test_sockets_are_private_and_replace_what_a_dead_daemon_left(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    for _ in range(2):
        with listen_private(path):
            assert path.stat().st_mode & 0o777 == 0o600


def test_the_user_at_the_other_end() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert peer_user(here) == os.geteuid()
        assert same_user(here)
    with socket.socket(socket.AF_INET) as inet:
        assert not same_user(inet) or os.geteuid() == 0
