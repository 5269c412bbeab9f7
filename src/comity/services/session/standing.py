"""The sessions that stand: at most one a peer. It settles which, waits for one, and speaks over it.

It runs nothing and dials nobody: ``service`` does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from comity import limits
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.protocol.session.duplicate import outranks
from comity.protocol.session.messages import DUPLICATE
from comity.services.session.tunnel import Tunnel


class StandingTunnels:
    """By peer. For the event loop's thread."""

    def __init__(self) -> None:
        self._tunnels: dict[PublicKey, Tunnel] = {}
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[PublicKey]:
        return iter(list(self._tunnels))

    def of(self, peer: PublicKey) -> Tunnel | None:
        """The session with this peer."""
        return self._tunnels.get(peer)

    def all(self) -> list[Tunnel]:
        """Every session."""
        return list(self._tunnels.values())

    def settle(self, tunnel: Tunnel) -> None:
        """Of this one and the one that stands, the better stays; the other says goodbye."""
        peer = tunnel.stream.peer
        old = self._tunnels.get(peer)
        if old is not None and not outranks(tunnel.contender, old.contender):
            tunnel.close(DUPLICATE)
            return
        self._tunnels[peer] = tunnel
        if old is not None:
            old.close(DUPLICATE)
        self._changed.set()
        self._changed = asyncio.Event()

    def remove(self, peer: PublicKey, tunnel: Tunnel | None = None) -> Tunnel | None:
        """Take out and return the session with this peer; only if it is ``tunnel``, where that is given."""
        standing = self._tunnels.get(peer)
        if standing is None or (tunnel is not None and standing is not tunnel):
            return None
        return self._tunnels.pop(peer)

    async def wait_up(self, peer: PublicKey, timeout: float) -> bool:
        """Whether a session stands within ``timeout`` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while peer not in self._tunnels:
                    await self._changed.wait()
        return peer in self._tunnels

    async def tell(self, peer: PublicKey, envelope: Envelope) -> bool:
        """Hand a statement over the session; whether the peer took it within ``limits.TELL_SECONDS``."""
        text, loop = envelope.to_json().decode(), asyncio.get_running_loop()
        until = loop.time() + limits.TELL_SECONDS
        tried = None
        # Once more where another session took over meanwhile: whoever has it already says so.
        while (tunnel := self._tunnels.get(peer)) is not None and tunnel is not tried:
            if await tunnel.tell(text, until - loop.time()):
                return True
            tried = tunnel
        return False
