"""The latest time that this node has put on record, so that its clock never goes back below it.

Read when the database is opened, as the floor of ``comity.clock.SystemClock``; written with every audit
entry. Without it, a machine whose clock is set back would accept statements that had expired (SECURITY.md
rule 2). A person may turn it back; that is kept until the audit log tells of it.
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

#: Of migration 2.
TURNS = """
CREATE TABLE clock_turns (
    was REAL NOT NULL,
    now REAL NOT NULL
);
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

    def turn_back(self, now: float) -> None:
        """Set the mark to an earlier time, and remember that it was done; joins the open transaction."""
        self._db.execute("INSERT INTO clock_turns SELECT now, ? FROM clock", (now,))
        self._db.execute("UPDATE clock SET now = ?", (now,))

    def take_turns(self) -> list[tuple[float, float]]:
        """From when to when it was turned back since the last call; joins the open transaction."""
        turns = [
            (was, now) for was, now in self._db.execute("SELECT was, now FROM clock_turns ORDER BY rowid")
        ]
        self._db.execute("DELETE FROM clock_turns")
        return turns
