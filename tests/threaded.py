"""A TCP server on an event loop in a thread of its own, for tests that are no coroutines themselves.

What it does with its guests, its subclasses say. When the block ends, so does every guest.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")
Side = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SECONDS = 45.0
_ENDS = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


class ThreadedServer(ABC):
    """A context manager. ``port`` is known inside of it; with a ``context``, guests speak TLS."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, context: ssl.SSLContext | None = None) -> None:
        self.host = host
        self.port = port
        self.context = context
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._guests: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def attend(self, near: Side) -> None:
        """One guest, first to last; its connection is closed afterwards, and may break at any time."""

    async def listen(self) -> asyncio.Server:
        """Begin to let guests ``enter``."""
        return await asyncio.start_server(self.enter, self.host, self.port, ssl=self.context)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(SECONDS), f"{type(self).__name__} does not listen"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def ask(self, work: Coroutine[None, None, T]) -> T:
        """What ``work`` returns, done between two steps of the server; for the test's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(2 * SECONDS)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_report)
        self._over = asyncio.Event()
        server = await self.listen()
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        server.close()
        for guest in list(self._guests):
            guest.cancel()
        if self._guests:
            await asyncio.wait(self._guests)

    async def enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        guest = asyncio.current_task()
        assert guest is not None
        self._guests.add(guest)
        try:
            with contextlib.suppress(*_ENDS, asyncio.CancelledError):  # this server's end cancels
                await self.attend((reader, writer))
        finally:
            self._guests.discard(guest)
            await end(writer)


async def end(writer: asyncio.StreamWriter) -> None:
    """Close, whatever state it is in."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _report(loop: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
    """A guest that breaks off, in its TLS handshake say, is no error of this program."""
    if not isinstance(about.get("exception"), OSError):
        loop.default_exception_handler(about)
