"""The settings under which this node last ran, so that a start can tell which have changed since."""

from __future__ import annotations

from collections.abc import Mapping

from comity.storage.database import Database

TABLES = """
CREATE TABLE settled (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
"""


class SettledStore:
    """One text a setting."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def all(self) -> dict[str, str]:
        """What was put last; empty before the first start."""
        return dict(tuple(row) for row in self._db.execute("SELECT name, text FROM settled").fetchall())

    def put(self, settings: Mapping[str, str]) -> None:
        """Replace all of them, in the caller's transaction."""
        with self._db.transaction():
            self._db.execute("DELETE FROM settled")
            for name, text in settings.items():
                self._db.execute("INSERT INTO settled VALUES (?, ?)", (name, text))
