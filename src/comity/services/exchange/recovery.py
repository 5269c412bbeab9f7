"""What a crash or a full disk left behind, put right at the next start, or before the next transfer.

A file that became visible is finished, with its row and its audit entry; everything else is interrupted, and
its part stays until the peer takes it up again: what is in it is hashed anew then, so nothing needs to be
known of how far it came. After ``Rules.partials_kept``, or where a peer left too many, it is given up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container

from comity import limits
from comity.errors import TransferFailed
from comity.services.exchange.records import record_arrival, record_failure, record_interruption
from comity.services.exchange.surroundings import Surroundings
from comity.storage.exchange import StoredTransfer

_UNKNOWN = "this node stopped during the transfer, or its disk was full when it ended"


def part_of(peer: str, transfer: str) -> str:
    """The name of a transfer's part. ``peer`` (a key in hexadecimal) keeps ids that two peers chose apart."""
    return f"{transfer}-{peer[:32]}"


def recover(around: Surroundings, running: Container[int] = ()) -> None:
    """Leave no row and no part in an unclear state, but those of the rows that are ``running``.

    DiskFull, StorageUnusable.
    """
    kept = set()
    parts = around.blobs.parts()
    for stored in around.store.unfinished():
        if stored.id in running:
            kept.add(part_of(stored.peer, stored.transfer))
        elif _visible(around, stored):
            record_arrival(around, stored.id, stored.path)
        elif stored.direction == "in" and part_of(stored.peer, stored.transfer) not in parts:
            record_failure(around, stored.id, TransferFailed(_UNKNOWN))
        else:
            record_interruption(around, stored.id, TransferFailed(_UNKNOWN), path=stored.path)
    collect(around)
    for stored in around.store.interrupted_ones():
        kept.add(part_of(stored.peer, stored.transfer))
    for part in parts:
        if part not in kept:
            around.blobs.discard(part)


def collect(around: Surroundings) -> None:
    """Give up what nobody took up again in time, and what is more than a peer may leave."""
    oldest = around.clock.now() - around.rules.partials_kept
    seen: Counter[str] = Counter()
    for stored in around.store.interrupted_ones():
        incoming = stored.direction == "in"
        seen[stored.peer] += incoming
        too_old = (stored.ended or 0) < oldest
        if too_old or (incoming and seen[stored.peer] > limits.PARTIALS_PER_PEER):
            if incoming:
                around.blobs.discard(part_of(stored.peer, stored.transfer))
            reason = "it was not taken up again" + ("" if too_old else ", and newer ones need the room")
            record_failure(around, stored.id, TransferFailed(reason), done=stored.bytes_done)


def _visible(around: Surroundings, stored: StoredTransfer) -> bool:
    if stored.folder is None or stored.stored is None:
        return False
    part = part_of(stored.peer, stored.transfer)
    return around.blobs.published(part, stored.folder, stored.stored)
