"""What ends TLS on the way to a rendezvous: a small reverse proxy, an inspecting box, and a real nginx."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets.frames import Frame
from websockets.protocol import Protocol
from websockets.protocol import Side as Role

from tests.authority import Authority
from tests.labs import eventually
from tests.threaded import Side, ThreadedServer, end

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "deploy/nginx/comity.conf"
_SECONDS = 45.0
_READ = 65536


class Gateway(ThreadedServer):
    """Ends TLS with its own certificate and passes what is inside on to ``target``, a port on loopback.

    ``onwards``: in a TLS of its own, as an inspecting box does, to a server whose name is checked by it.
    It keeps all that it sees in the clear. What isn't an HTTP request for a WebSocket it refuses with 400, as
    nginx does.
    """

    def __init__(self, context: ssl.SSLContext, target: int, onwards: ssl.SSLContext | None = None) -> None:
        super().__init__(context=context)
        self.target = target
        self.answer: bytes | None = None  # instead of what the target says
        self._flows: list[tuple[bytes, bytearray, bytearray]] = []
        self._onwards = onwards

    def seen(self) -> list[bytes]:
        """All that it saw, to be asked after the end: requests, answers, and what was in the messages of each
        direction, unmasked.
        """
        return [each for flow in self._flows for each in (flow[0], *map(_messages, flow[1:]))]

    async def attend(self, near: Side) -> None:
        head = await near[0].readuntil(b"\r\n\r\n")
        if not head.startswith(b"GET /comity HTTP/1.1\r\n"):
            near[1].write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return
        if self.answer is not None:
            near[1].write(self.answer)
            return
        try:
            name = "rendezvous.test" if self._onwards else None
            far = await asyncio.open_connection(
                "127.0.0.1", self.target, ssl=self._onwards, server_hostname=name
            )
        except OSError:
            near[1].write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        far[1].write(head)
        flow = head, bytearray(), bytearray()
        self._flows.append(flow)
        ways = (near, far, flow[1]), (far, near, flow[2])
        copying = [asyncio.ensure_future(self._copy(*way)) for way in ways]
        try:
            await asyncio.wait(copying, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in copying:
                each.cancel()
            await asyncio.gather(*copying, return_exceptions=True)
            await end(far[1])

    async def _copy(self, source: Side, target: Side, seen: bytearray) -> None:
        while data := await source[0].read(_READ):
            seen += data
            target[1].write(data)
            await target[1].drain()


def _messages(seen: bytearray) -> bytes:
    """What a WebSocket's frames carried, with the head of the answer before them if there is one."""
    answered = seen.startswith(b"HTTP/")
    head, _, frames = bytes(seen).partition(b"\r\n\r\n") if answered else (b"", b"", bytes(seen))
    reader = Protocol(Role.CLIENT if answered else Role.SERVER, max_size=None)
    reader.receive_data(frames)
    assert reader.parser_exc is None
    return head + b"".join(frame.data for frame in reader.events_received() if isinstance(frame, Frame))


def nginx_missing() -> str | None:
    """Why no nginx can be started here, or None."""
    return None if shutil.which("nginx") else "nginx is not installed (apt install nginx-light)"


@contextmanager
def nginx(folder: Path, authority: Authority, target: int) -> Iterator[int]:
    """A real nginx under the configuration that is shipped, before the rendezvous at ``target``; its port."""
    port = free_port()
    chain, key = authority.issue("rendezvous.example.org")
    shipped = SHIPPED.read_text(encoding="utf-8")
    for was, becomes in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("listen [::]:443 ssl;", ""),
        ("/etc/ssl/certs/rendezvous.example.org.pem", str(chain)),
        ("/etc/ssl/private/rendezvous.example.org.key", str(key)),
        ("127.0.0.1:9000", f"127.0.0.1:{target}"),
    ):
        assert was in shipped, was
        shipped = shipped.replace(was, becomes)
    main = folder / "nginx.conf"
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main.write_text(
        f"daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log {folder}/access.log;\n{temporary}{shipped}\n}}\n"
    )
    with (folder / "output").open("wb") as output:
        program = subprocess.Popen(
            ["nginx", "-p", str(folder), "-c", str(main), "-e", str(folder / "error.log")],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        eventually(lambda: program.poll() is not None or answers(port), "nginx serves")
        assert program.poll() is None, (folder / "output").read_text() + (folder / "error.log").read_text()
        yield port
    finally:
        program.terminate()
        program.wait(_SECONDS)


def free_port() -> int:
    """A port on loopback that was free just now, and that no system gives to whoever asks for any."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
