"""Relationships, per-pair sequences, the outbox and peers' sealing keys, in the node's database.

Everything is keyed by realm (rendezvous fingerprint and network) and peer key (SECURITY.md rule 6). Writes
join the caller's transaction: a statement, what it changed and its audit entry are one commit. It decides
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from comity.identity.keys import PublicKey
from comity.protocol.trust.relationship import Agreement, Relationship
from comity.storage.database import Database

TABLES = """
CREATE TABLE relationship (
    realm TEXT NOT NULL, peer TEXT NOT NULL, hostname TEXT NOT NULL, address TEXT NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (realm, peer)
);
CREATE INDEX relationship_hostname ON relationship (realm, hostname);
CREATE INDEX relationship_address ON relationship (realm, address);
CREATE TABLE agreement (
    realm TEXT NOT NULL, peer TEXT NOT NULL, digest TEXT NOT NULL, at INTEGER NOT NULL, state BLOB NOT NULL,
    PRIMARY KEY (realm, peer, digest)
);
CREATE TABLE pair_sequence (
    realm TEXT NOT NULL, peer TEXT NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0, seen INTEGER NOT NULL DEFAULT 0, seen_digest TEXT NOT NULL DEFAULT '',
    signals INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (realm, peer)
);
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    realm TEXT NOT NULL, peer TEXT NOT NULL, message_id TEXT NOT NULL, envelope TEXT NOT NULL
);
CREATE TABLE retired_key (
    key TEXT PRIMARY KEY, at INTEGER NOT NULL, reason TEXT NOT NULL, envelope TEXT NOT NULL,
    published INTEGER NOT NULL
);
CREATE TABLE own_key (realm TEXT PRIMARY KEY, key TEXT NOT NULL);
CREATE TABLE peer_sealing_key (
    realm TEXT NOT NULL, peer TEXT NOT NULL,
    sequence INTEGER NOT NULL, expires INTEGER NOT NULL, public TEXT NOT NULL,
    PRIMARY KEY (realm, peer)
);
"""


@dataclass(frozen=True)
class OutboxItem:
    """A signed statement that has yet to reach its peer; ``message_id`` is the mailbox's, the same at each
    try.
    """

    id: int
    peer: PublicKey
    message_id: bytes
    envelope: bytes


@dataclass(frozen=True)
class PeerSealingKey:
    """The newest sealing key that a peer has signed: ``public`` as HPKE takes it, ``expires`` in seconds
    UTC.
    """

    sequence: int
    expires: int
    public: bytes


@dataclass(frozen=True)
class RetiredKey:
    """A key that its own certificate has ended. ``published``: the rendezvous has it too."""

    key: PublicKey
    at: int
    reason: str
    envelope: str
    published: bool


class TrustStore:
    """One realm's view of the tables."""

    def __init__(self, db: Database, realm: str) -> None:
        self._db = db
        self._realm = realm
        #: Changes with every relationship that is written, so that readers know what they can go on using.
        self.version = 0

    # ── relationships ─────────────────────────────────────────────────────────────────────────────────

    def get(self, peer: PublicKey) -> Relationship | None:
        found = self._relationships("AND peer = ?", peer.hex)
        return found[0] if found else None

    def all(self) -> list[Relationship]:
        """Every relationship, oldest first."""
        return self._relationships("")

    def count(self) -> int:
        """How many relationships there are."""
        query = "SELECT COUNT(*) FROM relationship WHERE realm = ?"
        return int(self._db.execute(query, (self._realm,)).fetchone()[0])

    def named(self, hostname: str) -> list[Relationship]:
        """Relationships under a hostname: more than one where a name has changed hands."""
        return self._relationships("AND hostname = ?", hostname)

    def addressed(self, address: str) -> list[Relationship]:
        """Relationships under an address."""
        return self._relationships("AND address = ?", address)

    def _relationships(self, condition: str, *values: str) -> list[Relationship]:
        rows = self._db.execute(
            f"SELECT state FROM relationship WHERE realm = ? {condition} ORDER BY rowid",  # noqa: S608  constants above
            (self._realm, *values),
        )
        return [msgspec.json.decode(row[0], type=Relationship) for row in rows.fetchall()]

    def forget(self, peer: PublicKey) -> None:
        """Forget a key that nobody here has dealt with; its numbers are kept if we ever signed for it."""
        for table in ("relationship", "peer_sealing_key"):
            self._db.execute(
                f"DELETE FROM {table} WHERE realm = ? AND peer = ?",  # noqa: S608  constants above
                (self._realm, peer.hex),
            )
        self._db.execute(
            "DELETE FROM pair_sequence WHERE realm = ? AND peer = ? AND sent = 0", (self._realm, peer.hex)
        )

    def put(self, rel: Relationship) -> None:
        """Write a relationship, and its agreement into the history."""
        self.version += 1
        self._db.execute(
            "INSERT INTO relationship (realm, peer, hostname, address, state) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (realm, peer) DO UPDATE SET"
            " hostname = excluded.hostname, address = excluded.address, state = excluded.state",
            (self._realm, rel.peer, rel.hostname, rel.address, msgspec.json.encode(rel)),
        )
        if rel.agreement is not None:
            self.put_agreement(rel.peer, rel.agreement)

    # ── agreements ────────────────────────────────────────────────────────────────────────────────────

    def put_agreement(self, peer: str, agreement: Agreement) -> None:
        self._db.execute(
            "INSERT INTO agreement (realm, peer, digest, at, state) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (realm, peer, digest) DO UPDATE SET state = excluded.state",
            (self._realm, peer, agreement.digest, agreement.approved_at, msgspec.json.encode(agreement)),
        )

    def agreements(self, peer: PublicKey) -> list[Agreement]:
        """All agreements with a peer, past and present, oldest first."""
        rows = self._db.execute(
            "SELECT state FROM agreement WHERE realm = ? AND peer = ? ORDER BY at, rowid",
            (self._realm, peer.hex),
        )
        return [msgspec.json.decode(row[0], type=Agreement) for row in rows.fetchall()]

    # ── keys that have ended ──────────────────────────────────────────────────────────────────────────

    def retire(self, retired: RetiredKey) -> None:
        """Write it over what was kept of that key. A retired key is so in every realm."""
        self._db.execute(
            "INSERT OR REPLACE INTO retired_key (key, at, reason, envelope, published)"
            " VALUES (?, ?, ?, ?, ?)",
            (retired.key.hex, retired.at, retired.reason, retired.envelope, retired.published),
        )

    def retired(self, key: PublicKey) -> RetiredKey | None:
        found = self._retired("WHERE key = ?", key.hex)
        return found[0] if found else None

    def retired_keys(self) -> list[RetiredKey]:
        return self._retired("")

    def _retired(self, condition: str, *values: str) -> list[RetiredKey]:
        rows = self._db.execute(
            f"SELECT key, at, reason, envelope, published FROM retired_key {condition} ORDER BY rowid",  # noqa: S608  constants above
            values,
        )
        return [
            RetiredKey(PublicKey.from_hex(row[0]), row[1], row[2], row[3], bool(row[4]))
            for row in rows.fetchall()
        ]

    def take_over(self, own: PublicKey) -> str | None:
        """Note under which key this realm's statements are signed now; the one before, where it changed."""
        row = self._db.execute("SELECT key FROM own_key WHERE realm = ?", (self._realm,)).fetchone()
        self._db.execute("INSERT OR REPLACE INTO own_key (realm, key) VALUES (?, ?)", (self._realm, own.hex))
        return None if row is None or row[0] == own.hex else str(row[0])

    def forget_numbers(self) -> None:
        """Begin counting anew, and owe nothing: for a new key of our own, with which nobody has dealt."""
        for table in ("pair_sequence", "outbox"):
            self._db.execute(f"DELETE FROM {table} WHERE realm = ?", (self._realm,))  # noqa: S608  constants above

    # ── sequences (SECURITY.md rule 2) ────────────────────────────────────────────────────────────────

    def next_sequence(self, peer: PublicKey, *, signal: bool = False) -> int:
        """Take the next number for a statement to ``peer``; signals, which nobody keeps, have their own."""
        column = "signals" if signal else "sent"
        self._db.execute(
            f"INSERT INTO pair_sequence (realm, peer, {column}) VALUES (?, ?, 1)"  # noqa: S608  constants above
            f" ON CONFLICT (realm, peer) DO UPDATE SET {column} = {column} + 1",
            (self._realm, peer.hex),
        )
        row = self._db.execute(
            f"SELECT {column} FROM pair_sequence WHERE realm = ? AND peer = ?",  # noqa: S608  constants above
            (self._realm, peer.hex),
        ).fetchone()
        return int(row[0])

    def seen(self, peer: PublicKey) -> tuple[int, str]:
        """The highest sequence accepted from ``peer``, and that statement's digest; (0, "") at first."""
        row = self._db.execute(
            "SELECT seen, seen_digest FROM pair_sequence WHERE realm = ? AND peer = ?",
            (self._realm, peer.hex),
        ).fetchone()
        return (int(row[0]), str(row[1])) if row else (0, "")

    def set_seen(self, peer: PublicKey, sequence: int, digest: str) -> None:
        self._db.execute(
            "INSERT INTO pair_sequence (realm, peer, seen, seen_digest) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (realm, peer) DO UPDATE SET"
            " seen = excluded.seen, seen_digest = excluded.seen_digest",
            (self._realm, peer.hex, sequence, digest),
        )

    # ── outbox ────────────────────────────────────────────────────────────────────────────────────────

    def owe(self, peer: PublicKey, message_id: bytes, envelope: bytes) -> None:
        """Owe ``peer`` a statement until ``delivered``."""
        self._db.execute(
            "INSERT INTO outbox (realm, peer, message_id, envelope) VALUES (?, ?, ?, ?)",
            (self._realm, peer.hex, message_id.hex(), envelope.decode()),
        )

    def owed_to(self, peer: PublicKey) -> int:
        """How many statements this peer has still to take."""
        query = "SELECT COUNT(*) FROM outbox WHERE realm = ? AND peer = ?"
        return int(self._db.execute(query, (self._realm, peer.hex)).fetchone()[0])

    def outbox(self) -> list[OutboxItem]:
        """What is owed, oldest first."""
        rows = self._db.execute(
            "SELECT id, peer, message_id, envelope FROM outbox WHERE realm = ? ORDER BY id", (self._realm,)
        )
        return [
            OutboxItem(row[0], PublicKey.from_hex(row[1]), bytes.fromhex(row[2]), row[3].encode())
            for row in rows.fetchall()
        ]

    def delivered(self, item: OutboxItem) -> None:
        self._db.execute("DELETE FROM outbox WHERE id = ?", (item.id,))

    # ── peers' sealing keys (SECURITY.md rule 4) ──────────────────────────────────────────────────────

    def sealing_key(self, peer: PublicKey) -> PeerSealingKey | None:
        row = self._db.execute(
            "SELECT sequence, expires, public FROM peer_sealing_key WHERE realm = ? AND peer = ?",
            (self._realm, peer.hex),
        ).fetchone()
        return PeerSealingKey(row[0], row[1], bytes.fromhex(row[2])) if row else None

    def put_sealing_key(self, peer: PublicKey, key: PeerSealingKey) -> None:
        self._db.execute(
            "INSERT INTO peer_sealing_key (realm, peer, sequence, expires, public) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (realm, peer) DO UPDATE SET"
            " sequence = excluded.sequence, expires = excluded.expires, public = excluded.public",
            (self._realm, peer.hex, key.sequence, key.expires, key.public.hex()),
        )
