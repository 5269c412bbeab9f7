"""What is asked of a charter's policy, and what it answers. Types only; ``evaluate`` answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from comity.errors import LocalProtocolError
from comity.policy.charter.words import Operation

_YEAR_10000 = 253_402_300_800
_MOST = 2**62  # a sum of two is still a Long of Cedar


@dataclass(frozen=True, kw_only=True)
class Question:
    """May ``actor`` do this with ``peer`` (fingerprints) at ``now`` (seconds UTC)?

    Of an artifact or model: ``digest`` ("sha256:…"), ``signer`` (the fingerprint of the key whose signature
    was verified) and ``format``, each empty where there is none, and ``bytes``. Of events ``topic``, of
    forwarding ``port``. ``used``: what was counted so far under each limit, by its clause, between these two
    in this direction and in the limit's running period.
    """

    operation: Operation
    actor: str
    peer: str
    now: float
    digest: str = ""
    signer: str = ""
    format: str = ""
    bytes: int = 0
    topic: str = ""
    port: int = 0
    used: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.now < _YEAR_10000:
            raise LocalProtocolError(f"{self.now} is not a time")
        for count in (self.bytes, self.port, *self.used.values()):
            if not 0 <= count <= _MOST:
                raise LocalProtocolError(f"{count} is not a count")


@dataclass(frozen=True)
class Reason:
    """``clause`` names the part of the charter, as ``permissions.external-validation.limits.five-times``."""

    clause: str
    text: str


@dataclass(frozen=True)
class Ruling:
    """``reasons``: the permissions that allow it, or everything that stands against it."""

    allowed: bool
    reasons: tuple[Reason, ...]


class Policy(Protocol):
    """A charter that can be asked."""

    def rule(self, question: Question) -> Ruling:
        """Never raises for what is asked: whatever can't be decided is denied, and says so."""
        ...
