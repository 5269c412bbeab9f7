"""Transfers and their receipts: one row each, kept for good, because the receipt is evidence.

    queued ──► running            what waits for its peer; back again after an attempt that came to nothing
    running ──► done                      what went out
    running ──► committing ──► done       what came in; ``committing`` names the file that is about to appear
    running, committing ──► failed
    running, committing ──► interrupted ──► running, failed     until it is taken up again, or never is
    queued, running, committing, interrupted ──► cancelled      for good: the row is the reason to refuse it

Both sides' ids are the sender's, so a row is found by direction, peer and id. Writes join the caller's
transaction, which is how an audit entry and its row become one. The bytes are in ``storage.blobs``; which
order makes a crash harmless is told in ``services.exchange.inbox``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from comity.identity.keys import PublicKey
from comity.storage.database import Database

Direction = Literal["in", "out"]

TABLES = """
CREATE TABLE transfer (
    id INTEGER PRIMARY KEY,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    peer TEXT NOT NULL,
    transfer TEXT NOT NULL,
    nonce TEXT NOT NULL,
    hostname TEXT NOT NULL,
    address TEXT NOT NULL,
    name TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    agreement TEXT NOT NULL,
    started REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'running' CHECK (
        state IN ('queued', 'running', 'committing', 'interrupted', 'done', 'failed', 'cancelled')
    ),
    ended REAL,
    bytes_done INTEGER NOT NULL DEFAULT 0,
    path TEXT,
    problem TEXT NOT NULL DEFAULT '',
    folder TEXT,
    stored TEXT,
    digest TEXT,
    manifest TEXT,
    receipt TEXT,
    envelope TEXT,
    removed REAL,
    owed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (direction, peer, transfer)
);
CREATE INDEX transfer_by_name ON transfer (name, direction, state);
CREATE INDEX transfer_by_manifest ON transfer (manifest);
CREATE INDEX transfer_by_state ON transfer (state, direction);
CREATE INDEX transfer_by_peer ON transfer (peer, direction, state);
"""


@dataclass(frozen=True, kw_only=True)
class NewTransfer:
    """What is known when a transfer begins. ``hostname`` and ``address`` are the peer's at that time."""

    direction: Direction
    peer: PublicKey
    transfer: str
    hostname: str
    address: str
    name: str
    bytes: int
    agreement: str
    started: float
    nonce: str = ""
    state: Literal["running", "queued"] = "running"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the receipt says, and the receipt: ``receipt`` is its digest, ``envelope`` its JSON."""

    digest: str
    manifest: str
    receipt: str
    envelope: str


@dataclass(frozen=True, kw_only=True)
class StoredTransfer:
    """One row. Times are seconds UTC; ``path`` names the link that carried it (``direct``, ``relay``, …).

    ``folder`` and ``stored`` say where a received file lies, ``removed`` since when it was found not to. What
    a transfer doesn't have yet is None. ``owed``: the peer was not told yet that it is cancelled.
    """

    id: int
    direction: Direction
    peer: str
    transfer: str
    nonce: str
    hostname: str
    address: str
    name: str
    bytes: int
    agreement: str
    started: float
    state: Literal["queued", "running", "committing", "interrupted", "done", "failed", "cancelled"]
    ended: float | None
    bytes_done: int
    path: str | None
    problem: str
    folder: str | None
    stored: str | None
    digest: str | None
    manifest: str | None
    receipt: str | None
    envelope: str | None
    removed: float | None
    owed: int


class ExchangeStore:
    """The transfers of one node."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def find(self, direction: Direction, peer: PublicKey, transfer: str) -> StoredTransfer | None:
        """The row of this id, if it was used already."""
        found = self._select("direction = ? AND peer = ? AND transfer = ?", direction, peer.hex, transfer)
        return found[0] if found else None

    def waiting(self, peer: PublicKey, agreement: str, name: str, size: int) -> StoredTransfer | None:
        """The newest interrupted transfer to ``peer`` that sending this again would continue."""
        found = self._select(
            "direction = 'out' AND state = 'interrupted' AND peer = ? AND agreement = ? AND name = ?"
            " AND bytes = ? ORDER BY id DESC LIMIT 1",
            *(peer.hex, agreement, name, size),
        )
        return found[0] if found else None

    def sent_before(self, peer: PublicKey, agreement: str, name: str) -> str | None:
        """The manifest's digest of the newest thing of this name that ``peer`` has a receipt for."""
        found = self._select(
            "direction = 'out' AND state = 'done' AND peer = ? AND agreement = ? AND name = ?"
            " ORDER BY id DESC LIMIT 1",
            *(peer.hex, agreement, name),
        )
        return found[0].manifest if found else None

    def arrived_before(self, peer: PublicKey, agreement: str, manifest: str) -> StoredTransfer | None:
        """What ``peer`` sent, whole, with this manifest and under this agreement: its newest row."""
        found = self._select(
            "direction = 'in' AND state = 'done' AND peer = ? AND agreement = ? AND manifest = ?"
            " ORDER BY id DESC LIMIT 1",
            *(peer.hex, agreement, manifest),
        )
        return found[0] if found else None

    def interrupted_ones(self) -> list[StoredTransfer]:
        """All that wait for somebody to take them up again, the newest first; the queue's go on by itself."""
        return self._select(
            "state = 'interrupted' AND id NOT IN (SELECT transfer FROM queued) ORDER BY ended DESC, id DESC"
        )

    def get(self, row: int) -> StoredTransfer:
        """The row that ``begin`` made."""
        return self._select("id = ?", row)[0]

    def begin(self, new: NewTransfer) -> int:
        """The row of a transfer that runs from now on; its id must not be known."""
        cursor = self._db.execute(
            "INSERT INTO transfer (direction, peer, transfer, hostname, address, name, bytes, agreement,"
            " started, nonce, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(new.direction, new.peer.hex, new.transfer, new.hostname, new.address),
                *(new.name, new.bytes, new.agreement, new.started, new.nonce, new.state),
            ),
        )
        row = cursor.lastrowid
        if row is None:  # never so after an INSERT
            raise AssertionError("sqlite gave no row id")
        return row

    def committing(self, row: int, folder: str, stored: str, outcome: Outcome) -> None:
        """What came in is complete, signed for, and about to appear as ``folder/stored``."""
        self._db.execute(
            "UPDATE transfer SET state = 'committing', folder = ?, stored = ?, digest = ?, manifest = ?,"
            " receipt = ?, envelope = ? WHERE id = ?",
            (
                *(folder, stored, outcome.digest, outcome.manifest),
                *(outcome.receipt, outcome.envelope, row),
            ),
        )

    def arrived(self, row: int, ended: float, path: str | None) -> None:
        """The file is visible."""
        self._db.execute(
            "UPDATE transfer SET state = 'done', ended = ?, bytes_done = bytes, path = ? WHERE id = ?",
            (ended, path, row),
        )

    def delivered(self, row: int, ended: float, path: str, outcome: Outcome) -> None:
        """The peer's receipt is verified."""
        self._db.execute(
            "UPDATE transfer SET state = 'done', ended = ?, bytes_done = bytes, path = ?, digest = ?,"
            " manifest = ?, receipt = ?, envelope = ? WHERE id = ?",
            (
                *(ended, path, outcome.digest, outcome.manifest),
                *(outcome.receipt, outcome.envelope, row),
            ),
        )

    def taken_up(self, row: int) -> None:
        """It runs again."""
        self._db.execute(
            "UPDATE transfer SET state = 'running', ended = NULL, problem = '' WHERE id = ?", (row,)
        )

    def requeued(self, row: int, problem: str) -> None:
        """It could not be begun, and waits on."""
        self._db.execute("UPDATE transfer SET state = 'queued', problem = ? WHERE id = ?", (problem, row))

    def interrupted(
        self, row: int, ended: float, problem: str, *, done: int = 0, path: str | None = None
    ) -> None:
        """It stopped, and can be taken up again; as with ``failed``, no receipt was given away."""
        self.failed(row, ended, problem, done=done, path=path)
        self._db.execute("UPDATE transfer SET state = 'interrupted' WHERE id = ?", (row,))

    def failed(self, row: int, ended: float, problem: str, *, done: int = 0, path: str | None = None) -> None:
        """It will not complete; a receipt that was signed for it was never given away, and is forgotten."""
        self._db.execute(
            "UPDATE transfer SET state = 'failed', ended = ?, problem = ?, bytes_done = ?, path = ?,"
            " folder = NULL, stored = NULL, receipt = NULL, envelope = NULL WHERE id = ?",
            (ended, problem, done, path, row),
        )

    def cancelled(self, row: int, ended: float, problem: str, *, done: int, path: str | None) -> None:
        """It is over because one side wants it so."""
        self.failed(row, ended, problem, done=done, path=path)
        self._db.execute("UPDATE transfer SET state = 'cancelled' WHERE id = ?", (row,))

    def owe(self, row: int) -> None:
        """The peer is still to be told that it is cancelled."""
        self._db.execute("UPDATE transfer SET owed = 1 WHERE id = ?", (row,))

    def told(self, row: int) -> None:
        """The peer knows."""
        self._db.execute("UPDATE transfer SET owed = 0 WHERE id = ?", (row,))

    def owed(self, peer: PublicKey) -> list[StoredTransfer]:
        """What this peer is still to be told of, the oldest first."""
        return self._select("peer = ? AND state = 'cancelled' AND owed = 1 ORDER BY id", peer.hex)

    def owed_peers(self) -> list[PublicKey]:
        """Those who are still to be told of something."""
        rows = self._db.execute("SELECT DISTINCT peer FROM transfer WHERE state = 'cancelled' AND owed = 1")
        return [PublicKey.from_hex(row[0]) for row in rows]

    def beginning(self, text: str, limit: int) -> list[StoredTransfer]:
        """Transfers whose id begins with these hexadecimal digits, the newest first."""
        return self._select("substr(transfer, 1, ?) = ? ORDER BY id DESC LIMIT ?", len(text), text, limit)

    # ── lists ─────────────────────────────────────────────────────────────────────────────────────────

    def unfinished(self) -> list[StoredTransfer]:
        """What a stopped daemon left behind, the oldest first."""
        return self._select("state IN ('running', 'committing')")

    def newest(self, limit: int) -> list[StoredTransfer]:
        """Transfers in both directions, the newest first."""
        return self._select("1 ORDER BY id DESC LIMIT ?", limit)

    def received(self, limit: int, name: str | None = None) -> list[StoredTransfer]:
        """Files that arrived, under ``name`` where it is given, the newest first."""
        return self._select(
            "direction = 'in' AND state = 'done' AND (? IS NULL OR name = ?)"
            " ORDER BY ended DESC, id DESC LIMIT ?",
            *(name, name, limit),
        )

    def arrivals(self) -> int:
        """How many files ever arrived."""
        count = "SELECT COUNT(*) FROM transfer WHERE direction = 'in' AND state = 'done'"
        return int(self._db.execute(count).fetchone()[0])

    def _select(self, where: str, *values: object) -> list[StoredTransfer]:
        query = f"SELECT * FROM transfer WHERE {where}"  # noqa: S608  constants of this class
        rows = self._db.execute(query, values)
        return [StoredTransfer(**dict(zip(row.keys(), row, strict=True))) for row in rows]
