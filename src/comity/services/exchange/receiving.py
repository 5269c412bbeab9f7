"""One lane's thread on the receiving side: does what ``protocol.exchange.receiver`` says, and nothing else.

``fill`` runs from the accepted offer until every byte is verified and on disk, ``thank`` sends the receipt
once the inbox has committed, ``give_up`` tells the peer why there is none. While it checks or waits for the
disk it says so every few seconds, so that the peer doesn't take it for dead.

A worker beside it hashes a few chunks in turn, and writes each if it is what was promised, while the next one
arrives. They are in hand until the machine has judged them, in their order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import replace

from comity import limits
from comity.clock import Clock
from comity.errors import (
    ComityError,
    DiskFull,
    LinkLost,
    LocalProtocolError,
    RemoteProtocolError,
    StorageUnusable,
    TransferFailed,
    VerificationFailed,
)
from comity.protocol.exchange.events import (
    ChunkArrived,
    Commit,
    Committed,
    ContentDigest,
    CopyChunk,
    Failed,
    KeepChunk,
    Look,
    Looked,
    MessageReceived,
    ReceiverEvent,
    Send,
    Trouble,
    VerifyContent,
)
from comity.protocol.exchange.listing import Listing, parse_listing, parse_listing_frame
from comity.protocol.exchange.manifest import RUNNING
from comity.protocol.exchange.messages import (
    Type,
    Working,
    encode_message,
    is_a,
    parse_chunk,
)
from comity.protocol.exchange.receiver import Receiver
from comity.services.exchange.assembly import Assembly
from comity.services.exchange.basis import Basis
from comity.services.exchange.progress import Meter
from comity.services.exchange.threads import Threads
from comity.services.exchange.worker import Worker
from comity.storage.parts import Part
from comity.transport.interface import Lane

_MOMENT = 0.002  # seconds: more often than not, the next frame is on its way

#: Raises VerificationFailed where a complete part is not what was agreed; is to call its last argument often.
Check = Callable[[Part, Commit, Callable[[], None]], None]


class Receiving:
    """An accepted transfer over ``lane``; ``speak_every`` seconds it says that it works, where it must."""

    def __init__(
        self,
        machine: Receiver,
        lane: Lane,
        meter: Meter,
        clock: Clock,
        basis: Basis | None = None,
        speak_every: float = limits.WORKING_EVERY,
    ) -> None:
        self._machine = machine
        self._lane = lane
        self._meter = meter
        self._clock = clock
        self._basis = basis
        self._speak_every = speak_every
        self._spoken = clock.monotonic()
        self._in_hand: deque[tuple[int, int, Future[bytes]]] = deque()  # index, length, digest

    def fill(
        self, create: Callable[[Listing | None], Part], threads: Threads, check: Check | None = None
    ) -> Commit | Failed:
        """Receive everything; on Failed the link is finished. LinkLost, RemoteProtocolError.

        ``check`` may refuse what is complete.
        """
        try:
            listing = self._listing()
            part = create(listing)
        except LinkLost:
            raise
        except ComityError as error:
            return self.give_up(error)
        worker = Worker(threads)
        try:
            digests = self._machine.manifest.digests
            before = listing.encoded if listing else b""
            outcome = self._exchange(Assembly(part, self._meter.size, digests, before), worker)
            if isinstance(outcome, Commit) and check is not None:
                outcome = self._checked(outcome, part, check)
        finally:
            worker.close()
            part.close()
        if isinstance(outcome, Failed):
            self._finish()
        return outcome

    def _checked(self, commit: Commit, part: Part, check: Check) -> Commit | Failed:
        try:
            check(part, commit, self._speak)
        except (VerificationFailed, StorageUnusable) as error:
            return self._trouble(error)
        return commit

    def thank(self, receipt: bytes) -> None:
        """Send the receipt. It is due whether the peer still listens or not."""
        with suppress(LinkLost):
            for output in self._machine.handle(Committed(receipt), self._clock.now()):
                if isinstance(output, Send):
                    self._lane.send(output.body)
        self._finish()

    def give_up(self, error: ComityError) -> Failed:
        """Tell the peer that ``error`` ends it, and finish the link."""
        failed = self._trouble(error)
        self._finish()
        return failed

    def _listing(self) -> Listing | None:
        """What a folder holds comes first. RemoteProtocolError, NameRefused, TooLarge."""
        offer = self._machine.offer
        if offer is None or offer.listing is None:
            return None
        body = self._lane.receive()
        if body is None:
            raise RemoteProtocolError("the peer ended the stream before its listing")
        return parse_listing(parse_listing_frame(body), offer.listing, offer.bytes)

    def _exchange(self, assembly: Assembly, worker: Worker) -> Commit | Failed:
        while True:
            try:
                outcome = self._next(assembly, worker)
                if isinstance(outcome, Commit):
                    self._wait(worker.submit(assembly.sync))
            except (DiskFull, StorageUnusable) as error:
                return self._trouble(error)
            if outcome is not None:
                return outcome

    def _next(self, assembly: Assembly, worker: Worker) -> Commit | Failed | None:
        """Take one frame, or judge a chunk while there is none."""
        if self._in_hand and (self._full() or not self._lane.ready(_MOMENT)):
            return self._judge(assembly, worker)
        try:
            body = self._lane.receive()
        except LinkLost:
            self._judge_all(assembly, worker)  # what arrived before need not come again
            raise
        chunk = body is not None and is_a(Type.CHUNK, body)
        if not chunk and not (self._machine.silent and body is not None and is_a(Type.PAGE, body)):
            outcome = self._judge_all(assembly, worker)
            if outcome is not None:
                return outcome
        if body is None:
            return self._trouble(RemoteProtocolError("the peer ended the stream before its close"))
        if not chunk:
            return self._step(MessageReceived(bytes(body)), assembly, worker)
        try:
            index, piece = parse_chunk(body)
        except RemoteProtocolError as error:
            return self._trouble(error)
        place = self._machine.place(index)
        if place is None:
            outcome = self._judge_all(assembly, worker)
            return outcome or self._step(ChunkArrived(index, len(piece), b""), assembly, worker)
        if len(body) <= limits.FRAME_BYTES:
            piece = memoryview(bytes(piece))  # its memory is the next frame's
        self._in_hand.append((index, len(piece), worker.submit(assembly.take, place[0], piece, place[1])))
        return None

    def _full(self) -> bool:
        """Whether nothing more is to be taken in hand, or the first is done."""
        several = len(self._in_hand) >= limits.LANE_FRAMES_KEPT  # the next frame's memory is the first one's
        large = sum(length for _, length, _ in self._in_hand) >= limits.IN_HAND_BYTES
        return several or large or self._in_hand[0][2].done()

    def _judge(self, assembly: Assembly, worker: Worker) -> Commit | Failed | None:
        """Let the machine see the first chunk in hand, once it is hashed."""
        index, length, digest = self._in_hand.popleft()
        return self._step(ChunkArrived(index, length, digest.result()), assembly, worker)

    def _judge_all(self, assembly: Assembly, worker: Worker) -> Commit | Failed | None:
        outcome = None
        while self._in_hand and outcome is None:
            outcome = self._judge(assembly, worker)
        return outcome

    def _step(self, event: ReceiverEvent, assembly: Assembly, worker: Worker) -> Commit | Failed | None:
        for output in self._machine.handle(event, self._clock.now()):
            match output:
                case Send():
                    self._lane.send(output.body)
                case KeepChunk():
                    self._meter.travelled(output.length, self._lane.info.path)
                    self._meter.done += output.length
                case CopyChunk():
                    assembly.copy(output.source, output.offset, output.length)
                    self._meter.done += output.length
                    self._speak()
                case Look():
                    found = Looked(self._recall(output, assembly))
                    return self._step(found, assembly, worker)
                case VerifyContent():
                    digest = assembly.content_digest(self._speak)
                    return self._step(ContentDigest(digest), assembly, worker)
                case Commit() | Failed():
                    return output
        return None

    def _recall(self, look: Look, assembly: Assembly) -> frozenset[int]:
        """Which chunks lie in the part already; those that the basis has are put there."""
        manifest, found = self._machine.manifest, set()
        for index in range(look.first, look.first + look.count):
            length = manifest.length(index)
            offset, digest = manifest.offset(index), manifest.digest(index)
            if assembly.recall(offset, length, digest) or self._reuse(assembly, offset, length, digest):
                found.add(index)
                self._meter.done += length
                self._speak()
            elif manifest.digests == RUNNING:
                break
        return frozenset(found)

    def _reuse(self, assembly: Assembly, offset: int, length: int, digest: bytes) -> bool:
        if self._basis is None:
            return False
        piece = self._basis.find(digest, length, self._speak)
        return piece is not None and assembly.take(offset, piece, digest) == digest

    def _trouble(self, error: ComityError) -> Failed:
        """The peer hears what is meant for it; this side keeps the cause."""
        for output in self._machine.handle(Trouble(fit_for_peer(error)), self._clock.now()):
            match output:
                case Send():
                    self._lane.send(output.body)
                case Failed():
                    return replace(output, error=error)
        raise LocalProtocolError("trouble did not end a transfer")

    def _wait(self, work: Future[None]) -> None:
        try:
            while not wait([work], timeout=self._speak_every).done:
                self._speak()
        finally:
            wait([work])  # the file must not be closed under it
        work.result()

    def _speak(self, done: int | None = None) -> None:
        """Say that work goes on, if it has been a while."""
        now = self._clock.monotonic()
        if now - self._spoken >= self._speak_every:
            self._spoken = now
            self._lane.send(encode_message(Working(self._meter.done if done is None else done)))

    def _finish(self) -> None:
        with suppress(LinkLost, RemoteProtocolError):  # what was said before it was lost stands
            self._lane.finish()


def fit_for_peer(error: ComityError) -> ComityError:
    """The error without what only this side should read: paths, and what the system said."""
    if isinstance(error, DiskFull):
        return DiskFull("it has no room for the file")
    if isinstance(error, StorageUnusable):
        return TransferFailed("it cannot store the file")
    return error
