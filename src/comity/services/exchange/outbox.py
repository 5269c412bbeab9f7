"""Sending a file: from the request to the verified receipt, with its row and its audit entry.

The guard is asked before anything is dialled. The row exists from then on; how it ends, and the audit entry
that says so, are one transaction. The file comes as a descriptor that stays the caller's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from comity import limits
from comity.control.exchange import Progress, SendFileRequest, SendResult
from comity.errors import (
    ComityError,
    Denied,
    InvalidInput,
    LinkLost,
    PeerRefused,
    PeerUnreachable,
    RateLimited,
    RemoteProtocolError,
    TimedOut,
    TransferFailed,
    VerificationFailed,
)
from comity.identity.keys import PublicKey
from comity.protocol.exchange.events import Delivered, Failed, MessageReceived, Send, Started
from comity.protocol.exchange.sender import Sender
from comity.protocol.hello import EXCHANGE_PORT
from comity.services.exchange.hashing import Hasher
from comity.services.exchange.job import Job
from comity.services.exchange.moving import MovingLane
from comity.services.exchange.offering import make_offering
from comity.services.exchange.pacer import Pacer
from comity.services.exchange.progress import Meter
from comity.services.exchange.recovery import recover
from comity.services.exchange.running import Live, Running, not_the_task
from comity.services.exchange.seeking import seeking
from comity.services.exchange.sending import Sending
from comity.services.exchange.spreading import SpreadLane
from comity.services.exchange.surroundings import Surroundings
from comity.services.exchange.threads import Threads
from comity.services.exchange.turns import Turns
from comity.services.exchange.widening import widening
from comity.services.trust import KnownPeer
from comity.storage.exchange import StoredTransfer
from comity.transport.interface import Stream


class Outbox:
    """``live`` holds what runs now, by row."""

    def __init__(self, around: Surroundings, threads: Threads, live: Live) -> None:
        self._around = around
        self._threads = threads
        self._live = live
        self._turns = Turns(limits.SENDING_AT_ONCE, limits.SENDING_MOST)
        self._pacer = Pacer(around.rules.bandwidth, around.clock)

    async def send(
        self, request: SendFileRequest, fd: int, progress: Callable[[Progress], None]
    ) -> SendResult:
        """See ``ExchangeService.send``."""
        return await self._send(lambda: self._begin(request, fd, progress))

    async def send_queued(self, stored: StoredTransfer, request: SendFileRequest, fd: int) -> SendResult:
        """The same for a transfer that waited in the queue: it keeps its row, and waits on where it must."""
        peer = self._around.trust.known(PublicKey.from_hex(stored.peer))
        if peer is None:
            raise Denied(f"the agreement with {stored.hostname} has ended")

        async def begin() -> Job:
            return await self._prepare(request, fd, lambda _: None, peer, stored.id)

        return await self._send(begin)

    async def _send(self, begin: Callable[[], Awaitable[Job]]) -> SendResult:
        job = await begin()
        taken_up = job.begun
        outcome = await self._carry(job)
        if isinstance(outcome, Failed) and taken_up and isinstance(outcome.error, VerificationFailed):
            # What the peer has of it is something else: the file changed since. From the beginning, then.
            job.failed(outcome.error)
            job = await begin()
            outcome = await self._carry(job)
        if isinstance(outcome, Failed):
            if job.queued and isinstance(outcome.error, RateLimited):
                job.stopped(outcome.error)
            else:
                job.failed(outcome.error, refused=outcome.refused)
            raise outcome.error
        return job.delivered(outcome)

    async def _carry(self, job: Job) -> Delivered | Failed:
        """All attempts, in this job's turn; what ends them for good is on record when this raises."""
        try:
            async with self._turns.turn(job.peer.key.hex):
                return await self._persist(job)
        except LinkLost as error:
            failure = job.lost(error)
            job.stopped(failure)
            raise failure from error
        except (PeerUnreachable, TimedOut) as error:
            job.stopped(error)
            raise
        except ComityError as error:
            job.failed(error, refused=isinstance(error, PeerRefused))
            raise
        except asyncio.CancelledError:
            if job.running.cancelled is None:
                job.stopped(TransferFailed("it was interrupted here"))
                raise
            not_the_task()
            job.failed(job.running.cancelled)
            raise job.running.cancelled from None
        finally:
            self._live.pop(job.row, None)
            job.content.close()
            job.running.over.set()

    async def _persist(self, job: Job) -> Delivered | Failed:
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

    async def _begin(self, request: SendFileRequest, fd: int, watch: Callable[[Progress], None]) -> Job:
        peer = await self._around.trust.resolve(request.peer)
        return await self._prepare(request, fd, watch, peer, None)

    async def _prepare(
        self,
        request: SendFileRequest,
        fd: int,
        watch: Callable[[Progress], None],
        peer: KnownPeer,
        row: int | None,
    ) -> Job:
        """Everything that can be refused without dialling, then the row; ``row``: that of a queued one."""
        around = self._around
        check_limit(request.limit)
        recover(around, self._live)
        made = await make_offering(around, self._threads, request, peer, fd, queued=row)
        offer = made.offer
        meter = Meter(
            transfer=offer.transfer,
            name=offer.name,
            size=offer.bytes,
            clock=around.clock,
            watch=watch,
            peer=peer.hostname,
        )
        try:
            taken = made.before.id if made.before else around.store.begin(made.row(around.clock.now()))
            if taken in self._live:
                raise TransferFailed("it is under way already", hint="run comity transfers")
            around.store.taken_up(taken)
        except BaseException:
            made.content.close()
            raise
        task = asyncio.current_task()
        running = Running(meter, task.cancel if task else lambda: None)
        self._live[taken] = running
        fresh = made.before is None or made.before.state == "queued"
        return Job(
            around=around,
            row=taken,
            peer=peer,
            offer=offer,
            content=made.content,
            plan=made.plan,
            digests=made.digests,
            running=running,
            operation=made.operation,
            limit=request.limit,
            begun=not fresh,
            fresh=fresh,
            queued=made.before is not None and around.queue.holds(made.before.id),
        )

    async def _transfer(self, job: Job) -> Delivered | Failed:
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
            lane = SpreadLane(MovingLane(stream.lane(), leads=True), leads=True)
            place = self._pacer.join(job.peer.key.hex, job.limit)
            hasher = Hasher(job.content, job.plan, job.digests)
            sending = Sending(machine, job.content, hasher, lane, job.meter, around.clock, place)
            try:
                async with (
                    seeking(around, job.offer, lane.first),
                    widening(around, job.offer, lane, machine.lanes),
                ):
                    return await self._threads.run(lane, sending.run, self._threads)
            finally:
                place.leave()
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


def check_limit(rate: int | None) -> None:
    """InvalidInput where a transfer would be so slow that the peer takes it for dead."""
    if rate is not None and rate < limits.RATE_LEAST:
        raise InvalidInput(f"a bound of less than {limits.RATE_LEAST} bytes a second", hint="use 16kB/s")
