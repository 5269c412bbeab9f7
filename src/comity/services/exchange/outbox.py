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
    RemoteProtocolError,
    TimedOut,
    TransferFailed,
)
from comity.policy.operation import Operation
from comity.protocol.exchange.events import Delivered, Failed, MessageReceived, Send, Started
from comity.protocol.exchange.manifest import check_announced, fixed_count
from comity.protocol.exchange.messages import FILE, Offer
from comity.protocol.exchange.names import check_name
from comity.protocol.exchange.sender import Sender
from comity.protocol.hello import EXCHANGE_PORT
from comity.services.exchange.content import Content
from comity.services.exchange.progress import Meter, rate
from comity.services.exchange.records import record_delivery, record_failure
from comity.services.exchange.recovery import recover
from comity.services.exchange.sending import Sending
from comity.services.exchange.surroundings import SERVICE, Surroundings
from comity.services.exchange.threads import Threads
from comity.services.trust import KnownPeer
from comity.storage.exchange import NewTransfer, Outcome
from comity.transport.interface import Stream


@dataclass(frozen=True)
class _Job:
    row: int
    peer: KnownPeer
    offer: Offer
    content: Content
    meter: Meter


class Outbox:
    """``live`` holds the meters of what runs now, by row."""

    def __init__(self, around: Surroundings, threads: Threads, live: dict[int, Meter]) -> None:
        self._around = around
        self._threads = threads
        self._live = live
        self._turns = asyncio.Semaphore(limits.SENDING_AT_ONCE)

    async def send(
        self, request: SendFileRequest, fd: int, progress: Callable[[Progress], None]
    ) -> SendResult:
        """See ``ExchangeService.send``."""
        job = await self._begin(request, fd, progress)
        try:
            async with self._turns:
                job.meter.show("connecting")
                outcome = await self._transfer(job)
        except LinkLost as error:
            failure = self._lost(job, error)
            self._failed(job, failure)
            raise failure from error
        except ComityError as error:
            self._failed(job, error, refused=isinstance(error, PeerRefused))
            raise
        except asyncio.CancelledError:
            self._failed(job, TransferFailed("it was cancelled here"))
            raise
        finally:
            self._live.pop(job.row, None)
        if isinstance(outcome, Failed):
            self._failed(job, outcome.error, refused=outcome.refused)
            raise outcome.error
        return self._delivered(job, outcome)

    async def _begin(self, request: SendFileRequest, fd: int, watch: Callable[[Progress], None]) -> _Job:
        """Everything that can be refused without dialling, then the row."""
        around = self._around
        check_name(request.name)
        content = Content(fd)
        chunks = fixed_count(content.size)
        check_announced(content.size, chunks)
        peer = await around.trust.resolve(request.peer)
        offer = Offer(
            transfer=around.entropy.token(16).hex(),
            nonce=around.entropy.token(32).hex(),
            kind=FILE,
            name=request.name,
            bytes=content.size,
            chunks=chunks,
            agreement=peer.agreement.digest,
            charter=None,
            digests=content.digests,
        )
        around.guard.require(
            Operation(
                kind="send",
                peer=peer.key,
                service=SERVICE,
                agreement=offer.agreement,
                name=offer.name,
                bytes=offer.bytes,
            )
        )
        new = NewTransfer(
            direction="out",
            peer=peer.key,
            transfer=offer.transfer,
            hostname=peer.hostname,
            address=peer.address,
            name=offer.name,
            bytes=offer.bytes,
            agreement=offer.agreement,
            started=around.clock.now(),
        )
        meter = Meter(
            transfer=offer.transfer, name=offer.name, size=offer.bytes, clock=around.clock, watch=watch
        )
        recover(around, self._live)
        row = around.store.begin(new)
        self._live[row] = meter
        return _Job(row, peer, offer, content, meter)

    async def _transfer(self, job: _Job) -> Delivered | Failed:
        around = self._around
        if around.ended(job.peer):  # it may have waited for its turn
            raise TransferFailed(f"the agreement with {job.peer.hostname} ended before the file was sent")
        stream = await around.network.dial(job.peer.key, EXCHANGE_PORT, agreement=job.offer.agreement)
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
            lane = stream.lane()
            sending = Sending(machine, job.content, lane, job.meter, around.clock)
            return await self._threads.run(lane, sending.run, self._threads)

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
        path = job.meter.path or ""
        outcome = Outcome(
            digest=receipt.digest,
            manifest=receipt.manifest,
            receipt=delivered.envelope.digest,
            envelope=delivered.envelope.to_json().decode(),
        )
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
            first_path=path,
            path=path,
            paths={path: job.meter.sent},
            receipt=outcome.receipt,
            manifest=outcome.manifest,
            agreement=offer.agreement,
            to=job.peer.hostname,
        )

    def _lost(self, job: _Job, error: LinkLost) -> TransferFailed:
        peer, meter = job.peer, job.meter
        if self._around.ended(peer):
            return TransferFailed(
                f"the agreement with {peer.hostname} ended while {job.offer.name} was sent",
                hint="run comity trust to see what is agreed",
            )
        return TransferFailed(
            f"the link to {peer.hostname} was lost after {meter.done} of {meter.size} bytes: {error.message}"
        )

    def _failed(self, job: _Job, error: ComityError, *, refused: bool = False) -> None:
        meter = job.meter
        record_failure(self._around, job.row, error, refused=refused, done=meter.done, path=meter.path)
