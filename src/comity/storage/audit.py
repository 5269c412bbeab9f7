"""The audit log's rows: entries, the stored nodes of their Merkle tree, signed checkpoints.

Rows are only ever added; triggers refuse everything else, but that an entry's body and salt may be erased
together (SECURITY.md rule 20). That guards against our own mistakes: whoever can write the file can drop a
trigger, and is found by ``services.audit`` recomputing the log. Tree, commitments and notes are
``comity.audit``'s; writes join the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from comity import limits
from comity.audit import merkle
from comity.audit.verify import StoredEntry
from comity.errors import AuditInvalid
from comity.storage.database import Cursor, Database

TABLES = """
CREATE TABLE audit_entry (
    idx INTEGER PRIMARY KEY,
    commitment BLOB NOT NULL CHECK (typeof(commitment) = 'blob' AND length(commitment) = 32),
    salt BLOB CHECK (salt IS NULL OR typeof(salt) = 'blob'),
    body BLOB CHECK (body IS NULL OR typeof(body) = 'blob')
);
CREATE TRIGGER audit_entry_has_no_gap BEFORE INSERT ON audit_entry
WHEN NEW.idx IS NOT (SELECT COALESCE(MAX(idx) + 1, 0) FROM audit_entry)
BEGIN SELECT RAISE(ABORT, 'audit entries follow one another'); END;
CREATE TRIGGER audit_entry_is_only_erased BEFORE UPDATE ON audit_entry
WHEN NEW.idx IS NOT OLD.idx OR NEW.commitment IS NOT OLD.commitment
    OR NEW.salt IS NOT NULL OR NEW.body IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END;
CREATE TRIGGER audit_entry_stays BEFORE DELETE ON audit_entry
BEGIN SELECT RAISE(ABORT, 'audit entries are never deleted'); END;

CREATE TABLE audit_node (
    level INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (typeof(hash) = 'blob' AND length(hash) = 32),
    PRIMARY KEY (level, idx)
) WITHOUT ROWID;
CREATE TRIGGER audit_node_is_new BEFORE INSERT ON audit_node
WHEN EXISTS (SELECT 1 FROM audit_node WHERE level = NEW.level AND idx = NEW.idx)
BEGIN SELECT RAISE(ABORT, 'tree nodes are never replaced'); END;
CREATE TRIGGER audit_node_never_changes BEFORE UPDATE ON audit_node
BEGIN SELECT RAISE(ABORT, 'tree nodes are never changed'); END;
CREATE TRIGGER audit_node_stays BEFORE DELETE ON audit_node
BEGIN SELECT RAISE(ABORT, 'tree nodes are never deleted'); END;

CREATE TABLE audit_checkpoint (
    size INTEGER PRIMARY KEY,
    note BLOB NOT NULL CHECK (typeof(note) = 'blob')
);
CREATE TRIGGER audit_checkpoint_is_later BEFORE INSERT ON audit_checkpoint
WHEN NEW.size <= (SELECT COALESCE(MAX(size), -1) FROM audit_checkpoint)
BEGIN SELECT RAISE(ABORT, 'checkpoints follow one another'); END;
CREATE TRIGGER audit_checkpoint_never_changes BEFORE UPDATE ON audit_checkpoint
BEGIN SELECT RAISE(ABORT, 'checkpoints are never changed'); END;
CREATE TRIGGER audit_checkpoint_stays BEFORE DELETE ON audit_checkpoint
BEGIN SELECT RAISE(ABORT, 'checkpoints are never deleted'); END;
"""

# What is read may have been written by somebody else: whatever its type, it arrives here as bytes.
_ENTRY = "idx, COALESCE(CAST(commitment AS BLOB), x''), CAST(salt AS BLOB), CAST(body AS BLOB)"


class Executes(Protocol):
    """What reading needs of a database: a node's own, or a second connection that can't write."""

    def execute(self, sql: str, parameters: Any = ()) -> Cursor:
        """Run one statement."""


class AuditReader:
    """The log of one node as whoever reads its database finds it.

    ``between`` is called between two pages of entries; it may raise to end a long reading.
    """

    def __init__(self, db: Executes, between: Callable[[], None] = lambda: None) -> None:
        self._db = db
        self._between = between

    def size(self) -> int:
        """How many entries there are: one more than the last one's index."""
        (last,) = self._db.execute("SELECT COALESCE(MAX(idx), -1) FROM audit_entry").fetchone()
        return int(last) + 1

    def extent(self) -> tuple[int, int]:
        """How many entries and how many tree nodes there are, at one moment."""
        size, nodes = self._db.execute(
            "SELECT (SELECT COALESCE(MAX(idx), -1) + 1 FROM audit_entry), (SELECT COUNT(*) FROM audit_node)"
        ).fetchone()
        return int(size), int(nodes)

    def entries(self, after: int = -1, containing: bytes = b"") -> Iterator[StoredEntry]:
        """Entries with a greater index in order, only those whose body contains some bytes.

        Read in pages, so that no reader keeps a writer waiting; entries added meanwhile come too.
        """
        while True:
            rows = self._db.execute(
                f"SELECT {_ENTRY} FROM audit_entry WHERE idx > ? ORDER BY idx LIMIT ?",  # noqa: S608  only constants of ours
                (after, limits.AUDIT_PAGE_ENTRIES),
            ).fetchall()
            for index, commitment, salt, body in rows:
                if not containing or (body is not None and containing in body):
                    yield StoredEntry(index, salt, body, commitment)
            if len(rows) < limits.AUDIT_PAGE_ENTRIES:
                return
            after = rows[-1][0]
            self._between()

    def entry(self, index: int) -> StoredEntry:
        """One of them; AuditInvalid where it is missing."""
        row = self._db.execute(
            f"SELECT {_ENTRY} FROM audit_entry WHERE idx = ?",  # noqa: S608  only constants of ours
            (index,),
        ).fetchone()
        if row is None:
            raise AuditInvalid(f"entry {index} is missing")
        return StoredEntry(row[0], row[2], row[3], row[1])

    def node(self, level: int, index: int) -> bytes:
        """A stored hash of the tree; AuditInvalid where it is missing."""
        row = self._db.execute(
            "SELECT CAST(hash AS BLOB) FROM audit_node WHERE level = ? AND idx = ?", (level, index)
        ).fetchone()
        if row is None or row[0] is None:
            raise AuditInvalid(f"tree node ({level}, {index}) is missing")
        return bytes(row[0])

    def node_count(self) -> int:
        return self.extent()[1]

    def root(self) -> bytes:
        return merkle.root(self.size(), self.node)

    def last_checkpoint(self) -> tuple[int, bytes] | None:
        """Size and note of the newest."""
        return next(self._checkpoints("LIMIT 1"), None)

    def checkpoints(self) -> Iterator[tuple[int, bytes]]:
        """Size and note of each, the newest first."""
        return self._checkpoints("")

    def checkpoint(self, size: int) -> bytes | None:
        """The note that was signed about the first ``size`` entries, if one was."""
        row = self._db.execute(
            "SELECT COALESCE(CAST(note AS BLOB), x'') FROM audit_checkpoint WHERE size = ?", (size,)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def _checkpoints(self, limit: str) -> Iterator[tuple[int, bytes]]:
        rows = self._db.execute(
            f"SELECT size, COALESCE(CAST(note AS BLOB), x'') FROM audit_checkpoint "  # noqa: S608  only constants of ours
            f"ORDER BY size DESC {limit}"
        ).fetchall()
        return ((size, note) for size, note in rows)


class AuditStore(AuditReader):
    """The log of one node in its database, which it alone writes."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self._own = db

    def append(self, commitment: bytes, salt: bytes, body: bytes) -> int:
        """Add an entry and the tree nodes that it completes; its index. AuditInvalid for a broken tree."""
        with self._own.transaction():
            size = self.size()
            nodes = merkle.nodes_for_append(size, merkle.leaf_hash(commitment), self.node)
            self._own.execute("INSERT INTO audit_entry VALUES (?, ?, ?, ?)", (size, commitment, salt, body))
            try:
                for node in nodes:
                    self._own.execute("INSERT INTO audit_node VALUES (?, ?, ?)", node)
            except sqlite3.IntegrityError as error:
                raise AuditInvalid(f"entry {size}: the stored tree has it, and the log does not") from error
        return size

    def erase(self, index: int) -> None:
        """Erase an entry's body and salt, from the write-ahead log too; the commitment stays."""
        self._own.execute("UPDATE audit_entry SET salt = NULL, body = NULL WHERE idx = ?", (index,))
        self._own.scrub()

    def add_checkpoint(self, size: int, note: bytes) -> None:
        """Keep a signed note about the first ``size`` entries; there is none yet for as many or more."""
        self._own.execute("INSERT INTO audit_checkpoint VALUES (?, ?)", (size, note))
