"""What a relay's carrier promises, held by splicing and copying, alone and in the relay's thread."""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from comity.clock import ManualClock, SystemClock
from comity.rendezvous.pipes import Carriers
from comity.rendezvous.wire import Carried
from comity.rendezvous.wires import Wires

KINDS = [
    pytest.param(
        True, id="splice", marks=pytest.mark.skipif(not hasattr(os, "splice"), reason="no splice here")
    ),
    pytest.param(False, id="copy"),
]


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    return near, far


@pytest.fixture(params=KINDS)
def carriers(request: pytest.FixtureRequest) -> Iterator[Carriers]:
    made = Carriers(splice=request.param)
    yield made
    made.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket, socket.socket, socket.socket]]:
    """Two TCP connections: (user, relay's side) of the source, (relay's side, user) of the target."""
    source_user, source = tcp_pair()
    target, target_user = tcp_pair()
    for sock in (source, target):
        sock.setblocking(False)
    yield source_user, source, target, target_user
    for sock in (source_user, source, target, target_user):
        sock.close()


Ends = tuple[socket.socket, socket.socket, socket.socket, socket.socket]


def test_nothing_comes(carriers: Carriers, ends: Ends) -> None:
    _, source, target, _ = ends
    carrier = carriers.make()
    assert carrier.take(source) is None
    assert carrier.holds == 0
    assert carrier.give(target) == 0
    carrier.drop()


def test_bytes_pass(carriers: Carriers, ends: Ends) -> None:
    user, source, target, reader = ends
    carrier = carriers.make()
    user.sendall(b"some bytes")
    while (taken := carrier.take(source)) is None:
        pass
    assert taken == carrier.holds == 10
    assert carrier.give(target) == 10
    assert carrier.holds == 0
    assert reader.recv(100) == b"some bytes"


def test_the_end_is_seen(carriers: Carriers, ends: Ends) -> None:
    user, source, _, _ = ends
    carrier = carriers.make()
    user.close()
    while (taken := carrier.take(source)) is None:
        pass
    assert taken == 0


def test_a_full_target_holds_it_back(carriers: Carriers, ends: Ends) -> None:
    user, source, target, reader = ends
    carrier = carriers.make()
    payload = bytes(range(256)) * 64 * 1024

    def send() -> None:
        with suppress(OSError):  # the test's end cuts it short
            user.sendall(payload)

    threading.Thread(target=send, daemon=True).start()
    given = 0
    while True:
        if not carrier.holds and carrier.take(source) is None:
            continue
        count = carrier.give(target)
        given += count
        if not count:
            break
    held = carrier.holds
    assert 0 < held <= 1024 * 1024
    got = b""
    while len(got) < given:
        got += reader.recv(1024 * 1024)
    while carrier.holds:
        carrier.give(target)
    while len(got) < given + held:
        got += reader.recv(1024 * 1024)
    assert got == payload[: given + held]


def test_dropped_bytes_reach_nobody_else(carriers: Carriers, ends: Ends) -> None:
    user, source, target, reader = ends
    first, second = carriers.make(), carriers.make()
    user.sendall(b"for the first lane")
    while not first.holds:
        first.take(source)
    first.drop()
    user.sendall(b"for the second")
    while not second.holds:
        second.take(source)
    second.give(target)
    assert reader.recv(100) == b"for the second"


def test_a_broken_target_raises(carriers: Carriers, ends: Ends) -> None:
    user, source, target, _ = ends
    carrier = carriers.make()
    user.sendall(b"x")
    while not carrier.holds:
        carrier.take(source)
    target.shutdown(socket.SHUT_WR)
    with pytest.raises(OSError, match=r"[Bb]roken pipe"):
        carrier.give(target)
    carrier.drop()


# ── in the relay's thread ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=KINDS)
def wires(request: pytest.FixtureRequest) -> Iterator[Wires]:
    made = Wires(SystemClock(), Carriers(splice=request.param))
    made.start()
    yield made
    made.close()


def join(wires: Wires) -> tuple[socket.socket, socket.socket, queue.SimpleQueue[Carried]]:
    near, first = tcp_pair()
    second, far = tcp_pair()
    ended: queue.SimpleQueue[Carried] = queue.SimpleQueue()
    wires.join(first, second, ended.put)
    for sock in (near, far):
        sock.settimeout(10)
    return near, far, ended


def read_all(sock: socket.socket) -> bytes:
    got = b""
    while more := sock.recv(1024 * 1024):
        got += more
    return got


def test_a_lane_carries_and_counts(wires: Wires) -> None:
    near, far, ended = join(wires)
    there, back = os.urandom(3_000_000), os.urandom(5_000_000)
    got: list[bytes] = []
    readers = [threading.Thread(target=lambda sock=sock: got.append(read_all(sock))) for sock in (near, far)]
    for reader in readers:
        reader.start()

    def send_back() -> None:
        far.sendall(back)
        far.shutdown(socket.SHUT_WR)

    writer = threading.Thread(target=send_back)
    writer.start()
    near.sendall(there)
    near.shutdown(socket.SHUT_WR)
    for thread in (*readers, writer):
        thread.join()
    assert sorted(got, key=len) == [there, back]
    carried = ended.get(timeout=60)
    assert (carried.there, carried.back) == (len(there), len(back))
    near.close()
    far.close()


def test_many_lanes_do_not_disturb_each_other(wires: Wires) -> None:
    lanes = [join(wires) for _ in range(40)]
    for number, (near, _, _) in enumerate(lanes):
        near.sendall(b"%d" % number)
    for number, (_, far, _) in enumerate(lanes):
        assert far.recv(100) == b"%d" % number
    lanes[0][0].close()
    assert read_all(lanes[0][1]) == b""
    lanes[1][1].sendall(b"still here")
    assert lanes[1][0].recv(100) == b"still here"
    for near, far, _ in lanes:
        near.close()
        far.close()


def test_closing_the_relay_ends_lanes() -> None:
    wires = Wires(SystemClock())
    wires.start()
    near, far, ended = join(wires)
    near.sendall(b"x")
    assert far.recv(1) == b"x"
    wires.close()
    assert read_all(near) == read_all(far) == b""
    assert ended.get(timeout=60).there == 1
    near.close()
    far.close()


def test_a_lane_on_which_nothing_moves_ends() -> None:
    clock = ManualClock()
    wires = Wires(clock, idle=0.05)
    wires.start()
    quiet, busy = join(wires), join(wires)
    busy[0].sendall(b"x")
    assert busy[1].recv(1) == b"x"
    clock.advance(1.0)
    assert read_all(quiet[0]) == b""
    wires.close()
    for sock in (*quiet[:2], *busy[:2]):
        sock.close()
