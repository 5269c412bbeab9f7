"""Forwarding as the node's API sees it: expose, forward, one stream to a port.

It owns what runs for somebody on this machine; each ends with who asked for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from comity import limits
from comity.control.forwarding import (
    EndForwardRequest,
    ForwardRequest,
    ForwardsResult,
    ForwardView,
    StreamEnd,
    StreamRequest,
    StreamView,
)
from comity.errors import InvalidInput, LocalProtocolError
from comity.protocol.hello import FORWARD_PORT
from comity.services.forwarding.entrance import Entrance, Opened
from comity.services.forwarding.exit import Exit
from comity.services.forwarding.forward import Forward, adopt, check_listener
from comity.services.forwarding.pipe import break_off
from comity.services.forwarding.surroundings import Surroundings
from comity.services.trust import KnownPeer


class ForwardingService:
    """One node's forwards. ``start`` before the network serves; ``exposed`` is the side with ports."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._entrance = Entrance(around)
        self.exposed = Exit(around)
        self._forwards: dict[str, Forward] = {}

    def start(self) -> None:
        """Answer on port 1003."""
        self._around.network.serve(FORWARD_PORT, self.exposed.answer)

    @asynccontextmanager
    async def forward(self, request: ForwardRequest, descriptor: int) -> AsyncIterator[Forward]:
        """A forward that runs for as long as the block; ``descriptor`` is its own from the call on.

        InvalidInput, UnknownPeer, UntrustedPeer, AmbiguousPeer, Denied.
        """
        listener = adopt(descriptor, listening=True)
        try:
            check_listener(listener, any_user=request.any_user)
            peer = await self._peer(request.peer, request.port)
            forward = Forward(listener, self._entrance, peer, request, self._around.clock.now())
            if forward.local in self._forwards:
                raise InvalidInput(f"a forward listens on {forward.local} already")
            if len(self._forwards) >= limits.FORWARDS:
                raise InvalidInput(f"{limits.FORWARDS} forwards run here already", hint="end one of them")
        except BaseException:
            listener.close()
            raise
        self._forwards[forward.local] = forward
        running = asyncio.create_task(forward.run())
        running.add_done_callback(lambda _: forward.end())
        try:
            yield forward
        finally:
            del self._forwards[forward.local]
            running.cancel()
            await asyncio.wait({running})

    def forwards(self) -> ForwardsResult:
        """Every forward that runs, by where it listens."""
        return ForwardsResult(forwards=tuple(self._forwards[local].view for local in sorted(self._forwards)))

    def end(self, request: EndForwardRequest) -> ForwardView:
        """End a forward that somebody else on this machine runs; how it stood. InvalidInput."""
        forward = self._forwards.get(request.local)
        if forward is None:
            raise InvalidInput(f"no forward listens on {request.local}", hint="run comity forward --list")
        forward.end()
        return forward.view

    async def stream(
        self, request: StreamRequest, descriptor: int
    ) -> AsyncGenerator[StreamView | StreamEnd, None]:
        """One connection to a peer's port: its view once the peer has let it in, its totals once it is over.

        ``descriptor`` is its own from the call on. The errors of ``forward`` and of ``Entrance.carry``.
        """
        sock = adopt(descriptor, listening=False)
        opened: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        try:
            peer = await self._peer(request.peer, request.port)
        except BaseException:
            break_off(sock)
            raise
        carrying = asyncio.create_task(self._entrance.carry(sock, peer.key, request.port, opened.set_result))
        try:
            either: set[asyncio.Future[Any]] = {carrying, opened}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not opened.done():
                carrying.result()
                raise LocalProtocolError("a stream ended in order before it was opened")
            found = opened.result()
            yield StreamView(
                peer=peer.hostname,
                address=peer.address,
                fingerprint=str(peer.key.fingerprint),
                port=request.port,
                path=found.stream.info.path,
            )
            await asyncio.wait({carrying})
            carrying.result()
            yield StreamEnd(bytes_sent=found.flow.sent, bytes_received=found.flow.received)
        finally:
            carrying.cancel()
            await asyncio.wait({carrying})

    async def _peer(self, text: str, port: int) -> KnownPeer:
        if not 1 <= port <= 65535:
            raise InvalidInput(f"{port} is not a TCP port")
        peer = await self._around.trust.resolve(text)
        self._entrance.require(peer.key, port)
        return peer
