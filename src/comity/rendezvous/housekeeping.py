"""What the server does by itself, every second and now and then: departures, tickets, expired mail."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from comity.clock import Clock
from comity.errors import ComityError
from comity.rendezvous.desk import Desk
from comity.rendezvous.journal import Journal
from comity.rendezvous.manager import Manager
from comity.rendezvous.presence import Presence
from comity.rendezvous.relay import Relay
from comity.rendezvous.scribe import Scribe
from comity.rendezvous.stores import Books
from comity.rendezvous.usage import Usage

_EVERY = 1.0  # seconds
_SWEEPING = 60.0


class Housekeeping:
    """``keep`` in a task of its own; ``write_departures`` once more at the end."""

    def __init__(
        self,
        scribe: Scribe,
        presence: Presence,
        relay: Relay,
        desk: Desk,
        usage: Usage,
        clock: Clock,
        journal: Journal,
    ) -> None:
        self._usage = usage
        self._scribe = scribe
        self._presence = presence
        self._relay = relay
        self._desk = desk
        self._clock = clock
        self._journal = journal

    async def keep(self, manager: Manager) -> NoReturn:
        """Until cancelled; ``manager`` is told that this server is alive, which it is while this goes on."""
        swept = self._clock.monotonic() - _SWEEPING
        while True:
            manager.alive()
            try:
                self._relay.expire()
                self._relay.measure()
                await self.write_departures()
                if self._clock.monotonic() - swept >= _SWEEPING:
                    swept = self._clock.monotonic()
                    self._desk.sweep()
                    await self._desk.expire()
            except ComityError as error:  # a full disk: whoever is online stays so, and it may pass
                self._journal.failure("housekeeping failed", error)
            await asyncio.sleep(_EVERY)

    async def write_departures(self) -> None:
        """And what went through the relay."""
        left, relayed = self._presence.departures(), self._usage.changes()

        def write(books: Books) -> None:
            for node, at in left.items():
                books.nodes.seen(*node, at)
            books.tenancy.note_relayed(relayed)

        if left or relayed:
            await self._scribe.run(write)
