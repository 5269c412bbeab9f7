"""Loopback TCP: connecting to a program on this machine, and whose program it is that connected to us.

A port on loopback is open to every user of the machine, and TCP has no SO_PEERCRED. Linux tells in
/proc/net/tcp whose each socket is, so the other end of an accepted connection can be looked up. Elsewhere
nothing can be told. It decides nothing about who may.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from comity.errors import InvalidInput, PeerUnreachable, TargetUnreachable
from comity.transport.tcp import connect_tcp

HOSTS = ("127.0.0.1", "::1")
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_BACKLOG = 128
_MAPPED = bytes(10) + b"\xff\xff"


async def connect_here(port: int, timeout: float) -> socket.socket:
    """A connected, non-blocking socket to the program that listens on this machine's loopback.

    TargetUnreachable.
    """
    for host in HOSTS:
        with contextlib.suppress(PeerUnreachable):
            return await connect_tcp(host, port, timeout)
    raise TargetUnreachable(f"nothing listens on port {port} there")


def listen_here(port: int) -> socket.socket:
    """A socket that listens on 127.0.0.1, on any free port for 0. InvalidInput where the port is taken."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOSTS[0], port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        reason = os.strerror(error.errno or 0).lower()
        raise InvalidInput(
            f"port {port} of this machine cannot be listened on: {reason}", hint="choose another --local port"
        ) from error
    return sock


def can_tell_users() -> bool:
    """Whether this system says whose a TCP connection is."""
    return sys.platform == "linux" and _TABLES[0].exists()


def same_user_tcp(sock: socket.socket) -> bool:
    """Whether the program at the other end of an accepted loopback connection runs as our user.

    False also where it has gone already, or where the system does not tell.
    """
    try:
        ours, theirs = sock.getsockname(), sock.getpeername()
    except OSError:
        return False
    wanted = (_key(theirs), _key(ours))
    for table in _TABLES:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        user = owner(lines, wanted)
        if user is not None:
            return user == os.geteuid()
    return False


def owner(lines: Iterable[str], wanted: tuple[str, str]) -> int | None:
    """The user id in the line with this pair of ends; None where there is none, or nobody holds that socket.

    proc(5): local and remote address are the second and third field, user id and inode the eighth and tenth.
    """
    for line in lines:
        fields = line.split()
        if len(fields) < 10 or (_plain(fields[1]), _plain(fields[2])) != wanted:
            continue
        if not fields[9].strip("0"):  # closed by its program: the kernel then shows root's id
            return None
        return int(fields[7])
    return None


def _key(address: tuple[str, int]) -> str:
    """An end as the tables write it: the address in words of the machine's order, then the port."""
    packed = ipaddress.ip_address(address[0]).packed
    words = struct.unpack(f">{len(packed) // 4}I", packed)
    ordered = b"".join(struct.pack("=I", word) for word in words)
    text = "".join(f"{word:08X}" for word in struct.unpack(f">{len(words)}I", ordered))
    return f"{text}:{address[1]:04X}"


def _plain(field: str) -> str:
    """An IPv4 address that was written as an IPv6 one, as IPv4."""
    mapped = "".join(f"{word:08X}" for word in struct.unpack("=3I", _MAPPED))
    return field.removeprefix(mapped) if len(field) > len("00000000:0000") else field
