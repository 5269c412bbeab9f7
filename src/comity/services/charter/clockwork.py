"""What time does to charters: links are cut when a window opens or closes, what was not signed lapses.

It also delivers at once what a step made this node owe to others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

from comity import limits
from comity.clock import from_rfc3339
from comity.errors import ComityError
from comity.services.charter.library import Library
from comity.services.trust.delivery import Delivery
from comity.services.trust.ledger import Ledger
from comity.storage.charter import CharterStore

log = logging.getLogger("comity.charter")


class Clockwork:
    """``run`` is its life; ``news`` tells it that something was written."""

    def __init__(self, ledger: Ledger, store: CharterStore, library: Library, delivery: Delivery) -> None:
        self._ledger = ledger
        self._store = store
        self._library = library
        self._delivery = delivery
        self._own = str(ledger.notary.public.fingerprint)
        self._changed = asyncio.Event()

    def news(self) -> None:
        """Something was written that others have to hear of, or that moves the next moment."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def run(self, lapse: Callable[[], None], cut: Callable[[Iterable[str]], int]) -> None:
        """Until cancelled. No delivery that takes long holds up a window's end."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._deliver())
            seen = self._ledger.clock.now()
            while True:
                news = self._changed
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), self._pause(seen))
                now = self._ledger.clock.now()
                try:
                    self._pass(seen, now, lapse, cut)
                except ComityError as error:  # tried again at the next moment
                    log.warning("charters not kept", extra={"fields": {"code": error.code, "why": error}})
                seen = now

    async def _deliver(self) -> None:
        while True:
            news = self._changed
            with suppress(ComityError):  # it stays owed, and the maintenance tries again
                await self._delivery.flush()
            await news.wait()

    def _pause(self, now: float) -> float:
        """Seconds to the next moment; never long, as clocks are set."""
        left = [moment - now for moment, _ in self._moments() if moment > now]
        return max(0.0, min([*left, limits.MAINTENANCE_EVERY]))

    def _pass(
        self, since: float, now: float, lapse: Callable[[], None], cut: Callable[[Iterable[str]], int]
    ) -> None:
        due = [parties for moment, parties in self._moments() if since < moment <= now]
        with self._ledger.db.transaction():
            lapse()
        for parties in due:
            cut(parties)

    def _moments(self) -> Iterable[tuple[int, set[str]]]:
        """When something lapses, opens or closes (seconds UTC), and whose links that concerns."""
        for line in self._store.lines():
            if line.ending is not None:
                continue
            for version in line.versions:
                if not version.complete and not version.void:
                    yield version.terms.accept_by, set()
            terms = line.in_force
            if terms is None:
                continue
            charter, parties = self._library.get(terms.digest).charter, set(terms.parties) - {self._own}
            for window in (charter.window, *(one.window for one in charter.permissions if one.window)):
                yield from_rfc3339(window.from_), parties
                yield from_rfc3339(window.until), parties
