"""Requests and results about this node itself: init, status, info, logs."""

from __future__ import annotations

from dataclasses import dataclass

from comity.control.networks import NetworkMembership


@dataclass(frozen=True)
class InitRequest:
    """``rename`` keeps the identity and changes only name, rendezvous and claims."""

    hostname: str
    join: str
    organization: str = ""
    contact: str = ""
    rename: bool = False


@dataclass(frozen=True)
class InitResult:
    hostname: str
    fingerprint: str
    card: str
    home: str
    #: The file with the key's revocation certificate, empty where there is none.
    certificate: str = ""


@dataclass(frozen=True)
class StatusResult:
    """``rendezvous_state``: ``registered``, ``connecting`` or ``refused``; ``problem`` says why not
    registered. ``owed``: signed statements that have yet to reach a peer. What is told of a rendezvous is
    of the first of ``networks``.
    """

    running: bool
    hostname: str
    fingerprint: str
    address: str | None = None
    pid: int | None = None
    card: str = ""
    home: str = ""
    version: str = ""
    rendezvous: str = ""
    rendezvous_state: str = "stopped"
    problem: str = ""
    listen: str = ""
    uptime_seconds: float = 0.0
    sessions: int = 0
    trusted: int = 0
    pending: int = 0
    owed: int = 0
    networks: tuple[NetworkMembership, ...] = ()


@dataclass(frozen=True)
class LinkView:
    """A TLS connection in use: where it goes and what was negotiated; ``via``: what is between, or empty."""

    remote: str
    tls: str
    cipher: str
    group: str
    via: str = ""


@dataclass(frozen=True)
class SessionView:
    """A peer with a standing session; ``path`` is ``direct``, ``punched`` or ``relay``."""

    address: str
    hostname: str
    fingerprint: str
    path: str
    rtt_ms: float | None
    cipher: str
    group: str
    remote: str
    since: str


@dataclass(frozen=True)
class InfoResult:
    address: str | None
    hostname: str
    fingerprint: str
    card: str
    organization: str
    contact: str
    public: bool
    tags: tuple[str, ...]
    rendezvous: str
    rendezvous_fingerprint: str
    network: int
    observed: str
    candidates: tuple[str, ...]
    rendezvous_link: LinkView | None
    sessions: tuple[SessionView, ...]
    networks: tuple[NetworkMembership, ...] = ()


@dataclass(frozen=True)
class LogsRequest:
    lines: int = 100
