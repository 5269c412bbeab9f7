"""How the server is: its checks and its numbers, gathered when somebody asks (``monitor``, ``office``).

A check is what has to hold for the server to do its work: the database takes a write, somebody listens, the
disk has room, the clock is one that nodes can live with.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from itertools import accumulate

from comity import __version__, limits
from comity.clock import rfc3339
from comity.control.rendezvous_status import Check, NetworkNumbers, RendezvousStatus, Resolves
from comity.errors import ComityError
from comity.rendezvous.meters import RESOLVE_BUCKETS, Meters
from comity.rendezvous.presence import Presence
from comity.rendezvous.relay import Relay
from comity.rendezvous.scribe import Scribe
from comity.rendezvous.state import State
from comity.rendezvous.stores import Books
from comity.rendezvous.timing import FlooredClock

#: When the newest backup was made; when the database last took a write for a check.
BACKUP, CHECKED = "backup", "checked"


class Vitals:
    """``listening`` tells whether every socket is being accepted from."""

    def __init__(
        self,
        state: State,
        scribe: Scribe,
        presence: Presence,
        relay: Relay,
        meters: Meters,
        clock: FlooredClock,
        listening: Callable[[], bool],
    ) -> None:
        self._state = state
        self._scribe = scribe
        self._presence = presence
        self._relay = relay
        self._meters = meters
        self._clock = clock
        self._listening = listening
        self._started = clock.now()
        self._began = clock.monotonic()

    async def status(self) -> RendezvousStatus:
        """Of now. It raises nothing that has to do with the disk: that is a check which doesn't hold."""
        self._relay.measure()
        networks: tuple[NetworkNumbers, ...] = ()
        backup = 0
        try:
            async with asyncio.timeout(limits.MONITOR_SECONDS / 2):
                networks, backup = await self._scribe.run(self._read)
            database = Check("database", True, "it takes writes")
        except TimeoutError:
            database = Check("database", False, "it takes no write in time")
        except ComityError as error:
            database = Check("database", False, error.message)
        free = self._free()
        checks = (
            database,
            Check("listener", self._listening(), "connections are accepted"),
            Check("disk", free >= limits.FREE_SPACE_MARGIN, f"{free // limits.MIB} MiB are free"),
            self._check_clock(),
        )
        counts = list(accumulate(self._meters.resolve_counts))
        return RendezvousStatus(
            running=True,
            ready=all(check.ok for check in checks),
            version=__version__,
            checks=checks,
            started_at=rfc3339(self._started),
            uptime_seconds=round(self._clock.monotonic() - self._began, 3),
            networks=networks,
            connections=dict(self._meters.connections),
            accepted=dict(self._meters.accepted),
            lanes=len(self._relay),
            refusals=dict(self._meters.refusals),
            resolves=Resolves(
                tuple(zip(RESOLVE_BUCKETS, counts, strict=False)), counts[-1], self._meters.resolve_seconds
            ),
            database_bytes=sum(self._size(suffix) for suffix in ("", "-wal")),
            disk_free_bytes=free,
            backup_at=rfc3339(backup) if backup else None,
            backup_age_seconds=max(0.0, self._clock.now() - backup) if backup else None,
            clock_held_seconds=self._clock.held,
        )

    def _read(self, books: Books) -> tuple[tuple[NetworkNumbers, ...], int]:
        """On the scribe's thread, in a transaction that writes."""
        books.tenancy.set_mark(CHECKED, int(self._clock.now()))
        found = []
        for network in books.tenancy.networks():
            held = books.letters.held_in(network.number)
            found.append(
                NetworkNumbers(
                    network=network.number,
                    name=network.name,
                    nodes=books.nodes.count(network.number),
                    online=self._presence.count(network.number),
                    mail=held.all,
                    mail_bytes=held.bytes,
                    relayed_bytes=self._meters.relayed[network.number],
                )
            )
        return tuple(found), books.tenancy.mark(BACKUP)

    def _check_clock(self) -> Check:
        held = self._clock.held
        if held <= limits.CLOCK_SKEW:
            return Check("clock", True, "the machine's")
        return Check("clock", False, f"{held:.0f} s ahead of the machine's: see force-clock-back")

    def _free(self) -> int:
        found = os.statvfs(self._state.folder)
        return found.f_bavail * found.f_frsize

    def _size(self, suffix: str) -> int:
        try:
            return os.stat(f"{self._state.database}{suffix}").st_size
        except OSError:
            return 0
