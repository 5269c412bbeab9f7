"""What happened with one partner in a period, for people who were not there: the request and the report.

Times are RFC 3339 UTC. ``index`` is an entry of the audit log, by which ``proofs`` tie each line to the
signed head. Texts that came from the partner are as they came: whoever shows them escapes them.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.control.charter_life import CharterOwed


@dataclass(frozen=True)
class ReportRequest:
    """``peer`` is a fingerprint; ``since`` and ``until`` are days or times, the end included."""

    peer: str
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class ReportParty:
    """One side. Organization and contact are what it claims of itself."""

    hostname: str
    fingerprint: str
    organization: str = ""
    contact: str = ""


@dataclass(frozen=True)
class ReportAgreement:
    """``status`` at the time of the report: ``active``, ``expired``, ``revoked`` or ``replaced``.

    ``requester`` asked, ``requested_by`` being who did, as claimed; ``reason`` is the approver's own.
    """

    agreement: str
    justification: str
    requested_by: str
    requester: str
    reason: str
    signed_at: str
    until: str
    allow: tuple[str, ...]
    status: str
    revoked_at: str | None = None
    revoked_by: str = ""


@dataclass(frozen=True)
class ReportSignature:
    """A party to a charter; ``signed_by`` is the person who decided, as claimed there."""

    party: str
    signed_by: str
    signed_at: str | None


@dataclass(frozen=True)
class ReportCharter:
    """A charter that names both sides, as it stands at the time of the report; see ``CharterView``."""

    charter: str
    title: str
    version: int
    state: str
    purpose: str
    reference: str
    begins: str
    until: str
    signatures: tuple[ReportSignature, ...]
    ended_by: str = ""
    ended_at: str | None = None
    ended_why: str = ""


@dataclass(frozen=True)
class ReportAct:
    """Something that was said or decided about the partnership: a handshake, a charter act, a suspension."""

    index: int
    at: str
    kind: str
    digest: str | None
    details: dict[str, str | int | bool | None]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportFlow:
    """Something that passed: a file, events, a port's bytes. ``direction`` is ``out``, ``in`` or ``both``."""

    index: int
    at: str
    kind: str
    direction: str
    what: str
    bytes: int | None
    digest: str | None
    receipt: str | None = None
    manifest: str | None = None
    agreement: str | None = None


@dataclass(frozen=True)
class ReportRefusal:
    """Something that was denied here, or came to nothing, and why. ``unrecorded``: so many more like it."""

    index: int
    at: str
    kind: str
    operation: str
    what: str
    reasons: tuple[str, ...]
    unrecorded: int = 0


@dataclass(frozen=True)
class ReportTally:
    """How often the guard allowed and denied an operation on a service."""

    operation: str
    service: str
    allowed: int
    denied: int


@dataclass(frozen=True)
class ReportProof:
    """That an entry is in the log: RFC 9162 inclusion under ``Report.root``."""

    index: int
    leaf: str
    proof: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """``owed``: what has to be stated about artifacts, and what was, since a charter with the partner ended.

    ``witnessed_size``: how much of the log the partner has countersigned, ``witnessed_at`` when."""

    by: ReportParty
    about: ReportParty
    since: str | None
    until: str | None
    generated_at: str
    agreements: tuple[ReportAgreement, ...]
    charters: tuple[ReportCharter, ...]
    acts: tuple[ReportAct, ...]
    flows: tuple[ReportFlow, ...]
    refusals: tuple[ReportRefusal, ...]
    tallies: tuple[ReportTally, ...]
    owed: tuple[CharterOwed, ...]
    entries: int
    erased: int
    origin: str
    size: int
    root: str
    checkpoint: str
    witnessed_size: int
    witnessed_at: str
    conflicts: tuple[str, ...]
    proofs: tuple[ReportProof, ...]
