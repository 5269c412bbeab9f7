"""The doors: listening sockets, and what a new connection's first byte says that it wants.

    0x16    a TLS handshake (RFC 8446 section 5.1): a node
    "C"     the relay's preface: one side of a lane
    "O"     a node asks where its connection comes from
    "K"     a node asks which keys this server has had
    "G"     an HTTP request for a WebSocket, inside of which is any of these but "O"
    else    closed without a byte

It is the place to extend when something else is served on the same port. What happens behind each door is
given to it; here is only who may come in, and when it is time to give up.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence

from comity import limits
from comity.errors import ComityError, InvalidInput, LinkLost, RemoteProtocolError
from comity.identity.authority import format_authority
from comity.rendezvous.files import Files
from comity.rendezvous.journal import Journal
from comity.rendezvous.lobby import Lobby, place_of
from comity.rendezvous.options import Endpoint
from comity.transport.readiness import Readiness
from comity.transport.tcp import tune

#: Serves a connection from its first byte on; owns the socket from the call on.
Door = Callable[[socket.socket, str], Awaitable[None]]

_PAUSE = 0.2  # seconds, before an accept that failed for want of descriptors is tried again


class UnknownPreface(RemoteProtocolError):
    """A connection that opens with none of the bytes that are served here."""

    code = "unknown_preface"


class Doors:
    """``doors`` maps first bytes to what serves them; ``files`` says how many are served at once."""

    def __init__(self, doors: Mapping[bytes, Door], lobby: Lobby, journal: Journal, files: Files) -> None:
        self._doors = doors
        self._lobby = lobby
        self._journal = journal
        self._files = files
        #: Who is being served; with its socket until its task has begun, and owns it.
        self._guests: dict[asyncio.Task[None], socket.socket | None] = {}
        self._in_memory: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def __len__(self) -> int:
        return len(self._guests)

    @property
    def ghosts(self) -> int:
        """How many connections have ended and are still in memory, for the garbage collector to find."""
        return sum(sock.fileno() < 0 for sock in self._in_memory)

    async def keep(self, listener: socket.socket) -> None:
        """Let connections in until cancelled. Guests are this object's; ``close`` ends them."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0)  # while connections keep coming, nothing below waits
            if await self._lobby.room():
                self._journal.refused("displaced", reason="nobody had registered on it, and others wait")
            try:
                sock, _ = await loop.sock_accept(listener)
            except ConnectionError:
                continue  # it was gone before it was accepted
            except OSError as error:
                self._journal.refused("out_of_descriptors", reason=error.strerror or "")
                await asyncio.sleep(_PAUSE)
                continue
            remote = observed(sock)
            if code := self._refusal(place_of(remote)):
                sock.close()
                self._journal.refused(code, remote=remote)
                continue
            self._in_memory.add(sock)
            guest = loop.create_task(self._serve(sock, remote))
            self._guests[guest] = sock
            self._files.connections += 1
            self._lobby.enter(guest, place_of(remote))
            guest.add_done_callback(self._gone)

    async def close(self) -> None:
        """End every connection."""
        guests = list(self._guests)
        for guest in guests:
            guest.cancel()
        if guests:
            await asyncio.wait(guests)

    def _refusal(self, place: str) -> str:
        """Why nobody more can come in from ``place``; empty where somebody can."""
        if len(self._guests) >= limits.RENDEZVOUS_CONNECTIONS or not self._files.room():
            return "too_many_connections"
        return "" if self._lobby.welcomes(place) else "too_many_of_an_address"

    def _gone(self, guest: asyncio.Task[None]) -> None:
        self._files.connections -= 1
        sock = self._guests.pop(guest, None)
        if sock is not None:  # cancelled before its first step
            sock.close()
        self._lobby.leave(guest)

    def _begin(self) -> None:
        guest = asyncio.current_task()
        if guest in self._guests:
            self._guests[guest] = None

    async def _serve(self, sock: socket.socket, remote: str) -> None:
        self._begin()
        try:
            try:
                tune(sock)
                door = self._doors.get(first := await first_byte(sock))
                if door is None and first:
                    raise UnknownPreface(f"no door opens to a connection that begins with 0x{first.hex()}")
            except BaseException:
                sock.close()
                raise
            if door is None:  # it came and went, as a health check does
                sock.close()
                return
            await door(sock, remote)
        except asyncio.CancelledError:
            raise
        except ComityError as error:
            self._journal.refused(error.code, reason=error.message, remote=remote)
        except OSError as error:
            self._journal.refused("connection_failed", reason=error.strerror or "", remote=remote)
        except Exception as error:  # noqa: BLE001  one connection's bug must not end all others
            self._journal.failure("connection failed", error, remote=remote)


async def first_byte(sock: socket.socket) -> bytes:
    """The first byte of a connection, left in the socket; empty where it ended.

    LinkLost when none came in time.
    """
    readiness = Readiness(sock)
    try:
        async with asyncio.timeout(limits.PREFACE_TIMEOUT):
            while True:
                try:
                    return sock.recv(1, socket.MSG_PEEK)
                except BlockingIOError:
                    await readiness.wait(write=False, timeout=None)
    except TimeoutError:
        raise LinkLost("the connection said nothing") from None


def observers(listening: Sequence[Endpoint]) -> tuple[str, ...]:
    """Of where it listens, what nodes are told to ask for their mapping: literal addresses, each once."""
    addresses: dict[str, str] = {}
    for endpoint in listening:
        address = ipaddress.ip_address(endpoint.host.partition("%")[0])
        if not address.is_unspecified:
            addresses.setdefault(str(address), format_authority(str(address), endpoint.port))
    return tuple(addresses.values())[: limits.OBSERVERS]


def listen(endpoint: Endpoint) -> list[socket.socket]:
    """Non-blocking listeners on every address of ``endpoint``, all on one port. InvalidInput."""
    shown = format_authority(endpoint.host or "*", endpoint.port)
    listeners: list[socket.socket] = []
    port = endpoint.port
    try:
        if not endpoint.host:
            listeners.append(_listen_everywhere(port))
        for family, address in _resolve(endpoint.host):
            listeners.append(
                socket.create_server((address, port), family=family, backlog=limits.RENDEZVOUS_BACKLOG)
            )
            port = listeners[0].getsockname()[1]
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise InvalidInput(
            f"cannot listen on {shown}: {(error.strerror or str(error)).lower()}",
            hint="choose another address or port for --listen",
        ) from error
    for listener in listeners:
        listener.setblocking(False)
    return listeners


def _listen_everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(
            ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=limits.RENDEZVOUS_BACKLOG
        )
    return socket.create_server(("", port), backlog=limits.RENDEZVOUS_BACKLOG)


def _resolve(host: str) -> Sequence[tuple[socket.AddressFamily, str]]:
    if not host:
        return []
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def observed(sock: socket.socket) -> str:
    """``ip:port`` at the other end; empty where it has gone.

    IPv4 is shown as such, also on a socket of both families.
    """
    try:
        host, port = sock.getpeername()[:2]
    except OSError:
        return ""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return format_authority(str(address), port)
