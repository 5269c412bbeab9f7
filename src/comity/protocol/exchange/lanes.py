"""LANES: the sender's word that its frames come on several lanes in turn (docs: protocol, "Exchange").

And whether that is worth it. It opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from comity import limits
from comity.errors import RemoteProtocolError
from comity.protocol.exchange.messages import Buffer, Type
from comity.protocol.paths import path_rank


def lanes_frame(numbers: Iterable[int]) -> bytes:
    """The frame's body: from the next one on these lanes follow the one on which it comes, by their JOINs'
    numbers.
    """
    return bytes([Type.LANES, *numbers])


def parse_lanes(body: Buffer) -> tuple[int, ...]:
    """The numbers in it, ascending; RemoteProtocolError."""
    numbers = tuple(body[1:])
    if not numbers or numbers[0] < 1 or any(one >= two for one, two in pairwise(numbers)):
        raise RemoteProtocolError("malformed lanes message")
    return numbers


def lanes_wanted(size: int, round_trip: float, path: str, allowed: int) -> int:
    """How many a transfer of ``size`` bytes is to have, of those that the peer allows; seconds."""
    long = round_trip >= limits.LANES_ROUND_TRIP and size >= limits.LANES_BYTES
    return max(1, min(allowed, limits.LANES_MOST)) if long and path_rank(path) <= path_rank("punched") else 1
