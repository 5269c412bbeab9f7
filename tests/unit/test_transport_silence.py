"""A machine that answers is not silent, however slow its program is."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from comity.transport.silence import silent
from comity.transport.tcp import tune


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = socket.create_connection(listener.getsockname())
        there, _ = listener.accept()
    return here, there


def test_a_peer_that_reads_nothing_is_not_silent() -> None:
    here, there = tcp_pair()
    with here, there:
        here.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                here.send(bytes(1 << 16))
        time.sleep(0.3)
        assert not silent(here, 0.1)


def test_a_link_that_is_idle_or_over_is_not_silent() -> None:
    here, there = tcp_pair()
    with here, there:
        time.sleep(0.05)
        assert not silent(here, 0.01)
    assert not silent(here, 0.0)


def test_a_connected_socket_asks_for_bbr_and_finds_a_dead_peer_within_ten_seconds() -> None:
    here, there = tcp_pair()
    with here, there:
        tune(here)
        idle, every, count = (
            here.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        )
        assert idle + every * count <= 10
        used = here.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")
        there.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, used)  # one that this kernel has
