"""How much of a lane's bytes may lie in the kernels of both machines, between the two programs.

What lies there when a node dies has to be sent again, and it leaves the processors' caches before anybody
reads it. Left to itself Linux lets a receiver's buffer grow to many megabytes even where the line holds a
few kilobytes. So the window is held to what the line's round trip needs at a rate that no line here exceeds,
and a sender's kernel is given little more than what may leave. Linux only; elsewhere the kernel decides.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress

from comity import limits

_LINUX = sys.platform == "linux"
_CLAMP: int | None = getattr(socket, "TCP_WINDOW_CLAMP", None)
_UNSENT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
#: struct tcp_info of linux/tcp.h: the least round trip of late, in microseconds.
_MIN_RTT, _BYTES = 148, 152
_NUMBER = struct.Struct("@I")
_PER_MICROSECOND = 1000  # bytes: 8 Gbit/s


def hold_unsent(sock: socket.socket) -> None:
    """From now on the kernel takes only so much that can't leave yet."""
    if _LINUX and _UNSENT is not None:
        with suppress(OSError):  # it is no TCP socket
            sock.setsockopt(socket.IPPROTO_TCP, _UNSENT, limits.LANE_UNSENT_BYTES)


def hold_window(sock: socket.socket) -> None:
    """Bound what the peer may send ahead. To be called again and again: the kernel's own tuning undoes it."""
    least = _least(sock)
    if least is not None and _CLAMP is not None:
        with suppress(OSError):  # it is over: whoever uses it is about to hear
            sock.setsockopt(socket.IPPROTO_TCP, _CLAMP, window_for(least))


def round_trip(sock: socket.socket) -> float:
    """The least seconds to the next machine and back that were seen of late; 0 where nobody knows."""
    return (_least(sock) or 0) / 1_000_000


def _least(sock: socket.socket) -> int | None:
    """Microseconds; None where the kernel doesn't say."""
    if not _LINUX:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES)
    except OSError:  # it is no TCP socket, or it is over
        return None
    least: int = _NUMBER.unpack_from(info, _MIN_RTT)[0] if len(info) == _BYTES else 0
    return least if least < 2**32 - 1 else None  # nothing was measured yet


def window_for(round_trip: int) -> int:
    """Bytes, for a line whose round trip takes so many microseconds."""
    return limits.LANE_WINDOW_BYTES + min(round_trip, limits.LANE_ROUND_TRIP) * _PER_MICROSECOND
