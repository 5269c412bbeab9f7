"""Which settings and keys this node runs under, on record: each change is told before it takes effect.

A setting counts from a start on, whoever changed it and however: the file, the environment, a flag, ``comity
config`` while nothing ran. So it is a start that compares them with those it last ran under, and what a
running daemon changes by itself is recorded where it is changed. Entry and memory are one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comity.clock import rfc3339
from comity.services.audit import AuditService
from comity.storage.clockmark import ClockMark
from comity.storage.database import Database
from comity.storage.settled import SettledStore

_KEY = "key "  # no setting has a blank in its name


class Settled:
    """``record`` and ``key`` compare and remember."""

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
            first = all(name.startswith(_KEY) for name in before)
            if first:
                self._audit.append("config.settled", **changed)
            for name, text in changed.items():
                if not first:
                    self._audit.append("config.changed", setting=name, before=before.get(name), after=text)
            self._store.put(before | changed)

    def clock(self) -> None:
        """Tell of each time that somebody turned this node's clock back while it was down."""
        with self._db.transaction():
            for was, now in ClockMark(self._db).take_turns():
                self._audit.append("clock.forced_back", was=rfc3339(was), now=rfc3339(now))

    def key(self, name: str, public: str) -> None:
        """The key that goes by this name here is this one from now on; ``public`` is no secret."""
        with self._db.transaction():
            known = self._store.all()
            before = known.get(_KEY + name)
            if before != public:
                self._audit.append("key.changed", key=name, before=before, after=public)
                self._store.put(known | {_KEY + name: public})
