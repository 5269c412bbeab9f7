"""Requests and results about ports: expose, forward, and one stream to a partner's port."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExposeRequest:
    """Let ``to``, or with ``all`` every partner, reach a TCP port of this machine's loopback."""

    port: int
    to: str | None = None
    all: bool = False


@dataclass(frozen=True)
class ExposureView:
    """``to`` is the peer's hostname, empty where ``all`` may. ``active``: false where the agreement under
    which it was exposed is over. ``connections``: how many are open.
    """

    port: int
    to: str
    all: bool
    since: str
    active: bool
    connections: int


@dataclass(frozen=True)
class ExposuresResult:
    exposed: tuple[ExposureView, ...]


@dataclass(frozen=True)
class UnexposeRequest:
    """End a port's exposure: to one peer, or to all to whom it was exposed."""

    port: int
    to: str | None = None


@dataclass(frozen=True)
class UnexposeResult:
    """``ended`` counts exposures, ``connections_closed`` what was cut by it."""

    port: int
    ended: int
    connections_closed: int


@dataclass(frozen=True)
class ForwardRequest:
    """``listener`` names a listening socket that the caller handed over beforehand (SECURITY.md rule 15).

    ``any_user``: on loopback TCP, let programs of other users of this machine use it too.
    """

    peer: str
    port: int
    listener: str
    any_user: bool = False


@dataclass(frozen=True)
class ForwardView:
    """One running forward. ``local`` is where programs connect: ``HOST:PORT``, or a socket's path.

    ``bytes_sent`` went to the peer, ``bytes_received`` came from it, in ``connections`` that are open now and
    those of before, ``total`` in all.
    """

    local: str
    peer: str
    address: str
    fingerprint: str
    port: int
    any_user: bool
    since: str
    connections: int
    total: int
    bytes_sent: int
    bytes_received: int


@dataclass(frozen=True)
class ForwardNotice:
    """What became of one connection: ``opened``, ``closed`` or ``failed``, with ``problem``."""

    state: str
    connection: int
    path: str | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    problem: str = ""
    hint: str = ""


@dataclass(frozen=True)
class ForwardsResult:
    forwards: tuple[ForwardView, ...]


@dataclass(frozen=True)
class EndForwardRequest:
    """``local`` as ``ForwardView`` has it."""

    local: str


@dataclass(frozen=True)
class StreamRequest:
    """One connection to a peer's port; ``file`` names a connected socket that was handed over: this end of
    it is the daemon's.
    """

    peer: str
    port: int
    file: str


@dataclass(frozen=True)
class StreamView:
    """A stream that was opened, and how it runs."""

    peer: str
    address: str
    fingerprint: str
    port: int
    path: str


@dataclass(frozen=True)
class StreamEnd:
    """A stream that both sides have ended in order, and what it carried."""

    bytes_sent: int
    bytes_received: int
