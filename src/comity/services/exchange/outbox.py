"""Sending a file: from the request to the verified receipt, with its row and its audit entry.

The guard is asked before anything is dialled. The row exists from then on; how it ends, and the audit entry
that says so, are one transaction. The file comes as a descriptor that stays the caller's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from comity import limits
from comity.control.exchange import Progress, SendFileRequest, SendResult
from comity.errors import (
    ComityError,
    LinkLost,
    PeerRefused,
    PeerUnreachable,
    RemoteProtocolError,
    TimedOut,
    TransferCancelled,
    TransferFailed,
    VerificationFailed,
)
from comity.policy.operation import Operation
from comity.protocol.exchange.events import Delivered, Failed, MessageReceived, Send, Started
from comity.protocol.exchange.messages import Offer
from comity.protocol.exchange.sender import Sender
from comity.protocol.hello import EXCHANGE_PORT
from comity.services.exchange.content import Outgoing
from comity.services.exchange.moving import MovingLane
from comity.services.exchange.offering import make_offering
from comity.services.exchange.planning import Plan
from comity.services.exchange.progress import Meter, rate
from comity.services.exchange.records import (
    record_cancellation,
    record_delivery,
    record_failure,
    record_interruption,
)
from comity.services.exchange.recovery import recover
from comity.services.exchange.running import Live, Running, not_the_task
from comity.services.exchange.seeking import seeking
from comity.services.exchange.sending import Sending
from comity.services.exchange.surroundings import Surroundings
from comity.services.exchange.terms import settle_quota
from comity.services.exchange.threads import Threads
from comity.services.trust import KnownPeer
from comity.storage.exchange import Outcome
from comity.transport.interface import Stream


@dataclass
class _Job:
    """``begun``: the peer accepted it, now or before, so that it can be continued; ``fresh``: not before."""

    row: int
    peer: KnownPeer
    offer: Offer
    content: Outgoing
    plan: Plan
    running: Running
    operation: Operation
    begun: bool
    fresh: bool

    @property
    def meter(self) -> Meter:
        return self.running.meter


class Outbox:
    """``live`` holds what runs now, by row."""

    def __init__(self, around: Surroundings, threads: Threads, live: Live) -> None:
        self._around = around
        self._threads = threads
        self._live = live
        self._turns = asyncio.Semaphore(limits.SENDING_AT_ONCE)

    async def send(
        self, request: SendFileRequest, fd: int, progress: Callable[[Progress], None]
    ) -> SendResult:
        """See ``ExchangeService.send``."""
        job = await self._begin(request, fd, progress)
        taken_up = job.begun
        outcome = await self._carry(job)
        if isinstance(outcome, Failed) and taken_up and isinstance(outcome.error, VerificationFailed):
            # What the peer has of it is something else: the file changed since. From the beginning, then.
            self._failed(job, outcome.error)
            job = await self._begin(request, fd, progress)
            outcome = await self._carry(job)
        if isinstance(outcome, Failed):
            self._failed(job, outcome.error, refused=outcome.refused)
            raise outcome.error
        return self._delivered(job, outcome)

    async def _carry(self, job: _Job) -> Delivered | Failed:
        """All attempts, in this job's turn; what ends them for good is on record when this raises."""
        try:
            async with self._turns:
                return await self._persist(job)
        except LinkLost as error:
            failure = self._lost(job, error)
            self._stopped(job, failure)
            raise failure from error
        except (PeerUnreachable, TimedOut) as error:
            self._stopped(job, error)
            raise
        except ComityError as error:
            self._failed(job, error, refused=isinstance(error, PeerRefused))
            raise
        except asyncio.CancelledError:
            if job.running.cancelled is None:
                self._stopped(job, TransferFailed("it was interrupted here"))
                raise
            not_the_task()
            self._failed(job, job.running.cancelled)
            raise job.running.cancelled from None
        finally:
            self._live.pop(job.row, None)
            job.content.close()
            job.running.over.set()

    async def _persist(self, job: _Job) -> Delivered | Failed:
        """Go on after a lost link, as long as attempts move something, or pauses are left."""
        pauses = iter(self._around.pauses)
        while True:
            job.meter.show("connecting")
            sent = job.meter.sent
            try:
                return await self._transfer(job)
            except (LinkLost, PeerUnreachable, TimedOut):
                if job.meter.sent - sent >= limits.RETRY_MOVED_BYTES:
                    pauses = iter(self._around.pauses)
                pause = next(pauses, None)
                if not job.begun or pause is None or self._around.over(job.peer, job.operation):
                    raise
            job.meter.show("reconnecting")
            await asyncio.sleep(pause)

    async def _begin(self, request: SendFileRequest, fd: int, watch: Callable[[Progress], None]) -> _Job:
        """Everything that can be refused without dialling, then the row."""
        around = self._around
        peer = await around.trust.resolve(request.peer)
        recover(around, self._live)
        made = await make_offering(around, self._threads, request, peer, fd)
        offer = made.offer
        meter = Meter(
            transfer=offer.transfer, name=offer.name, size=offer.bytes, clock=around.clock, watch=watch
        )
        try:
            row = made.before.id if made.before else around.store.begin(made.row(around.clock.now()))
            around.store.taken_up(row)
        except BaseException:
            made.content.close()
            raise
        task = asyncio.current_task()
        running = Running(meter, task.cancel if task else lambda: None)
        self._live[row] = running
        fresh = made.before is None
        return _Job(row, peer, offer, made.content, made.plan, running, made.operation, not fresh, fresh)

    async def _transfer(self, job: _Job) -> Delivered | Failed:
        around = self._around
        if (over := around.over(job.peer, job.operation)) is not None:  # it may have waited for its turn
            raise TransferFailed(f"before the file was sent: {over}")
        offer = job.offer
        stream = await around.network.dial(
            job.peer.key, EXCHANGE_PORT, agreement=offer.agreement, charter=offer.charter
        )
        job.meter.path = stream.info.path
        async with stream:
            parties = around.parties(sender=around.notary.public, receiver=job.peer.key)
            machine = Sender(job.offer, parties)
            for output in machine.handle(Started(), around.clock.now()):
                if isinstance(output, Send):
                    await stream.send(output.body)
            answer = await self._answer(stream)
            for output in machine.handle(MessageReceived(answer), around.clock.now()):
                if isinstance(output, Send):
                    await stream.send(output.body)
                elif isinstance(output, Failed):
                    return output
            job.begun = True
            lane = MovingLane(stream.lane(), leads=True)
            sending = Sending(machine, job.content, job.plan, lane, job.meter, around.clock)
            try:
                async with seeking(around, job.offer, lane):
                    return await self._threads.run(lane, sending.run, self._threads)
            finally:
                lane.close()

    async def _answer(self, stream: Stream) -> bytes:
        seconds = self._around.patience
        try:
            async with asyncio.timeout(seconds):
                body = await stream.receive()
        except TimeoutError:
            raise TimedOut(
                f"the peer did not answer within {seconds:g} seconds", hint="run the same command again"
            ) from None
        if body is None:
            raise RemoteProtocolError("the peer ended the stream without an answer")
        return body

    def _delivered(self, job: _Job, delivered: Delivered) -> SendResult:
        around, offer, receipt = self._around, job.offer, delivered.receipt
        paths = job.meter.paths or {job.meter.path or "": 0}  # where nothing had to travel
        path = max(paths, key=paths.__getitem__)
        outcome = Outcome(
            digest=receipt.digest,
            manifest=receipt.manifest,
            receipt=delivered.envelope.digest,
            envelope=delivered.envelope.to_json().decode(),
        )
        with around.db.transaction():
            around.guard.consumed("send", job.peer.key, offer.transfer)
            record_delivery(around, job.row, outcome, path)
        seconds = job.meter.seconds
        return SendResult(
            transfer=offer.transfer,
            name=offer.name,
            bytes=offer.bytes,
            digest=outcome.digest,
            bytes_sent=job.meter.sent,
            seconds=round(seconds, 3),
            mb_per_s=rate(offer.bytes, seconds),
            first_path=next(iter(paths)),
            path=path,
            paths=paths,
            receipt=outcome.receipt,
            manifest=outcome.manifest,
            agreement=offer.agreement,
            to=job.peer.hostname,
        )

    def _lost(self, job: _Job, error: LinkLost) -> TransferFailed:
        peer, meter = job.peer, job.meter
        if self._around.ended(peer):
            message = f"the agreement with {peer.hostname} ended while {job.offer.name} was sent"
            return TransferFailed(message, hint="run comity trust to see what is agreed")
        if (over := self._around.over(peer, job.operation)) is not None:
            return TransferFailed(
                f"while {job.offer.name} was sent: {over}", hint="run comity charter status"
            )
        return TransferFailed(
            f"the link to {peer.hostname} was lost after {meter.done} of {meter.size} bytes: {error.message}",
            hint="run the same command again: it continues where it stopped",
        )

    def _stopped(self, job: _Job, error: ComityError) -> None:
        """It can be continued, if it ever began and the agreement is in force."""
        meter = job.meter
        if job.begun and not self._around.ended(job.peer):
            settle_quota(self._around, job.offer, job.peer.key, meter, begun=job.begun, fresh=job.fresh)
            record_interruption(self._around, job.row, error, done=meter.done, path=meter.path)
        else:
            self._failed(job, error)

    def _failed(self, job: _Job, error: ComityError, *, refused: bool = False) -> None:
        meter = job.meter
        settle_quota(self._around, job.offer, job.peer.key, meter, begun=job.begun, fresh=job.fresh)
        if isinstance(error, TransferCancelled):
            record_cancellation(self._around, job.row, error, done=meter.done, path=meter.path)
            return
        record_failure(self._around, job.row, error, refused=refused, done=meter.done, path=meter.path)
