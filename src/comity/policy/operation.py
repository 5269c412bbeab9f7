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
    ``by_peer``: the peer began it, and this node lets it publish, subscribe, or reach a port. ``name``,
    ``digest`` ("sha256:…"), ``bytes``, ``format`` and ``signer`` (a fingerprint whose signature was verified)
    describe the artifact, ``transfer`` names its way; ``topic`` and ``units`` describe events, ``port`` what
    is forwarded.
    """

    kind: Kind
    peer: PublicKey
    service: str
    agreement: str | None = None
    charter: str | None = None
    name: str | None = None
    digest: str | None = None
    bytes: int | None = None
    format: str | None = None
    signer: str | None = None
    transfer: str | None = None
    topic: str | None = None
    units: int = 1
    port: int | None = None
    by_peer: bool = False

    @property
    def by_them(self) -> bool:
        """Whether the peer began it: then it has to say under which charter."""
        return self.by_peer or self.kind in ("accept", "receive")

    @property
    def actor_is_peer(self) -> bool:
        """Whether it is the peer that would do what ``kind`` says."""
        return self.kind == "accept" or (self.by_peer and self.kind in ("publish", "subscribe"))


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The latest agreement with a peer. ``until`` in seconds UTC; ``allow`` lists the services it opens.

    ``charter`` is the one in force that the operation would happen under.
    """

    agreement: str
    status: Literal["active", "expired", "revoked"]
    until: int
    allow: tuple[str, ...]
    charter: str | None = None


@dataclass(frozen=True)
class Decision:
    """``reasons`` are texts for people: why not, each of them, or why; a charter's begin with the clause.

    ``charter`` is the digest of the one that it happens under, for the peer to compare.
    """

    allowed: bool
    reasons: tuple[str, ...]
    charter: str | None = None
