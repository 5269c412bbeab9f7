"""What a crash left behind, put right at the next start (the order that makes this possible: ``commit``).

A file that became visible is finished, with its row and its audit entry; anything else that came in is
undone, and what went out has failed. No part is left.
"""

from __future__ import annotations

from comity.errors import TransferFailed
from comity.services.exchange.records import record_arrival, record_failure
from comity.services.exchange.surroundings import Surroundings
from comity.storage.exchange import StoredTransfer


def part_of(peer: str, transfer: str) -> str:
    """The name of a transfer's part. ``peer`` (a key in hexadecimal) keeps ids that two peers chose apart."""
    return f"{transfer}-{peer[:32]}"


def recover(around: Surroundings) -> None:
    """Leave no transfer unfinished and no part behind. Before the first stream is served."""
    for stored in around.store.unfinished():
        if _visible(around, stored):
            record_arrival(around, stored.id, stored.path)
        else:
            record_failure(around, stored.id, TransferFailed("this node stopped during the transfer"))
    for part in around.blobs.parts():
        around.blobs.discard(part)


def _visible(around: Surroundings, stored: StoredTransfer) -> bool:
    if stored.folder is None or stored.stored is None:
        return False
    part = part_of(stored.peer, stored.transfer)
    return around.blobs.published(part, stored.folder, stored.stored)
