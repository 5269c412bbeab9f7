"""Requests and results about other nodes: find, peers, ping, tags and visibility."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FindRequest:
    name: str


@dataclass(frozen=True)
class FindResult:
    """``network`` is this node's name for the one where it was found. ``identity``: ``confirmed``,
    ``unconfirmed``, or ``unknown`` when only the rendezvous vouches for the key.
    """

    address: str
    hostname: str
    fingerprint: str
    online: bool
    last_seen: str
    tags: tuple[str, ...]
    public: bool
    trusted: bool
    identity: str
    network: str = ""


@dataclass(frozen=True)
class PeersRequest:
    tag: str | None = None


@dataclass(frozen=True)
class PeerView:
    """``state``: ``tunnel active``, ``offline``, or ``listed`` for a public node without an agreement."""

    address: str
    hostname: str
    fingerprint: str
    trusted: bool
    state: str
    tags: tuple[str, ...] = ()
    identity: str = "unknown"
    path: str | None = None
    rtt_ms: float | None = None
    cipher: str | None = None
    group: str | None = None
    network: str = ""


@dataclass(frozen=True)
class PeersResult:
    peers: tuple[PeerView, ...]


@dataclass(frozen=True)
class PingRequest:
    peer: str
    count: int = 3
    timeout: float = 10.0


@dataclass(frozen=True)
class PingResult:
    """``rtt_ms`` is the median of ``rtts_ms``; ``setup_ms`` is what opening the stream took."""

    address: str
    hostname: str
    path: str
    rtt_ms: float
    cipher: str
    group: str
    sent: int
    received: int
    setup_ms: float
    rtts_ms: tuple[float, ...]


@dataclass(frozen=True)
class SetTagsRequest:
    tags: tuple[str, ...]


@dataclass(frozen=True)
class SetVisibilityRequest:
    public: bool


@dataclass(frozen=True)
class VisibilityResult:
    hostname: str
    public: bool
    tags: tuple[str, ...]
