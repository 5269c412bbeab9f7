"""How a transfer ends, on record: its row and its audit entry in one transaction.

The entry says what the row says, whoever writes it: the task that carried the transfer, or the next start
after a crash.
"""

from __future__ import annotations

from typing import Any

from comity.errors import ComityError, TransferCancelled
from comity.identity.keys import PublicKey
from comity.services.exchange.surroundings import Surroundings
from comity.storage.exchange import Outcome, StoredTransfer


def record_queued(around: Surroundings, row: int) -> None:
    """It waits for its peer."""
    with around.db.transaction():
        _append(around, "exchange.queued", around.store.get(row))


def record_delivery(around: Surroundings, row: int, outcome: Outcome, path: str) -> None:
    """What we sent arrived: the peer's receipt is verified."""
    with around.db.transaction():
        around.store.delivered(row, around.clock.now(), path, outcome)
        _append(around, "exchange.sent", around.store.get(row))


def record_arrival(around: Surroundings, row: int, path: str | None) -> None:
    """What a peer sent is visible, and our receipt is the one that the row holds."""
    with around.db.transaction():
        around.store.arrived(row, around.clock.now(), path)
        _append(around, "exchange.received", around.store.get(row))


def record_failure(
    around: Surroundings,
    row: int,
    error: ComityError,
    *,
    refused: bool = False,
    done: int = 0,
    path: str | None = None,
) -> None:
    """It came to nothing, and why. ``refused``: the peer took none of it."""
    with around.db.transaction():
        around.store.failed(row, around.clock.now(), error.message, done=done, path=path)
        _append(around, "exchange.refused" if refused else "exchange.failed", around.store.get(row), error)


def record_interruption(
    around: Surroundings, row: int, error: ComityError, *, done: int = 0, path: str | None = None
) -> None:
    """It stopped, and can be taken up again."""
    with around.db.transaction():
        around.store.interrupted(row, around.clock.now(), error.message, done=done, path=path)
        _append(around, "exchange.interrupted", around.store.get(row), error)


def record_cancellation(
    around: Surroundings, row: int, error: TransferCancelled, *, done: int = 0, path: str | None = None
) -> None:
    """It is over for good, because this side or the other wanted it so."""
    with around.db.transaction():
        around.store.cancelled(row, around.clock.now(), error.message, done=done, path=path)
        _append(around, "exchange.cancelled", around.store.get(row), error)


def _append(
    around: Surroundings, kind: str, stored: StoredTransfer, error: ComityError | None = None
) -> None:
    detail: dict[str, Any] = {
        "name": stored.name,
        "bytes": stored.bytes,
        "agreement": stored.agreement,
        "manifest": stored.manifest,
        "receipt": stored.receipt,
        "transfer": stored.transfer,
        "code": error.code if error else None,
    }
    around.audit.append(
        kind,
        peer=PublicKey.from_hex(stored.peer),
        operation="send" if stored.direction == "out" else "receive",
        digest=stored.digest,
        reasons=(error.message,) if error else (),
        **{name: value for name, value in detail.items() if value is not None},
    )
