"""A second connection to a node's database that can't write: for long readings, in a thread of their own.

It sees what is committed, statement by statement, and keeps no transaction open in between, so that on
filesystems without a write-ahead log no writer has to wait for it. Whoever wants two statements to agree asks
one. It belongs to the thread that opened it.
"""

from __future__ import annotations

import sqlite3
from types import TracebackType
from typing import Any
from urllib.parse import quote

from comity import limits
from comity.storage.database import Cursor
from comity.storage.failures import DatabaseReported, damaged


class ReadOnly:
    """The database file at ``path``, which is there. StorageUnusable where it can't be read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._reported = DatabaseReported(path)
        with self._reported:
            self._connection = sqlite3.connect(
                f"file:{quote(path)}?mode=ro",
                uri=True,
                isolation_level=None,
                timeout=limits.DATABASE_LOCK_TIMEOUT,
            )
        self._connection.row_factory = sqlite3.Row

    def execute(self, sql: str, parameters: Any = ()) -> Cursor:
        """Run one statement that only reads. StorageUnusable also where a table is not what it was."""
        cursor: Cursor = self._connection.cursor(lambda connection: Cursor(connection, self._reported))
        try:
            return cursor.execute(sql, parameters)
        except sqlite3.OperationalError as error:
            raise damaged(self._path, str(error)) from error

    def __enter__(self) -> ReadOnly:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
