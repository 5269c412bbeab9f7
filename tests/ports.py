"""Programs for forwards: servers on loopback that tests expose, and forwards as a user runs them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import ipaddress
import json
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.labs import Command, Lab
from tests.region import awaits, meet

SERVICES = "exchange,events,forward"

#: RFC 6455 section 1.3.
_WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def content(size: int) -> bytes:
    """Bytes that show where they are from."""
    return hashlib.shake_256(str(size).encode()).digest(min(size, 1 << 16)) * (size // (1 << 16) + 1)


class _Web(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Upgrade") == "websocket":
            self._echo_websocket()
            return
        size = int(self.path.strip("/"))
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(content(size)[:size])

    def do_POST(self) -> None:
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left:
            part = self.rfile.read(min(left, 1 << 20))
            digest.update(part)
            left -= len(part)
        body = digest.hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _echo_websocket(self) -> None:
        """Text frames come back, until a close frame."""
        key = self.headers["Sec-WebSocket-Key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + _WEBSOCKET, usedforsecurity=False).digest())
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept.decode())
        self.end_headers()
        while True:
            head, length = self.rfile.read(2), 0
            length = head[1] & 0x7F
            if length == 126:
                length = struct.unpack(">H", self.rfile.read(2))[0]
            mask, data = self.rfile.read(4), self.rfile.read(length)
            said = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
            self.wfile.write(frame(head[0], said))
            if head[0] & 0x0F == 8:
                self.close_connection = True
                return

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


def frame(first: int, data: bytes, mask: bytes = b"") -> bytes:
    """A WebSocket frame of at most 65535 bytes."""
    masked = 0x80 if mask else 0
    size = bytes((masked | len(data),)) if len(data) < 126 else struct.pack(">BH", masked | 126, len(data))
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)) if mask else data
    return bytes((first,)) + size + mask + body


@contextmanager
def web() -> Iterator[int]:
    """An HTTP server: ``GET /SIZE``, ``POST`` answers the SHA-256, a WebSocket echoes; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Web)
    server.daemon_threads = True
    yield from _serving(server)


class _Lines(socketserver.StreamRequestHandler):
    """Reads to the client's end, and only then answers: how many bytes came, and all of them."""

    def handle(self) -> None:
        said = self.rfile.read()
        self.wfile.write(f"{len(said)}\n".encode() + said)


@contextmanager
def answering_last() -> Iterator[int]:
    """A server that answers only after its client's half-close; its port."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Lines)
    server.daemon_threads = True
    yield from _serving(server)


def _serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def silent() -> Iterator[tuple[int, socket.socket]]:
    """A port on which nobody accepts but the test."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        yield listener.getsockname()[1], listener


class Forwarded:
    """A running ``comity forward``."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.view = self.line()

    @property
    def local(self) -> str:
        return str(self.view["local"])

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.local.rpartition(":")
        return host, int(port)

    def line(self) -> dict[str, Any]:
        """The next line that it prints."""
        assert self.command.process.stdout is not None
        text = self.command.process.stdout.readline()
        assert text, self.command.end()
        line: dict[str, Any] = json.loads(text)
        return line

    def notice(self, state: str) -> dict[str, Any]:
        """The next notice with this state."""
        while (line := self.line())["state"] != state:
            pass
        return line

    def connect(self) -> socket.socket:
        if self.local.startswith("/"):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(60)
            sock.connect(self.local)
            return sock
        return socket.create_connection(self.address, timeout=60)


def forward(lab: Lab, peer: Lab, port: int, *options: str) -> Forwarded:
    """Start ``comity forward`` on a free port, or as the options say."""
    where = options or ("--local", "0")
    return Forwarded(lab.begin("forward", f"{peer.hostname}:{port}", *where))


def open_ports(asker: Lab, approver: Lab) -> None:
    """An agreement that opens forwarding, and a session."""
    asker.ask("handshake", approver.card, "IRB #2026-0142")
    awaits(approver)
    approver.ask("approve", asker.hostname, "--allow", SERVICES, "--fingerprint", asker.fingerprint)
    meet(asker, approver)


def listening(pid: int) -> list[tuple[str, str]]:
    """Every TCP socket on which a process listens and each of its UDP sockets: ``HOST:PORT`` and host.

    Linux: proc(5). The network tables are of the process's own namespace.
    """
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            link = os.readlink(f"/proc/{pid}/fd/{name}")
            inodes.add(link.removeprefix("socket:[").removesuffix("]"))
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            listens = fields[3] == "0A" or table.startswith("udp")
            if listens and fields[9] in inodes:
                words, _, port = fields[1].partition(":")
                packed = b"".join(
                    struct.pack("=I", int(words[at : at + 8], 16)) for at in range(0, len(words), 8)
                )
                host = str(ipaddress.ip_address(packed))
                found.append((f"{host}:{int(port, 16)}", host))
    return found
