"""Which of this machine's ports are exposed, and to whom, in the node's database.

A row is for one peer under one agreement, or, with an empty peer, for every peer. Writes join the caller's
transaction. It decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.storage.database import Database

TABLES = """
CREATE TABLE exposure (
    port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    peer TEXT NOT NULL,
    agreement TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (port, peer)
);
"""


@dataclass(frozen=True)
class Exposure:
    """``peer`` is a key in hexadecimal, "" for every one; ``agreement`` the digest that it was granted under,
    "" for every one; ``since`` in seconds UTC.
    """

    port: int
    peer: str
    agreement: str
    since: int


class ExposureStore:
    """One node's exposures."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put(self, exposure: Exposure) -> None:
        """Add one; what was there for its port and peer is replaced."""
        self._db.execute(
            "INSERT OR REPLACE INTO exposure (port, peer, agreement, since) VALUES (?, ?, ?, ?)",
            (exposure.port, exposure.peer, exposure.agreement, exposure.since),
        )

    def remove(self, port: int, peer: str | None) -> int:
        """Take away a port's, of one peer ("" is the one for every peer) or, with None, all; how many."""
        if peer is None:
            return self._db.execute("DELETE FROM exposure WHERE port = ?", (port,)).rowcount
        return self._db.execute("DELETE FROM exposure WHERE port = ? AND peer = ?", (port, peer)).rowcount

    def all(self) -> list[Exposure]:
        """Every one, by port."""
        rows = self._db.execute("SELECT port, peer, agreement, since FROM exposure ORDER BY port, peer")
        return [Exposure(*row) for row in rows.fetchall()]

    def of(self, port: int) -> list[Exposure]:
        """Those of one port."""
        rows = self._db.execute(
            "SELECT port, peer, agreement, since FROM exposure WHERE port = ? ORDER BY peer", (port,)
        )
        return [Exposure(*row) for row in rows.fetchall()]
