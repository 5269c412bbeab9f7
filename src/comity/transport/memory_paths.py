"""Ways to a peer in memory: the addresses that it told, and the relay a moment later, as in the real race.

Each attempt ends with a link whose other end holds the peer's key, or with why it doesn't. Saying hello on it
is ``memory``'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import IdentityMismatch, PeerUnreachable
from comity.identity.keys import PublicKey
from comity.transport.interface import PathName, TicketOffice
from comity.transport.memory_channel import MemoryChannel
from comity.transport.memory_rendezvous import MemoryServer

Attempt = tuple[PathName, asyncio.Task[MemoryChannel]]
_CALL_BYTES = 16


class Paths:
    """What one node knows of where its peers are."""

    def __init__(
        self,
        server: MemoryServer,
        place: str,
        key: PublicKey,
        rendezvous: TicketOffice | None,
        clock: Clock,
        entropy: Entropy,
        server_of: Callable[[PublicKey], MemoryServer] | None = None,
    ) -> None:
        self._server_of = server_of or (lambda _: server)
        self._world = server.world
        self._place = place
        self._key = key
        self._rendezvous = rendezvous
        self._clock = clock
        self._entropy = entropy
        self._learned: dict[PublicKey, tuple[tuple[str, ...], float]] = {}

    def learn(self, peer: PublicKey, candidates: Sequence[str], expires: float) -> None:
        """Replace what is known of this peer; ``expires`` in seconds UTC."""
        self._learned[peer] = tuple(candidates), expires

    def attempts(self, peer: PublicKey, better_than: str | None) -> list[Attempt]:
        """All better paths that can be tried now, running; the caller owns the tasks."""
        candidates, expires = self._learned.get(peer, ((), 0.0))
        if self._clock.now() >= expires or better_than == "direct":
            candidates = ()
        attempts: list[Attempt] = [
            ("direct", asyncio.create_task(self._direct(peer, candidate))) for candidate in candidates
        ]
        if self._rendezvous is not None and better_than is None:  # there is none worse than the relay
            before = [task for _, task in attempts]
            attempts.append(("relay", asyncio.create_task(self._relayed(self._rendezvous, peer, before))))
        return attempts

    async def _direct(self, peer: PublicKey, candidate: str) -> MemoryChannel:
        door = self._world.doors.get(candidate)
        if door is None:
            raise PeerUnreachable(f"{candidate}: connection refused")
        near, far = await self._world.open((self._place, door.place))
        if door.key != peer:
            near.close("the peer ended the link")
            raise IdentityMismatch(f"{candidate}: the other side holds the key {door.key.fingerprint.short}")
        door.enter(far, self._key, self._world.address(self._place), "direct")
        return MemoryChannel(near, peer, candidate)

    async def _relayed(
        self, rendezvous: TicketOffice, peer: PublicKey, before: Sequence[asyncio.Task[MemoryChannel]]
    ) -> MemoryChannel:
        if before:  # they run alone for a moment, and what they opened is given one more to be welcomed
            done, _ = await asyncio.wait(before, timeout=limits.RELAY_HEAD_START)
            if any(task.exception() is None for task in done if not task.cancelled()):
                await asyncio.sleep(limits.RELAY_HEAD_START)
        ticket = await rendezvous.ask_relay(peer, self._entropy.token(_CALL_BYTES))
        server = self._server_of(peer)
        met = await server.meet(self._place, self._key, ticket)
        if met.other != peer:
            met.end.close("the peer ended the link")
            raise IdentityMismatch(f"the other side holds the key {met.other.fingerprint.short}")
        return MemoryChannel(met.end, peer, self._world.address(server.place))
