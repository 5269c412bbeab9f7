"""The audit log as the control API asks for it. What takes time in proportion to the log is read ``aside``,
so that the daemon goes on meanwhile; what is signed or erased happens here, on the loop.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Protocol

from comity import limits
from comity.audit.anchor import open_anchor, read_anchor
from comity.clock import Clock, rfc3339
from comity.control.audit import (
    AuditCheckpoint,
    AuditCheckpointRequest,
    AuditExportRequest,
    AuditExportResult,
    AuditLogRequest,
    AuditLogResult,
    AuditProof,
    AuditProveRequest,
    AuditRedactRequest,
    AuditRedactResult,
    AuditVerifyRequest,
    AuditVerifyResult,
    AuditWitnessesResult,
    ConflictView,
    WitnessView,
)
from comity.errors import AuditInvalid, ComityError, InvalidInput
from comity.identity.envelope import Envelope
from comity.identity.fingerprint import Fingerprint
from comity.protocol.logkeys import open_log_key
from comity.services.audit import exporting, reading
from comity.services.audit.aside import Aside
from comity.services.audit.checking import Wanted, Witnessed, check
from comity.services.audit.service import AuditService
from comity.storage.database import Database
from comity.storage.failures import FilesReported
from comity.storage.witness import WitnessStore


class Witnesses(Protocol):
    """What the desk needs of countersigning."""

    def heads(self) -> tuple[Witnessed, ...]:
        """What this log has to pass through."""

    def witnesses(self) -> tuple[WitnessView, ...]:
        """Partners that countersigned this log, or are to."""

    def conflicts(self) -> tuple[ConflictView, ...]:
        """Logs that contradict themselves."""

    def overview(self) -> AuditWitnessesResult:
        """Both sides of countersigning."""

    def checkpoint(self, request: AuditCheckpointRequest) -> AuditCheckpoint:
        """The latest head of a partner's log that this node countersigned."""


class Agreements(Protocol):
    """What it needs of trust."""

    def agreement_files(self, peer: Fingerprint | None) -> list[str]:
        """Every agreement with a peer, or all of them, as files."""


class AuditDesk:
    """Operations of the API; see ``control.audit`` for what they take and give."""

    def __init__(
        self,
        audit: AuditService,
        witnesses: Witnesses,
        agreements: Agreements,
        certificate: Envelope,
        db: Database,
        clock: Clock,
    ) -> None:
        self._audit = audit
        self._witnesses = witnesses
        self._agreements = agreements
        self._certificate = certificate.to_json()
        self._store = WitnessStore(db)
        self._db = db
        self._clock = clock
        self._aside = Aside(db)

    async def log(self, request: AuditLogRequest) -> AuditLogResult:
        """Entries in order; InvalidInput, AuditInvalid."""
        return await self._aside.run(lambda reader: reading.log(reader, request))

    async def verify(self, request: AuditVerifyRequest) -> AuditVerifyResult:
        """Recompute the log and hold it against all that was signed about it; InvalidInput, AuditInvalid
        where the checkpoint that was given is none of this log.
        """
        if not 0 <= request.since <= limits.AUDIT_TREE_SIZE:
            raise InvalidInput(f"no checkpoint is of {request.since} entries")
        heads = self._witnesses.heads()
        if request.checkpoint:
            heads = (*heads, self._anchor(request.checkpoint.encode()))
        wanted = Wanted(request.since, heads)
        found = await self._aside.run(lambda reader: check(reader, self._audit.key, wanted))
        with self._db.transaction():
            result = self._audit.verified(found)
        return dataclasses.replace(
            result, witnesses=self._witnesses.witnesses(), conflicts=len(self._witnesses.conflicts())
        )

    async def prove(self, request: AuditProveRequest) -> AuditProof:
        """That an entry is in the log, or that it only grew; InvalidInput, AuditInvalid."""
        return reading.prove(self._audit.reader, self._audit.key, request)

    async def redact(self, request: AuditRedactRequest) -> AuditRedactResult:
        """Erase entries, each erasure on record; InvalidInput, AuditInvalid."""
        reason = request.reason.strip()
        if not 0 < len(reason) <= limits.AUDIT_REASON_CHARS:
            raise InvalidInput(f"say why, in {limits.AUDIT_REASON_CHARS} characters at most")
        indexes = tuple(sorted(set(request.indexes)))
        if not 0 < len(indexes) <= limits.AUDIT_REDACTIONS:
            raise InvalidInput(f"name 1 to {limits.AUDIT_REDACTIONS} entries")
        self._audit.redact(indexes, reason)
        return AuditRedactResult(redacted=indexes, size=self._audit.size)

    async def export(self, request: AuditExportRequest, descriptor: int) -> AuditExportResult:
        """Write the evidence into an open file, which stays the caller's; InvalidInput, AuditInvalid,
        DiskFull, StorageUnusable.
        """
        peer = None if request.peer is None else Fingerprint.parse(request.peer)
        parts = exporting.Parts(
            certificate=self._certificate,
            heads=self._store.heads(),
            agreements=self._agreements.agreement_files(peer),
            peer=None if peer is None else str(peer),
            exported_at=rfc3339(self._clock.now()),
        )
        with os.fdopen(os.dup(descriptor), "wb") as file:

            def write(data: bytes) -> None:
                with FilesReported("the export"):
                    file.write(data)

            written = await self._aside.run(
                lambda reader: exporting.write_export(reader, self._audit.key, parts, write)
            )
            with FilesReported("the export"):
                file.flush()
                os.fsync(file.fileno())
        self._audit.append("audit.exported", peer=None, size=written.size, about=parts.peer)
        return AuditExportResult(
            entries=written.entries,
            size=written.size,
            root=written.root.hex(),
            witnessed_size=max((head.size for head in self._store.latest()), default=0),
            peer=parts.peer,
        )

    async def witnesses(self) -> AuditWitnessesResult:
        """Who countersigns whose log, and which logs contradict themselves."""
        return self._witnesses.overview()

    async def checkpoint(self, request: AuditCheckpointRequest) -> AuditCheckpoint:
        """What to keep of a partner's log; InvalidInput where nothing of it was countersigned."""
        return self._witnesses.checkpoint(request)

    def _anchor(self, data: bytes) -> Witnessed:
        """The head in a partner's checkpoint file: of this log, countersigned by another identity."""
        file, key = read_anchor(data), self._audit.key
        try:
            witness = open_log_key(file.witness_key, None, None)
        except ComityError as error:
            raise AuditInvalid(f"the checkpoint's certificate does not verify: {error.message}") from error
        if witness.origin == key.origin:
            raise AuditInvalid("the checkpoint was countersigned by this log's own key")
        head = open_anchor(
            file.note,
            origin=key.origin,
            log_key=key.public,
            witness_name=witness.origin,
            witness_key=witness.key,
        )
        return Witnessed(head.size, head.root, witness.identity.fingerprint.short)
