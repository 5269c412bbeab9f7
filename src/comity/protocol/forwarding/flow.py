"""How much may travel on a forward, when it is over, when its peer is gone (docs: protocol, "Forwarding").

Counts and states only: payload does not come here, and times are arguments. A side always reads its stream,
because the other may send only what there is room for; so a program that reads slowly holds up its own
connection, and nothing else.
"""

from __future__ import annotations

from enum import Enum, auto

from comity import limits
from comity.errors import LinkLost, LocalProtocolError, RemoteProtocolError
from comity.protocol.forwarding.messages import Tag


class Half(Enum):
    """One direction."""

    OPEN = auto()
    ENDED = auto()  # END was said; what is under way still has to reach the program
    DONE = auto()  # all of it did


#: What may be said of a direction by the side that sends it (END) and by the other (DONE).
_NEXT = {(Half.OPEN, Tag.END): Half.ENDED, (Half.ENDED, Tag.DONE): Half.DONE}


class Flow:
    """One side's view of both directions. ``now`` is monotonic seconds."""

    def __init__(self, now: float, window: int = limits.FORWARD_WINDOW) -> None:
        self.outward = Half.OPEN
        self.inward = Half.OPEN
        self.sent = 0
        self.received = 0
        self.credit = window  # bytes that may be sent now
        self._window = window
        self._room = window  # bytes that the peer may send now
        self._handed = 0  # to the program, and not granted again yet
        self._heard = now
        self._said = now

    @property
    def over(self) -> bool:
        """Whether both directions are done with."""
        return self.outward is Half.DONE and self.inward is Half.DONE

    # ── from this side's program to the peer ──────────────────────────────────────────────────────────

    def sending(self, count: int, now: float) -> None:
        """``count`` bytes are being sent."""
        if count > self.credit or self.outward is not Half.OPEN:
            raise LocalProtocolError(f"{count} bytes are sent with a credit of {self.credit}")
        self.credit -= count
        self.sent += count
        self._said = now

    def ending(self, now: float) -> None:
        """END is being sent."""
        self.outward = _after(self.outward, Tag.END, LocalProtocolError)
        self._said = now

    # ── from the peer to this side's program ──────────────────────────────────────────────────────────

    def arrived(self, tag: Tag, count: int, now: float) -> None:
        """A frame came: ``count`` is PAYLOAD's length, or what CREDIT grants. RemoteProtocolError."""
        self._heard = now
        if tag is Tag.PAYLOAD:
            self._payload(count)
        elif tag is Tag.CREDIT:
            if not 0 < count <= self._window - self.credit:
                raise RemoteProtocolError(
                    f"the peer grants {count} bytes more, which the window does not hold"
                )
            self.credit += count
        elif tag is Tag.END:
            self.inward = _after(self.inward, tag, RemoteProtocolError)
        elif tag is Tag.DONE:
            self.outward = _after(self.outward, tag, RemoteProtocolError)
        elif tag is not Tag.BEAT:
            raise RemoteProtocolError(f"{tag.name.lower()} in the middle of a forward")

    def handed(self, count: int, now: float) -> int:
        """The program took ``count`` bytes; how many to grant by a CREDIT that is being sent, 0 for none."""
        self._handed += count
        if self._handed < self._window // 2 or self.inward is not Half.OPEN:
            return 0
        grant, self._handed = self._handed, 0
        self._room += grant
        self._said = now
        return grant

    def delivered(self, now: float) -> None:
        """The program took everything and its end: DONE is being sent."""
        self.inward = _after(self.inward, Tag.DONE, LocalProtocolError)
        self._said = now

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────

    def beat_due(self, now: float) -> float:
        """In how many seconds a BEAT has to be said; LinkLost where the peer has been silent too long."""
        if now - self._heard >= limits.FORWARD_DEAD_AFTER:
            raise LinkLost(f"the peer was silent for {limits.FORWARD_DEAD_AFTER:g} seconds")
        return max(0.0, self._said + limits.FORWARD_BEAT_EVERY - now)

    def beating(self, now: float) -> None:
        """A BEAT is being said."""
        self._said = now

    def _payload(self, count: int) -> None:
        if self.inward is not Half.OPEN:
            raise RemoteProtocolError("payload after the peer's end of a forward")
        if count > self._room:
            raise RemoteProtocolError(f"{count} bytes came, and there was room for {self._room}")
        self._room -= count
        self.received += count


def _after(half: Half, tag: Tag, error: type[RemoteProtocolError] | type[LocalProtocolError]) -> Half:
    following = _NEXT.get((half, tag))
    if following is None:
        raise error(f"{tag.name.lower()} of a direction that is {half.name.lower()}")
    return following
