"""One lane's thread on the sending side: does what ``protocol.exchange.sender`` says, and nothing else.

The offer was accepted before; here pages and chunks go out, up to the receipt. It holds one chunk in memory,
and a second one in the thread that hashes ahead.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from comity import limits
from comity.clock import Clock
from comity.errors import FileChanged, FileUnusable, LinkLost, RemoteProtocolError, VerificationFailed
from comity.protocol.exchange.events import (
    Delivered,
    Failed,
    MessageReceived,
    Send,
    SendChunk,
    SenderEvent,
    Trouble,
)
from comity.protocol.exchange.messages import chunk_header
from comity.protocol.exchange.sender import Need, Sender, State
from comity.services.exchange.content import Content, Hasher
from comity.services.exchange.progress import Meter
from comity.services.exchange.threads import Threads
from comity.transport.interface import Lane


class Sending:
    """An accepted transfer of ``content`` over ``lane``."""

    def __init__(self, machine: Sender, content: Content, lane: Lane, meter: Meter, clock: Clock) -> None:
        self._machine = machine
        self._content = content
        self._lane = lane
        self._meter = meter
        self._clock = clock
        self._hasher = Hasher(content)
        self._chunk = memoryview(bytearray(min(content.size, limits.CHUNK_BYTES)))

    def run(self, threads: Threads) -> Delivered | Failed:
        """Move everything, and finish the link whatever came of it. LinkLost, RemoteProtocolError."""
        hashing = threads.start(self._hasher.run)
        try:
            outcome = self._exchange()
        finally:
            self._hasher.stop()
            hashing.result()
        with suppress(LinkLost):  # what was said before it was lost stands
            self._lane.finish()
        return self._explained(outcome)

    def _exchange(self) -> Delivered | Failed:
        while True:
            needs = self._machine.needs
            event = self._hasher.next() if needs is Need.CONTENT else self._message()
            outcome = self._step(event)
            if outcome is not None:
                return outcome
            self._meter.done = self._machine.bytes_done
            self._meter.show("verifying" if self._machine.state is State.CLOSED else "sending")

    def _message(self) -> SenderEvent:
        body = self._lane.receive()
        if body is None:
            return Trouble(RemoteProtocolError("the peer ended the stream before its receipt"))
        return MessageReceived(bytes(body))

    def _step(self, event: SenderEvent) -> Delivered | Failed | None:
        for output in self._machine.handle(event, self._clock.now()):
            match output:
                case Send():
                    self._lane.send(output.body)
                case SendChunk():
                    piece = self._chunk[: output.length]
                    try:
                        self._content.read_into(output.offset, piece)
                    except (FileChanged, FileUnusable) as error:
                        return self._step(Trouble(error))
                    self._lane.send(chunk_header(output.index), piece)
                    self._meter.sent += output.length
                    self._meter.show("sending")
                case Delivered() | Failed():
                    return output
        return None

    def _explained(self, outcome: Delivered | Failed) -> Delivered | Failed:
        """A chunk that the peer found to be different is a file that changed after it was hashed."""
        if isinstance(outcome, Failed) and isinstance(outcome.error, VerificationFailed):
            try:
                self._content.check_unchanged()
            except (FileChanged, FileUnusable) as error:
                return replace(outcome, error=error)
        return outcome
