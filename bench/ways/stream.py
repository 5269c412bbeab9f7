"""One stream of bytes from memory to nowhere: plain TCP, TLS 1.3, and a relay that passes it on blindly.

    python -m ways.stream receive HOST PORT [--tls]
    python -m ways.stream send HOST PORT BYTES [--tls] [--through]    prints {"first_byte", "seconds"}
    python -m ways.stream relay HOST PORT PORT

The same library, cipher, group and congestion control as Comity's. ``--through`` is a receiver that connects
to a relay instead of listening. No frames, no files, no digests: a bound, not a protocol.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import threading
import time

from OpenSSL import SSL

from comity.identity.certificate import issue_certificate
from comity.identity.keys import Identity
from comity.transport.landing import Landing
from comity.transport.tcp import tune

SSL_MODE_ENABLE_PARTIAL_WRITE = 1
PIECE = 1 << 22
PIPE = 1 << 20


class Plain:
    """TCP."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._memory = bytearray(PIECE)

    def head(self) -> bytes:
        """The eight bytes that say how many follow."""
        return self._sock.recv(8, socket.MSG_WAITALL)

    def send(self, data: memoryview) -> None:
        self._sock.sendall(data)

    def receive(self, most: int) -> int:
        return self._sock.recv_into(self._memory, min(most, PIECE))


class Tls:
    """TLS 1.3, read straight into memory as Comity's lanes are."""

    def __init__(self, sock: socket.socket, *, server: bool) -> None:
        context = SSL.Context(SSL.TLS_SERVER_METHOD if server else SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_tls13_ciphersuites(b"TLS_AES_256_GCM_SHA384")
        context.clear_mode(SSL_MODE_ENABLE_PARTIAL_WRITE)  # a piece is one call, as in Comity
        if server:
            identity = Identity.generate()
            context.use_privatekey(identity.private_key)
            context.use_certificate(issue_certificate(identity, time.time()))
        self._connection = SSL.Connection(context, sock)
        self._landing = Landing()
        (self._connection.set_accept_state if server else self._connection.set_connect_state)()
        self._connection.do_handshake()

    def head(self) -> bytes:
        """The same: one record, as it was sent."""
        return bytes(self._connection.recv(8))

    def send(self, data: memoryview) -> None:
        self._connection.sendall(data)

    def receive(self, most: int) -> int:
        size = min(most, PIECE)
        self._landing.reserve(size)
        self._landing.fill(self._connection, size)
        return size


def receive(sock: socket.socket, *, tls: bool) -> None:
    way = Tls(sock, server=True) if tls else Plain(sock)
    left = int.from_bytes(way.head(), "big")
    while left:
        left -= way.receive(left)
    way.send(memoryview(b"."))


def send(sock: socket.socket, size: int, began: float, *, tls: bool) -> dict[str, float]:
    way = Tls(sock, server=False) if tls else Plain(sock)
    way.send(memoryview(size.to_bytes(8, "big")))
    first = time.monotonic() - began
    zeros = memoryview(bytes(PIECE))
    for at in range(0, size, PIECE):
        way.send(zeros[: min(PIECE, size - at)])
    if way.receive(1) != 1:
        sys.exit("the receiver did not confirm")
    return {"first_byte": first, "seconds": time.monotonic() - began}


def relay(host: str, first: int, second: int) -> None:
    """Join one connection to each port, in the kernel."""
    ends = []
    for port in (first, second):
        with socket.create_server((host, port)) as listener:
            print("ready", flush=True)
            ends.append(listener.accept()[0])
            tune(ends[-1])
    copying = [threading.Thread(target=_copy, args=pair) for pair in (ends, ends[::-1])]
    for thread in copying:
        thread.start()
    for thread in copying:
        thread.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    out, into = os.pipe()
    while count := os.splice(source.fileno(), into, PIPE):
        while count:
            count -= os.splice(out, sink.fileno(), count)
    sink.shutdown(socket.SHUT_WR)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("receive", "send", "relay"))
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("number", type=int, nargs="?", default=0)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--through", action="store_true")
    told = parser.parse_args()
    if told.role == "relay":
        relay(told.host, told.port, told.number)
    elif told.role == "receive" and not told.through:
        with socket.create_server((told.host, told.port)) as listener:
            print("ready", flush=True)
            sock, _ = listener.accept()
            tune(sock)
            receive(sock, tls=told.tls)
    else:
        began = time.monotonic()
        with socket.create_connection((told.host, told.port)) as sock:
            tune(sock)
            if told.role == "receive":
                print("ready", flush=True)
                receive(sock, tls=told.tls)
            else:
                print(json.dumps(send(sock, told.number, began, tls=told.tls)))


if __name__ == "__main__":
    main()
