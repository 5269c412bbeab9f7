"""The control API's client for asyncio: the same operations as ``client``'s, without a thread that waits.

HTTP is h11's business, finding the daemon ``client``'s. A call that is cancelled hangs up, which cancels what
the daemon did for it. It knows no operation.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import h11

from comity import limits
from comity.control import Progress
from comity.control.codec import from_plain, to_json
from comity.errors import InvalidInput, NotRunning, RemoteProtocolError
from comity.sdk.answers import answer_in, gone, too_slow
from comity.sdk.asks import Ask
from comity.sdk.client import Client

T = TypeVar("T")
_READ_BYTES = 64 * limits.KIB


class AsyncClient:
    """The daemon of one home. Every call is a connection of its own, so tasks may share one.

    Its methods raise what those of ``Client`` raise.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        patience: float = limits.CONTROL_ANSWER_SECONDS,
    ) -> None:
        """As ``Client``."""
        self.blocking = Client(home, environ=environ, patience=patience)

    async def ask(self, ask: Ask[T]) -> T:
        """Ask for one operation."""
        async with self._exchange(self.blocking.patience + ask.wait) as exchange:
            await exchange.post(ask.operation, ask.request)
            return from_plain(await exchange.answer(), ask.result)

    async def follow(
        self, operation: str, request: object, result: type[T], progress: Callable[[Progress], None]
    ) -> T:
        """Ask for a long operation: ``progress`` gets each line of it, the result ends it."""
        async with self._exchange(limits.CONTROL_SILENCE_SECONDS) as exchange:
            await exchange.post(operation, request)
            while True:
                line = await exchange.line(limits.CONTROL_SILENCE_SECONDS)
                if "result" in line:
                    return from_plain(line["result"], result)
                progress(from_plain(line.get("progress"), Progress))

    @asynccontextmanager
    async def listen(self, operation: str, request: object) -> AsyncIterator[AsyncLines]:
        """Ask for an operation that goes on for as long as the block lasts, a line at a time."""
        async with self._exchange(self.blocking.patience) as exchange:
            await exchange.post(operation, request)
            yield exchange

    async def hand_over(self, descriptor: int) -> str:
        """As ``Client.hand_over``, in a thread: it takes a moment and no more."""
        return await asyncio.to_thread(self.blocking.hand_over, descriptor)

    @asynccontextmanager
    async def _exchange(self, timeout: float) -> AsyncIterator[_Exchange]:
        path = os.fspath(self.blocking.runtime().control_socket)
        try:
            async with asyncio.timeout(self.blocking.patience):
                reader, writer = await asyncio.open_unix_connection(path)
        except TimeoutError as error:
            raise too_slow(self.blocking.patience) from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotRunning("the node is not running: nobody listens on its socket") from error
        try:
            yield _Exchange(reader, writer, timeout)
        finally:
            writer.transport.abort()


class AsyncLines(Protocol):
    """The lines of an operation that goes on."""

    async def line(self, timeout: float | None) -> dict[str, Any]:
        """The next one, within ``timeout`` seconds if there are so many; the error in it is raised."""


class _Exchange:
    """One request and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout: float) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout = timeout
        self._http = h11.Connection(h11.CLIENT)
        self._status = 0
        self._buffer = bytearray()
        self._over = False

    async def post(self, operation: str, request: object | None) -> None:
        """Send the request, and wait for the answer's head."""
        try:
            body = b"{}" if request is None else to_json(request)
        except UnicodeEncodeError as error:
            raise InvalidInput("an argument is not valid text (a byte that is not UTF-8)") from error
        headers = [
            ("Host", "localhost"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        head = h11.Request(method="POST", target=f"/v1/{operation}", headers=headers)
        parts = (self._http.send(head), self._http.send(h11.Data(body)), self._http.send(h11.EndOfMessage()))
        self._writer.write(b"".join(part for part in parts if part))
        await self._within(self._timeout, self._until_head)

    async def answer(self) -> dict[str, Any]:
        """The whole answer; the error in it is raised."""
        await self._within(self._timeout, self._until_over)
        if not self._buffer:
            raise gone()
        return answer_in(self._status, bytes(self._buffer))

    async def line(self, timeout: float | None) -> dict[str, Any]:
        """See ``AsyncLines``."""
        await self._within(timeout, self._until_line)
        end = self._buffer.find(b"\n") + 1
        data = bytes(self._buffer[:end] if end else self._buffer)
        del self._buffer[: len(data)]
        if not data:
            raise gone()
        return answer_in(self._status, data)

    async def _within(self, timeout: float | None, wait: Callable[[], Any]) -> None:
        try:
            async with asyncio.timeout(timeout):
                await wait()
        except TimeoutError as error:
            raise too_slow(self._timeout if timeout is None else timeout) from error
        except (OSError, h11.RemoteProtocolError) as error:
            raise gone() from error

    async def _until_head(self) -> None:
        while not self._status:
            await self._advance()

    async def _until_over(self) -> None:
        while not self._over:
            await self._advance()
            self._bound(limits.CONTROL_ANSWER_BYTES)

    async def _until_line(self) -> None:
        while not self._over and b"\n" not in self._buffer:
            await self._advance()
            self._bound(limits.CONTROL_LINE_BYTES)

    def _bound(self, most: int) -> None:
        if len(self._buffer) > most + _READ_BYTES:
            raise RemoteProtocolError(f"the daemon's answer is longer than {most} bytes")

    async def _advance(self) -> None:
        """Take one event of the answer; reads where there is none."""
        event = self._http.next_event()
        if event is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_READ_BYTES))
        elif isinstance(event, h11.Response):
            self._status = event.status_code
        elif isinstance(event, h11.Data):
            self._buffer += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            self._status = self._status or -1
            self._over = True
