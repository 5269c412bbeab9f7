"""Receiving files: judge each offer, let a thread fill the part, commit, thank.

It decides nothing about content (``protocol.exchange.receiver`` does) nor about trust (the guard does). What
was accepted is counted, so that all transfers together fit on the disk and no peer takes every place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from comity import limits
from comity.errors import (
    ComityError,
    Denied,
    DiskFull,
    LinkLost,
    TimedOut,
    TransferFailed,
)
from comity.identity.keys import PublicKey
from comity.policy.operation import Operation
from comity.protocol.exchange.events import Admitted, Declined, Failed, Judge, MessageReceived, Send
from comity.protocol.exchange.messages import Offer
from comity.protocol.exchange.receiver import Receiver
from comity.services.exchange.commit import Arrival, publish, settle
from comity.services.exchange.progress import Meter
from comity.services.exchange.receiving import Receiving, fit_for_peer
from comity.services.exchange.recovery import recover
from comity.services.exchange.surroundings import SERVICE, Surroundings
from comity.services.exchange.threads import Threads
from comity.services.trust import KnownPeer
from comity.storage.exchange import NewTransfer
from comity.transport.interface import Stream


class Inbox:
    """``live`` holds the meters of what runs now, by row; ``arrived`` is called once a file is visible."""

    def __init__(
        self,
        around: Surroundings,
        threads: Threads,
        live: dict[int, Meter],
        arrived: Callable[[], None],
    ) -> None:
        self._around = around
        self._threads = threads
        self._live = live
        self._arrived = arrived
        self._arriving: dict[int, Arrival] = {}

    async def answer(self, stream: Stream) -> None:
        """Serve one stream on port 1001. What ends a transfer is recorded; what ends the link is raised."""
        async with stream:
            machine = Receiver()
            offered = await self._first(stream)
            if offered is None:
                return
            outputs = machine.handle(MessageReceived(offered), self._around.clock.now())
            arrival: Arrival | None = None
            if isinstance(outputs[0], Judge):
                try:
                    arrival = self._admit(stream, outputs[0].offer)
                    answer: Admitted | Declined = Admitted()
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

    async def _first(self, stream: Stream) -> bytes | None:
        try:
            async with asyncio.timeout(self._around.patience):
                return await stream.receive()
        except TimeoutError:
            raise TimedOut("the peer opened a stream for an artifact and offered none") from None

    # ── the answer ────────────────────────────────────────────────────────────────────────────────────

    def _admit(self, stream: Stream, offer: Offer) -> Arrival:
        """The row and the place of an offer that may come in. Raises what it is refused for."""
        around = self._around
        peer = self._allowed(stream.peer, offer)
        recover(around, self._live)
        if around.store.known("in", peer.key, offer.transfer):
            raise TransferFailed("this transfer was offered before", hint="run comity send-file again")
        theirs = sum(arrival.peer.key == peer.key for arrival in self._arriving.values())
        if theirs >= limits.RECEIVING_PER_PEER or len(self._arriving) >= limits.RECEIVING_AT_ONCE:
            raise TransferFailed(
                "too many transfers are under way", hint="wait for one to end, then try again"
            )
        promised = sum(arrival.meter.size - arrival.meter.done for arrival in self._arriving.values())
        if around.blobs.free_bytes() - promised < offer.bytes + limits.FREE_SPACE_MARGIN:
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
        meter = Meter(transfer=offer.transfer, name=offer.name, size=offer.bytes, clock=around.clock)
        meter.path = stream.info.path
        arrival = Arrival(row=around.store.begin(new), peer=peer, offer=offer, meter=meter)
        self._arriving[arrival.row] = arrival
        self._live[arrival.row] = meter
        return arrival

    def _allowed(self, key: PublicKey, offer: Offer) -> KnownPeer:
        around = self._around
        decision = around.guard.check(
            Operation(
                kind="receive",
                peer=key,
                service=SERVICE,
                agreement=offer.agreement,
                charter=offer.charter,
                name=offer.name,
                bytes=offer.bytes,
            )
        )
        peer = around.trust.known(key)
        if not decision.allowed or peer is None:
            raise Denied("; ".join(decision.reasons))
        return peer

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
            settle(self._around, arrival, self._lost(arrival, error))
            raise
        except ComityError as error:
            settle(self._around, arrival, error)
            raise
        except asyncio.CancelledError:
            settle(self._around, arrival, TransferFailed("this node stopped during the transfer"))
            raise
        finally:
            self._arriving.pop(arrival.row, None)
            self._live.pop(arrival.row, None)

    async def _fill_and_commit(self, arrival: Arrival, stream: Stream, machine: Receiver) -> None:
        around, threads, size = self._around, self._threads, arrival.offer.bytes
        lane = stream.lane()
        receiving = Receiving(machine, lane, arrival.meter, around.clock)
        outcome = await threads.run(
            lane, receiving.fill, lambda: around.blobs.create(arrival.part, size), threads
        )
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
        if self._around.ended(peer):
            return TransferFailed(f"the agreement with {peer.hostname} ended during the transfer")
        return TransferFailed(
            f"the link to {peer.hostname} was lost after {meter.done} of {meter.size} bytes: {error.message}"
        )
