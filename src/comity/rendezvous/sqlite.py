"""The books in one SQLite file: what the server keeps. The contract is in ``stores``, durability in
``storage.database``.

Totals per network are kept by triggers, so that a quota costs no scan of the mailbox. ``place`` is
AUTOINCREMENT: a place is never used twice, which a delivery that remembers how far it came relies on.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from comity import limits
from comity.errors import LocalProtocolError
from comity.rendezvous.schema import MIGRATIONS
from comity.rendezvous.stores import Held, Kept, Letter, Node
from comity.rendezvous.tenancy_sqlite import SqliteTenancy
from comity.storage.database import Database

_NODE = "network, key, number, hostname, public, tags, sealing_key, sealing_sequence, last_seen"
_LETTER = "network, recipient, sender, message_id, blob, posted, reserved"
_SUMS = "COUNT(*), COALESCE(SUM(1 - reserved), 0), COALESCE(SUM(size), 0)"
_NAME = "network = ? AND recipient = ? AND sender = ? AND message_id = ?"


class SqliteNodes:
    def __init__(self, database: Database) -> None:
        self._db = database

    def networks(self) -> frozenset[int]:
        return frozenset(network for (network,) in self._db.execute("SELECT network FROM networks"))

    def next_number(self, network: int) -> int:
        number = self._number("SELECT next_number FROM networks WHERE network = ?", (network,))
        self._db.execute(
            "UPDATE networks SET next_number = ? WHERE network = ?", (number + limits.NODE_STEP, network)
        )
        return number

    def count(self, network: int) -> int:
        return self._number("SELECT COUNT(*) FROM nodes WHERE network = ?", (network,))

    def get(self, network: int, key: bytes) -> Node | None:
        return self._one("key = ?", network, key)

    def named(self, network: int, hostname: str) -> Node | None:
        return self._one("hostname = ?", network, hostname)

    def numbered(self, network: int, number: int) -> Node | None:
        return self._one("number = ?", network, number)

    def listed(self, network: int, tag: str | None, limit: int) -> list[Node]:
        tagged = "" if tag is None else "AND key IN (SELECT key FROM node_tags WHERE network = ? AND tag = ?)"
        rows = self._db.execute(
            f"SELECT {_NODE} FROM nodes WHERE network = ? AND public {tagged} ORDER BY hostname LIMIT ?",  # noqa: S608  constants of this module
            (network, limit) if tag is None else (network, network, tag, limit),
        )
        return [_node(row) for row in rows]

    def put(self, node: Node) -> None:
        with _UniqueReported():
            self._db.execute(
                f"INSERT INTO nodes ({_NODE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608  constants of this module
                "ON CONFLICT (network, key) DO UPDATE SET hostname = excluded.hostname, "
                "public = excluded.public, tags = excluded.tags, sealing_key = excluded.sealing_key, "
                "sealing_sequence = excluded.sealing_sequence, last_seen = excluded.last_seen",
                (
                    node.network, node.key, node.number, node.hostname, node.public, json.dumps(node.tags),
                    node.sealing_key, node.sealing_sequence, node.last_seen,
                ),
            )  # fmt: skip
        self._db.execute("DELETE FROM node_tags WHERE network = ? AND key = ?", (node.network, node.key))
        for tag in node.tags:
            self._db.execute("INSERT INTO node_tags VALUES (?, ?, ?)", (node.network, tag, node.key))

    def seen(self, network: int, key: bytes, at: int) -> None:
        self._db.execute("UPDATE nodes SET last_seen = ? WHERE network = ? AND key = ?", (at, network, key))

    def everyone(self, network: int) -> list[Node]:
        sql = f"SELECT {_NODE} FROM nodes WHERE network = ? ORDER BY number"  # noqa: S608  constants of this module
        return [_node(row) for row in self._db.execute(sql, (network,))]

    def remove(self, network: int, key: bytes) -> None:
        self._db.execute("DELETE FROM node_tags WHERE network = ? AND key = ?", (network, key))
        self._db.execute("DELETE FROM nodes WHERE network = ? AND key = ?", (network, key))

    def latest(self) -> int:
        return self._number("SELECT COALESCE(MAX(last_seen), 0) FROM nodes", ())

    def not_after(self, at: int) -> int:
        return self._db.execute("UPDATE nodes SET last_seen = ? WHERE last_seen > ?", (at, at)).rowcount

    def _one(self, where: str, network: int, value: bytes | int | str) -> Node | None:
        sql = f"SELECT {_NODE} FROM nodes WHERE network = ? AND {where}"  # noqa: S608  constants of this module
        row = self._db.execute(sql, (network, value)).fetchone()
        return None if row is None else _node(row)

    def _number(self, sql: str, parameters: tuple[int, ...]) -> int:
        return int(self._db.execute(sql, parameters).fetchone()[0])


class SqliteLetters:
    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, letter: Letter) -> None:
        with _UniqueReported():
            self._db.execute(
                f"INSERT INTO letters ({_LETTER}, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  constants of this module
                (
                    letter.network, letter.recipient, letter.sender, letter.message_id, letter.blob,
                    letter.posted, letter.reserved, len(letter.blob),
                ),
            )  # fmt: skip

    def find(self, network: int, recipient: bytes, sender: bytes, message_id: bytes) -> Letter | None:
        sql = f"SELECT {_LETTER} FROM letters WHERE {_NAME}"  # noqa: S608  constants of this module
        row = self._db.execute(sql, (network, recipient, sender, message_id)).fetchone()
        return None if row is None else _letter(row)

    def waiting(self, network: int, recipient: bytes, after: int, limit: int) -> list[Kept]:
        rows = self._db.execute(
            f"SELECT {_LETTER}, place FROM letters WHERE network = ? AND recipient = ? AND place > ? "  # noqa: S608  constants of this module
            "ORDER BY place LIMIT ?",
            (network, recipient, after, limit),
        )
        return [Kept(row["place"], _letter(row)) for row in rows]

    def remove(self, network: int, recipient: bytes, sender: bytes, message_id: bytes) -> bool:
        sql = f"DELETE FROM letters WHERE {_NAME}"  # noqa: S608  constants of this module
        return self._db.execute(sql, (network, recipient, sender, message_id)).rowcount > 0

    def drop(self, network: int, recipient: bytes) -> None:
        for table in ("letters", "reservations"):
            sql = f"DELETE FROM {table} WHERE network = ? AND recipient = ?"  # noqa: S608  the two names above
            self._db.execute(sql, (network, recipient))

    def expire(self, before: int) -> int:
        return self._db.execute("DELETE FROM letters WHERE posted < ?", (before,)).rowcount

    def held_in(self, network: int) -> Held:
        sql = "SELECT held, strangers, bytes FROM letter_totals WHERE network = ?"
        row = self._db.execute(sql, (network,)).fetchone()
        return Held() if row is None else Held(*row)

    def held_for(self, network: int, recipient: bytes) -> Held:
        sql = f"SELECT {_SUMS} FROM letters INDEXED BY letters_waiting WHERE network = ? AND recipient = ?"  # noqa: S608  constants of this module
        return Held(*self._db.execute(sql, (network, recipient)).fetchone())

    def held_from(self, network: int, sender: bytes) -> Held:
        sql = f"SELECT {_SUMS} FROM letters INDEXED BY letters_sent WHERE network = ? AND sender = ?"  # noqa: S608  constants of this module
        return Held(*self._db.execute(sql, (network, sender)).fetchone())

    def held_between(self, network: int, sender: bytes, recipient: bytes) -> int:
        sql = "SELECT COUNT(*) FROM letters WHERE network = ? AND recipient = ? AND sender = ?"
        return int(self._db.execute(sql, (network, recipient, sender)).fetchone()[0])

    def reserve(self, network: int, recipient: bytes, senders: Iterable[bytes]) -> None:
        wanted = frozenset(senders)
        sql = "SELECT sender FROM reservations WHERE network = ? AND recipient = ?"
        had = {sender for (sender,) in self._db.execute(sql, (network, recipient))}
        for sender in had - wanted:
            self._db.execute(
                "DELETE FROM reservations WHERE network = ? AND recipient = ? AND sender = ?",
                (network, recipient, sender),
            )
        for sender in wanted - had:
            self._db.execute("INSERT INTO reservations VALUES (?, ?, ?)", (network, recipient, sender))

    def reserves(self, network: int, recipient: bytes, sender: bytes) -> bool:
        sql = "SELECT 1 FROM reservations WHERE network = ? AND recipient = ? AND sender = ?"
        return self._db.execute(sql, (network, recipient, sender)).fetchone() is not None

    def reserving(self, sender: bytes) -> list[tuple[int, bytes]]:
        sql = "SELECT network, recipient FROM reservations WHERE sender = ? ORDER BY network, recipient"
        return [(network, recipient) for network, recipient in self._db.execute(sql, (sender,))]

    def latest(self) -> int:
        return int(self._db.execute("SELECT COALESCE(MAX(posted), 0) FROM letters").fetchone()[0])

    def not_after(self, at: int) -> int:
        return self._db.execute("UPDATE letters SET posted = ? WHERE posted > ?", (at, at)).rowcount


class SqliteBooks:
    """Open the file at ``path`` (``":memory:"`` for tests), for the calling thread alone.

    Raises what ``storage.database.Database`` raises.
    """

    def __init__(self, path: Path | str) -> None:
        self._db = Database(path, MIGRATIONS)
        self.nodes = SqliteNodes(self._db)
        self.letters = SqliteLetters(self._db)
        self.tenancy = SqliteTenancy(self._db)

    def transaction(self) -> AbstractContextManager[None]:
        return self._db.transaction()

    def close(self) -> None:
        self._db.close()


class _UniqueReported:
    """Two rows for what only one may have are a mistake of the caller, who looks first."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.IntegrityError):
            raise LocalProtocolError(f"the books hold this already: {error}") from error


def _node(row: sqlite3.Row) -> Node:
    return Node(
        network=row["network"],
        key=row["key"],
        number=row["number"],
        hostname=row["hostname"],
        public=bool(row["public"]),
        tags=tuple(json.loads(row["tags"])),
        sealing_key=row["sealing_key"],
        sealing_sequence=row["sealing_sequence"],
        last_seen=row["last_seen"],
    )


def _letter(row: sqlite3.Row) -> Letter:
    return Letter(
        network=row["network"],
        recipient=row["recipient"],
        sender=row["sender"],
        message_id=row["message_id"],
        blob=row["blob"],
        posted=row["posted"],
        reserved=bool(row["reserved"]),
    )
