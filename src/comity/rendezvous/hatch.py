"""The hatch: a Unix socket beside the database, where the server's own user administers it while it serves.

One connection is one request: a line of JSON, ``{"operation", "request"}``, answered by one line,
``{"result"}`` or ``{"error": {"code", "message", "hint"}}``. The socket has mode 0600 in a folder of mode
0700, and the kernel is asked who is at the other end (SECURITY.md rule 15). ``ask`` is the other side.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import msgspec

from comity import limits
from comity.control.codec import to_plain
from comity.errors import ComityError, LinkLost, RemoteProtocolError, TimedOut
from comity.rendezvous.journal import Journal
from comity.rendezvous.office import Office
from comity.storage.sockets import peer_user, same_user

_REQUEST_BYTES = limits.API_BODY_BYTES
_PAUSE = 0.2  # seconds, before an accept that failed is tried again


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    operation: str
    request: dict[str, Any]


class Hatch:
    """Serves ``listener``, a listening Unix socket that ``close`` closes."""

    def __init__(self, listener: socket.socket, office: Office, journal: Journal) -> None:
        self._listener = listener
        self._office = office
        self._journal = journal

    async def keep(self) -> None:
        """Serve one administrator after the other, until cancelled."""
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        while True:
            try:
                sock, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                self._journal.refused("out_of_descriptors", reason=error.strerror or "")
                await asyncio.sleep(_PAUSE)
                continue
            with sock:
                await self._serve(sock)

    def close(self) -> None:
        self._listener.close()

    async def _serve(self, sock: socket.socket) -> None:
        if not same_user(sock):
            self._journal.refused("other_user", reason="somebody else's process came to the hatch")
            return
        who = f"uid {peer_user(sock)}"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limits.ADMIN_SECONDS):
                answer = await self._answer(await _line(sock), who)
                await loop.sock_sendall(sock, msgspec.json.encode(answer) + b"\n")
        except (TimeoutError, OSError, ComityError) as error:
            self._journal.refused("administrator_lost", reason=str(error))
        except Exception as error:  # noqa: BLE001  an administrator's request must not end the server
            self._journal.failure("administration failed", error)

    async def _answer(self, line: bytes, who: str) -> dict[str, Any]:
        try:
            asked = msgspec.json.decode(line, type=_Request)
            result = await self._office.answer(asked.operation, asked.request, who)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return failure(RemoteProtocolError(f"not a request: {error}"))
        except ComityError as error:
            return failure(error)
        head = str(await self._office.head())
        self._journal.info("administered", operation=asked.operation, who=who, log=head)
        return {"result": to_plain(result)}


def failure(error: ComityError) -> dict[str, Any]:
    """An error as it is written to an administrator."""
    return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}


def ask(path: os.PathLike[str], operation: str, request: dict[str, Any]) -> bytes | None:
    """The answering line of the server whose hatch is at ``path``; None where none serves there.

    TimedOut, LinkLost.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(limits.ADMIN_SECONDS)
        try:
            sock.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        try:
            sock.sendall(msgspec.json.encode({"operation": operation, "request": request}) + b"\n")
            with sock.makefile("rb") as answers:
                line = answers.readline(limits.ADMIN_LINE_BYTES)
        except TimeoutError:
            raise TimedOut("the server did not answer in time") from None
        except OSError as error:
            raise LinkLost(f"the server ended: {(error.strerror or '').lower()}") from error
    if not line.endswith(b"\n"):
        raise LinkLost("the server ended before it answered")
    return line


async def _line(sock: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    said = b""
    while not said.endswith(b"\n"):
        more = await loop.sock_recv(sock, _REQUEST_BYTES)
        said += more
        if not more or len(said) > _REQUEST_BYTES:
            raise LinkLost("the administrator sent no whole request")
    return said
