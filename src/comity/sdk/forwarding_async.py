"""Ports across the tunnel for asyncio: ``forwarding``'s streams and forwards, awaited."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from comity.control import ForwardRequest, ForwardView, StreamEnd, StreamRequest, StreamView
from comity.control.codec import from_plain
from comity.errors import ComityError
from comity.sdk.client_async import AsyncClient, AsyncLines
from comity.sdk.forwarding import beside, listening


@asynccontextmanager
async def stream(client: AsyncClient, peer: str, port: int) -> AsyncIterator[AsyncPortStream]:
    """As ``forwarding.stream``."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            token = await client.hand_over(theirs.fileno())
        request = StreamRequest(peer=peer, port=port, file=token)
        async with client.listen("stream", request) as lines:
            line = await lines.line(client.blocking.patience)
            view = from_plain(line.get("stream"), StreamView)
            reader, writer = await asyncio.open_connection(sock=ours)
            try:
                yield AsyncPortStream(reader, writer, view, lines)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()


class AsyncPortStream:
    """An open connection to the peer's program.

    An end of file at ``reader`` may also mean that the link broke: ``finish`` tells.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, view: StreamView, lines: AsyncLines
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.view = view
        self._lines = lines

    async def finish(self, timeout: float | None = None) -> StreamEnd:
        """As ``PortStream.finish``."""
        with contextlib.suppress(OSError):  # broken already: the daemon says by what
            self.writer.write_eof()
        return from_plain((await self._lines.line(timeout)).get("end"), StreamEnd)


@asynccontextmanager
async def forward(
    client: AsyncClient, peer: str, port: int, local: int | Path | None
) -> AsyncIterator[ForwardView]:
    """As ``forwarding.forward``; what becomes of its connections is not told."""
    with listening(beside(client.blocking, peer, port) if local is None else local) as listener:
        token = await client.hand_over(listener.fileno())
        async with client.listen("forward", ForwardRequest(peer, port, token)) as lines:
            listener.close()  # the daemon's now: it must end with it
            view = from_plain((await lines.line(client.blocking.patience)).get("forward"), ForwardView)
            notices = asyncio.create_task(_read(lines))
            try:
                yield view
            finally:
                notices.cancel()
                await asyncio.wait({notices})


async def _read(lines: AsyncLines) -> None:
    """Take notices and do nothing with them, so that the daemon is not held up."""
    with contextlib.suppress(ComityError):  # the daemon is gone: connections fail, and say so
        while "ended" not in await lines.line(None):
            pass
