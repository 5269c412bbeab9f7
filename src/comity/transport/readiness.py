"""Waiting on the event loop until a socket can be read or written, by any number of tasks at once.

The loop keeps one callback for each direction of a descriptor, while TLS may have its reader and its
writer wait for the same one. It reads and writes nothing itself.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from comity.errors import LinkLost


class Readiness:
    """The waits on one non-blocking socket. Every method is called on the loop's thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._descriptor = sock.fileno()
        self._waiting: dict[bool, set[asyncio.Future[None]]] = {False: set(), True: set()}
        self._watcher: Callable[[], None] | None = None
        #: How often somebody had to wait: callers that never wait must let other tasks run themselves.
        self.waits = 0

    async def wait(self, *, write: bool, timeout: float | None) -> None:
        """Return once the socket is ready; LinkLost after ``timeout`` seconds or when ``fail`` is called."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._add(future, write)
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            raise LinkLost(f"nothing moved for {timeout:g} seconds") from None
        finally:
            self._remove(future, write)

    def watch(self, callback: Callable[[], None]) -> None:
        """Call back once when the socket becomes readable, as an idle link's does only when it ends."""
        self._watcher = callback
        self._loop.add_reader(self._descriptor, self._ready, False)

    def unwatch(self) -> None:
        """Forget the callback."""
        self._watcher = None
        if not self._waiting[False]:
            self._loop.remove_reader(self._descriptor)

    def fail(self, message: str) -> None:
        """Give up every wait with LinkLost, before the socket is closed."""
        self._watcher = None
        for write, futures in self._waiting.items():
            for future in futures:
                if not future.done():
                    future.set_exception(LinkLost(message))
            futures.clear()
            self._forget(write)

    def _add(self, future: asyncio.Future[None], write: bool) -> None:
        self.waits += 1
        if not self._waiting[write]:
            add = self._loop.add_writer if write else self._loop.add_reader
            add(self._descriptor, self._ready, write)
        self._waiting[write].add(future)

    def _remove(self, future: asyncio.Future[None], write: bool) -> None:
        futures = self._waiting[write]
        if future in futures:
            futures.remove(future)
            if not futures:
                self._forget(write)

    def _forget(self, write: bool) -> None:
        if write:
            self._loop.remove_writer(self._descriptor)
        else:
            self._loop.remove_reader(self._descriptor)

    def _ready(self, write: bool) -> None:
        for future in self._waiting[write]:
            if not future.done():
                future.set_result(None)
        if not write and self._watcher is not None:
            callback = self._watcher
            self.unwatch()
            callback()
