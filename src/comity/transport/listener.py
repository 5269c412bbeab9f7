"""The listening socket of a node that runs with ``--listen``, and the addresses to tell its peers.

It accepts and hands over; ``acceptor`` decides who is served.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable

import ifaddr

from comity import limits
from comity.identity.authority import format_authority, parse_listen
from comity.transport.tcp import listen_tcp

logger = logging.getLogger(__name__)

#: After a failure to accept, which is nearly always a lack of descriptors.
_PAUSE = 0.2


class Listener:
    """``listen`` is ``HOST:PORT``, port 0 for any; InvalidInput where it can't be listened on."""

    def __init__(self, listen: str) -> None:
        self._sock = listen_tcp(*parse_listen(listen))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._resume: asyncio.TimerHandle | None = None
        self._accepted: Callable[[socket.socket], object] = socket.socket.close  # until it is started

    def candidates(self) -> tuple[str, ...]:
        """``IP:PORT`` of every address that it answers on, at most ``limits.CANDIDATES``."""
        host, port = self._sock.getsockname()[:2]
        bound = ipaddress.ip_address(host)
        addresses = interface_addresses(bound.version) if bound.is_unspecified else [str(bound)]
        return tuple(format_authority(address, port) for address in addresses[: limits.CANDIDATES])

    def start(self, accepted: Callable[[socket.socket], object]) -> None:
        """Hand over each connection, on the running loop, until ``close``."""
        self._loop = asyncio.get_running_loop()
        self._accepted = accepted
        self._loop.add_reader(self._sock, self._accept)

    def close(self) -> None:
        """Answer no more."""
        if self._resume is not None:
            self._resume.cancel()
        if self._loop is not None:
            self._loop.remove_reader(self._sock)
            self._loop = None
        self._sock.close()

    def _accept(self) -> None:
        try:
            sock, _ = self._sock.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return
        except OSError as error:
            logger.warning("could not accept a connection: %s", error)
            self._pause()
        else:
            self._accepted(sock)

    def _pause(self) -> None:
        """The loop would call again at once, and fail again: the backlog keeps the callers meanwhile."""
        if self._loop is not None:
            self._loop.remove_reader(self._sock)
            self._resume = self._loop.call_later(_PAUSE, self._loop.add_reader, self._sock, self._accept)


def interface_addresses(version: int) -> list[str]:
    """This machine's addresses of one IP version, those that mean something elsewhere."""
    texts = [
        ip.ip if isinstance(ip.ip, str) else ip.ip[0]
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]
    addresses = [ipaddress.ip_address(text) for text in texts]
    return [
        str(address)
        for address in addresses
        if address.version == version and not address.is_loopback and not address.is_link_local
    ]
