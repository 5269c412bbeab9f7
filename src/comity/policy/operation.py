"""What the guard is asked about and what it answers: an operation, how its peer stands, the decision.

Types only; ``policy.rules`` decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from comity.identity.keys import PublicKey

Kind = Literal[
    "connect", "accept", "handshake", "send", "receive", "publish", "subscribe", "forward", "expose"
]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing that is about to happen with ``peer``.

    ``kind``: ``connect`` and ``accept`` open a stream from this side and from theirs, ``handshake`` asks for
    an agreement or answers, ``send`` and ``receive`` move an artifact, ``publish`` lets a peer read events
    from now on or stores what it published here, ``subscribe`` reads them, ``forward`` opens a connection to
    a peer's ``port`` and ``expose`` lets a peer's connection to one of ours. ``service`` listens on the
    virtual port.
    ``agreement`` and ``charter`` are the digests that the asker says it acts under, None where it says none.
    ``name``, ``digest`` ("sha256:…") and ``bytes`` describe the artifact.
    """

    kind: Kind
    peer: PublicKey
    service: str
    agreement: str | None = None
    charter: str | None = None
    name: str | None = None
    digest: str | None = None
    bytes: int | None = None
    port: int | None = None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The latest agreement with a peer. ``until`` in seconds UTC; ``allow`` lists the services it opens."""

    agreement: str
    status: Literal["active", "expired", "revoked"]
    until: int
    allow: tuple[str, ...]
    charter: str | None = None


@dataclass(frozen=True)
class Decision:
    """``reasons`` are texts for people: why not, each of them, or why."""

    allowed: bool
    reasons: tuple[str, ...]
