"""One file on its way out, and how it can end: delivered, given up, or to be taken up again.

What is recorded here is the row and its audit entry, in one transaction each. What leads there is in
``outbox``.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.control.exchange import SendResult
from comity.errors import ComityError, LinkLost, TransferCancelled, TransferFailed
from comity.policy.operation import Operation
from comity.protocol.exchange.events import Delivered
from comity.protocol.exchange.messages import Offer
from comity.services.exchange.content import Outgoing
from comity.services.exchange.planning import Plan
from comity.services.exchange.progress import Meter, rate
from comity.services.exchange.records import (
    record_cancellation,
    record_delivery,
    record_failure,
    record_interruption,
)
from comity.services.exchange.running import Running
from comity.services.exchange.running_digests import RunningDigests
from comity.services.exchange.surroundings import Surroundings
from comity.services.exchange.terms import settle_quota
from comity.services.trust import KnownPeer
from comity.storage.exchange import Outcome


@dataclass
class Job:
    """``limit``: bytes a second. ``begun``: the peer accepted it, now or before, so that it can be continued;
    ``fresh``: not before. ``queued``: it is tried again by itself, whether it ever began or not. ``digests``:
    how far it is hashed.
    """

    around: Surroundings
    row: int
    peer: KnownPeer
    offer: Offer
    content: Outgoing
    plan: Plan
    digests: RunningDigests
    running: Running
    operation: Operation
    limit: int | None
    begun: bool
    fresh: bool
    queued: bool = False

    @property
    def meter(self) -> Meter:
        return self.running.meter

    def delivered(self, delivered: Delivered) -> SendResult:
        """The peer's verified receipt is here."""
        offer, meter, receipt = self.offer, self.meter, delivered.receipt
        paths = meter.paths or {meter.path or "": 0}  # where nothing had to travel
        path = max(paths, key=paths.__getitem__)
        outcome = Outcome(
            digest=receipt.digest,
            manifest=receipt.manifest,
            receipt=delivered.envelope.digest,
            envelope=delivered.envelope.to_json().decode(),
        )
        with self.around.db.transaction():
            self.around.guard.consumed("send", self.peer.key, offer.transfer)
            record_delivery(self.around, self.row, outcome, path)
        seconds = meter.seconds
        return SendResult(
            transfer=offer.transfer,
            name=offer.name,
            bytes=offer.bytes,
            digest=outcome.digest,
            bytes_sent=meter.sent,
            seconds=round(seconds, 3),
            mb_per_s=rate(offer.bytes, seconds),
            first_path=next(iter(paths)),
            path=path,
            paths=paths,
            receipt=outcome.receipt,
            manifest=outcome.manifest,
            agreement=offer.agreement,
            to=self.peer.hostname,
        )

    def lost(self, error: LinkLost) -> TransferFailed:
        """What a lost link means to who sent it."""
        peer, meter = self.peer, self.meter
        if self.around.ended(peer):
            message = f"the agreement with {peer.hostname} ended while {self.offer.name} was sent"
            return TransferFailed(message, hint="run comity trust to see what is agreed")
        if (over := self.around.over(peer, self.operation)) is not None:
            return TransferFailed(
                f"while {self.offer.name} was sent: {over}", hint="run comity charter status"
            )
        return TransferFailed(
            f"the link to {peer.hostname} was lost after {meter.done} of {meter.size} bytes: {error.message}",
            hint="run the same command again: it continues where it stopped",
        )

    def stopped(self, error: ComityError) -> None:
        """It can be continued, if it ever began or is queued, and the agreement is in force."""
        meter = self.meter
        if self.around.ended(self.peer) or not (self.begun or self.queued):
            self.failed(error)
            return
        self._settle()
        if self.begun:
            record_interruption(self.around, self.row, error, done=meter.done, path=meter.path)
        else:
            self.around.store.requeued(self.row, error.message)

    def failed(self, error: ComityError, *, refused: bool = False) -> None:
        """It came to nothing. ``refused``: the peer took none of it."""
        meter = self.meter
        self._settle()
        if isinstance(error, TransferCancelled):
            record_cancellation(self.around, self.row, error, done=meter.done, path=meter.path)
            return
        record_failure(self.around, self.row, error, refused=refused, done=meter.done, path=meter.path)

    def _settle(self) -> None:
        peer, begun, fresh = self.peer.key, self.begun, self.fresh
        settle_quota(self.around, self.offer, peer, self.meter, begun=begun, fresh=fresh)
