"""Files and folders that are sent when their peer is there: kept in order, through restarts of both sides.

One task a peer waits for its session, then sends what waits for it, the oldest first and one at a time. What
stops on the way stays in its place and is tried again; what can't be sent any more (the file changed, the
agreement ended, the peer refuses it) has failed, and the next one's turn comes. Whoever was away is also told
here of what was cancelled meanwhile.

What is kept of a file is its path and identity, no copy (docs: decisions, "Queued files").
"""

from __future__ import annotations

import asyncio
import logging
import os

from comity import limits
from comity.control.exchange import QueueFileRequest, QueueResult, SendFileRequest
from comity.errors import (
    ComityError,
    Denied,
    InvalidInput,
    PeerUnreachable,
    RateLimited,
    TimedOut,
    TooLarge,
    TransferCancelled,
    TransferFailed,
)
from comity.identity.keys import PublicKey
from comity.policy.operation import Operation
from comity.protocol.exchange.layout import equal_edges
from comity.protocol.exchange.manifest import check_announced
from comity.protocol.exchange.names import check_name
from comity.services.exchange.cancelling import Cancelling
from comity.services.exchange.finding import reopen
from comity.services.exchange.offering import open_content
from comity.services.exchange.outbox import Outbox, check_limit
from comity.services.exchange.records import record_failure, record_queued
from comity.services.exchange.recovery import collect
from comity.services.exchange.surroundings import SERVICE, Surroundings
from comity.storage.exchange import NewTransfer
from comity.storage.sendqueue import Queued

log = logging.getLogger("comity.exchange")

_LATER = (PeerUnreachable, RateLimited, TimedOut)


class Queueing:
    """``run`` is its life; before and after it files are queued, and wait."""

    def __init__(self, around: Surroundings, outbox: Outbox, cancelling: Cancelling) -> None:
        self._around = around
        self._outbox = outbox
        self._cancelling = cancelling
        self._serving: dict[PublicKey, asyncio.Task[None]] = {}
        self._come = asyncio.Event()

    async def add(self, request: QueueFileRequest, fd: int) -> QueueResult:
        """See ``ExchangeService.queue``."""
        around = self._around
        check_name(request.name)
        check_limit(request.limit)
        content = await asyncio.to_thread(open_content, fd)
        content.close()
        size, identity = content.size, content.identity
        check_announced(size, len(equal_edges(size)))
        if not os.path.isabs(request.path):
            raise InvalidInput("a queued file is named by its whole path")
        os.close(await asyncio.to_thread(reopen, request.path, identity))
        peer = await around.trust.resolve(request.peer)
        agreement = peer.agreement.digest
        if not around.guard.governs(peer.key):  # a charter is asked about what is sent, when it is
            operation = Operation(
                kind="send",
                peer=peer.key,
                service=SERVICE,
                agreement=agreement,
                name=request.name,
                bytes=size,
            )
            around.guard.require(operation)
        queue = around.queue
        if queue.waiting(peer.key) >= limits.QUEUED_PER_PEER or queue.waiting() >= limits.QUEUED_MOST:
            raise TooLarge(
                f"{queue.waiting(peer.key)} files wait for {peer.hostname} already",
                hint="wait until some of them are sent, or comity cancel ID",
            )
        new = NewTransfer(
            direction="out",
            peer=peer.key,
            transfer=around.entropy.token(16).hex(),
            hostname=peer.hostname,
            address=peer.address,
            name=request.name,
            bytes=size,
            agreement=agreement,
            started=around.clock.now(),
            nonce=around.entropy.token(32).hex(),
            state="queued",
        )
        with around.db.transaction():
            row = around.store.begin(new)
            queue.add(Queued(row, request.path, identity, request.limit))
            record_queued(around, row)
        self._come.set()
        return QueueResult(
            transfer=new.transfer,
            name=new.name,
            bytes=new.bytes,
            to=peer.hostname,
            state="queued",
            position=queue.waiting(peer.key),
        )

    async def run(self) -> None:
        """Serve every peer for whom something waits, until cancelled."""
        try:
            while True:
                self._come.clear()
                try:
                    self._look()
                except ComityError as error:  # the disk is full, or gone: later, then
                    log.warning("queue not looked at", extra={"fields": {"code": error.code, "why": error}})
                try:
                    async with asyncio.timeout(limits.QUEUE_LOOK_SECONDS):
                        await self._come.wait()
                except TimeoutError:
                    continue
        finally:
            serving = list(self._serving.values())
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)

    def _look(self) -> None:
        """Give up what waited for too long, and see to it that everybody is served."""
        collect(self._around)
        for peer in {*self._around.queue.peers(), *self._around.store.owed_peers()}:
            if peer not in self._serving or self._serving[peer].done():
                self._serving[peer] = asyncio.create_task(self._serve(peer))

    async def _serve(self, peer: PublicKey) -> None:
        try:
            await self._serve_in_order(peer)
        except ComityError as error:  # the database: a full disk
            log.warning("queue stopped", extra={"fields": {"peer": peer.fingerprint.short, "why": error}})
            await asyncio.sleep(limits.QUEUE_RETRY_MOST)
        except Exception:
            log.exception("queue failed by a bug")
            await asyncio.sleep(limits.QUEUE_RETRY_MOST)

    async def _serve_in_order(self, peer: PublicKey) -> None:
        around, pause = self._around, limits.QUEUE_RETRY_FIRST
        while True:
            self._give_up_ended(peer)
            if not around.queue.waiting(peer) and not around.store.owed(peer):
                return
            if not await around.sessions.wait_up(peer, limits.QUEUE_LOOK_SECONDS):
                continue
            await self._cancelling.tell_all(peer)
            first = around.queue.first(peer)
            if first is not None and await self._deliver(first):
                pause = limits.QUEUE_RETRY_FIRST
            elif around.queue.waiting(peer) or around.store.owed(peer):
                await asyncio.sleep(pause)
                pause = min(2 * pause, limits.QUEUE_RETRY_MOST)

    async def _deliver(self, queued: Queued) -> bool:
        """Whether it is over, one way or the other; False where it is to be tried again."""
        around, row = self._around, queued.row
        stored = around.store.get(row)
        try:
            descriptor = await asyncio.to_thread(reopen, queued.path, queued.identity)
            try:
                request = SendFileRequest(peer="", name=stored.name, file="", limit=queued.rate)
                await self._outbox.send_queued(stored, request, descriptor)
            finally:
                os.close(descriptor)
        except ComityError as error:
            state = around.store.get(row).state
            if state in ("running", "committing"):  # somebody sends it by hand
                return False
            waits = state in ("queued", "interrupted")
            if waits and isinstance(error, (*_LATER, TransferFailed)):
                log.info("queued file waits", extra={"fields": {"transfer": stored.transfer, "why": error}})
                return False
            if waits:
                record_failure(around, row, error, done=stored.bytes_done, path=stored.path)
            if not isinstance(error, TransferCancelled):
                fields = {"name": stored.name, "to": stored.hostname, "code": error.code, "why": error}
                log.warning("queued file not sent", extra={"fields": fields})
        around.queue.forget(row)
        return True

    def _give_up_ended(self, peer: PublicKey) -> None:
        """What was queued under an agreement that is over will not be sent under another."""
        known = self._around.trust.known(peer)
        while (queued := self._around.queue.first(peer)) is not None:
            stored = self._around.store.get(queued.row)
            if known is not None and known.agreement.digest == stored.agreement:
                return
            error = Denied(f"the agreement with {stored.hostname} under which it was queued has ended")
            record_failure(self._around, queued.row, error, done=stored.bytes_done, path=stored.path)
            self._around.queue.forget(queued.row)
