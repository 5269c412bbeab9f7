"""The service manager above the server (systemd, or whatever speaks its two small protocols).

Sockets come from it at the start (sd_listen_fds(3)): it keeps them open while the server is replaced, so no
connection is refused meanwhile. It is told when the server is ready and that it is alive (sd_notify(3)), and
at the end it is given the sockets of relay lanes to keep (``FDSTORE``): the successor gets them with the
others, and lanes go on as if nothing had been. Without a service manager all of this is silent.

Environment variables are read once and taken away, so that no program that is started here believes that it
was meant.
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field

from comity.errors import InvalidInput
from comity.protocol.tickets import Lane, Role

_FIRST = 3  # SD_LISTEN_FDS_START
_LANE = "comity-lane"


@dataclass(frozen=True)
class KeptLane:
    """A lane of the server that was here before, and its two sockets."""

    lane: Lane
    dialler: socket.socket
    acceptor: socket.socket


@dataclass(frozen=True)
class Inherited:
    """What the service manager handed over; sockets are this process's from now on."""

    listeners: Sequence[socket.socket] = ()
    lanes: Sequence[KeptLane] = ()


def inherit(environment: MutableMapping[str, str], pid: int, first: int = _FIRST) -> Inherited:
    """The sockets that were meant for this process. InvalidInput where one is not of a kind that it uses."""
    meant = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if meant != str(pid) or not (count.isascii() and count.isdigit()):
        return Inherited()
    listeners: list[socket.socket] = []
    sides: dict[str, dict[Role, socket.socket]] = {}
    for place, descriptor in enumerate(range(first, first + int(count))):
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
        sock.setblocking(False)
        name, _, role = (names[place] if place < len(names) else "").rpartition("-")
        if name.startswith(_LANE) and role in {each.value for each in Role}:
            sides.setdefault(name, {})[Role(role)] = sock
        elif _listens(sock):
            listeners.append(sock)
        else:
            raise InvalidInput(
                f"the service manager handed over descriptor {descriptor}, which is no listening tcp socket",
                hint="write ListenStream=PORT in the socket unit",
            )
    return Inherited(listeners, list(_lanes(sides)))


def _listens(sock: socket.socket) -> bool:
    return (
        sock.family in (socket.AF_INET, socket.AF_INET6)
        and sock.type == socket.SOCK_STREAM
        and bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    )


def _lanes(sides: dict[str, dict[Role, socket.socket]]) -> Iterator[KeptLane]:
    for name, pair in sides.items():
        try:
            number, network, dialler, acceptor = name.removeprefix(f"{_LANE}-").split("-")
            lane = Lane(int(number), int(network), bytes.fromhex(dialler), bytes.fromhex(acceptor), 0.0)
            yield KeptLane(lane, pair[Role.DIALLER], pair[Role.ACCEPTOR])
        except (ValueError, KeyError):  # of its two sides one has ended meanwhile: so has the lane
            for sock in pair.values():
                sock.close()


@dataclass
class Manager:
    """Whom to tell; ``address`` is ``NOTIFY_SOCKET``, empty where nobody listens."""

    address: str = ""
    watchdog: bool = False
    _socket: socket.socket | None = field(default=None, repr=False)

    @classmethod
    def of(cls, environment: MutableMapping[str, str], pid: int) -> Manager:
        """The one that this process was started by."""
        address = environment.pop("NOTIFY_SOCKET", "")
        asked = environment.pop("WATCHDOG_PID", "") in ("", str(pid))
        return cls(address, bool(environment.pop("WATCHDOG_USEC", "")) and asked)

    def ready(self) -> None:
        """Nodes can come."""
        self._tell("READY=1")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """For its watchdog, where it keeps one."""
        if self.watchdog:
            self._tell("WATCHDOG=1")

    def keep(self, kept: KeptLane) -> bool:
        """Give it a lane to keep for the successor; whether somebody was there to take it."""
        lane = kept.lane
        name = f"{_LANE}-{lane.number}-{lane.network}-{lane.dialler.hex()}-{lane.acceptor.hex()}"
        sides = ((Role.DIALLER, kept.dialler), (Role.ACCEPTOR, kept.acceptor))
        return all(self._tell(f"FDSTORE=1\nFDNAME={name}-{role.value}", sock) for role, sock in sides)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, text: str, *sockets: socket.socket) -> bool:
        if not self.address:
            return False
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        rights = array.array("i", [sock.fileno() for sock in sockets])
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if sockets else []
        # An address that begins with @ is in the abstract namespace.
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            self._socket.sendmsg([text.encode()], ancillary, 0, address)
        except OSError:  # it is gone, or reads too slowly: the server doesn't depend on it
            return False
        return True
