"""Requests and results about the networks that this node is a member of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkMembership:
    """``name`` is this node's own word for it, ``network`` its number at the rendezvous; ``hostname``,
    ``address`` and ``card`` are this node's there. ``state``: ``registered``, ``connecting``, ``refused`` or
    ``stopped``; ``problem`` says why not registered. ``trusted``: agreements in force there.
    """

    name: str
    rendezvous: str
    network: int
    rendezvous_fingerprint: str
    hostname: str
    card: str
    address: str | None = None
    state: str = "stopped"
    problem: str = ""
    trusted: int = 0


@dataclass(frozen=True)
class NetworkMembershipsResult:
    networks: tuple[NetworkMembership, ...]


@dataclass(frozen=True)
class NetworkJoinRequest:
    """``join`` is a join URL; ``name`` and ``hostname`` may be empty: then the node chooses."""

    join: str
    name: str = ""
    hostname: str = ""
    wait_seconds: float = 10.0


@dataclass(frozen=True)
class NetworkLeaveRequest:
    """``name`` is what this node calls the network."""

    name: str


@dataclass(frozen=True)
class NetworkLeaveResult:
    """``resting``: agreements that were in force there, and are again after a return."""

    name: str
    rendezvous: str
    network: int
    resting: int = 0
    sessions_closed: int = 0
