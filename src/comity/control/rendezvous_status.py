"""What a rendezvous tells of itself to whoever runs it: its state, its checks, its numbers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class StatusRequest:
    """Asks for a ``RendezvousStatus``."""


@dataclass(frozen=True)
class Check:
    """One thing that has to be so for the server to do its work; ``detail`` says how it stands."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class NetworkNumbers:
    """A network's share. ``mail`` counts letters that wait; bytes are of what is sealed."""

    network: int
    name: str
    nodes: int
    online: int
    mail: int
    mail_bytes: int
    relayed_bytes: int


@dataclass(frozen=True)
class Resolves:
    """Look-ups that were answered: how many took at most so many seconds, each bucket with those before."""

    buckets: tuple[tuple[float, int], ...] = ()
    count: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class RendezvousStatus:
    """``ready``: it serves, and every check holds. Counters are since ``started_at``.

    ``connections`` are open now, by kind; ``accepted`` all that were. ``backup_at``: when the newest backup
    was made, None for never. ``clock_held_seconds``: by how much its time is ahead of the machine's clock.
    """

    running: bool
    ready: bool
    version: str
    checks: tuple[Check, ...] = ()
    started_at: str | None = None
    uptime_seconds: float = 0.0
    networks: tuple[NetworkNumbers, ...] = ()
    connections: dict[str, int] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    lanes: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    resolves: Resolves = Resolves()
    database_bytes: int = 0
    disk_free_bytes: int = 0
    backup_at: str | None = None
    backup_age_seconds: float | None = None
    clock_held_seconds: float = 0.0
