"""Showing entries of the log, and proving that they are in it. It only reads, and takes entries at their
word: whether they are what was logged is ``checking``'s question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from comity import limits
from comity.audit import merkle
from comity.audit.entry import Entry, commitment, parse_entry
from comity.audit.note import Checkpoint, sign_checkpoint
from comity.audit.period import Period
from comity.audit.verify import REDACTED, StoredEntry
from comity.clock import rfc3339
from comity.control.audit import (
    AuditEntry,
    AuditLogRequest,
    AuditLogResult,
    AuditProof,
    AuditProveRequest,
)
from comity.errors import AuditInvalid, InvalidInput
from comity.identity.fingerprint import Fingerprint
from comity.storage.audit import AuditReader
from comity.storage.logkey import AuditKey

_WORD = re.compile(r"[a-z][a-z0-9_.-]*")


def log(reader: AuditReader, request: AuditLogRequest) -> AuditLogResult:
    """Entries in order; ``request.peer`` is a fingerprint. Erased ones are left out when filtering."""
    if request.limit < 1:
        raise InvalidInput("the number of entries to show is at least 1")
    wanted = Filter.of(request)
    size = reader.size()
    found: list[AuditEntry] = []
    for stored, entry in wanted.entries(reader, request.after):
        found.append(view(stored.index, entry))
        if len(found) == min(request.limit, limits.AUDIT_LOG_PAGE):
            break
    return AuditLogResult(entries=tuple(found), size=size)


class Filter:
    """Which entries are wanted: of one peer, one kind, one decision, one period."""

    def __init__(self, peer: str | None, kind: str | None, decision: str | None, period: Period) -> None:
        self._peer = peer
        self._kind = kind
        self._decision = decision
        self._period = period

    @classmethod
    def of(cls, request: AuditLogRequest) -> Filter:
        """InvalidInput where something in it can't be."""
        if request.kind is not None and not _WORD.fullmatch(request.kind):
            raise InvalidInput("no entry is of a kind like this", hint="run comity audit log to see kinds")
        if request.decision not in (None, "allow", "deny"):
            raise InvalidInput("a decision is allow or deny")
        peer = None if request.peer is None else str(Fingerprint.parse(request.peer))
        return cls(peer, request.kind, request.decision, Period.parse(request.since, request.until))

    def entries(self, reader: AuditReader, after: int = -1) -> Iterator[tuple[StoredEntry, Entry | None]]:
        """Those that match, in order. AuditInvalid where one can't be read."""
        for stored in reader.entries(after, self._needle()):
            entry = None if stored.body is None else parse_entry(stored.body)
            if self._matches(entry):
                yield stored, entry

    def _needle(self) -> bytes:
        """What the canonical JSON of every entry that matches contains; a quick first sieve."""
        if self._peer is not None:
            return b'"peer":' + msgspec.json.encode(self._peer)
        if self._kind is not None:
            return b'"kind":' + msgspec.json.encode(self._kind)
        return b"" if self._decision is None else b'"decision":' + msgspec.json.encode(self._decision)

    def _matches(self, entry: Entry | None) -> bool:
        if entry is None:
            return (self._peer, self._kind, self._decision, self._period) == (None, None, None, Period())
        return (
            self._peer in (None, entry.peer)
            and self._kind in (None, entry.kind)
            and self._decision in (None, entry.decision)
            and self._period.holds(entry.at)
        )


def view(index: int, entry: Entry | None) -> AuditEntry:
    """An entry as people and scripts see it; None is an erased one."""
    if entry is None:
        return AuditEntry(index, "", "erased", None, None, None, (), None)
    try:
        at = rfc3339(entry.at / 1000)
    except (ValueError, OverflowError, OSError) as error:
        raise AuditInvalid(f"entry {index} is from a time that no clock has shown") from error
    return AuditEntry(
        index=index,
        at=at,
        kind=entry.kind,
        peer=entry.peer,
        operation=entry.operation,
        decision=entry.decision,
        reasons=entry.reasons,
        digest=entry.digest,
        detail=dict(entry.detail),
    )


def redactable(reader: AuditReader, index: int) -> str | None:
    """The peer of an entry that may be erased. AuditInvalid where it is missing or altered, InvalidInput
    where it is erased already, or records an erasure.
    """
    if not 0 <= index < reader.size():
        raise InvalidInput(f"there is no entry {index}", hint="run comity audit log")
    stored = reader.entry(index)
    if stored.salt is None or stored.body is None:
        raise InvalidInput(f"entry {index} is erased already")
    if commitment(stored.salt, stored.body) != stored.commitment:
        raise AuditInvalid(f"entry {index}: its body is not the one that was committed to")
    entry = parse_entry(stored.body)
    if entry.kind == REDACTED:
        raise InvalidInput(f"entry {index} records an erasure, which stays on record")
    return entry.peer


def prove(reader: AuditReader, key: AuditKey, request: AuditProveRequest) -> AuditProof:
    """That an entry is in the log, or that the log of one size extends that of another."""
    size = reader.size()
    new = size if request.size is None else request.size
    if not 0 < new <= size:
        raise InvalidInput(f"the log has {size} entries", hint="name a size up to that, or none")
    root = merkle.root(new, reader.node)
    checkpoint = sign_checkpoint(Checkpoint(key.origin, new, root), key.private).decode()
    if request.index is None:
        old = request.old or 0
        if not 0 < old <= new:
            raise InvalidInput(f"the log of {new} entries doesn't extend one of {old}")
        return AuditProof(
            size=new,
            root=root.hex(),
            old_size=old,
            old_root=merkle.root(old, reader.node).hex(),
            proof=_hex(merkle.consistency_proof(old, new, reader.node)),
            checkpoint=checkpoint,
        )
    if not 0 <= request.index < new:
        raise InvalidInput(f"entry {request.index} is not among the first {new}")
    stored = reader.entry(request.index)
    entry = None if stored.body is None else parse_entry(stored.body)
    return AuditProof(
        size=new,
        root=root.hex(),
        index=request.index,
        entry=view(request.index, entry),
        body="" if stored.body is None else stored.body.decode(),
        salt="" if stored.salt is None else stored.salt.hex(),
        commitment=stored.commitment.hex(),
        leaf=merkle.leaf_hash(stored.commitment).hex(),
        proof=_hex(merkle.inclusion_proof(request.index, new, reader.node)),
        checkpoint=checkpoint,
    )


def _hex(hashes: list[bytes]) -> tuple[str, ...]:
    return tuple(value.hex() for value in hashes)
