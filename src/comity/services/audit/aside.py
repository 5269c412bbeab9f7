"""Long readings of the log, in threads of their own with connections that can't write.

A reading ends when whoever waits for it is cancelled: between two pages of entries it looks. A database in
memory has no second connection: there, the reading takes place at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from comity import limits
from comity.errors import TimedOut
from comity.storage.audit import AuditReader
from comity.storage.database import MEMORY, Database
from comity.storage.readonly import ReadOnly

T = TypeVar("T")


class Aside:
    """``run`` takes what is to be done with a reader. On one event loop."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._places = asyncio.Semaphore(limits.AUDIT_READERS)

    async def run(self, job: Callable[[AuditReader], T]) -> T:
        """What ``job`` returns or raises; StorageUnusable."""
        if self._db.path == MEMORY:
            return job(AuditReader(self._db))
        over = threading.Event()

        def look() -> None:
            if over.is_set():
                raise TimedOut("nobody waits for this reading any more")

        def read() -> T:
            with ReadOnly(self._db.path) as db:
                return job(AuditReader(db, look))

        async with self._places:
            try:
                return await asyncio.to_thread(read)
            finally:
                over.set()
