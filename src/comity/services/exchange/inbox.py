"""Receiving files: judge each offer, let a thread fill the part, commit, thank.

It decides nothing about content (``protocol.exchange.receiver`` does) nor about trust (the guard does). What
was accepted is counted, so that all transfers together fit on the disk and no peer takes every place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from comity import limits
from comity.errors import (
    ComityError,
    Denied,
    DiskFull,
    LinkLost,
    RateLimited,
    RemoteProtocolError,
    TimedOut,
    TransferCancelled,
    TransferFailed,
)
from comity.identity.keys import PublicKey
from comity.policy.operation import Operation
from comity.protocol.exchange.events import Admitted, Complete, Declined, Failed, Judge, MessageReceived, Send
from comity.protocol.exchange.listing import Listing
from comity.protocol.exchange.messages import Offer, Type, is_a
from comity.protocol.exchange.receiver import Receiver, State
from comity.services.exchange.basis import basis_of
from comity.services.exchange.commit import Arrival, publish, settle
from comity.services.exchange.joining import join
from comity.services.exchange.moving import MovingLane
from comity.services.exchange.progress import Meter
from comity.services.exchange.quota import Quota
from comity.services.exchange.receiving import Receiving, fit_for_peer
from comity.services.exchange.recovery import part_of, recover
from comity.services.exchange.running import Live, Running
from comity.services.exchange.spreading import SpreadLane
from comity.services.exchange.surroundings import Surroundings
from comity.services.exchange.terms import check_content, receiving
from comity.services.exchange.threads import Threads
from comity.services.trust import KnownPeer
from comity.storage.exchange import NewTransfer
from comity.storage.parts import Part
from comity.transport.interface import Stream


class Inbox:
    """``arrived`` is called once a file is visible, ``cancelled`` with each CANCEL."""

    def __init__(
        self,
        around: Surroundings,
        threads: Threads,
        live: Live,
        arrived: Callable[[], None],
        cancelled: Callable[[Stream, bytes], Awaitable[None]],
    ) -> None:
        self._around = around
        self._threads = threads
        self._live = live
        self._arrived = arrived
        self._cancelled = cancelled
        self._quota = Quota(around)
        self._arriving: dict[int, Arrival] = {}

    async def answer(self, stream: Stream) -> None:
        """Serve one stream on port 1001. What ends a transfer is recorded; what ends the link is raised."""
        async with stream:
            machine = Receiver()
            offered = await self._first(stream)
            if offered is None:
                return
            if is_a(Type.CANCEL, offered):
                await self._cancelled(stream, offered)
                return
            if is_a(Type.JOIN, offered):
                await join(stream, offered, self._arriving.values())
                return
            outputs = machine.handle(MessageReceived(offered), self._around.clock.now())
            arrival: Arrival | None = None
            if isinstance(outputs[0], Judge):
                try:
                    admitted = await self._admit(stream, outputs[0].offer)
                    if isinstance(admitted, Complete):
                        answer: Admitted | Complete | Declined = admitted
                    else:
                        arrival, answer = admitted, Admitted(held=admitted.held or admitted.basis is not None)
                except ComityError as error:
                    answer = Declined(fit_for_peer(error))
                outputs = machine.handle(answer, self._around.clock.now())
            sending = [output.body for output in outputs if isinstance(output, Send)]
            if arrival is not None:
                await self._receive(arrival, stream, machine, sending)
                return
            for output in outputs:
                if isinstance(output, Failed):
                    self._refused(stream.peer, machine.offer, output.error)
            for body in sending:
                await stream.send(body)
            if machine.state is State.RECEIVING:
                await self._thank_again(stream, machine)

    async def _thank_again(self, stream: Stream, machine: Receiver) -> None:
        """All of it came before; the sender didn't hear of it. Hear its manifest, and answer."""
        while machine.state is State.RECEIVING:
            async with asyncio.timeout(limits.LANE_TIMEOUT):
                body = await stream.receive()
            if body is None:
                raise RemoteProtocolError("the peer ended the stream before its close")
            for output in machine.handle(MessageReceived(body), self._around.clock.now()):
                if isinstance(output, Send):
                    await stream.send(output.body)

    async def _first(self, stream: Stream) -> bytes | None:
        try:
            async with asyncio.timeout(self._around.patience):
                return await stream.receive()
        except TimeoutError:
            raise TimedOut("the peer opened a stream for an artifact and offered none") from None

    # ── the answer ────────────────────────────────────────────────────────────────────────────────────

    async def _admit(self, stream: Stream, offer: Offer) -> Arrival | Complete:
        """The row and the place of an offer that may come in. Raises what it is refused for."""
        around = self._around
        peer, operation = self._allowed(stream.peer, offer)
        try:
            return await self._place(stream, offer, peer, operation)
        except ComityError:
            if around.store.find("in", peer.key, offer.transfer) is None:
                around.guard.released("receive", peer.key, offer.transfer)
            raise

    async def _place(
        self, stream: Stream, offer: Offer, peer: KnownPeer, operation: Operation
    ) -> Arrival | Complete:
        around = self._around
        await self._supersede(peer, offer)
        recover(around, self._live)
        stored = around.store.find("in", peer.key, offer.transfer)
        if stored is not None:
            if (stored.name, stored.bytes, stored.agreement) != (offer.name, offer.bytes, offer.agreement):
                raise TransferFailed("this transfer was offered before, as something else")
            if stored.state == "done":
                receipt = (stored.envelope or "").encode()
                return Complete(stored.manifest or "", stored.digest or "", receipt)
            if stored.state == "cancelled":
                around.store.told(stored.id)
                raise TransferCancelled("this transfer was cancelled")
        part = part_of(peer.key.hex, offer.transfer)
        held = stored is not None and part in around.blobs.parts()
        theirs = sum(arrival.peer.key == peer.key for arrival in self._arriving.values())
        places = limits.RECEIVING_AT_ONCE - (limits.RECEIVING_RESERVED if theirs else 0)
        if theirs >= limits.RECEIVING_PER_PEER or len(self._arriving) >= places:
            raise RateLimited("too many transfers are under way", hint="wait for one to end, then try again")
        if stored is None or stored.state == "failed":
            self._quota.require(peer.key, offer.bytes)
        here = stored.bytes_done if stored is not None and held else 0
        promised = sum(arrival.meter.size - arrival.meter.done for arrival in self._arriving.values())
        room = offer.bytes + offer.items * limits.FILE_BLOCK - here
        if around.blobs.free_bytes() - promised < room + limits.FREE_SPACE_MARGIN:
            raise DiskFull(f"there is no room for {offer.bytes} bytes")
        new = NewTransfer(
            direction="in",
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
            transfer=offer.transfer,
            name=offer.name,
            size=offer.bytes,
            clock=around.clock,
            direction="in",
            peer=peer.hostname,
        )
        meter.path = stream.info.path
        if stored is None:
            row = around.store.begin(new)
        else:
            row = stored.id
            around.store.taken_up(row)
        running = Running(meter, stream.abort)
        arrival = Arrival(
            row=row,
            peer=peer,
            offer=offer,
            running=running,
            stream=stream,
            operation=operation,
            held=held,
            basis=basis_of(around, peer, offer),
        )
        running.end = arrival.abort
        self._arriving[arrival.row] = arrival
        self._live[arrival.row] = running
        return arrival

    async def _supersede(self, peer: KnownPeer, offer: Offer) -> None:
        """End a lane that the peer knows to be lost, and this side doesn't yet."""
        for arrival in list(self._arriving.values()):
            if arrival.peer.key == peer.key and arrival.offer.transfer == offer.transfer:
                arrival.abort()
                try:
                    await asyncio.wait_for(arrival.over.wait(), self._around.patience / 2)
                except TimeoutError:
                    raise TransferFailed("this transfer is still under way") from None

    def _allowed(self, key: PublicKey, offer: Offer) -> tuple[KnownPeer, Operation]:
        around = self._around
        operation = receiving(around, offer, key)
        decision = around.guard.check(operation)
        peer = around.trust.known(key)
        if not decision.allowed or peer is None:
            raise Denied("; ".join(decision.reasons))
        return peer, operation

    def _refused(self, key: PublicKey, offer: Offer | None, error: ComityError) -> None:
        detail: dict[str, Any] = {"code": error.code}
        if offer is not None:
            detail |= {"name": offer.name, "bytes": offer.bytes, "transfer": offer.transfer}
        self._around.audit.append(
            "exchange.refused", peer=key, operation="receive", reasons=(error.message,), **detail
        )

    # ── the transfer ──────────────────────────────────────────────────────────────────────────────────

    async def _receive(
        self, arrival: Arrival, stream: Stream, machine: Receiver, sending: list[bytes]
    ) -> None:
        try:
            for body in sending:
                await stream.send(body)
            await self._fill_and_commit(arrival, stream, machine)
        except LinkLost as error:
            keep = not self._around.ended(arrival.peer)
            settle(self._around, arrival, self._lost(arrival, error), keep=keep)
            raise
        except ComityError as error:
            settle(self._around, arrival, error)
            raise
        except asyncio.CancelledError:
            settle(self._around, arrival, TransferFailed("this node stopped during the transfer"), keep=True)
            raise
        finally:
            self._arriving.pop(arrival.row, None)
            self._live.pop(arrival.row, None)
            if arrival.lane is not None:
                arrival.lane.close()
            if arrival.basis is not None:
                arrival.basis.close()
            arrival.lane = arrival.basis = None  # their memory, megabytes, is not to wait for the collector
            arrival.over.set()

    async def _fill_and_commit(self, arrival: Arrival, stream: Stream, machine: Receiver) -> None:
        around, threads, size = self._around, self._threads, arrival.offer.bytes
        lane = arrival.lane = SpreadLane(MovingLane(stream.lane(), leads=False), leads=False)
        receiving = Receiving(machine, lane, arrival.meter, around.clock, arrival.basis)

        def part(listing: Listing | None) -> Part:
            left = around.blobs.reopen(arrival.part, size, listing) if arrival.held else None
            if left is None:
                around.blobs.discard(arrival.part)
                left = around.blobs.create(arrival.part, size, listing)
            return left

        check = partial(check_content, arrival.offer) if around.guard.governs(arrival.peer.key) else None
        outcome = await threads.run(lane, receiving.fill, part, threads, check)
        if isinstance(outcome, Failed):
            settle(around, arrival, outcome.error)
            return
        try:
            receipt = await publish(around, threads, lane, arrival, outcome)
        except ComityError as error:
            settle(around, arrival, error)
            await threads.run(lane, receiving.give_up, error)
            return
        self._arrived()
        await threads.run(lane, receiving.thank, receipt)

    def _lost(self, arrival: Arrival, error: LinkLost) -> TransferFailed:
        peer, meter = arrival.peer, arrival.meter
        over = self._around.over(peer, arrival.operation)
        if over is not None:
            ended = self._around.ended(peer)
            why = f"the agreement with {peer.hostname} ended" if ended else over
            return TransferFailed(f"{why} during the transfer")
        return TransferFailed(
            f"the link to {peer.hostname} was lost after {meter.done} of {meter.size} bytes: {error.message}"
        )
