"""One running forward: a listening socket of this machine, and every connection that came by it.

It accepts only as long as there is room, so that what waits, waits in the kernel. Who asked for it is told
what becomes of each connection, and misses something where nobody reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator

from comity import limits
from comity.clock import rfc3339
from comity.control.forwarding import ForwardNotice, ForwardRequest, ForwardView
from comity.errors import ComityError, Denied, InvalidInput, LocalProtocolError
from comity.protocol.forwarding.flow import Flow
from comity.services.forwarding.entrance import Entrance, Opened
from comity.services.forwarding.pipe import break_off
from comity.services.trust import KnownPeer
from comity.storage.sockets import same_user
from comity.transport.loopback import HOSTS, can_tell_users, same_user_tcp


class Forward:
    """``listener`` is its own from now on. ``run`` is its life."""

    def __init__(
        self,
        listener: socket.socket,
        entrance: Entrance,
        peer: KnownPeer,
        request: ForwardRequest,
        now: float,
    ) -> None:
        self.local = place_of(listener)
        self._listener = listener
        self._entrance = entrance
        self._peer = peer
        self._request = request
        self._since = now
        self._notices: asyncio.Queue[ForwardNotice | None] = asyncio.Queue(limits.FORWARD_NOTICES)
        self._connections: set[asyncio.Task[None]] = set()
        self._flows: dict[int, Flow] = {}
        self._total = self._sent = self._received = 0
        self._room = asyncio.Event()

    @property
    def view(self) -> ForwardView:
        """How it stands now."""
        return ForwardView(
            local=self.local,
            peer=self._peer.hostname,
            address=self._peer.address,
            fingerprint=str(self._peer.key.fingerprint),
            port=self._request.port,
            any_user=self._request.any_user,
            since=rfc3339(self._since),
            connections=len(self._flows),
            total=self._total,
            bytes_sent=self._sent + sum(flow.sent for flow in self._flows.values()),
            bytes_received=self._received + sum(flow.received for flow in self._flows.values()),
        )

    async def notices(self) -> AsyncGenerator[ForwardNotice, None]:
        """What becomes of its connections, until ``end``."""
        while (notice := await self._notices.get()) is not None:
            yield notice

    def end(self) -> None:
        """Let whoever reads ``notices`` know that it is over."""
        while self._notices.full():
            self._notices.get_nowait()
        self._notices.put_nowait(None)

    async def run(self) -> None:
        """Accept and carry until it is cancelled; then every connection is broken off."""
        self._listener.setblocking(False)
        try:
            while True:
                while len(self._connections) >= limits.FORWARD_CONNECTIONS:
                    self._room.clear()
                    await self._room.wait()
                sock, _ = await asyncio.get_running_loop().sock_accept(self._listener)
                task = asyncio.create_task(self._carry(sock))
                self._connections.add(task)
                task.add_done_callback(self._gone)
        except OSError as error:
            raise LocalProtocolError(
                f"the listening socket broke: {os.strerror(error.errno or 0)}"
            ) from error
        finally:
            self._listener.close()
            for task in self._connections:
                task.cancel()
            if self._connections:
                await asyncio.wait(self._connections)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        self._room.set()
        if not task.cancelled() and (bug := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a forwarded connection ended by a bug", "exception": bug, "task": task}
            )

    async def _carry(self, sock: socket.socket) -> None:
        self._total += 1
        number = self._total
        opened: list[Opened] = []

        def on_opened(found: Opened) -> None:
            opened.append(found)
            self._flows[number] = found.flow
            self._tell(ForwardNotice("opened", number, path=found.stream.info.path))

        problem: ComityError | None = None
        try:
            if not self._request.any_user and not _ours(sock):
                break_off(sock)
                raise Denied(
                    "a program of another user of this machine connected", hint="see comity forward --help"
                )
            await self._entrance.carry(sock, self._peer.key, self._request.port, on_opened)
        except ComityError as error:
            problem = error
        finally:
            self._count(number, opened, problem)

    def _count(self, number: int, opened: list[Opened], problem: ComityError | None) -> None:
        flow = self._flows.pop(number, None)
        if flow is not None:
            self._sent += flow.sent
            self._received += flow.received
        self._tell(
            ForwardNotice(
                "closed" if problem is None else "failed",
                number,
                path=opened[0].stream.info.path if opened else None,
                bytes_sent=flow.sent if flow else 0,
                bytes_received=flow.received if flow else 0,
                problem="" if problem is None else problem.message,
                hint="" if problem is None else problem.hint,
            )
        )

    def _tell(self, notice: ForwardNotice) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._notices.put_nowait(notice)


def adopt(descriptor: int, *, listening: bool) -> socket.socket:
    """The stream socket behind a descriptor that was handed over; InvalidInput, and it is closed, where it is
    another thing.
    """
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        raise InvalidInput("what was handed over is not a socket") from None
    try:
        if sock.type != socket.SOCK_STREAM:
            raise InvalidInput("what was handed over is not a stream socket")
        if bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)) is not listening:
            raise InvalidInput(f"the socket that was handed over is {'not ' * listening}listening")
    except BaseException:
        sock.close()
        raise
    return sock


def check_listener(sock: socket.socket, *, any_user: bool) -> None:
    """InvalidInput where others could use what it forwards, and nobody said that they may."""
    if sock.family == socket.AF_UNIX:
        return
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.getsockname()[0] not in HOSTS:
        raise InvalidInput(
            "a forward listens on loopback only", hint="use another tool to publish it further"
        )
    if not any_user and not can_tell_users():
        raise InvalidInput(
            "this system does not tell which user connects to a port, so every user could",
            hint="use --local with a socket's path, or say --any-user",
        )


def place_of(listener: socket.socket) -> str:
    """Where a listening socket is to be found: ``HOST:PORT``, or its path."""
    name = listener.getsockname()
    return os.fsdecode(name) if listener.family == socket.AF_UNIX else f"{name[0]}:{name[1]}"


def _ours(sock: socket.socket) -> bool:
    return same_user(sock) if sock.family == socket.AF_UNIX else same_user_tcp(sock)
