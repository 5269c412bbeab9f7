"""What a crash or a full disk left behind, put right at the next start, or before the next transfer.

A file that became visible is finished, with its row and its audit entry; anything else that came in is
undone, and what went out has failed. No part is left. The order that makes this possible is told in
``commit``.
"""

from __future__ import annotations

from collections.abc import Container

from comity.errors import TransferFailed
from comity.services.exchange.records import record_arrival, record_failure
from comity.services.exchange.surroundings import Surroundings
from comity.storage.exchange import StoredTransfer

_UNKNOWN = "this node stopped during the transfer, or its disk was full when it ended"


def part_of(peer: str, transfer: str) -> str:
    """The name of a transfer's part. ``peer`` (a key in hexadecimal) keeps ids that two peers chose apart."""
    return f"{transfer}-{peer[:32]}"


def recover(around: Surroundings, running: Container[int] = ()) -> None:
    """Leave no transfer unfinished and no part behind, but those of the rows that are ``running``.

    DiskFull, StorageUnusable.
    """
    kept = set()
    for stored in around.store.unfinished():
        if stored.id in running:
            kept.add(part_of(stored.peer, stored.transfer))
        elif _visible(around, stored):
            record_arrival(around, stored.id, stored.path)
        else:
            record_failure(around, stored.id, TransferFailed(_UNKNOWN))
    for part in around.blobs.parts():
        if part not in kept:
            around.blobs.discard(part)


def _visible(around: Surroundings, stored: StoredTransfer) -> bool:
    if stored.folder is None or stored.stored is None:
        return False
    part = part_of(stored.peer, stored.transfer)
    return around.blobs.published(part, stored.folder, stored.stored)
