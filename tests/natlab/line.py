"""A long line between two namespaces, without the kernel's netem, which many machines lack.

    line.py NEAR FAR DELAY LOSS SEED

It makes two TUN interfaces in the namespace in which it runs and prints a line once they are there; whoever
started it may move FAR elsewhere. What goes into one comes out of the other DELAY seconds later, or, with
the probability LOSS, never. Both ways alike; it ends with its standard input.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_PACKET_BYTES = 65536
_AT_ONCE = 64
#: What a line holds at most each way; more is lost, as in a router's queue. Far more than a test's windows.
_HELD_PACKETS = 65536


def main() -> int:
    near, far, delay, loss, seed = sys.argv[1:]
    ends = _open(near), _open(far)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    _carry(ends, float(delay), float(loss), random.Random(seed))
    return 0


def _open(name: str) -> int:
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return tun


def _carry(ends: tuple[int, int], delay: float, loss: float, chance: random.Random) -> None:
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    held: deque[tuple[float, int, bytes]] = deque()  # in order: every packet waits equally long
    poll = select.epoll()
    for descriptor in (*ends, sys.stdin.fileno()):
        poll.register(descriptor, select.EPOLLIN)
    while True:
        left = max(0.0, held[0][0] - time.monotonic()) if held else -1
        for descriptor, _ in poll.poll(left):
            if descriptor not in other:
                return  # whoever started it has gone
            due = time.monotonic() + delay
            for packet in _packets(descriptor):
                if len(held) < _HELD_PACKETS and chance.random() >= loss:
                    held.append((due, other[descriptor], packet))
        now = time.monotonic()
        while held and held[0][0] <= now:
            _, end, packet = held.popleft()
            try:
                os.write(end, packet)
            except OSError:  # its interface is down
                continue


def _packets(descriptor: int) -> list[bytes]:
    packets: list[bytes] = []
    while len(packets) < _AT_ONCE:
        try:
            packets.append(os.read(descriptor, _PACKET_BYTES))
        except OSError:  # none is waiting, or its interface is down
            break
    return packets


if __name__ == "__main__":
    sys.exit(main())
