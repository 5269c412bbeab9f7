"""Which settings this node runs under, on record: the audit log tells each change before it takes effect.

A setting counts from a start on, whoever changed it and however: the file, the environment, a flag, ``comity
config`` while nothing ran. So it is a start that compares them with those it last ran under, and what a
running daemon changes by itself is recorded where it is changed. Entry and memory are one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comity.services.audit import AuditService
from comity.storage.database import Database
from comity.storage.settled import SettledStore


class Settled:
    """``record`` compares and remembers."""

    def __init__(self, db: Database, audit: AuditService) -> None:
        self._db = db
        self._audit = audit
        self._store = SettledStore(db)

    def record(self, settings: Mapping[str, str]) -> None:
        """These hold from now on; the others as before. Texts hold no secrets. StorageUnusable, DiskFull."""
        with self._db.transaction():
            before = self._store.all()
            changed: dict[str, Any] = dict(sorted(settings.items() - before.items()))
            if not changed:
                return
            if not before:
                self._audit.append("config.settled", **changed)
            for name, text in changed.items():
                if before:
                    self._audit.append("config.changed", setting=name, before=before.get(name), after=text)
            self._store.put(before | changed)
