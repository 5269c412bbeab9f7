"""Files that wait to be sent: where each lies, and which file it was when it was handed over.

A row here belongs to one of ``transfer`` and lasts until that one is over. The path alone opens nothing:
``identity`` says which file it has to lead to (``services.exchange.finding``).
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.identity.keys import PublicKey
from comity.storage.database import Database

TABLES = """
CREATE TABLE queued (
    transfer INTEGER PRIMARY KEY REFERENCES transfer (id),
    path TEXT NOT NULL,
    identity TEXT NOT NULL,
    rate INTEGER
);
"""
_WAITS = "FROM queued JOIN transfer ON transfer.id = queued.transfer WHERE state IN ('queued', 'interrupted')"


@dataclass(frozen=True)
class Queued:
    """``row`` is the transfer's; ``rate``: bytes a second, None for no bound."""

    row: int
    path: str
    identity: str
    rate: int | None


class SendQueue:
    """The files that this node has still to send, in the order in which they were handed over."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, queued: Queued) -> None:
        """At the end."""
        self._db.execute(
            "INSERT INTO queued (transfer, path, identity, rate) VALUES (?, ?, ?, ?)",
            (queued.row, queued.path, queued.identity, queued.rate),
        )

    def forget(self, row: int) -> None:
        """It is over."""
        self._db.execute("DELETE FROM queued WHERE transfer = ?", (row,))

    def holds(self, row: int) -> bool:
        """Whether this transfer is sent by itself."""
        return self._db.execute("SELECT 1 FROM queued WHERE transfer = ?", (row,)).fetchone() is not None

    def get(self, row: int) -> Queued | None:
        """Where it lies; None where this transfer does not wait here."""
        found = self._db.execute(
            "SELECT transfer, path, identity, rate FROM queued WHERE transfer = ?", (row,)
        ).fetchone()
        return None if found is None else Queued(*found)

    def first(self, peer: PublicKey) -> Queued | None:
        """The one that waits longest for this peer, and is not under way."""
        query = f"SELECT id, queued.path, identity, rate {_WAITS} AND peer = ? ORDER BY id LIMIT 1"
        row = self._db.execute(query, (peer.hex,)).fetchone()
        return None if row is None else Queued(*row)

    def waiting(self, peer: PublicKey | None = None) -> int:
        """How many wait, for this peer or for anybody."""
        query = f"SELECT COUNT(*) {_WAITS} AND (? IS NULL OR peer = ?)"
        wanted = None if peer is None else peer.hex
        return int(self._db.execute(query, (wanted, wanted)).fetchone()[0])

    def peers(self) -> list[PublicKey]:
        """Those for whom something waits."""
        rows = self._db.execute(f"SELECT DISTINCT peer {_WAITS}")
        return [PublicKey.from_hex(row[0]) for row in rows]
