"""An operator's order to turn a node's time back, after its machine's clock had once been far ahead.

A node's time never goes back by itself (SECURITY.md rule 2). A person can know that it was the earlier time
that was wrong. Statements that were seen stay spent, by their sequences, which hang on no clock; what had
expired in the time that never was, and had not been seen, counts again. The audit log tells of it at the next
start.
"""

from __future__ import annotations

import os
from pathlib import Path

from comity import limits
from comity.clock import SystemClock, rfc3339
from comity.control.unattended import ClockForcedBack
from comity.errors import InvalidInput, NotInitialised
from comity.sdk.home import locate
from comity.storage.clockmark import ClockMark
from comity.storage.lease import Lease
from comity.storage.runtime import runtime_of
from comity.storage.schema import open_node_database
from comity.storage.sealing import SealingKeyStore


def force_clock_back(home: Path | None = None) -> ClockForcedBack:
    """Set the time of a node that is down to this machine's.

    NotInitialised, AlreadyRunning, InvalidInput where it is not ahead; HomeUnsafe, StorageUnusable, DiskFull.
    """
    place = locate(home)
    place.check()
    if not place.database.exists():
        raise NotInitialised("this node was never started", hint="run comity up")
    with Lease.acquire(place, runtime_of(place, os.environ)), open_node_database(place.database) as db:
        mark, now = ClockMark(db), SystemClock().now()
        was = mark.floor()
        if was <= now + limits.CLOCK_SKEW:
            raise InvalidInput(
                "this node's time is not ahead of this machine's clock: there is nothing to turn back",
                hint="run comity status",
            )
        with db.transaction():
            mark.turn_back(now)
            SealingKeyStore(db).end_those_of_the_future(now)
    return ClockForcedBack(rfc3339(was), rfc3339(now))
