"""The latest time that this node has put on record, so that its clock never goes back below it.

Read when the database is opened, as the floor of ``comity.clock.SystemClock``; written with every audit
entry. Without it, a machine whose clock is set back would accept statements that had expired (SECURITY.md
rule 2).
"""

from __future__ import annotations

from comity.storage.database import Database

TABLES = """
CREATE TABLE clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    now REAL NOT NULL
);
INSERT INTO clock VALUES (1, 0);
"""


class ClockMark:
    """One number in the database, in seconds UTC, that only grows."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def floor(self) -> float:
        (now,) = self._db.execute("SELECT now FROM clock").fetchone()
        return float(now)

    def advance(self, now: float) -> None:
        """Join the open transaction; an earlier time than the recorded one changes nothing."""
        self._db.execute("UPDATE clock SET now = ? WHERE now < ?", (now, now))
