"""What each peer's artifacts take here, counted over the rows of ``storage.exchange``.

Logical bytes: what a file holds, not what the disk needs for it. Whether a file is still there is looked up
elsewhere, and noted here. Writes join the caller's transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.identity.keys import PublicKey
from comity.storage.database import Database


@dataclass(frozen=True)
class Lying:
    """A received file, by its transfer's row."""

    row: int
    folder: str
    stored: str


class Occupancy:
    """Of one node."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def of(self, peer: PublicKey) -> int:
        """Bytes of what came from this peer and lies here, or is on its way."""
        row = self._db.execute(
            "SELECT COALESCE(SUM(bytes), 0) FROM transfer WHERE peer = ? AND direction = 'in' AND ("
            " state IN ('running', 'committing', 'interrupted') OR (state = 'done' AND removed IS NULL))",
            (peer.hex,),
        ).fetchone()
        return int(row[0])

    def lying(self, peer: PublicKey) -> list[Lying]:
        """Received files of this peer that are not known to be gone."""
        rows = self._db.execute(
            "SELECT id, folder, stored FROM transfer WHERE peer = ? AND direction = 'in' AND state = 'done'"
            " AND removed IS NULL",
            (peer.hex,),
        )
        return [Lying(*row) for row in rows.fetchall()]

    def removed(self, row: int, at: float) -> None:
        """A received file is not in its place any more."""
        self._db.execute("UPDATE transfer SET removed = ? WHERE id = ?", (at, row))
