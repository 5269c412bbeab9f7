"""What a stream's two directions carried so far, and whether each has ended: the numbers behind END.

It moves nothing: stream and lane tell it what they moved, one after the other (SECURITY.md rule 11).
"""

from __future__ import annotations

from comity.errors import LocalProtocolError, RemoteProtocolError
from comity.protocol.framing import Kind, check_end, end_body
from comity.transport.interface import Buffer


def size_of(part: Buffer) -> int:
    """Its bytes: a memoryview's length counts items."""
    return part.nbytes if isinstance(part, memoryview) else len(part)


class Tally:
    """DATA frames and bytes of body each way."""

    def __init__(self) -> None:
        self.end_sent = False
        self.end_received = False
        self._frames_sent = self._bytes_sent = 0
        self._frames_received = self._bytes_received = 0

    def check_sending(self) -> None:
        """LocalProtocolError after our END."""
        if self.end_sent:
            raise LocalProtocolError("data after this side's end of a stream")

    def count_sent(self, size: int) -> None:
        """A DATA frame with ``size`` bytes of body is on its way."""
        self._frames_sent += 1
        self._bytes_sent += size

    def end(self) -> bytes:
        """The body of our END, which is about to be sent."""
        self.check_sending()
        self.end_sent = True
        return end_body(self._frames_sent, self._bytes_sent)

    def take(self, kind: Kind, body: Buffer) -> bool:
        """A frame came: True for DATA, False for an END that counts right; else RemoteProtocolError."""
        if kind is Kind.DATA:
            self._frames_received += 1
            self._bytes_received += len(body)
            return True
        if kind is not Kind.END:
            raise RemoteProtocolError(f"unexpected {kind.name.lower()} frame in a stream")
        check_end(body, self._frames_received, self._bytes_received)
        self.end_received = True
        return False
