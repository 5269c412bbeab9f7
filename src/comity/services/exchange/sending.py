"""One lane's thread on the sending side: does what ``protocol.exchange.sender`` says, and nothing else.

The offer was accepted before; here pages and chunks go out, up to the receipt. A thread beside it hashes
ahead; what the peer asks for goes before further pages.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import zip_longest

from comity import limits
from comity.clock import Clock
from comity.errors import (
    FileChanged,
    FileUnusable,
    LinkLost,
    RemoteProtocolError,
    TransferFailed,
    VerificationFailed,
)
from comity.protocol.exchange.events import (
    Delivered,
    Failed,
    MessageReceived,
    Send,
    SendChunk,
    SenderEvent,
    Trouble,
)
from comity.protocol.exchange.listing import LISTING_HEADER
from comity.protocol.exchange.messages import chunk_header
from comity.protocol.exchange.sender import Need, Sender, State
from comity.services.exchange.content import Outgoing
from comity.services.exchange.hashing import Hasher
from comity.services.exchange.pacer import Place
from comity.services.exchange.progress import Meter
from comity.services.exchange.threads import Threads
from comity.transport.interface import Lane


class Sending:
    """An accepted transfer of ``content``, which ``hasher`` hashes, over ``lane``."""

    def __init__(
        self,
        machine: Sender,
        content: Outgoing,
        hasher: Hasher,
        lane: Lane,
        meter: Meter,
        clock: Clock,
        place: Place,
    ) -> None:
        self._machine = machine
        self._content = content
        self._lane = lane
        self._meter = meter
        self._clock = clock
        self._place = place
        self._sent_before = meter.sent  # in earlier attempts
        self._hasher = hasher
        self._chunk = memoryview(b"")  # for what has to be read again

    def run(self, threads: Threads) -> Delivered | Failed:
        """Move everything, and finish the link whatever came of it. LinkLost, RemoteProtocolError."""
        hashing = threads.start(self._hasher.run, self._machine.all_wanted)
        try:
            if self._machine.listing_wanted and self._content.listing is not None:
                self._lane.send(LISTING_HEADER, self._content.listing.encoded)
            outcome = self._exchange()
        finally:
            self._hasher.stop()
            hashing.result()
        with suppress(LinkLost):  # what was said before it was lost stands
            self._lane.finish()
        return self._explained(outcome)

    def _exchange(self) -> Delivered | Failed:
        while True:
            event = self._hashed() if self._machine.needs is Need.CONTENT else self._message()
            outcome = self._step(event)
            if outcome is not None:
                return outcome
            self._count()
            self._meter.show("verifying" if self._machine.state is State.CLOSED else "sending")

    def _hashed(self) -> SenderEvent:
        """The next chunk's hash, or what the peer says before it is there."""
        given_up = self._clock.monotonic() + limits.LANE_TIMEOUT
        while not self._lane.ready():
            hashed = self._hasher.next(limits.GLANCE_SECONDS)
            if hashed is not None:
                return hashed
            if self._clock.monotonic() > given_up:
                return Trouble(TransferFailed("the file could not be read in time"))
        return self._message()

    def _message(self) -> SenderEvent:
        body = self._lane.receive()
        if body is None:
            return Trouble(RemoteProtocolError("the peer ended the stream before its receipt"))
        return MessageReceived(bytes(body))

    def _step(self, event: SenderEvent) -> Delivered | Failed | None:
        outputs = self._machine.handle(event, self._clock.now())
        for output, following in zip_longest(outputs, outputs[1:]):
            match output:
                case Send():
                    self._lane.send(output.body, more=isinstance(following, SendChunk))
                case SendChunk():
                    try:
                        self._send_chunk(output)
                    except (FileChanged, FileUnusable) as error:
                        return self._step(Trouble(error))
                case Delivered() | Failed():
                    return output
        return None

    def _send_chunk(self, chunk: SendChunk) -> None:
        piece = self._hasher.take(chunk.offset, chunk.length)
        if piece is None:
            if len(self._chunk) < chunk.length:
                self._chunk = memoryview(bytearray(chunk.length))
            piece = self._chunk[: chunk.length]
            self._content.read_into(chunk.offset, piece)
            self._content.check_unchanged()
        self._count()
        self._lane.send(chunk_header(chunk.index), piece, pace=self._pace)
        self._place.pause()
        self._hasher.give_back()
        self._meter.partly = 0
        self._meter.travelled(chunk.length, self._lane.info.path)
        self._count()
        self._meter.show("sending")

    def _pace(self, left: int) -> int:
        """Implements ``transport.interface.Pace``: the place decides, and it is seen how far a chunk is."""
        allowed = self._place(left)
        if allowed < left:
            self._meter.partly += allowed
            self._meter.show("sending")
        return allowed

    def _count(self) -> None:
        meter, skipped = self._meter, self._machine.bytes_skipped
        meter.skipped = max(0, skipped - self._sent_before)  # what it has from earlier attempts did travel
        meter.done = skipped + meter.sent - self._sent_before

    def _explained(self, outcome: Delivered | Failed) -> Delivered | Failed:
        """A chunk that the peer found to be different is a file that changed after it was hashed."""
        if isinstance(outcome, Failed) and isinstance(outcome.error, VerificationFailed):
            try:
                self._content.check_unchanged()
            except (FileChanged, FileUnusable) as error:
                return replace(outcome, error=error)
        return outcome
