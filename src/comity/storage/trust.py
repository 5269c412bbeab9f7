"""Relationships, per-pair sequences, the outbox and peers' sealing keys, in the node's database.

Everything is keyed by realm (rendezvous fingerprint and network) and peer key (SECURITY.md rule 6). A key is
dealt with in one realm at a time, which its relationship names; numbers that were used in another one stay.
Writes join the caller's transaction: a statement, what it changed and its audit entry are one commit. It
decides nothing.
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
CREATE INDEX relationship_peer ON relationship (peer);
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

#: Of migration 2: a partner is found without knowing its realm.
INDEXES = """
DROP INDEX relationship_hostname;
CREATE INDEX relationship_hostname ON relationship (hostname);
DROP INDEX relationship_address;
CREATE INDEX relationship_address ON relationship (address);
CREATE INDEX agreement_peer ON agreement (peer);
"""


@dataclass(frozen=True)
class OutboxItem:
    """A signed statement that has yet to reach its peer; ``message_id`` is the mailbox's, the same at each
    try. ``realm`` is the one that it was signed in.
    """

    id: int
    peer: PublicKey
    message_id: bytes
    envelope: bytes
    realm: str


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
    """``realm`` is where a key is met of which nothing is known yet."""

    def __init__(self, db: Database, realm: str) -> None:
        self._db = db
        self.realm = realm
        #: Changes with every relationship that is written, so that readers know what they can go on using.
        self.version = 0

    # ── relationships ─────────────────────────────────────────────────────────────────────────────────

    def get(self, peer: PublicKey) -> Relationship | None:
        found = self._relationships("WHERE peer = ?", peer.hex)
        return found[0] if found else None

    def realm_of(self, peer: PublicKey) -> str | None:
        """Where a key is met; None where nothing is known of it."""
        row = self._db.execute("SELECT realm FROM relationship WHERE peer = ?", (peer.hex,)).fetchone()
        return str(row[0]) if row else None

    def _at(self, peer: PublicKey, realm: str | None = None) -> str:
        return realm or self.realm_of(peer) or self.realm

    def all(self) -> list[Relationship]:
        """Every relationship, oldest first."""
        return self._relationships("")

    def count(self) -> int:
        """How many relationships there are."""
        return int(self._db.execute("SELECT COUNT(*) FROM relationship").fetchone()[0])

    def named(self, hostname: str) -> list[Relationship]:
        """Relationships under a hostname, in any realm: more in one where a name has changed hands."""
        return self._relationships("WHERE hostname = ?", hostname)

    def addressed(self, address: str) -> list[Relationship]:
        """Relationships under an address, in any realm."""
        return self._relationships("WHERE address = ?", address)

    def _relationships(self, condition: str, *values: str) -> list[Relationship]:
        rows = self._db.execute(
            f"SELECT state, realm FROM relationship {condition} ORDER BY rowid",  # noqa: S608  constants above
            values,
        )
        found = [(msgspec.json.decode(row[0], type=Relationship), row[1]) for row in rows.fetchall()]
        return [msgspec.structs.replace(rel, realm=realm) for rel, realm in found]

    def forget(self, peer: PublicKey) -> None:
        """Forget a key that nobody here has dealt with; its numbers are kept if we ever signed for it."""
        for table in ("relationship", "peer_sealing_key"):
            self._db.execute(f"DELETE FROM {table} WHERE peer = ?", (peer.hex,))  # noqa: S608  constants above
        self._db.execute("DELETE FROM pair_sequence WHERE peer = ? AND sent = 0", (peer.hex,))

    def put(self, rel: Relationship) -> None:
        """Write a relationship, and its agreement into the history. In another realm it takes the place of
        the one before.
        """
        self.version += 1
        realm = rel.realm or self.realm
        self._db.execute("DELETE FROM relationship WHERE peer = ? AND realm <> ?", (rel.peer, realm))
        self._db.execute(
            "INSERT INTO relationship (realm, peer, hostname, address, state) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (realm, peer) DO UPDATE SET"
            " hostname = excluded.hostname, address = excluded.address, state = excluded.state",
            (realm, rel.peer, rel.hostname, rel.address, msgspec.json.encode(rel)),
        )
        if rel.agreement is not None:
            self.put_agreement(rel.peer, rel.agreement)

    # ── agreements ────────────────────────────────────────────────────────────────────────────────────

    def put_agreement(self, peer: str, agreement: Agreement) -> None:
        self._db.execute(
            "INSERT INTO agreement (realm, peer, digest, at, state) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (realm, peer, digest) DO UPDATE SET state = excluded.state",
            (
                self._at(PublicKey.from_hex(peer)),
                *(peer, agreement.digest, agreement.approved_at, msgspec.json.encode(agreement)),
            ),
        )

    def agreements(self, peer: PublicKey) -> list[Agreement]:
        """All agreements with a peer, past and present, in every realm, oldest first."""
        rows = self._db.execute("SELECT state FROM agreement WHERE peer = ? ORDER BY at, rowid", (peer.hex,))
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
        """Note under which key this node's statements are signed now; the one before, where it changed."""
        row = self._db.execute("SELECT key FROM own_key WHERE key <> ?", (own.hex,)).fetchone()
        self._db.execute("DELETE FROM own_key")
        self._db.execute("INSERT INTO own_key (realm, key) VALUES (?, ?)", (self.realm, own.hex))
        return None if row is None else str(row[0])

    def forget_numbers(self) -> None:
        """Begin counting anew, and owe nothing: for a new key of our own, with which nobody has dealt."""
        for table in ("pair_sequence", "outbox"):
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608  constants above

    # ── sequences (SECURITY.md rule 2) ────────────────────────────────────────────────────────────────

    def next_sequence(self, peer: PublicKey, *, signal: bool = False) -> int:
        """Take the next number for a statement to ``peer``; signals, which nobody keeps, have their own."""
        column, realm = "signals" if signal else "sent", self._at(peer)
        self._db.execute(
            f"INSERT INTO pair_sequence (realm, peer, {column}) VALUES (?, ?, 1)"  # noqa: S608  constants above
            f" ON CONFLICT (realm, peer) DO UPDATE SET {column} = {column} + 1",
            (realm, peer.hex),
        )
        row = self._db.execute(
            f"SELECT {column} FROM pair_sequence WHERE realm = ? AND peer = ?",  # noqa: S608  constants above
            (realm, peer.hex),
        ).fetchone()
        return int(row[0])

    def seen(self, peer: PublicKey, realm: str | None = None) -> tuple[int, str]:
        """The highest sequence accepted from ``peer`` in a realm, by default where it is met, and that
        statement's digest; (0, "") at first.
        """
        row = self._db.execute(
            "SELECT seen, seen_digest FROM pair_sequence WHERE realm = ? AND peer = ?",
            (self._at(peer, realm), peer.hex),
        ).fetchone()
        return (int(row[0]), str(row[1])) if row else (0, "")

    def set_seen(self, peer: PublicKey, sequence: int, digest: str) -> None:
        self._db.execute(
            "INSERT INTO pair_sequence (realm, peer, seen, seen_digest) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (realm, peer) DO UPDATE SET"
            " seen = excluded.seen, seen_digest = excluded.seen_digest",
            (self._at(peer), peer.hex, sequence, digest),
        )

    # ── outbox ────────────────────────────────────────────────────────────────────────────────────────

    def owe(self, peer: PublicKey, message_id: bytes, envelope: bytes) -> None:
        """Owe ``peer`` a statement until ``delivered``."""
        self._db.execute(
            "INSERT INTO outbox (realm, peer, message_id, envelope) VALUES (?, ?, ?, ?)",
            (self._at(peer), peer.hex, message_id.hex(), envelope.decode()),
        )

    def owed_to(self, peer: PublicKey) -> int:
        """How many statements this peer has still to take."""
        query = "SELECT COUNT(*) FROM outbox WHERE peer = ?"
        return int(self._db.execute(query, (peer.hex,)).fetchone()[0])

    def outbox(self) -> list[OutboxItem]:
        """What is owed, oldest first."""
        rows = self._db.execute("SELECT id, peer, message_id, envelope, realm FROM outbox ORDER BY id")
        return [
            OutboxItem(row[0], PublicKey.from_hex(row[1]), bytes.fromhex(row[2]), row[3].encode(), row[4])
            for row in rows.fetchall()
        ]

    def delivered(self, item: OutboxItem) -> None:
        self._db.execute("DELETE FROM outbox WHERE id = ?", (item.id,))

    # ── peers' sealing keys (SECURITY.md rule 4) ──────────────────────────────────────────────────────

    def sealing_key(self, peer: PublicKey, realm: str | None = None) -> PeerSealingKey | None:
        """The one that it uses in a realm, by default where it is met."""
        row = self._db.execute(
            "SELECT sequence, expires, public FROM peer_sealing_key WHERE realm = ? AND peer = ?",
            (self._at(peer, realm), peer.hex),
        ).fetchone()
        return PeerSealingKey(row[0], row[1], bytes.fromhex(row[2])) if row else None

    def put_sealing_key(self, peer: PublicKey, key: PeerSealingKey, realm: str | None = None) -> None:
        """Remember it."""
        self._db.execute(
            "INSERT INTO peer_sealing_key (realm, peer, sequence, expires, public) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (realm, peer) DO UPDATE SET"
            " sequence = excluded.sequence, expires = excluded.expires, public = excluded.public",
            (self._at(peer, realm), peer.hex, key.sequence, key.expires, key.public.hex()),
        )
