"""A daemon made of answers: the documented control API over real Unix sockets, without a node behind it."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import tempfile
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from comity.control import InitRequest
from comity.sdk.home import init
from comity.storage.home import Home
from comity.storage.runtime import Runtime, runtime_of

#: A line of an answer that never comes.
SILENCE = b"silence"
#: A second without a line.
PAUSE = b"pause"
JOIN = "comity://127.0.0.1:9000#" + "ab" * 32


class FakeDaemon:
    """``answers[operation]`` holds what comes back: a list of JSON lines for each call, in order."""

    def __init__(self, runtime: Runtime) -> None:
        self.answers: dict[str, deque[list[bytes]]] = defaultdict(deque)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.files: dict[str, bytes] = {}
        self.ending = threading.Event()
        self.takes_files = True
        runtime.create()
        self._control = _Server(os.fspath(runtime.control_socket), _Handler)
        self._control.daemon = self
        self._handoff = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._handoff.bind(os.fspath(runtime.handoff_socket))
        self._handoff.listen()
        self._threads = [
            threading.Thread(target=self._control.serve_forever, args=(0.01,)),
            threading.Thread(target=self._take_files),
        ]
        for thread in self._threads:
            thread.start()

    def answer(self, operation: str, *lines: dict[str, Any] | bytes) -> None:
        """What the next call of ``operation`` gets: a line each, as an object or as bytes; SILENCE waits."""
        self.answers[operation].append([_encoded(line) for line in lines])

    def stop(self) -> None:
        """End it, once or more; its sockets stay behind, as a killed daemon's do."""
        if self._handoff.fileno() < 0:
            return
        self.ending.set()
        self._control.shutdown()
        self._control.server_close()
        self._handoff.shutdown(socket.SHUT_RDWR)
        self._handoff.close()
        for thread in self._threads:
            thread.join(5)

    def _take_files(self) -> None:
        while True:
            try:
                connection, _ = self._handoff.accept()
            except OSError:
                return
            with connection:
                token, descriptors, _, _ = socket.recv_fds(connection, 64, 1)
                with open(descriptors[0], "rb") as file:
                    self.files[token.decode()] = file.read()
                if self.takes_files:
                    connection.send(b"OK\n")


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon: FakeDaemon
    block_on_close = True


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        operation = self.path.removeprefix("/v1/")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.daemon.requests.append((operation, json.loads(body)))
        lines = self.server.daemon.answers[operation].popleft()
        failed = len(lines) == 1 and b'"error"' in lines[0]
        self.send_response(409 if failed else 200)
        self.send_header("Connection", "close")
        self.end_headers()
        for line in lines:
            if line == PAUSE:
                self.server.daemon.ending.wait(1)
                continue
            if line == SILENCE:
                self.server.daemon.ending.wait(30)
                return
            self.wfile.write(line + b"\n")
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet: the output under test is the client's."""


def _encoded(line: dict[str, Any] | bytes) -> bytes:
    return line if isinstance(line, bytes) else json.dumps(line).encode()


@contextmanager
def short_folder() -> Iterator[Path]:
    """A private folder whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="comity-", dir="/tmp") as folder:
        yield Path(os.path.realpath(folder))


def new_home(folder: Path, hostname: str = "lab-a-trainer") -> Home:
    """A home that was set up for real."""
    home = folder / "home"
    init(InitRequest(hostname=hostname, join=JOIN), home=home)
    return Home(home)


@contextmanager
def running(home: Home, runtime_dir: Path) -> Iterator[FakeDaemon]:
    """A daemon for ``home`` whose sockets lie where ``XDG_RUNTIME_DIR`` is ``runtime_dir``."""
    runtime_dir.mkdir(mode=0o700, exist_ok=True)
    daemon = FakeDaemon(runtime_of(home, {"XDG_RUNTIME_DIR": os.fspath(runtime_dir)}))
    try:
        yield daemon
    finally:
        daemon.stop()
