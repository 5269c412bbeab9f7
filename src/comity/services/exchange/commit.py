"""The moment when an artifact becomes a file, in an order that no crash can break.

``kill -9`` at any moment leaves either no visible file, or the complete one with its receipt; ``recovery``
does the rest at the next start:

1. A row ``running``. Then the part, ``incoming/….part``, is filled, verified by chunk and as a whole, and
   fsynced. (A crash here: the row is interrupted and the part kept until it is taken up again.)
2. One transaction: the row is ``committing`` and holds the digests, the signed receipt, and the name that the
   file is about to get. (A crash here: nothing is visible, so as above. The receipt was given to nobody.)
3. The part is linked to that name and the folder fsynced: the file is visible. (A crash here: the link is
   found, and step 4 is done at the next start.)
4. One transaction: the row is ``done``, and the audit entry says so. (A crash here: only the part's own name
   is left to be removed.)
5. The part's own name is removed, and the receipt is sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from comity.errors import ComityError, Denied
from comity.policy.operation import Operation
from comity.protocol.exchange.events import Commit
from comity.protocol.exchange.messages import Offer
from comity.services.exchange.basis import Basis
from comity.services.exchange.progress import Meter
from comity.services.exchange.records import (
    record_arrival,
    record_cancellation,
    record_failure,
    record_interruption,
)
from comity.services.exchange.recovery import collect, part_of
from comity.services.exchange.running import Running
from comity.services.exchange.spreading import SpreadLane
from comity.services.exchange.surroundings import Surroundings
from comity.services.exchange.threads import Threads
from comity.services.trust import KnownPeer
from comity.storage.blobs import Occupied
from comity.storage.exchange import Outcome
from comity.transport.interface import Lane, Stream


@dataclass(eq=False)
class Arrival:
    """An accepted transfer; ``row`` is its row, ``lane`` is there once its thread runs."""

    row: int
    peer: KnownPeer
    offer: Offer
    running: Running
    stream: Stream
    operation: Operation
    lane: SpreadLane | None = None
    held: bool = False
    basis: Basis | None = None

    @property
    def meter(self) -> Meter:
        return self.running.meter

    @property
    def over(self) -> asyncio.Event:
        """Set once how it ended is on record."""
        return self.running.over

    @property
    def part(self) -> str:
        return part_of(self.peer.key.hex, self.offer.transfer)

    def abort(self) -> None:
        """End whatever carries it."""
        self.stream.abort()
        if self.lane is not None:
            self.lane.abort()


async def publish(
    around: Surroundings, threads: Threads, lane: Lane, arrival: Arrival, commit: Commit
) -> bytes:
    """Steps 2 to 5 for a part that is complete and fsynced; the receipt to send.

    Denied where the agreement ended meanwhile; StorageUnusable, DiskFull.
    """
    over = around.over(arrival.peer, arrival.operation)
    if over is not None:
        raise Denied(f"before the artifact was complete: {over}")
    offer, folder = arrival.offer, arrival.peer.local_id
    envelope = around.notary.receipt(
        arrival.peer.key,
        nonce=offer.nonce,
        agreement=offer.agreement,
        charter=offer.charter,
        manifest=commit.manifest,
        digest=commit.digest,
        size=offer.bytes,
    )
    receipt = envelope.to_json()
    outcome = Outcome(
        digest=commit.digest, manifest=commit.manifest, receipt=envelope.digest, envelope=receipt.decode()
    )
    while True:
        stored = around.blobs.vacant(folder, offer.name)
        around.store.committing(arrival.row, folder, stored, outcome)
        try:
            await threads.run(lane, around.blobs.publish, arrival.part, folder, stored)
            break
        except Occupied:
            continue  # another transfer took the name; ``vacant`` finds the next
    with around.db.transaction():
        around.guard.consumed("receive", arrival.peer.key, offer.transfer)
        record_arrival(around, arrival.row, arrival.meter.path)
    around.blobs.discard(arrival.part)
    return receipt


def settle(around: Surroundings, arrival: Arrival, error: ComityError, *, keep: bool = False) -> None:
    """End a transfer that ``error`` stopped: undone, unless its file is visible already.

    ``keep``: the peer can take it up again, so its part stays.
    """
    stored = around.store.get(arrival.row)
    if stored.state == "done":
        return
    if stored.folder and stored.stored and around.blobs.published(arrival.part, stored.folder, stored.stored):
        record_arrival(around, arrival.row, arrival.meter.path)
        around.blobs.discard(arrival.part)
        return
    meter, cancelled = arrival.meter, arrival.running.cancelled
    if not arrival.held and not meter.sent:
        around.guard.released("receive", arrival.peer.key, arrival.offer.transfer)
    if keep and cancelled is None:
        record_interruption(around, arrival.row, error, done=meter.done, path=meter.path)
        collect(around)
        return
    around.blobs.discard(arrival.part)  # first: on a full disk, its room is what the record needs
    if cancelled is not None:
        record_cancellation(around, arrival.row, cancelled, done=meter.done, path=meter.path)
        return
    record_failure(around, arrival.row, error, done=meter.done, path=meter.path)
