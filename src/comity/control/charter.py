"""Requests and results about charters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class CharterNewRequest:
    """``parties`` in the template's order. Times in RFC 3339; ``fingerprint`` all 64 digits."""

    template: str
    title: str
    purpose: str
    start: str
    until: str
    accept_by: str
    parties: tuple[CharterSignatory, ...]
    reference: str = ""
    reference_kind: str = "irb"


@dataclass(frozen=True)
class CharterSignatory:
    name: str
    fingerprint: str
    organization: str = ""
    contact: str = ""


@dataclass(frozen=True)
class CharterNewResult:
    """``content``: the YAML."""

    template: str
    content: str


@dataclass(frozen=True)
class CharterFinding:
    """``kind``: ``contradictory``, ``missing`` or ``weaker``; ``clause`` names the part of the charter."""

    kind: str
    clause: str
    text: str


@dataclass(frozen=True)
class CharterLintResult:
    """``valid``: it has no contradictions, so that it can be signed."""

    valid: bool
    digest: str
    findings: tuple[CharterFinding, ...] = ()


@dataclass(frozen=True)
class CharterShowResult:
    """``charter``: the form that is signed; ``lines``: the same in plain language."""

    title: str
    version: int
    digest: str
    lines: tuple[str, ...]
    charter: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CharterChange:
    """``before`` is None where the part is new, ``after`` where it is gone."""

    clause: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class CharterDiffResult:
    """``succeeds``: the second names the first as its predecessor."""

    before: str
    after: str
    succeeds: bool
    changes: tuple[CharterChange, ...] = ()


@dataclass(frozen=True)
class CharterExplainRequest:
    """``party`` and ``peer``: names in the charter; no ``peer``: the only other party.

    ``used``: what was counted so far, by the limit's clause; 0 where it is not said. ``at``: RFC 3339.
    """

    operation: str
    party: str
    at: str
    peer: str | None = None
    digest: str = ""
    signer: str = ""
    format: str = ""
    bytes: int = 0
    topic: str = ""
    port: int = 0
    used: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CharterReason:
    """``clause`` names the part of the charter."""

    clause: str
    text: str


@dataclass(frozen=True)
class CharterExplainResult:
    """``reasons``: the permissions that allow it, or everything that stands against it.

    ``policy``: the digest of what the charter compiles to.
    """

    allowed: bool
    operation: str
    party: str
    peer: str
    at: str
    charter: str
    policy: str
    reasons: tuple[CharterReason, ...] = ()
