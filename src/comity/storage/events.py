"""A broker's events, audiences and consumers, in the node's database.

Positions grow with every event and are never used twice, so one number orders all topics and names the place
of a consumer. An audience is kept once, however many events have it: which keys, and under which agreement
each, at the moment of publication (SECURITY.md rule 13). It is NULL for what a peer left here: that is for
the owner. Writes join the caller's transaction. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from comity.protocol.events.messages import NewEvent, StoredEvent, size_of
from comity.protocol.events.topics import Filter
from comity.storage.database import Database

TABLES = """
CREATE TABLE event_audience (
    id INTEGER PRIMARY KEY,
    members TEXT NOT NULL UNIQUE
);
CREATE TABLE event (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    data TEXT NOT NULL,
    at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    sender TEXT,
    audience INTEGER REFERENCES event_audience (id),
    CHECK ((sender IS NULL) <> (audience IS NULL))
);
CREATE INDEX event_by_topic ON event (topic, position);
CREATE INDEX event_by_sender ON event (sender, position) WHERE sender IS NOT NULL;
CREATE TABLE event_batch (
    sender TEXT NOT NULL,
    batch TEXT NOT NULL,
    position INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (sender, batch)
);
CREATE TABLE event_consumer (
    reader TEXT NOT NULL,
    name TEXT NOT NULL,
    pattern TEXT NOT NULL,
    sender TEXT NOT NULL,
    position INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    PRIMARY KEY (reader, name, pattern, sender)
);
"""

#: Keys of an audience (hexadecimal), each with the digest of the agreement that it read under.
Members = Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """An event with the audience that it was published for; ``audience`` is None for what a peer left."""

    event: StoredEvent
    audience: int | None


@dataclass(frozen=True)
class Consumer:
    """Whose place it is. ``sender``: only events of this key, "" for all."""

    reader: str
    name: str
    pattern: str
    sender: str


class EventStore:
    """One node's broker on disk."""

    def __init__(self, db: Database) -> None:
        self._db = db

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────

    def audience(self, members: Members) -> int:
        """The number of an audience, new or known."""
        text = msgspec.json.encode(dict(sorted(members.items()))).decode()
        self._db.execute("INSERT OR IGNORE INTO event_audience (members) VALUES (?)", (text,))
        row = self._db.execute("SELECT id FROM event_audience WHERE members = ?", (text,)).fetchone()
        return int(row[0])

    def members(self, audience: int) -> dict[str, str]:
        """Who is in an audience; nobody where there is no such number."""
        row = self._db.execute("SELECT members FROM event_audience WHERE id = ?", (audience,)).fetchone()
        return msgspec.json.decode(row[0], type=dict[str, str]) if row else {}

    def append(
        self, events: Sequence[NewEvent], at: int, *, sender: str | None, audience: int | None
    ) -> list[StoredEvent]:
        """Add events in their order, as stored ``at`` (milliseconds UTC); either of the last two is None."""
        added: list[StoredEvent] = []
        for event in events:
            cursor = self._db.execute(
                "INSERT INTO event (topic, data, at, size, sender, audience) VALUES (?, ?, ?, ?, ?, ?)",
                (event.topic, event.data, at, size_of(event), sender, audience),
            )
            position = cursor.lastrowid
            if position is None:  # never so after an INSERT
                raise AssertionError("sqlite gave no row id")
            added.append(
                StoredEvent(position=position, topic=event.topic, data=event.data, at=at, sender=sender)
            )
        return added

    def batch(self, sender: str, batch: str) -> tuple[int, int] | None:
        """Position and time of a batch's last event, if it was stored before."""
        row = self._db.execute(
            "SELECT position, at FROM event_batch WHERE sender = ? AND batch = ?", (sender, batch)
        ).fetchone()
        return (int(row[0]), int(row[1])) if row else None

    def put_batch(self, sender: str, batch: str, position: int, at: int) -> None:
        self._db.execute(
            "INSERT INTO event_batch (sender, batch, position, at) VALUES (?, ?, ?, ?)",
            (sender, batch, position, at),
        )

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────

    def newest(self) -> int:
        """The highest position that was ever given, 0 at first."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
        return int(row[0]) if row else 0

    def after(self, position: int, wanted: Filter, limit: int, *, left: bool) -> list[Row]:
        """At most ``limit`` events after ``position``, in order; patterns are for the caller to match.

        ``left``: what peers left here; otherwise this node's own.
        """
        topic = "AND topic = :topic" if wanted.exact else ""
        whose = "sender IS NOT NULL" if left else "sender IS NULL"
        rows = self._db.execute(
            "SELECT position, topic, data, at, sender, audience FROM event"  # noqa: S608  constants above
            f" WHERE position > :position {topic} AND {whose} ORDER BY position LIMIT :limit",
            {"position": position, "topic": wanted.text, "limit": limit},
        )
        return [_row(*row) for row in rows.fetchall()]

    def tail(self, limit: int) -> list[Row]:
        """The newest events, in order."""
        rows = self._db.execute(
            "SELECT position, topic, data, at, sender, audience FROM event ORDER BY position DESC LIMIT ?",
            (limit,),
        )
        return [_row(*row) for row in reversed(rows.fetchall())]

    def size(self, sender: str | None) -> int:
        """How many bytes the events of one sender take here; of this node's own for None."""
        row = self._db.execute(
            "SELECT COALESCE(SUM(size), 0) FROM event WHERE sender IS ?", (sender,)
        ).fetchone()
        return int(row[0])

    # ── consumers ─────────────────────────────────────────────────────────────────────────────────────

    def place(self, consumer: Consumer) -> int | None:
        """What the consumer has acknowledged up to; None for one that is not known."""
        row = self._db.execute(
            "SELECT position FROM event_consumer WHERE reader = ? AND name = ? AND pattern = ?"
            " AND sender = ?",
            (consumer.reader, consumer.name, consumer.pattern, consumer.sender),
        ).fetchone()
        return int(row[0]) if row else None

    def put_places(self, places: Iterable[tuple[Consumer, int]], seen: int) -> None:
        """Note how far consumers are, and that they were ``seen`` then (seconds UTC)."""
        for consumer, position in places:
            self._db.execute(
                "INSERT INTO event_consumer (reader, name, pattern, sender, position, seen)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (reader, name, pattern, sender)"
                " DO UPDATE SET position = excluded.position, seen = excluded.seen",
                (consumer.reader, consumer.name, consumer.pattern, consumer.sender, position, seen),
            )

    def consumers(self, reader: str) -> int:
        """How many a reader has."""
        row = self._db.execute("SELECT COUNT(*) FROM event_consumer WHERE reader = ?", (reader,)).fetchone()
        return int(row[0])

    # ── retention ─────────────────────────────────────────────────────────────────────────────────────

    def expire(self, oldest: int) -> int:
        """Forget what was stored before ``oldest`` (seconds UTC); how many events went.

        A consumer that was not seen since then had acknowledged nothing that is still here.
        """
        row = self._db.execute(
            "SELECT position FROM event WHERE at >= ? ORDER BY position LIMIT 1", (oldest * 1000,)
        ).fetchone()
        first = int(row[0]) if row else self.newest() + 1
        gone = self._db.execute("DELETE FROM event WHERE position < ?", (first,)).rowcount
        self._db.execute("DELETE FROM event_batch WHERE at < ?", (oldest * 1000,))
        self._db.execute("DELETE FROM event_consumer WHERE seen < ?", (oldest,))
        return gone

    def drop_oldest(self, surplus: int) -> int:
        """Forget the oldest of this node's own events that take at least ``surplus`` bytes; how many."""
        last = 0
        for position, size in self._db.execute(
            "SELECT position, size FROM event WHERE sender IS NULL ORDER BY position"
        ):
            last, surplus = position, surplus - size
            if surplus <= 0:
                break
        return self._db.execute("DELETE FROM event WHERE sender IS NULL AND position <= ?", (last,)).rowcount

    def forget_audiences(self) -> None:
        """Drop audiences of which no event is left; only before any number was given out to be kept."""
        self._db.execute(
            "DELETE FROM event_audience WHERE id NOT IN"
            " (SELECT DISTINCT audience FROM event WHERE audience IS NOT NULL)"
        )


def _row(position: int, topic: str, data: str, at: int, sender: str | None, audience: int | None) -> Row:
    return Row(StoredEvent(position=position, topic=topic, data=data, at=at, sender=sender), audience)
