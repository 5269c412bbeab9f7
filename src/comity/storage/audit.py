"""The audit log's rows: entries, the stored nodes of their Merkle tree, signed checkpoints.

Rows are only ever added; triggers refuse everything else, but that an entry's body and salt may be erased
together (SECURITY.md rule 20). That guards against our own mistakes: whoever can write the file can drop a
trigger, and is found by ``services.audit`` recomputing the log. Tree, commitments and notes are
``comity.audit``'s; writes join the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterator

from comity.audit import merkle
from comity.audit.verify import StoredEntry
from comity.errors import AuditInvalid
from comity.storage.database import Database

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


class AuditStore:
    """The log of one node in its database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def size(self) -> int:
        """How many entries there are: one more than the last one's index."""
        (last,) = self._db.execute("SELECT COALESCE(MAX(idx), -1) FROM audit_entry").fetchone()
        return int(last) + 1

    def append(self, commitment: bytes, salt: bytes, body: bytes) -> int:
        """Add an entry and the tree nodes that it completes; its index. AuditInvalid for a broken tree."""
        with self._db.transaction():
            size = self.size()
            nodes = merkle.nodes_for_append(size, merkle.leaf_hash(commitment), self.node)
            self._db.execute("INSERT INTO audit_entry VALUES (?, ?, ?, ?)", (size, commitment, salt, body))
            for node in nodes:
                self._db.execute("INSERT INTO audit_node VALUES (?, ?, ?)", node)
        return size

    def entries(self, after: int = -1, containing: bytes = b"") -> Iterator[StoredEntry]:
        """Entries with a greater index in order, only those whose body contains some bytes; streamed."""
        rows = self._db.execute(
            f"SELECT {_ENTRY} FROM audit_entry "  # noqa: S608  only constants of ours
            "WHERE idx > ? AND (? = x'' OR instr(CAST(body AS BLOB), ?)) ORDER BY idx",
            (after, containing, containing),
        )
        for index, commitment, salt, body in rows:
            yield StoredEntry(index, salt, body, commitment)

    def node(self, level: int, index: int) -> bytes:
        """A stored hash of the tree; AuditInvalid where it is missing."""
        row = self._db.execute(
            "SELECT CAST(hash AS BLOB) FROM audit_node WHERE level = ? AND idx = ?", (level, index)
        ).fetchone()
        if row is None or row[0] is None:
            raise AuditInvalid(f"tree node ({level}, {index}) is missing")
        return bytes(row[0])

    def node_count(self) -> int:
        (count,) = self._db.execute("SELECT COUNT(*) FROM audit_node").fetchone()
        return int(count)

    def root(self) -> bytes:
        return merkle.root(self.size(), self.node)

    def add_checkpoint(self, size: int, note: bytes) -> None:
        """Keep a signed note about the first ``size`` entries; there is none yet for as many or more."""
        self._db.execute("INSERT INTO audit_checkpoint VALUES (?, ?)", (size, note))

    def last_checkpoint(self) -> tuple[int, bytes] | None:
        """Size and note of the newest."""
        return next(self._checkpoints("LIMIT 1"), None)

    def checkpoints(self) -> Iterator[tuple[int, bytes]]:
        """Size and note of each, the newest first."""
        return self._checkpoints("")

    def _checkpoints(self, limit: str) -> Iterator[tuple[int, bytes]]:
        rows = self._db.execute(
            f"SELECT size, COALESCE(CAST(note AS BLOB), x'') FROM audit_checkpoint "  # noqa: S608  only constants of ours
            f"ORDER BY size DESC {limit}"
        ).fetchall()
        return ((size, note) for size, note in rows)
