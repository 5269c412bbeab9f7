"""The audit log as services use it: append what happened, read it back, prove that it still is what it was.

``append`` joins the caller's transaction: the entry is there exactly when what it tells of is, and a crash
leaves no gap. Entry, tree nodes and the clock's mark are one commit.

What is signed, and when: the log's head is signed with the log key in the transaction of an entry, once
``limits.AUDIT_CHECKPOINT_ENTRIES`` entries or ``limits.AUDIT_CHECKPOINT_SECONDS`` have passed since the last
signature, and by ``verify`` and ``close``. So when a daemon is killed, fewer than that many of the newest
entries are covered by no signature: whoever can write the database could cut those off unnoticed, but change
nothing older. Whoever has the log key as well could sign another history; partners' countersignatures are
against that, and come later (SECURITY.md rule 19).

It decides nothing, and shows texts as they came: who prints them escapes them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from comity import limits
from comity.audit import merkle
from comity.audit.entry import SALT_BYTES, Entry, commitment, encode_entry, parse_entry
from comity.audit.note import Checkpoint, open_checkpoint, sign_checkpoint
from comity.audit.verify import verify_log
from comity.clock import Clock, rfc3339
from comity.control.audit import AuditEntry, AuditLogRequest, AuditLogResult, AuditVerifyResult
from comity.entropy import Entropy
from comity.errors import AuditInvalid, InvalidInput
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.storage.audit import AuditStore
from comity.storage.clockmark import ClockMark
from comity.storage.database import Database
from comity.storage.logkey import AuditKey

Value = str | int | bool | None

_WORD = re.compile(r"[a-z][a-z0-9_.-]*")


class AuditService:
    """The log of one node. Methods raise AuditInvalid where the stored log is broken, and add nothing."""

    def __init__(self, db: Database, key: AuditKey, clock: Clock, entropy: Entropy) -> None:
        self._db = db
        self._store = AuditStore(db)
        self._mark = ClockMark(db)
        self._key = key
        self._clock = clock
        self._entropy = entropy
        self._sign_after = clock.monotonic()

    def append(
        self,
        kind: str,
        *,
        peer: PublicKey | None = None,
        operation: str | None = None,
        decision: Literal["allow", "deny"] | None = None,
        reasons: Sequence[str] = (),
        digest: str | None = None,
        **detail: Value,
    ) -> int:
        """Record one thing; the entry's index. ``digest`` ("sha256:…") names what it was about.

        Texts are cut at ``limits.AUDIT_TEXT_CHARS`` rather than refused: what a peer sent must not keep its
        own trace out of the log.
        """
        now = self._clock.now()
        entry = Entry(
            at=int(now * 1000),
            kind=kind,
            peer=None if peer is None else str(peer.fingerprint),
            operation=operation,
            decision=decision,
            reasons=tuple(_fit(reason) for reason in reasons),
            digest=digest,
            detail={name: _fit(value) if isinstance(value, str) else value for name, value in detail.items()},
        )
        body = encode_entry(entry)
        salt = self._entropy.token(SALT_BYTES)
        with self._db.transaction():
            index = self._store.append(commitment(salt, body), salt, body)
            self._mark.advance(now)
            self._sign_if_due()
        return index

    def append_for_good(self, kind: str, **fields: Any) -> None:
        """``append``, on record even where the caller's transaction is undone: then again, after that."""
        with self._db.transaction():
            self.append(kind, **fields)
            self._db.after_rollback(lambda: self.append_for_good(kind, **fields))

    def log(self, request: AuditLogRequest) -> AuditLogResult:
        """Entries in order; ``request.peer`` is a fingerprint. Erased ones are left out when filtering."""
        if request.limit < 1:
            raise InvalidInput("the number of entries to show is at least 1")
        if request.kind is not None and not _WORD.fullmatch(request.kind):
            raise InvalidInput("no entry is of a kind like this", hint="run comity audit log to see kinds")
        peer = None if request.peer is None else str(Fingerprint.parse(request.peer))
        found: list[AuditEntry] = []
        for stored in self._store.entries(request.after, _needle(peer, request.kind)):
            entry = None if stored.body is None else parse_entry(stored.body)
            if _matches(entry, peer, request.kind):
                found.append(_view(stored.index, entry))
            if len(found) == min(request.limit, limits.AUDIT_LOG_PAGE):
                break
        return AuditLogResult(entries=tuple(found), size=self._store.size())

    def verify(self) -> AuditVerifyResult:
        """Recompute everything from the bodies: commitments, tree, every checkpoint; then sign the head.

        Names the first bad entry, and signs nothing, where anything differs. Takes time in proportion to the
        log, about 50 µs an entry.
        """
        with self._db.transaction():
            last = self._store.last_checkpoint()
            if last is None and not self._store.size():
                last = 0, self._sign(0)
            note = b"" if last is None else last[1]
            found = verify_log(
                self._store.entries(),
                note,
                origin=self._key.origin,
                log_key=self._key.public,
                nodes=self._store.node,
            )
            problem = found.problem or self._other_problem(found.size)
            if last is None:
                problem = "there are entries, and no checkpoint of them"
            if problem is None and found.size > found.signed_size:
                note = self._sign(found.size)
        return AuditVerifyResult(
            valid=problem is None,
            size=found.size,
            root=found.root.hex(),
            witnessed_size=0,
            checkpoint=note.decode(errors="replace"),
            problem=problem or "",
        )

    def close(self) -> None:
        """Sign the head, so that an orderly stop leaves nothing unsigned."""
        with self._db.transaction():
            size = self._store.size()
            if size > self._signed_size(size):
                self._sign(size)

    def _sign_if_due(self) -> None:
        size = self._store.size()
        unsigned = size - self._signed_size(size)
        due = unsigned >= limits.AUDIT_CHECKPOINT_ENTRIES or self._clock.monotonic() >= self._sign_after
        if due or unsigned == size:  # the first entry is signed at once: a log with entries has a checkpoint
            self._sign(size)

    def _sign(self, size: int) -> bytes:
        checkpoint = Checkpoint(self._key.origin, size, merkle.root(size, self._store.node))
        note = sign_checkpoint(checkpoint, self._key.private)
        self._store.add_checkpoint(size, note)
        self._sign_after = self._clock.monotonic() + limits.AUDIT_CHECKPOINT_SECONDS
        return note

    def _signed_size(self, size: int) -> int:
        last = self._store.last_checkpoint()
        signed = 0 if last is None else last[0]
        if signed > size:
            raise AuditInvalid(f"the audit log has {size} entries, and {signed} were signed")
        return signed

    def _other_problem(self, size: int) -> str | None:
        """What is wrong with a log whose entries hold: surplus nodes, or a checkpoint of something else."""
        expected = 2 * size - size.bit_count()  # a tree of n leaves has 2n - popcount(n) complete subtrees
        if self._store.node_count() != expected:
            return f"the stored tree has {self._store.node_count()} nodes instead of {expected}"
        for signed, note in self._store.checkpoints():
            try:
                head = open_checkpoint(note, self._key.origin, self._key.public)
                root = merkle.root(head.size, self._store.node)
            except AuditInvalid as error:
                return f"checkpoint of {signed} entries: {error.message}"
            if head.size != signed or head.root != root:
                return f"checkpoint of {signed} entries: it was signed for another log"
        return None


def _needle(peer: str | None, kind: str | None) -> bytes:
    """What the canonical JSON of every entry that matches contains; a quick first sieve."""
    if peer is not None:
        return b'"peer":' + msgspec.json.encode(peer)
    return b"" if kind is None else b'"kind":' + msgspec.json.encode(kind)


def _matches(entry: Entry | None, peer: str | None, kind: str | None) -> bool:
    if entry is None:
        return peer is None and kind is None
    return (peer is None or entry.peer == peer) and (kind is None or entry.kind == kind)


def _view(index: int, entry: Entry | None) -> AuditEntry:
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


def _fit(text: str) -> str:
    """``text`` as an entry can hold it: valid Unicode, not too long."""
    valid = text.encode("utf-8", errors="backslashreplace").decode("utf-8")
    return valid if len(valid) <= limits.AUDIT_TEXT_CHARS else valid[: limits.AUDIT_TEXT_CHARS - 1] + "…"
