"""Requests and results about the audit log."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class AuditLogRequest:
    """``after``: entries with a greater index only; ``peer`` and ``kind`` filter."""

    after: int = -1
    limit: int = 1000
    peer: str | None = None
    kind: str | None = None


@dataclass(frozen=True)
class AuditEntry:
    index: int
    at: str
    kind: str
    peer: str | None
    operation: str | None
    decision: str | None
    reasons: tuple[str, ...]
    digest: str | None
    detail: dict[str, str | int | bool | None] = field(default_factory=dict)


@dataclass(frozen=True)
class AuditLogResult:
    entries: tuple[AuditEntry, ...]
    size: int


@dataclass(frozen=True)
class AuditVerifyResult:
    """``witnessed_size`` is how much a partner has countersigned: 0 until countersigning exists.

    ``problem`` names the first bad entry when ``valid`` is false.
    """

    valid: bool
    size: int
    root: str
    witnessed_size: int
    checkpoint: str
    problem: str = ""
