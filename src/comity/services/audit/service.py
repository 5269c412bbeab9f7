"""Writing the audit log: append what happened, and sign what is there.

``append`` joins the caller's transaction: the entry is there exactly when what it tells of is, and a crash
leaves no gap. Entry, tree nodes and the clock's mark are one commit.

What is signed, and when: the log's head is signed with the log key in the transaction of an entry, once
``limits.AUDIT_CHECKPOINT_ENTRIES`` entries or ``limits.AUDIT_CHECKPOINT_SECONDS`` have passed since the last
signature, and by ``verify``, ``head`` and ``close``. So when a daemon is killed, fewer than that many of the
newest entries are covered by no signature: whoever can write the database could cut those off unnoticed, but
change nothing older. Whoever has the log key as well could sign another history; partners' countersignatures
are against that (``services.witnessing``).

It decides nothing, and keeps texts as they came: who prints them escapes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from comity import limits
from comity.audit import merkle
from comity.audit.entry import SALT_BYTES, Entry, commitment, encode_entry
from comity.audit.note import Checkpoint, sign_checkpoint
from comity.audit.verify import REDACTED
from comity.clock import Clock
from comity.control.audit import AuditLogRequest, AuditLogResult, AuditVerifyResult
from comity.entropy import Entropy
from comity.errors import AuditInvalid
from comity.identity.keys import PublicKey
from comity.services.audit import checking, reading
from comity.storage.audit import AuditReader, AuditStore
from comity.storage.clockmark import ClockMark
from comity.storage.database import Database
from comity.storage.logkey import AuditKey

Value = str | int | bool | None
Watcher = Callable[[str], None]


class AuditService:
    """The log of one node. Methods raise AuditInvalid where the stored log is broken, and add nothing."""

    def __init__(self, db: Database, key: AuditKey, clock: Clock, entropy: Entropy) -> None:
        self.key = key
        self._db = db
        self._store = AuditStore(db)
        self._mark = ClockMark(db)
        self._watchers: list[Watcher] = []
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
        entry = Entry(
            at=self._now(),
            kind=kind,
            peer=None if peer is None else str(peer.fingerprint),
            operation=operation,
            decision=decision,
            reasons=tuple(_fit(reason) for reason in reasons),
            digest=digest,
            detail={name: _fit(value) if isinstance(value, str) else value for name, value in detail.items()},
        )
        return self._append(entry)

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self._store.size()

    @property
    def reader(self) -> AuditReader:
        """What is stored."""
        return self._store

    def watch(self, watcher: Watcher) -> None:
        """Call it with the kind of each entry, once that is committed."""
        self._watchers.append(watcher)

    def append_for_good(self, kind: str, **fields: Any) -> None:
        """``append``, on record even where the caller's transaction is undone: then again, after that."""
        with self._db.transaction():
            self.append(kind, **fields)
            self._db.after_rollback(lambda: self.append_for_good(kind, **fields))

    def log(self, request: AuditLogRequest) -> AuditLogResult:
        """Entries in order; see ``reading.log``."""
        return reading.log(self._store, request)

    def verify(self) -> AuditVerifyResult:
        """Recompute everything from the bodies, here and now; see ``desk`` for how a daemon does it."""
        with self._db.transaction():
            found = checking.check(self._store, self.key, checking.Wanted())
            return self.verified(found)

    def verified(self, found: checking.Found) -> AuditVerifyResult:
        """What was found, with a signature under it where all is well."""
        log, note = found.log, found.note
        if log.valid:
            note = self._sign(Checkpoint(self.key.origin, log.size, log.root))
        return AuditVerifyResult(
            valid=log.valid,
            size=log.size,
            root=log.root.hex(),
            witnessed_size=found.witnessed_size if log.valid else 0,
            checkpoint=note.decode(errors="replace"),
            problem=log.problem or "",
            first_bad=log.first_bad,
            erased=log.erased,
        )

    def head(self) -> tuple[Checkpoint, bytes]:
        """The log as it is now, and its signed note. AuditInvalid where the log is broken."""
        with self._db.transaction():
            size = self._store.size()
            self._signed_size(size)
            head = Checkpoint(self.key.origin, size, merkle.root(size, self._store.node))
            return head, self._sign(head)

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """The proof that the first ``new`` entries extend the first ``old`` ones."""
        return tuple(merkle.consistency_proof(old, new, self._store.node))

    def root(self, size: int) -> bytes:
        """The root over the first ``size`` entries; AuditInvalid where nodes are missing."""
        return merkle.root(size, self._store.node)

    def redact(self, indexes: Sequence[int], reason: str) -> None:
        """Erase the bodies and salts of entries, each recorded by an entry of its own, all or none.

        AuditInvalid for one that is missing or altered, InvalidInput for one that records an erasure.
        """
        with self._db.transaction():
            for index in indexes:
                peer = reading.redactable(self._store, index)
                self._store.erase(index)
                self._append(
                    Entry(
                        at=self._now(),
                        kind=REDACTED,
                        peer=peer,
                        reasons=(_fit(reason),),
                        detail={"index": index},
                    )
                )

    def close(self) -> None:
        """Sign the head, so that an orderly stop leaves nothing unsigned."""
        with self._db.transaction():
            size = self._store.size()
            if size > self._signed_size(size):
                self._sign(Checkpoint(self.key.origin, size, merkle.root(size, self._store.node)))

    def _now(self) -> int:
        return int(self._clock.now() * 1000)

    def _append(self, entry: Entry) -> int:
        body = encode_entry(entry)
        salt = self._entropy.token(SALT_BYTES)
        with self._db.transaction():
            index = self._store.append(commitment(salt, body), salt, body)
            self._mark.advance(entry.at / 1000)
            self._sign_if_due()
            for watcher in self._watchers:
                self._db.after_commit(partial(watcher, entry.kind))
        return index

    def _sign_if_due(self) -> None:
        size = self._store.size()
        unsigned = size - self._signed_size(size)
        due = unsigned >= limits.AUDIT_CHECKPOINT_ENTRIES or self._clock.monotonic() >= self._sign_after
        if due or unsigned == size:  # the first entry is signed at once: a log with entries has a checkpoint
            self._sign(Checkpoint(self.key.origin, size, merkle.root(size, self._store.node)))

    def _sign(self, head: Checkpoint) -> bytes:
        """The head's note, kept unless one as long is; Ed25519 gives the same note each time."""
        note = sign_checkpoint(head, self.key.private)
        last = self._store.last_checkpoint()
        if last is None or head.size > last[0]:
            self._store.add_checkpoint(head.size, note)
            self._sign_after = self._clock.monotonic() + limits.AUDIT_CHECKPOINT_SECONDS
        return note

    def _signed_size(self, size: int) -> int:
        last = self._store.last_checkpoint()
        signed = 0 if last is None else last[0]
        if signed > size:
            raise AuditInvalid(f"the audit log has {size} entries, and {signed} were signed")
        return signed


def _fit(text: str) -> str:
    """``text`` as an entry can hold it: valid Unicode, not too long."""
    valid = text.encode("utf-8", errors="backslashreplace").decode("utf-8")
    return valid if len(valid) <= limits.AUDIT_TEXT_CHARS else valid[: limits.AUDIT_TEXT_CHARS - 1] + "…"
