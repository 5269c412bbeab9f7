"""Whether the machine at the other end of a TCP connection has fallen silent, as the kernel knows it.

A lane that stands still says nothing by itself: the peer's disk may be slow. But a machine that is there
acknowledges what it is sent, even while its program reads nothing. Linux only; elsewhere a lane's own
deadline has to do.
"""

from __future__ import annotations

import socket
import struct
import sys

_LINUX = sys.platform == "linux"
#: struct tcp_info of linux/tcp.h: packets that were not acknowledged; milliseconds since the last
#: acknowledgement.
_UNACKED, _LAST_ACK, _BYTES = 24, 56, 60
_NUMBER = struct.Struct("@I")


def silent(sock: socket.socket, seconds: float) -> bool:
    """Whether something was sent and nothing has been acknowledged for so long."""
    if not _LINUX:
        return False
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES)
    except OSError:  # it is over: whoever uses it is about to hear
        return False
    if len(info) < _BYTES:
        return False
    unacked: int = _NUMBER.unpack_from(info, _UNACKED)[0]
    last_ack: int = _NUMBER.unpack_from(info, _LAST_ACK)[0]
    return unacked > 0 and last_ack > seconds * 1000
