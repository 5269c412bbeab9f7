"""Every TCP SYN that a lab sends, on any of its interfaces, as the kernel hands it to packet captures.

    capture.py

It prints one line, ``ADDRESS PORT``, for each, after a first line once it watches; no library, no tcpdump.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import TracebackType

from tests.natlab.lab import Lab

_ETH_P_ALL, _IPV4, _IPV6, _TCP, _OUTGOING = 3, 0x0800, 0x86DD, 6, 4
_SYN, _ACK = 0x02, 0x10
_SECONDS = 10.0

Place = tuple[str, int]


class Capture:
    """Of one lab, for the length of a block; ``syns`` are those so far, by where they went."""

    def __init__(self, lab: Lab, site: str, folder: Path) -> None:
        self._command = lab.inside(site, [sys.executable, "-m", __name__])
        self._file = folder / f"syns-{site}"

    def __enter__(self) -> Capture:
        with self._file.open("wb") as out:
            self._process = subprocess.Popen(
                self._command, cwd=Path(__file__).parents[2], stdout=out, stdin=subprocess.DEVNULL
            )
        while not self._file.read_text():
            if self._process.poll() is not None:
                raise RuntimeError("the capture did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(_SECONDS)

    @property
    def syns(self) -> Counter[Place]:
        lines = self._file.read_text().splitlines()[1:]
        return Counter((address, int(port)) for address, port in map(str.split, lines))


def main() -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL)) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        print("watching", flush=True)  # noqa: T201  this program's output
        while True:
            packet, (_, protocol, way, *_) = wire.recvfrom(65535)
            place = _aimed_at(protocol, packet) if way == _OUTGOING else None
            if place is not None:
                print(*place, flush=True)  # noqa: T201  the same


def _aimed_at(protocol: int, packet: bytes) -> Place | None:
    """Where a first SYN goes; None for every other packet."""
    if protocol == _IPV4 and packet[9] == _TCP:
        address, tcp = packet[16:20], packet[(packet[0] & 15) * 4 :]
    elif protocol == _IPV6 and packet[6] == _TCP:
        address, tcp = packet[24:40], packet[40:]
    else:
        return None
    if tcp[13] & (_SYN | _ACK) != _SYN:
        return None
    return str(ipaddress.ip_address(address)), struct.unpack("!H", tcp[2:4])[0]


if __name__ == "__main__":
    main()
