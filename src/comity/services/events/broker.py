"""This node's broker: it stores events in groups, and hands them out.

Whatever is published, and whatever is acknowledged, while one group is being written goes into the next:
one transaction and one flush of the disk for all of it. So 'published' means durable, and still thousands of
small events fit into a second. The newest events are held in memory, for readers that keep up; others read
the disk, a page at a time.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from comity import limits
from comity.errors import BrokerFull, ComityError
from comity.identity.keys import PublicKey
from comity.protocol.events.feed import Page
from comity.protocol.events.messages import NewEvent, StoredEvent, size_of
from comity.protocol.wire import encode
from comity.services.events.audience import Audiences, Frozen, Reader
from comity.services.events.surroundings import Surroundings
from comity.services.events.terms import runs
from comity.storage.events import Consumer, Row

log = logging.getLogger("comity.events")

Noted = Callable[[ComityError | None], None]


@dataclass(frozen=True)
class Receipt:
    """What was stored, as of its last event; ``at`` in milliseconds UTC, ``audience`` how many may read."""

    position: int
    at: int
    audience: int


@dataclass(frozen=True)
class _Publication:
    """``sender``: the peer that leaves it here; ``only``: the one peer that it is for, and the agreement."""

    events: Sequence[NewEvent]
    sender: PublicKey | None
    batch: str
    only: tuple[PublicKey, str] | None
    stored: asyncio.Future[Receipt]


class Broker:
    """``start`` before anything else; on one event loop."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._audiences = Audiences(around)
        self._tail: list[Row] = []
        self._tail_after = 0  # every event after this position is in the tail
        self._sizes: dict[str | None, int] = {}
        self._pending: list[_Publication] = []
        self._places: dict[Consumer, int] = {}
        self._noted: list[Noted] = []
        self._scheduled = False
        self._pruned = 0.0
        #: Called after each group of events.
        self.news: set[Callable[[], None]] = set()

    def start(self) -> None:
        """Forget what is too old, and read the newest into memory. StorageUnusable, DiskFull."""
        with self._around.db.transaction():
            self._around.store.forget_audiences()
            self._prune()
        self._tail = self._around.store.tail(limits.EVENTS_TAIL)
        self._tail_after = self._tail[0].event.position - 1 if self._tail else self._around.store.newest()

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────

    async def publish(
        self,
        events: Sequence[NewEvent],
        *,
        sender: PublicKey | None = None,
        batch: str = "",
        only: tuple[PublicKey, str] | None = None,
    ) -> Receipt:
        """Return once the events are on disk, in their order. BrokerFull, AuditInvalid, DiskFull,
        StorageUnusable: then none of them is stored.
        """
        stored: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._pending.append(_Publication(events, sender, batch, only, stored))
        self._schedule()
        return await stored

    def note(self, consumer: Consumer, position: int, noted: Noted) -> None:
        """Put a consumer's place on disk, then call ``noted``."""
        self._places[consumer] = position
        self._noted.append(noted)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        """One group. A publication that is refused by itself doesn't fail the others."""
        self._scheduled = False
        pending, self._pending = self._pending, []
        places, self._places = self._places, {}
        noted, self._noted = self._noted, []
        outcomes: list[Receipt | ComityError] = []
        added: list[Row] = []
        problem: ComityError | None = None
        try:
            with self._around.db.transaction():
                outcomes += [self._store(publication, added) for publication in pending]
                self._around.store.put_places(places.items(), int(self._around.clock.now()))
                self._prune_if_due()
        except ComityError as error:
            problem = error
            self._audiences.forget()
            self._sizes.clear()
            added, outcomes = [], [error for _ in pending]
            log.warning("events not stored", extra={"fields": {"code": error.code, "why": error}})
        self._hold(added)
        for publication, outcome in zip(pending, outcomes, strict=True):
            _settle(publication.stored, outcome)
        for call in noted:
            call(problem)
        if added:
            for call_news in tuple(self.news):
                call_news()

    def _store(self, publication: _Publication, added: list[Row]) -> Receipt | ComityError:
        around, sender = self._around, publication.sender
        owner = None if sender is None else sender.hex
        if owner is not None and (known := around.store.batch(owner, publication.batch)) is not None:
            return Receipt(*known, 0)
        size = self._size(owner) + sum(map(size_of, publication.events))
        if owner is not None and size > limits.EVENTS_FROM_PEER_BYTES:
            return BrokerFull(f"{limits.EVENTS_FROM_PEER_BYTES} bytes of your events are kept here already")
        at = int(around.clock.now() * 1000)
        events: list[StoredEvent] = []
        rows: list[Row] = []
        readers = 0
        for run in runs(publication.events):
            audience = self._audience(publication, run)
            number = audience.id if audience else None
            stored = around.store.append(run, at, sender=owner, audience=number)
            events += stored
            rows += [Row(event, number) for event in stored]
            readers = max(readers, audience.size if audience else 0)
        receipt = Receipt(events[-1].position, at, readers)
        if owner is not None:
            around.store.put_batch(owner, publication.batch, receipt.position, at)
        self._sizes[owner] = size
        self._record(publication, events, receipt)
        added.extend(rows)
        return receipt

    def _audience(self, publication: _Publication, run: Sequence[NewEvent]) -> Frozen | None:
        if publication.sender is not None:
            return None
        if publication.only is not None:
            return self._audiences.only(*publication.only)
        return self._audiences.now(run)

    def _record(self, publication: _Publication, events: Sequence[StoredEvent], receipt: Receipt) -> None:
        only = publication.only[0] if publication.only else None
        self._around.audit.append(
            "events.published" if publication.sender is None else "events.stored",
            peer=publication.sender or only,
            operation="publish",
            digest="sha256:" + hashlib.sha256(encode(events)).hexdigest(),
            events=len(events),
            first=events[0].position,
            last=receipt.position,
            topic=events[0].topic,
            audience=receipt.audience,
        )

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────

    def page(self, reader: Reader, after: int) -> Page:
        """What a reader may see of the next events; at most as many as one message counts."""
        count = limits.EVENTS_PER_MESSAGE
        if after >= self._tail_after:
            start = bisect_right(self._tail, after, key=lambda row: row.event.position)
            rows = self._tail[start : start + count]
            newest = self._tail[-1].event.position if self._tail else self._tail_after
        else:
            rows = self._around.store.after(after, reader.wanted, count, left=reader.own)
            newest = self._around.store.newest()
        more = len(rows) == count
        scanned = rows[-1].event.position if more else max(newest, after)
        return Page(tuple(row.event for row in rows if reader.sees(row)), scanned, more)

    def _hold(self, added: list[Row]) -> None:
        self._tail.extend(added)
        surplus = len(self._tail) - limits.EVENTS_TAIL
        if surplus > limits.EVENTS_TAIL // 2:
            self._let_go(surplus)

    def _let_go(self, count: int) -> None:
        if count:
            self._tail_after = self._tail[count - 1].event.position
            del self._tail[:count]

    # ── retention ─────────────────────────────────────────────────────────────────────────────────────

    def _size(self, owner: str | None) -> int:
        if owner not in self._sizes:
            self._sizes[owner] = self._around.store.size(owner)
        return self._sizes[owner]

    def _prune_if_due(self) -> None:
        overfull = self._size(None) > limits.EVENTS_KEPT_BYTES * 9 // 8
        if overfull or self._around.clock.monotonic() - self._pruned >= limits.EVENTS_PRUNE_EVERY:
            self._prune()

    def _prune(self) -> None:
        store = self._around.store
        oldest = int(self._around.clock.now()) - limits.EVENTS_LIFETIME
        gone = store.expire(oldest)
        self._let_go(bisect_left(self._tail, oldest * 1000, key=lambda row: row.event.at))
        if gone:
            self._sizes.clear()
        surplus = self._size(None) - limits.EVENTS_KEPT_BYTES
        if surplus > 0:
            gone += store.drop_oldest(surplus)
            self._sizes.clear()
        self._pruned = self._around.clock.monotonic()
        if gone:
            log.info("events forgotten", extra={"fields": {"events": gone}})


def _settle(stored: asyncio.Future[Receipt], outcome: Receipt | ComityError) -> None:
    if stored.done():  # whoever asked is gone
        return
    if isinstance(outcome, ComityError):
        stored.set_exception(outcome)
    else:
        stored.set_result(outcome)
