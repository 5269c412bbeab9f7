"""Requests and results about the audit log, its witnesses and its evidence."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class AuditLogRequest:
    """``after``: entries with a greater index only; ``peer``, ``kind`` and ``decision`` filter, and so do
    ``since`` and ``until``: days or times, the end included.
    """

    after: int = -1
    limit: int = 1000
    peer: str | None = None
    kind: str | None = None
    decision: str | None = None
    since: str | None = None
    until: str | None = None


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
class AuditVerifyRequest:
    """``since``: recompute only what follows the signed checkpoint of so many entries. ``checkpoint``: a
    file that a partner made with ``audit checkpoint``, which the log has to pass through.
    """

    since: int = 0
    checkpoint: str = ""


@dataclass(frozen=True)
class WitnessView:
    """A partner that countersigned the log: the greatest size, and when. Empty ``at``: not yet."""

    hostname: str
    fingerprint: str
    size: int
    at: str


@dataclass(frozen=True)
class AuditVerifyResult:
    """``witnessed_size`` is how much a partner has countersigned.

    ``problem`` says what is wrong when ``valid`` is false; ``first_bad`` is the first bad entry, where the
    problem has one place. ``erased`` entries were redacted. ``conflicts``: contradictions of partners' logs.
    """

    valid: bool
    size: int
    root: str
    witnessed_size: int
    checkpoint: str
    problem: str = ""
    first_bad: int | None = None
    erased: int = 0
    witnesses: tuple[WitnessView, ...] = ()
    conflicts: int = 0


@dataclass(frozen=True)
class AuditProveRequest:
    """With ``index``: that this entry is among the first ``size``. With ``old``: that the first ``size``
    extend the first ``old``. ``size``: the whole log where absent.
    """

    index: int | None = None
    old: int | None = None
    size: int | None = None


@dataclass(frozen=True)
class AuditProof:
    """Hashes are hexadecimal, in the order of RFC 9162; ``checkpoint`` is the log's signed note of ``size``
    entries. ``leaf`` is SHA-256(0x00 ‖ ``commitment``), ``commitment`` SHA-256(``salt`` ‖ ``body``).
    """

    size: int
    root: str
    proof: tuple[str, ...]
    checkpoint: str
    index: int | None = None
    entry: AuditEntry | None = None
    body: str = ""
    salt: str = ""
    commitment: str = ""
    leaf: str = ""
    old_size: int | None = None
    old_root: str = ""


@dataclass(frozen=True)
class AuditRedactRequest:
    indexes: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class AuditRedactResult:
    """``size``: the log's, with the records of the erasures."""

    redacted: tuple[int, ...]
    size: int


@dataclass(frozen=True)
class AuditExportRequest:
    """``file`` names the open file that was handed over, to be written. ``peer``: only entries about this
    fingerprint, each with its proof.
    """

    file: str
    peer: str | None = None


@dataclass(frozen=True)
class AuditExportResult:
    """``entries`` are in the file, of a log of ``size``; partners countersigned ``witnessed_size`` of it."""

    entries: int
    size: int
    root: str
    witnessed_size: int
    peer: str | None = None


@dataclass(frozen=True)
class ExportedAgreement:
    """An agreement that the export holds: ``identities`` is ``verified`` only against fingerprints that came
    from elsewhere.
    """

    agreement: str
    identities: str
    parties: tuple[str, ...]
    justification: str
    signed_at: str
    problem: str = ""


@dataclass(frozen=True)
class ExportVerification:
    """What an export proves. ``identity``: the fingerprint that the log is of, ``log`` whether that came from
    elsewhere (``anchor``), from a partner's checkpoint (``checkpoint``) or from the file alone
    (``unverified``). ``witnessed_size``: what the checkpoint that was given covers, and 0 without one;
    ``witness`` by whom, ``witness_identity`` whether that fingerprint was given. ``complete``: whether every
    entry of the log is here, or those about ``peer``.
    """

    valid: bool
    size: int
    root: str
    witnessed_size: int
    origin: str
    identity: str
    log: str
    entries: int
    erased: int
    complete: bool
    peer: str | None
    witness: str = ""
    witness_identity: str = ""
    witnessed_at: str = ""
    agreements: tuple[ExportedAgreement, ...] = ()
    first_bad: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class AuditCheckpointRequest:
    peer: str


@dataclass(frozen=True)
class AuditCheckpoint:
    """The latest head of a partner's log that this node countersigned, as the file that proves it."""

    content: str
    hostname: str
    fingerprint: str
    size: int
    root: str
    at: str


@dataclass(frozen=True)
class ConflictView:
    """A log contradicts itself. ``kind``: ``equivocation``, ``rollback`` or ``unproven``. ``signed``
    is what was countersigned last, ``shown`` what came after; both are notes that the partner signed.
    """

    hostname: str
    fingerprint: str
    kind: str
    why: str
    at: str
    signed: str
    shown: str


@dataclass(frozen=True)
class AuditWitnessesResult:
    """``witnesses`` countersign this log; ``countersigned`` are the logs that this node countersigns."""

    size: int
    witnesses: tuple[WitnessView, ...]
    countersigned: tuple[WitnessView, ...]
    conflicts: tuple[ConflictView, ...]
    problem: str = ""
