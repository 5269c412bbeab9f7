"""For monitoring systems: ``/healthz``, ``/readyz`` and ``/metrics`` over HTTP/1.1, on a listener of its own.

Off unless asked for, and for this machine alone unless that is asked for too: nobody is authenticated here.
One connection is one request of ``limits.MONITOR_SECONDS``, with no body; a web page that somebody looks at
on this machine is refused by its Host or Origin (SECURITY.md rule 15). HTTP is h11's, the numbers are
``vitals``', their text ``exposition``'s.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

import h11

from comity import limits
from comity.control.rendezvous_status import RendezvousStatus
from comity.errors import ComityError
from comity.rendezvous.exposition import CONTENT_TYPE, exposition
from comity.rendezvous.journal import Journal

_READ = 4096
_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_PAUSE = 0.2  # seconds, before an accept that failed is tried again


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    kind: str = _TEXT


class Monitor:
    """Serves ``listener`` until cancelled; ``guarded``: only requests to this machine's own names count."""

    def __init__(
        self,
        listener: socket.socket,
        status: Callable[[], Awaitable[RendezvousStatus]],
        journal: Journal,
        *,
        guarded: bool,
    ) -> None:
        self._listener = listener
        self._status = status
        self._journal = journal
        self._guarded = guarded
        self._guests: set[asyncio.Task[None]] = set()

    async def keep(self) -> NoReturn:
        """Let monitoring systems in. Its guests end with it."""
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        try:
            while True:
                try:
                    sock, _ = await loop.sock_accept(self._listener)
                except OSError as error:
                    self._journal.refused("out_of_descriptors", reason=error.strerror or "")
                    await asyncio.sleep(_PAUSE)
                    continue
                if len(self._guests) >= limits.MONITOR_CONNECTIONS:
                    sock.close()
                    continue
                guest = loop.create_task(self._serve(sock))
                self._guests.add(guest)
                guest.add_done_callback(self._guests.discard)
        finally:
            for guest in self._guests:
                guest.cancel()

    async def _serve(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.MONITOR_HEAD_BYTES)
        with sock, suppress(TimeoutError, OSError):
            async with asyncio.timeout(limits.MONITOR_SECONDS):
                head = False
                try:
                    request = await _request(sock, connection)
                    if request is None:
                        return
                    head = request.method == b"HEAD"
                    answer = await self._answer(request)
                except h11.RemoteProtocolError as error:
                    answer = _Answer(error.error_status_hint, b"not understood\n")
                except ComityError as error:
                    answer = _Answer(503, f"{error.message}\n".encode())
                except Exception as error:  # noqa: BLE001  a monitoring system must not end the server
                    self._journal.failure("monitoring failed", error)
                    answer = _Answer(500, b"failed: see the log\n")
                await loop.sock_sendall(sock, _encoded(connection, answer, head=head))

    async def _answer(self, request: h11.Request) -> _Answer:
        headers = dict(request.headers)
        if self._guarded and (b"origin" in headers or not _own(headers.get(b"host", b""))):
            return _Answer(403, b"ask by the address of this machine's loopback\n")
        if request.method not in (b"GET", b"HEAD"):
            return _Answer(405, b"GET only\n")
        path = request.target.partition(b"?")[0]
        if path == b"/healthz":
            return _Answer(200, b"ok\n")
        if path == b"/readyz":
            status = await self._status()
            checks = {check.name: {"ok": check.ok, "detail": check.detail} for check in status.checks}
            body = json.dumps({"ready": status.ready, "checks": checks}).encode() + b"\n"
            return _Answer(200 if status.ready else 503, body, _JSON)
        if path == b"/metrics":
            return _Answer(200, exposition(await self._status()), CONTENT_TYPE)
        return _Answer(404, b"/healthz, /readyz or /metrics\n")


async def _request(sock: socket.socket, connection: h11.Connection) -> h11.Request | None:
    loop = asyncio.get_running_loop()
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        connection.receive_data(await loop.sock_recv(sock, _READ))


def _encoded(connection: h11.Connection, answer: _Answer, *, head: bool) -> bytes:
    headers = [
        ("Content-Type", answer.kind),
        ("Content-Length", str(len(answer.body))),
        ("Connection", "close"),
    ]
    said = connection.send(h11.Response(status_code=answer.status, headers=headers)) or b""
    return said if head else said + (connection.send(h11.Data(data=answer.body)) or b"")


def _own(host: bytes) -> bool:
    """Whether a Host header names this machine's loopback: a name that some page made up does not."""
    name = host.decode("latin-1").rpartition(":")[0] if host.rpartition(b":")[2].isdigit() else ""
    name = name or host.decode("latin-1")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
