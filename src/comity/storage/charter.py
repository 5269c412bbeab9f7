"""Charters in the node's database: lines of versions, their bytes, and every statement that was signed.

Writes join the caller's transaction. Statements and bytes are kept for good: they are the evidence. What was
counted under a charter is in ``storage.usage``. It decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from comity.protocol.charter.terms import Line
from comity.storage.database import Database

TABLES = """
CREATE TABLE charter_line (
    lineage TEXT PRIMARY KEY, at INTEGER NOT NULL, state BLOB NOT NULL
);
CREATE TABLE charter_version (
    digest TEXT PRIMARY KEY, lineage TEXT NOT NULL, at INTEGER NOT NULL, by TEXT NOT NULL,
    canonical BLOB NOT NULL
);
CREATE TABLE charter_statement (
    digest TEXT PRIMARY KEY, kind TEXT NOT NULL, charter TEXT NOT NULL, lineage TEXT NOT NULL,
    signer TEXT NOT NULL, subject TEXT NOT NULL, at INTEGER NOT NULL, envelope TEXT NOT NULL
);
CREATE INDEX charter_statement_by_charter ON charter_statement (charter, kind);
CREATE INDEX charter_statement_by_lineage ON charter_statement (lineage, kind);
CREATE TABLE charter_part (
    peer TEXT NOT NULL, charter TEXT NOT NULL, part INTEGER NOT NULL, parts INTEGER NOT NULL,
    data BLOB NOT NULL, PRIMARY KEY (peer, charter, part)
);
CREATE TABLE charter_early (
    id INTEGER PRIMARY KEY, peer TEXT NOT NULL, charter TEXT NOT NULL, digest TEXT NOT NULL UNIQUE,
    envelope TEXT NOT NULL
);
CREATE TABLE suspension (
    peer TEXT NOT NULL, by TEXT NOT NULL, lineage TEXT NOT NULL, charter TEXT NOT NULL, clause TEXT NOT NULL,
    reason TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (peer, by)
);
"""


@dataclass(frozen=True)
class StoredStatement:
    """One signed statement about a charter. ``signer`` and ``subject`` (may be empty) are fingerprints."""

    digest: str
    kind: str
    charter: str
    lineage: str
    signer: str
    subject: str
    at: int
    envelope: str


@dataclass(frozen=True)
class Suspension:
    """``by``: ``us`` or ``them``; ``at`` in seconds UTC. ``peer`` is a fingerprint."""

    peer: str
    by: str
    lineage: str
    charter: str
    clause: str
    reason: str
    at: int


class CharterStore:
    """All charters of one node."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lines: tuple[Line, ...] | None = None
        #: Changes with every line or suspension that is written, so that readers know what they can keep.
        self.version = 0

    # ── lines ─────────────────────────────────────────────────────────────────────────────────────────

    def lines(self) -> tuple[Line, ...]:
        """Every line of versions, the oldest first."""
        if self._lines is None:
            rows = self._db.execute("SELECT state FROM charter_line ORDER BY at, rowid").fetchall()
            self._lines = tuple(msgspec.json.decode(row[0], type=Line) for row in rows)
        return self._lines

    def line(self, lineage: str) -> Line | None:
        return next((line for line in self.lines() if line.lineage == lineage), None)

    def holding(self, digest: str) -> Line | None:
        """The line with the version of this digest."""
        return next((line for line in self.lines() if line.find(digest) is not None), None)

    def put_line(self, line: Line, at: int) -> None:
        self._db.execute(
            "INSERT INTO charter_line (lineage, at, state) VALUES (?, ?, ?)"
            " ON CONFLICT (lineage) DO UPDATE SET state = excluded.state",
            (line.lineage, at, msgspec.json.encode(line)),
        )
        self._changed()

    def drop_line(self, lineage: str) -> None:
        """Forget a proposal that nobody here has signed, with its bytes."""
        for table in ("charter_line", "charter_version", "charter_statement"):
            self._db.execute(f"DELETE FROM {table} WHERE lineage = ?", (lineage,))  # noqa: S608  constants above
        self._changed()

    def _changed(self) -> None:
        self._lines = None
        self.version += 1
        self._db.after_rollback(self._forget)

    def _forget(self) -> None:
        self._lines = None
        self.version += 1

    # ── bytes ─────────────────────────────────────────────────────────────────────────────────────────

    def put_version(self, digest: str, lineage: str, canonical: bytes, *, at: int, by: str) -> None:
        """``by``: the fingerprint of who brought it."""
        self._db.execute(
            "INSERT OR IGNORE INTO charter_version (digest, lineage, at, by, canonical)"
            " VALUES (?, ?, ?, ?, ?)",
            (digest, lineage, at, by, canonical),
        )

    def canonical(self, digest: str) -> bytes | None:
        """The bytes that a version's signatures are about."""
        row = self._db.execute("SELECT canonical FROM charter_version WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else bytes(row[0])

    def brought_by(self, digest: str) -> str:
        """Who brought a version here; empty where there is none."""
        row = self._db.execute("SELECT by FROM charter_version WHERE digest = ?", (digest,)).fetchone()
        return "" if row is None else str(row[0])

    def put_part(self, peer: str, charter: str, part: int, parts: int, data: bytes) -> dict[int, bytes]:
        """Keep a part; all parts of that charter from that peer so far. Of another charter they are dropped:
        a peer hands over one at a time.
        """
        self._db.execute(
            "DELETE FROM charter_part WHERE peer = ? AND (charter <> ? OR parts <> ?)", (peer, charter, parts)
        )
        self._db.execute(
            "INSERT OR REPLACE INTO charter_part (peer, charter, part, parts, data) VALUES (?, ?, ?, ?, ?)",
            (peer, charter, part, parts, data),
        )
        rows = self._db.execute(
            "SELECT part, data FROM charter_part WHERE peer = ? AND charter = ?", (peer, charter)
        ).fetchall()
        return {row[0]: bytes(row[1]) for row in rows}

    def drop_parts(self, peer: str) -> None:
        self._db.execute("DELETE FROM charter_part WHERE peer = ?", (peer,))

    # ── statements ────────────────────────────────────────────────────────────────────────────────────

    def put_statement(self, statement: StoredStatement) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO charter_statement (digest, kind, charter, lineage, signer, subject, at,"
            " envelope) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(statement.digest, statement.kind, statement.charter, statement.lineage),
                *(statement.signer, statement.subject, statement.at, statement.envelope),
            ),
        )

    def statements(self, *, lineage: str, kind: str, charter: str | None = None) -> list[StoredStatement]:
        """Of one line and kind, the oldest first; of one version only where it is named."""
        rows = self._db.execute(
            "SELECT digest, kind, charter, lineage, signer, subject, at, envelope FROM charter_statement"
            " WHERE lineage = ? AND kind = ? AND (? IS NULL OR charter = ?) ORDER BY rowid",
            (lineage, kind, charter, charter),
        )
        return [StoredStatement(*row) for row in rows.fetchall()]

    def keep_early(self, peer: str, charter: str, digest: str, envelope: str, most: int) -> None:
        """Keep a signature whose charter has not come yet; of too many from one peer the oldest go."""
        self._db.execute(
            "INSERT OR IGNORE INTO charter_early (peer, charter, digest, envelope) VALUES (?, ?, ?, ?)",
            (peer, charter, digest, envelope),
        )
        self._db.execute(
            "DELETE FROM charter_early WHERE peer = ? AND id NOT IN"
            " (SELECT id FROM charter_early WHERE peer = ? ORDER BY id DESC LIMIT ?)",
            (peer, peer, most),
        )

    def take_early(self, charter: str) -> list[str]:
        """The envelopes that were kept for this charter, which are forgotten."""
        rows = self._db.execute(
            "SELECT envelope FROM charter_early WHERE charter = ? ORDER BY id", (charter,)
        ).fetchall()
        self._db.execute("DELETE FROM charter_early WHERE charter = ?", (charter,))
        return [row[0] for row in rows]

    # ── suspensions ───────────────────────────────────────────────────────────────────────────────────

    def suspensions(self, peer: str | None = None) -> list[Suspension]:
        """Those that stand; with one peer where it is named."""
        rows = self._db.execute(
            "SELECT peer, by, lineage, charter, clause, reason, at FROM suspension"
            " WHERE ? IS NULL OR peer = ? ORDER BY at, rowid",
            (peer, peer),
        )
        return [Suspension(*row) for row in rows.fetchall()]

    def suspend(self, suspension: Suspension) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO suspension (peer, by, lineage, charter, clause, reason, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(suspension.peer, suspension.by, suspension.lineage, suspension.charter),
                *(suspension.clause, suspension.reason, suspension.at),
            ),
        )
        self._changed()

    def lift(self, peer: str, by: str) -> None:
        self._db.execute("DELETE FROM suspension WHERE peer = ? AND by = ?", (peer, by))
        self._changed()
