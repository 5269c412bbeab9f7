"""A bridged socket behaves like the TCP connection that it stands for: order, halves, back-pressure, end."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest
from websockets.protocol import Protocol, Side

from comity.errors import RateLimited
from comity.transport.bridge import Bridges
from comity.transport.layers import Layer, Stack, WebSocketLayer
from comity.transport.tcp import Bridged, remote_of

MIB = 1024 * 1024
SECONDS = 20.0


@pytest.fixture
def bridges() -> Iterator[Bridges]:
    made = Bridges(most=4)
    yield made
    made.close()


def connection() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        return one, listener.accept()[0]


def ends(bridges: Bridges) -> tuple[socket.socket, socket.socket]:
    """Two plain sockets with a WebSocket between them."""
    one, two = connection()
    near = bridges.join(one, Stack([WebSocketLayer(Protocol(Side.CLIENT))]))
    far = bridges.join(two, Stack([WebSocketLayer(Protocol(Side.SERVER))]))
    for sock in (near, far):
        sock.settimeout(SECONDS)
    return near, far


def read_all(sock: socket.socket) -> bytes:
    found = b""
    while more := sock.recv(MIB):
        found += more
    return found


def test_megabytes_pass_both_ways_at_once_and_each_half_ends_by_itself(bridges: Bridges) -> None:
    near, far = ends(bridges)
    there, back = os.urandom(9 * MIB + 1), os.urandom(3 * MIB)
    answers: list[bytes] = []

    def echo() -> None:
        answers.append(read_all(far))  # the whole first half ends before a byte of the second is sent
        far.sendall(back)
        far.shutdown(socket.SHUT_WR)

    answering = threading.Thread(target=echo)
    answering.start()
    with near, far:
        near.sendall(there)
        near.shutdown(socket.SHUT_WR)
        assert read_all(near) == back
        answering.join(SECONDS)
    assert answers == [there]


def test_a_side_that_does_not_read_stops_the_other(bridges: Bridges) -> None:
    near, far = ends(bridges)
    with near, far:
        near.settimeout(0.5)
        with pytest.raises(TimeoutError):
            near.sendall(bytes(64 * MIB))
        far.settimeout(SECONDS)
        assert far.recv(10) == bytes(10)


def test_closing_one_end_ends_the_other(bridges: Bridges) -> None:
    near, far = ends(bridges)
    near.sendall(b"last words")
    near.close()
    with far:
        assert read_all(far) == b"last words"


def test_a_cut_is_no_farewell(bridges: Bridges) -> None:
    """Where the wrapped connection breaks, the near end only ends: TLS inside tells that from a close."""
    one, two = connection()
    with bridges.join(one, Stack([WebSocketLayer(Protocol(Side.CLIENT))])) as near, two:
        near.settimeout(SECONDS)
        two.sendall(b"\x00" * 100)  # no frame of a WebSocket
        assert near.recv(1) == b""


def test_addresses_numbers_and_the_end(bridges: Bridges) -> None:
    near, far = ends(bridges)
    assert isinstance(near, Bridged)
    assert remote_of(near).startswith("127.0.0.1:")
    assert near.getblocking()
    more = ends(bridges)
    one, two = connection()
    with two, pytest.raises(RateLimited):
        bridges.join(one, Stack([WebSocketLayer(Protocol(Side.CLIENT))]))
    assert one.fileno() == -1
    bridges.close()
    for sock in (near, far, *more):
        assert sock.recv(1) == b""
        sock.close()
    one, two = connection()
    with two, pytest.raises(RateLimited):
        bridges.join(one, Stack())


def test_layers_inside_each_other(bridges: Bridges) -> None:
    def layers(side: Side) -> list[Layer]:
        return [WebSocketLayer(Protocol(side)), WebSocketLayer(Protocol(side))]

    one, two = Stack(layers(Side.CLIENT)), Stack(layers(Side.SERVER))
    assert two.inward(one.outward(b"twice wrapped")) == b"twice wrapped"
    assert two.answer() == b""
    assert not two.ended
    two.inward(one.end())
    assert two.ended
