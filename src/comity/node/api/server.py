"""uvicorn on our own socket, for our own user, without its signal handlers and its logging set-up."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from comity import limits
from comity.storage.sockets import same_user


class ControlProtocol(H11Protocol):
    """HTTP/1.1 with callers of our own user; others are cut off before a byte is read (SECURITY.md rule
    15).
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        if same_user(transport.get_extra_info("socket")):
            super().connection_made(transport)
        else:
            self.transport = transport
            transport.abort()


class ControlServer(uvicorn.Server):
    """Serves ``app`` on a listening Unix socket until ``stop``."""

    def __init__(self, app: FastAPI, sock: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            http=ControlProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            limit_concurrency=limits.CONTROL_CONNECTIONS,
            timeout_graceful_shutdown=int(limits.CONTROL_GRACE_SECONDS),
        )
        super().__init__(config)
        self._sock = sock
        self._stop = asyncio.Event()

    async def run_until_stopped(self) -> None:
        """Serve; requests that still run ``limits.CONTROL_GRACE_SECONDS`` after ``stop`` are cancelled."""
        await self.serve([self._sock])

    def stop(self) -> None:
        """Accept no more."""
        self._stop.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are the daemon's business."""
        yield

    async def main_loop(self) -> None:
        """Instead of uvicorn's ten looks a second."""
        await self._stop.wait()
