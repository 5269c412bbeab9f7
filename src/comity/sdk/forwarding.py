"""Ports, across the tunnel. Errors: those of ``Client``, and those of the operation.

    with forwarding.stream(client, "lab-b", 5432) as stream:
        stream.socket.sendall(b"...")

    with forwarding.forward(client, "lab-b", 9092, local=9092) as forward:
        for notice in forward.notices():
            ...

Sockets are made here, with the rights of whoever calls, and handed to the daemon; it moves the bytes
(SECURITY.md rule 15).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from comity import limits
from comity.control import (
    EndForwardRequest,
    ExposeRequest,
    ExposuresResult,
    ExposureView,
    ForwardNotice,
    ForwardRequest,
    ForwardsResult,
    ForwardView,
    StreamEnd,
    StreamRequest,
    StreamView,
    UnexposeRequest,
    UnexposeResult,
)
from comity.control.codec import from_plain
from comity.errors import InvalidInput
from comity.sdk import asks
from comity.sdk.client import Client, Lines
from comity.storage.sockets import listen_private
from comity.transport.loopback import listen_here


def expose(client: Client, request: ExposeRequest) -> ExposureView:
    """Let a peer reach a port of this machine, until that is ended or its agreement is. Denied."""
    return client.ask(asks.expose(request))


def unexpose(client: Client, request: UnexposeRequest) -> UnexposeResult:
    """End that, and cut the connections that came by it. InvalidInput."""
    return client.ask(asks.unexpose(request))


def exposures(client: Client) -> ExposuresResult:
    """Which ports are exposed, and to whom."""
    return client.ask(asks.exposures())


def forwards(client: Client) -> ForwardsResult:
    """Every forward that runs on this machine."""
    return client.call("forwards", None, ForwardsResult)


def end_forward(client: Client, request: EndForwardRequest) -> ForwardView:
    """End a forward that another program runs. InvalidInput."""
    return client.call("end-forward", request, ForwardView)


@contextmanager
def forward(
    client: Client, peer: str, port: int, *, local: int | Path | None = None, any_user: bool = False
) -> Iterator[Forwarding]:
    """Listen here for as long as the block lasts; what connects, connects to that port of the peer.

    ``local``: a port of 127.0.0.1 (0 for any free one), which only programs of this user can use unless
    ``any_user``; or the path of a Unix socket to make, mode 0600; by default one beside the daemon's own.
    InvalidInput, UntrustedPeer, Denied.
    """
    with listening(beside(client, peer, port) if local is None else local) as listener:
        token = client.hand_over(listener.fileno())
        request = ForwardRequest(peer=peer, port=port, listener=token, any_user=any_user)
        with client.listen("forward", request) as lines:
            listener.close()  # the daemon's now: it must end with it
            view = from_plain(lines.next(client.patience).get("forward"), ForwardView)
            yield Forwarding(view, lines)


class Forwarding:
    """A forward that runs. ``view`` is how it began."""

    def __init__(self, view: ForwardView, lines: Lines) -> None:
        self.view = view
        self._lines = lines

    def notices(self) -> Iterator[ForwardNotice]:
        """What becomes of each connection, until somebody ends the forward; NotRunning with the daemon."""
        while True:
            line = self._lines.next(None)
            if "ended" in line:
                return
            yield from_plain(line.get("notice"), ForwardNotice)


@contextmanager
def stream(client: Client, peer: str, port: int) -> Iterator[PortStream]:
    """A connection to a peer's port for as long as the block lasts.

    UntrustedPeer, Denied, NotExposed, TargetUnreachable, ForwardsBusy, PeerUnreachable.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            token = client.hand_over(theirs.fileno())
        request = StreamRequest(peer=peer, port=port, file=token)
        with client.listen("stream", request) as lines:
            view = from_plain(lines.next(client.patience).get("stream"), StreamView)
            yield PortStream(ours, view, lines)


class PortStream:
    """An open connection. ``socket`` is connected to the peer's program, and may be used as any socket.

    An end of file on it may also mean that the link broke: ``finish`` tells.
    """

    def __init__(self, sock: socket.socket, view: StreamView, lines: Lines) -> None:
        self.socket = sock
        self.view = view
        self._lines = lines

    def finish(self, timeout: float | None = None) -> StreamEnd:
        """Say that nothing more is sent, and return once both sides have ended in order.

        What the peer still sends has to be read before. LinkLost and whatever else broke it; TimedOut.
        """
        with contextlib.suppress(OSError):  # broken already: the daemon says by what
            self.socket.shutdown(socket.SHUT_WR)
        return from_plain(self._lines.next(timeout).get("end"), StreamEnd)


@contextmanager
def listening(local: int | Path) -> Iterator[socket.socket]:
    """A listening socket on a port of 127.0.0.1, or at a path. InvalidInput."""
    if isinstance(local, int):
        if not 0 <= local <= 65535:
            raise InvalidInput(f"{local} is not a TCP port")
        with listen_here(local) as sock:
            yield sock
        return
    path = Path(os.path.realpath(local.parent)) / local.name
    _check_free(path)
    with listen_private(path) as sock:
        try:
            yield sock
        finally:
            path.unlink(missing_ok=True)


def beside(client: Client, peer: str, port: int) -> Path:
    """A place for the socket of a forward, the same for the same words."""
    name = hashlib.sha256(peer.encode(errors="surrogateescape")).hexdigest()[:8]
    return client.runtime().path / f"{port}-{name}.sock"


def _check_free(path: Path) -> None:
    """InvalidInput where something is at the path, but for a socket that nobody listens on any more."""
    if len(os.fsencode(path)) > limits.SOCKET_PATH_BYTES:
        raise InvalidInput(f"{path} is too long for a socket's path", hint="choose a shorter one")
    if not os.path.lexists(path):
        return
    if path.is_socket():
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(os.fspath(path))
            except OSError:
                return
    raise InvalidInput(f"{path} is already there", hint="choose another path, or end what listens there")
