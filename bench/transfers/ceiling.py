"""What this machine could do at most: TLS 1.3, SHA-256 at both ends, a file read, a file written, overlapped.

    python -m transfers.ceiling receive FILE      prints its port, then the digest
    python -m transfers.ceiling send PORT FILE    returns once the receiver has said the digest that it has

``--raw`` leaves hashing and files out: zeros from memory to nowhere, the stream alone. No framing, no
manifest, no guard, no records, no receipt: it is no protocol, only a bound.
"""

from __future__ import annotations

import hashlib
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable

from OpenSSL import SSL

from comity.identity.certificate import issue_certificate
from comity.identity.keys import Identity
from comity.transport.landing import Landing

PIECE = 1 << 20
AHEAD = 4


def context(server: bool) -> SSL.Context:
    made = SSL.Context(SSL.TLS_SERVER_METHOD if server else SSL.TLS_CLIENT_METHOD)
    made.set_min_proto_version(SSL.TLS1_3_VERSION)
    made.set_tls13_ciphersuites(b"TLS_AES_256_GCM_SHA384")
    made.clear_mode(1)  # no partial writes: a piece is one call
    if server:
        identity = Identity.generate()
        made.use_privatekey(identity.private_key)
        made.use_certificate(issue_certificate(identity, time.time()))
    return made


def beside(
    work: Callable[[queue.Queue[memoryview | None], queue.Queue[memoryview]], None],
) -> tuple[threading.Thread, queue.Queue[memoryview | None], queue.Queue[memoryview]]:
    """A thread, the pieces that go to or come from it, and the buffers that are free."""
    pieces: queue.Queue[memoryview | None] = queue.Queue()
    free: queue.Queue[memoryview] = queue.Queue()
    thread = threading.Thread(target=work, args=(pieces, free))
    return thread, pieces, free


def send(port: int, path: str, raw: bool) -> None:
    size = int(path) if raw else os.stat(path).st_size
    sock = socket.create_connection(("127.0.0.1", port))
    connection = SSL.Connection(context(server=False), sock)
    connection.set_connect_state()
    connection.do_handshake()
    connection.sendall(size.to_bytes(8, "big"))
    digest = hashlib.sha256()
    if raw:
        zeros = memoryview(bytes(PIECE))
        for at in range(0, size, PIECE):
            connection.sendall(zeros[: min(PIECE, size - at)])
    else:
        descriptor = os.open(path, os.O_RDONLY)

        def read(pieces: queue.Queue[memoryview | None], free: queue.Queue[memoryview]) -> None:
            while count := os.readv(descriptor, [buffer := free.get()]):
                digest.update(buffer[:count])
                pieces.put(buffer[:count])
            pieces.put(None)

        thread, pieces, free = beside(read)
        for _ in range(AHEAD):
            free.put(memoryview(bytearray(PIECE)))
        thread.start()
        while (piece := pieces.get()) is not None:
            connection.sendall(piece)
            free.put(memoryview(piece.obj))
        thread.join()
    answer = b""
    while len(answer) < 32:
        answer += connection.recv(32 - len(answer))
    if not raw and answer != digest.digest():
        sys.exit("the digests differ")


def receive(path: str, raw: bool) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    sock, _ = listener.accept()
    connection = SSL.Connection(context(server=True), sock)
    connection.set_accept_state()
    connection.do_handshake()
    head = b""
    while len(head) < 8:
        head += connection.recv(8 - len(head))
    size = int.from_bytes(head, "big")
    digest = hashlib.sha256()
    descriptor = -1 if raw else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    landings = [Landing() for _ in range(AHEAD)]
    full: queue.Queue[memoryview | None] = queue.Queue()
    free: queue.Queue[Landing] = queue.Queue()
    used: queue.Queue[Landing] = queue.Queue()
    for landing in landings:
        landing.reserve(PIECE)
        free.put(landing)

    def write() -> None:
        while (piece := full.get()) is not None:
            if not raw:
                digest.update(piece)
                os.write(descriptor, piece)
            free.put(used.get())

    thread = threading.Thread(target=write)
    thread.start()
    left = size
    while left:
        landing = free.get()
        want = min(PIECE, left)
        landing.reserve(want)
        landing.fill(connection, want)
        used.put(landing)
        full.put(landing.view(want))
        left -= want
    full.put(None)
    thread.join()
    if not raw:
        os.fsync(descriptor)
    connection.sendall(digest.digest())
    connection.shutdown()


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--raw"]
    if words[0] == "send":
        send(int(words[1]), words[2], "--raw" in sys.argv)
    else:
        receive(words[1] if len(words) > 1 else "", "--raw" in sys.argv)
