"""Ending a transfer for good, from either side: here at once, there as soon as it can be told.

A cancelled transfer is never taken up again: its row stays as the reason to refuse it, its part is removed.
The other side is told over a stream of its own (CANCEL; docs: protocol, "Exchange", cancelling), because the
lane may be stuck; where it can't be reached it is told when it next appears, or when it offers again.

Peers name transfers that are theirs with us, by key, so nobody can end, or learn of, anyone else's.
"""

from __future__ import annotations

import asyncio
import logging

from comity import limits
from comity.control.exchange import CancelRequest, CancelResult
from comity.errors import ComityError, InvalidInput, RemoteProtocolError, TransferCancelled, UnknownTransfer
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.protocol.exchange.messages import Accept, Cancel, encode_message, parse_message
from comity.protocol.hello import EXCHANGE_PORT
from comity.services.exchange.records import record_cancellation
from comity.services.exchange.recovery import part_of
from comity.services.exchange.running import Live
from comity.services.exchange.surroundings import Surroundings
from comity.storage.exchange import Direction, StoredTransfer
from comity.transport.interface import Stream

log = logging.getLogger("comity.exchange")

_LEAST_CHARS = 4  # of an id's beginning


class Cancelling:
    """``live`` are the transfers that run, by row."""

    def __init__(self, around: Surroundings, live: Live) -> None:
        self._around = around
        self._live = live

    async def cancel(self, request: CancelRequest) -> CancelResult:
        """See ``ExchangeService.cancel``."""
        stored = self._named(request.transfer)
        if stored.state != "cancelled":
            if stored.state in ("done", "failed"):
                raise InvalidInput(f"this transfer is {stored.state} already", hint="run comity transfers")
            await self._end(stored, TransferCancelled("it was cancelled here"), owed=stored.state != "queued")
            stored = self._around.store.get(stored.id)
            if stored.state != "cancelled":
                raise InvalidInput("too late: the transfer is over", hint="run comity transfers")
        told = not stored.owed or await self.tell(stored)
        return CancelResult(
            transfer=stored.transfer,
            direction=stored.direction,
            peer=stored.hostname,
            name=stored.name,
            state=stored.state,
            told=told,
        )

    async def heard(self, stream: Stream, body: bytes) -> None:
        """A peer cancels a transfer between us. The answer is the same whether there is one or not."""
        message = parse_message(body)
        if not isinstance(message, Cancel):
            raise RemoteProtocolError("not a cancellation")
        direction: Direction = "in" if message.by == "sender" else "out"
        stored = self._around.store.find(direction, stream.peer, message.transfer)
        if stored is not None and stored.state in ("running", "committing", "interrupted", "queued"):
            log.info(
                "cancelled by the peer", extra={"fields": {"transfer": stored.transfer, "way": direction}}
            )
            await self._end(stored, TransferCancelled(f"{stored.hostname} cancelled it"), owed=False)
        await stream.send(encode_message(Accept(transfer=message.transfer)))

    async def tell(self, stored: StoredTransfer) -> bool:
        """Whether the peer knows now that ``stored`` is cancelled."""
        peer = self._around.trust.known(PublicKey.from_hex(stored.peer))
        if peer is None:  # the agreement's end ended it there
            self._around.store.told(stored.id)
            return True
        sent = stored.direction == "out"
        message = encode_message(Cancel(transfer=stored.transfer, by="sender" if sent else "receiver"))
        try:
            async with asyncio.timeout(limits.CANCEL_TELL_SECONDS):
                stream = await self._around.network.dial(
                    peer.key,
                    EXCHANGE_PORT,
                    agreement=peer.agreement.digest,
                    charter=next(iter(self._around.guard.in_force(peer.key)), None),
                )
                async with stream:
                    await stream.send(message)
                    if await stream.receive() is None:
                        raise RemoteProtocolError("the peer did not answer a cancellation")
        except (ComityError, TimeoutError) as error:
            log.info("not told of a cancellation", extra={"fields": {"peer": stored.hostname, "why": error}})
            return False
        self._around.store.told(stored.id)
        return True

    async def tell_all(self, peer: PublicKey) -> None:
        """What this peer was not told yet, as long as it can be told."""
        for stored in self._around.store.owed(peer):
            if not await self.tell(stored):
                return

    def _named(self, text: str) -> StoredTransfer:
        if len(text) < _LEAST_CHARS or not set(text.lower()) <= set("0123456789abcdef"):
            raise InvalidInput(
                f"{printable(text, limits.CLAIM_BYTES)} is not the id of a transfer",
                hint="run comity transfers",
            )
        found = self._around.store.beginning(text.lower(), 2)
        if not found:
            raise UnknownTransfer(f"there is no transfer {text}")
        if len(found) > 1:
            raise InvalidInput(f"several transfers begin with {text}", hint="give more of its id")
        return found[0]

    async def _end(self, stored: StoredTransfer, error: TransferCancelled, *, owed: bool) -> None:
        around, running = self._around, self._live.get(stored.id)
        if running is None:
            if stored.direction == "in":
                around.blobs.discard(part_of(stored.peer, stored.transfer))
            record_cancellation(around, stored.id, error, done=stored.bytes_done, path=stored.path)
        else:
            running.cancel(error)
            await running.over.wait()
        if owed and around.store.get(stored.id).state == "cancelled":
            around.store.owe(stored.id)
