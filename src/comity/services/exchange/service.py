"""The exchange as the node's API sees it: send a file, list what was received, list transfers.

It owns the threads and what runs now; ``outbox`` and ``inbox`` do the work.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from comity import limits
from comity.clock import rfc3339
from comity.control.exchange import (
    CancelRequest,
    CancelResult,
    Progress,
    QueueFileRequest,
    QueueResult,
    ReceivedFile,
    ReceivedRequest,
    ReceivedResult,
    SendFileRequest,
    SendResult,
    SignArtifactRequest,
    SignArtifactResult,
    Transfer,
    TransfersResult,
)
from comity.errors import TimedOut
from comity.identity.address import Address
from comity.identity.card import Card, PeerName, parse_peer
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.protocol.exchange.names import note_for
from comity.protocol.hello import EXCHANGE_PORT
from comity.services.exchange.cancelling import Cancelling
from comity.services.exchange.inbox import Inbox
from comity.services.exchange.outbox import Outbox
from comity.services.exchange.queueing import Queueing
from comity.services.exchange.recovery import recover
from comity.services.exchange.running import Live
from comity.services.exchange.surroundings import Surroundings
from comity.services.exchange.terms import sign
from comity.services.exchange.threads import Threads
from comity.storage.exchange import StoredTransfer


class ExchangeService:
    """One node's artifacts. ``start`` before the network serves, ``stop`` after it has ended every stream."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._threads = Threads()
        self._live: Live = {}
        self._arrived = asyncio.Event()
        self._outbox = Outbox(around, self._threads, self._live)
        self._cancelling = Cancelling(around, self._live)
        self._queueing = Queueing(around, self._outbox, self._cancelling)
        self._inbox = Inbox(around, self._threads, self._live, self._announce, self._cancelling.heard)

    def start(self) -> None:
        """Put right what a crash left behind, then answer on port 1001. StorageUnusable, DiskFull."""
        recover(self._around)
        self._around.network.serve(EXCHANGE_PORT, self._inbox.answer)

    def stop(self) -> None:
        """Give up the threads."""
        self._threads.close()

    async def send(
        self, request: SendFileRequest, fd: int, progress: Callable[[Progress], None]
    ) -> SendResult:
        """Send the file that ``fd`` reads; returns once the peer's signed receipt is verified and stored.

        ``fd`` stays the caller's, who closes it after this returned or raised. ``progress`` is called on the
        loop, at most every ``limits.PROGRESS_EVERY`` seconds. Before anything is dialled: NameRefused,
        FileUnusable, TooLarge, UnknownPeer, UntrustedPeer, AmbiguousPeer, Denied. Then what ``Network.dial``
        raises; PeerRefused, or the peer's DiskFull, NameRefused, TooLarge; FileChanged, FileUnusable;
        TransferFailed where the link is lost, the agreement ends or the peer gives up; VerificationFailed
        where its receipt is wrong; TimedOut; RemoteProtocolError.
        """
        return await self._outbox.send(request, fd, progress)

    def sign(self, request: SignArtifactRequest) -> SignArtifactResult:
        """Stand for an artifact with this node's key, for whoever sends it. InvalidInput."""
        return sign(self._around, request)

    async def received(self, request: ReceivedRequest) -> ReceivedResult:
        """Received files that are still in their place, the newest first; TimedOut, InvalidInput.

        With ``wait``: files that were sent under this name, as soon as there is one, at most ``timeout``
        seconds from now. With ``arrivals``: as soon as it is another number, or after ``timeout`` seconds.
        """
        if request.arrivals is not None:
            await self._another(request.arrivals, request.timeout)
        try:
            async with asyncio.timeout(request.timeout if request.wait is not None else None):
                while True:
                    arrived = self._arrived
                    found = self._received(request)
                    if found or request.wait is None:
                        return ReceivedResult(files=found, arrivals=self._around.store.arrivals())
                    await arrived.wait()
        except TimeoutError:
            name = printable(request.wait or "", limits.FILE_NAME_BYTES)
            raise TimedOut(f"no file named {name} arrived within {request.timeout:g} seconds") from None

    async def _another(self, known: int, timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while True:
                    arrived = self._arrived
                    if self._around.store.arrivals() != known:
                        return
                    await arrived.wait()

    def transfers(self) -> TransfersResult:
        """Transfers in both directions, the newest first; what runs now as far as it is."""
        rows = self._around.store.newest(limits.TRANSFERS_LISTED)
        return TransfersResult(transfers=tuple(self._transfer(row) for row in rows))

    async def queue(self, request: QueueFileRequest, fd: int) -> QueueResult:
        """Send the file when the peer is there; returns at once. What waits survives restarts, in order.

        ``path`` is where the file that ``fd`` reads lies; it is sent as it is now, or not at all. Raises what
        ``send`` raises before anything is dialled; TooLarge also where too much waits already.
        """
        return await self._queueing.add(request, fd)

    async def run(self) -> None:
        """Send what is queued as its peers appear, until cancelled."""
        await self._queueing.run()

    async def cancel(self, request: CancelRequest) -> CancelResult:
        """End a transfer in either direction for good, and tell the peer now if it can be reached.

        ``transfer`` is its id, or the beginning of it. UnknownTransfer; InvalidInput where it is over.
        """
        return await self._cancelling.cancel(request)

    async def watch(self) -> AsyncGenerator[Progress, None]:
        """What runs, in both directions, every ``limits.WATCH_EVERY`` seconds; and once more as it ended."""
        seen: dict[int, Progress] = {}
        while True:
            for row, before in list(seen.items()):
                if row not in self._live:
                    del seen[row]
                    stored = self._around.store.get(row)
                    yield replace(before, state=stored.state, bytes_done=stored.bytes_done, path=stored.path)
            for row, running in list(self._live.items()):
                seen[row] = running.meter.look()
                yield seen[row]
            await asyncio.sleep(limits.WATCH_EVERY)

    def _announce(self) -> None:
        self._arrived.set()
        self._arrived = asyncio.Event()

    def _received(self, request: ReceivedRequest) -> tuple[ReceivedFile, ...]:
        rows = self._around.store.received(limits.RECEIVED_LISTED, request.wait)
        if request.peer is not None:
            named = parse_peer(request.peer)
            rows = [row for row in rows if _is_from(row, named)]
        return tuple(found for row in rows if (found := self._file(row)))

    def _file(self, row: StoredTransfer) -> ReceivedFile | None:
        blobs = self._around.blobs
        if row.folder is None or row.stored is None or not blobs.present(row.folder, row.stored):
            return None
        return ReceivedFile(
            path=blobs.path(row.folder, row.stored),
            name=row.name,
            bytes=row.bytes,
            digest=row.digest or "",
            from_=row.hostname,
            fingerprint=str(PublicKey.from_hex(row.peer).fingerprint),
            received_at=rfc3339(row.ended or row.started),
            agreement=row.agreement,
            note=note_for(row.name),
        )

    def _transfer(self, row: StoredTransfer) -> Transfer:
        running = self._live.get(row.id)
        now = running.meter.look() if running else None
        return Transfer(
            transfer=row.transfer,
            direction=row.direction,
            peer=row.hostname,
            name=row.name,
            bytes=row.bytes,
            bytes_done=now.bytes_done if now else row.bytes_done,
            state=self._state(row),
            path=now.path if now else row.path,
            started_at=rfc3339(row.started),
            problem=row.problem,
            digest=row.digest,
            receipt=row.receipt,
            mb_per_s=now.mb_per_s if now else None,
            remaining=now.remaining if now else None,
        )

    def _state(self, row: StoredTransfer) -> str:
        if row.state == "interrupted" and self._around.queue.holds(row.id):
            return "queued"
        return "running" if row.state == "committing" else row.state


def _is_from(row: StoredTransfer, named: Address | PeerName | Card | Fingerprint) -> bool:
    """Whether a PEER argument names the sender, by what it was called when the file came."""
    if isinstance(named, Address):
        return row.address == str(named)
    if isinstance(named, PeerName):
        return row.hostname == str(named)
    fingerprint = named.fingerprint if isinstance(named, Card) else named
    return PublicKey.from_hex(row.peer).fingerprint == fingerprint
