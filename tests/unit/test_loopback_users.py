"""Whose program connected to a loopback port, as Linux's tables tell."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from comity.errors import InvalidInput
from comity.transport import loopback

WANTED = ("0100007F:C350", "0100007F:2384")
ROW = "   5: {local} {remote} 01 00000000:00000000 00:00000000 00000000  {user}  0 {inode} 1 0 20 4 30 10 -1"


def row(user: int, inode: int, local: str = WANTED[0], remote: str = WANTED[1]) -> str:
    return ROW.format(local=local, remote=remote, user=user, inode=inode)


def test_the_row_of_the_other_end_names_the_user() -> None:
    lines = [row(1000, 7, *reversed(WANTED)), row(1001, 8)]
    assert loopback.owner(lines, WANTED) == 1001


def test_a_socket_that_its_program_has_closed_is_nobodys() -> None:
    assert loopback.owner([row(0, 0)], WANTED) is None


def test_no_row_and_a_broken_one_name_nobody() -> None:
    assert loopback.owner(["", "5: nonsense", row(1000, 7, *reversed(WANTED))], WANTED) is None


@pytest.mark.skipif(sys.byteorder != "little", reason="the table is in the machine's order")
def test_an_ipv4_connection_of_an_ipv6_socket_is_found() -> None:
    mapped = "0000000000000000FFFF0000"
    lines = [row(1000, 7, mapped + WANTED[0], mapped + WANTED[1])]
    assert loopback.owner(lines, WANTED) == 1000


@pytest.mark.skipif(not loopback.can_tell_users(), reason="only Linux tells")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_our_own_connection_is_ours(family: socket.AddressFamily) -> None:
    with loopback.listen_here(0) as listener, socket.socket(family) as ours:
        host = "127.0.0.1" if family == socket.AF_INET else "::ffff:127.0.0.1"
        ours.connect((host, listener.getsockname()[1]))
        theirs, _ = listener.accept()
        with theirs:
            assert loopback.same_user_tcp(theirs)
            ours.close()
            assert not loopback.same_user_tcp(theirs)
    assert os.geteuid() >= 0


def test_a_port_that_is_taken_is_said_to_be() -> None:
    with loopback.listen_here(0) as first, pytest.raises(InvalidInput, match="in use"):
        loopback.listen_here(first.getsockname()[1])
