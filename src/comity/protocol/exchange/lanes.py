"""LANES: the sender's word that its frames come on several lanes in turn (docs: protocol, "Exchange").

And whether that is worth it. It opens nothing.
"""

from __future__ import annotations

from comity import limits
from comity.errors import RemoteProtocolError
from comity.protocol.exchange.messages import Buffer, Type
from comity.protocol.paths import path_rank


def lanes_frame(count: int) -> bytes:
    """The frame's body: from the next one on there are so many, that on which it comes being the first."""
    return bytes([Type.LANES, count])


def parse_lanes(body: Buffer) -> int:
    """The number of lanes in it; RemoteProtocolError."""
    if len(body) != len(lanes_frame(1)) or not 1 < body[1] <= limits.LANES_MOST:
        raise RemoteProtocolError("malformed lanes message")
    return body[1]


def lanes_wanted(size: int, round_trip: float, path: str, allowed: int) -> int:
    """How many a transfer of ``size`` bytes is to have, of those that the peer allows; seconds."""
    long = round_trip >= limits.LANES_ROUND_TRIP and size >= limits.LANES_BYTES
    return max(1, min(allowed, limits.LANES_MOST)) if long and path_rank(path) <= path_rank("punched") else 1
