"""A log, or one partner's part of it, as a file that proves itself: one JSON object a line.

    {"type": "log", …}         the signed head, the certificate of the log's key, whose entries these are
    {"type": "head", …}        heads that partners were asked to countersign, smallest first
    {"type": "entry", …}       entries in order, with salt; erased ones by their commitment
    {"type": "agreement", …}   the signed agreements
    {"type": "end", …}         so that a file that was cut is found

A whole log needs no proofs: its root is recomputed, and passes through every head. A part (``peer``) has an
inclusion proof with each entry, and with each head the proof that the log extends it. Verified in one pass,
in O(log n) memory. Who may be believed is not in the file: keys are opened by ``KeyReader``, and the one head
that shows the log to be witnessed comes from elsewhere (SECURITY.md rule 19).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from comity.audit.anchor import Anchor
from comity.audit.cosignature import verify_cosignature
from comity.audit.entry import commitment, encode_entry
from comity.audit.exportlines import FORMAT, AgreementLine, End, EntryLine, Head, Header, Line, parse_line
from comity.audit.merkle import leaf_hash, verify_consistency, verify_inclusion
from comity.audit.note import Checkpoint, open_checkpoint
from comity.audit.verify import REDACTED, StoredEntry, verify_log
from comity.errors import AuditInvalid, ComityError, LocalProtocolError

KeyReader = Callable[[bytes], tuple[str, str, bytes]]
"""From a LogKey envelope: the identity's fingerprint, the log's origin, the key. Raises ComityError."""


@dataclass
class Exported:
    """What a file holds, once it is verified. ``problem`` is None where all of it holds."""

    identity: str = ""
    origin: str = ""
    log_key: bytes = b""
    peer: str | None = None
    size: int = 0
    root: str = ""
    entries: int = 0
    erased: int = 0
    anchored: bool = False
    agreements: list[bytes] = field(default_factory=list)
    first_bad: int | None = None
    problem: str | None = None


def verify_export(lines: Iterable[bytes], keys: KeyReader, anchor: Anchor | None) -> Exported:
    """Verify a file, line by line. ``anchor``: a head that the log must extend, from elsewhere.

    Raises only what ``lines`` raises: everything that is wrong is a ``problem``.
    """
    found = Exported()
    try:
        _Reading(lines, keys, anchor, found).run()
    except AuditInvalid as error:
        found.problem = found.problem or error.message
    return found


class _Reading:
    """One file under way."""

    def __init__(
        self, lines: Iterable[bytes], keys: KeyReader, anchor: Anchor | None, found: Exported
    ) -> None:
        self._lines = (parse_line(number, data) for number, data in enumerate(lines, 1))
        self._keys = keys
        self._anchor = anchor
        self._found = found
        self._next: Line | None = None
        self._unexplained: set[int] = set()

    def run(self) -> None:
        found, header = self._found, self._header()
        heads: dict[int, bytes] = {}
        if self._anchor is not None:
            heads[self._anchor.size] = self._anchor.root
        self._advance()
        while isinstance(self._next, Head):
            self._head(header, self._next, heads)
            self._advance()
        if header.peer is None:
            self._whole(header, heads)
        else:
            self._part(header)
        while isinstance(self._next, AgreementLine):
            found.agreements.append(bytes(self._next.content))
            self._advance()
        if not isinstance(self._next, End):
            raise AuditInvalid("the file was cut: it has no end")
        if self._next.entries != found.entries:
            raise AuditInvalid(f"the file holds {found.entries} entries, and its end counts others")
        if next(self._lines, None) is not None:
            raise AuditInvalid("the file goes on after its end")

    def _advance(self) -> None:
        self._next = next(self._lines, None)

    def _header(self) -> Header:
        found, header = self._found, next(self._lines, None)
        if not isinstance(header, Header) or header.format != FORMAT:
            raise AuditInvalid(f"the file is not a {FORMAT}")
        identity, origin, key = self._key(bytes(header.log_key))
        head = open_checkpoint(header.note.encode(), origin, key)
        if (head.origin, head.size, head.root.hex()) != (header.origin, header.size, header.root):
            raise AuditInvalid("the file's head is not the one that the log signed")
        found.identity, found.origin, found.peer = identity, origin, header.peer
        found.size, found.root, found.log_key = head.size, header.root, key
        if self._anchor is not None and self._anchor.size > head.size:
            found.first_bad = head.size
            raise AuditInvalid(
                f"entry {head.size}: missing, of the {self._anchor.size} that were countersigned"
            )
        return header

    def _key(self, envelope: bytes) -> tuple[str, str, bytes]:
        try:
            return self._keys(envelope)
        except ComityError as error:
            raise AuditInvalid(f"a key's certificate does not verify: {error.message}") from error

    def _head(self, header: Header, line: Head, heads: dict[int, bytes]) -> None:
        """A head that is in the file: its cosignature, and that the log extends it."""
        head = Checkpoint(header.origin, line.size, _bytes(line.root))
        if heads.setdefault(head.size, head.root) != head.root:
            raise AuditInvalid(
                f"the {head.size} entries that were countersigned are others than the file says"
            )
        if line.note is not None:
            _, name, key = self._key(bytes(line.witness_key))
            note = line.note.encode()
            seen, _ = verify_cosignature(note, name, key)
            if seen != head or open_checkpoint(note, header.origin, self._found.log_key) != head:
                raise AuditInvalid(f"a cosignature of {line.size} entries is of another head")
        if header.peer is not None:
            self._extends(head.size, head.root, line.proof)

    def _extends(self, size: int, root: bytes, proof: tuple[str, ...] | None) -> None:
        found = self._found
        hashes = [_bytes(value) for value in proof or ()]
        try:
            verify_consistency(size, found.size, root, _bytes(found.root), hashes)
        except AuditInvalid as error:
            raise AuditInvalid(
                f"the log does not extend the {size} entries before: {error.message}"
            ) from error
        if self._anchor is not None and (size, root) == (self._anchor.size, self._anchor.root):
            found.anchored = True

    # ── the entries ───────────────────────────────────────────────────────────────────────────────────

    def _whole(self, header: Header, heads: dict[int, bytes]) -> None:
        found = self._found
        log = verify_log(
            self._stored(), header.note.encode(), origin=found.origin, log_key=found.log_key, anchors=heads
        )
        found.erased = log.erased
        if log.problem is None and log.size != found.size:
            log_problem = f"entry {found.size}: is there, after the {found.size} that were signed"
            found.first_bad = found.size
            raise AuditInvalid(log_problem)
        if log.problem is not None:
            found.first_bad = log.first_bad
            raise AuditInvalid(log.problem)
        found.anchored = self._anchor is not None

    def _stored(self) -> Iterator[StoredEntry]:
        for line in self._entry_lines():
            try:
                yield _stored(line)
            except AuditInvalid as error:
                self._found.first_bad = line.index
                raise AuditInvalid(f"entry {line.index}: {error.message}") from error

    def _part(self, header: Header) -> None:
        found, last = self._found, -1
        if self._anchor is not None and not found.anchored:
            self._alike(self._anchor)
        for line in self._entry_lines():
            try:
                if line.index <= last:
                    raise AuditInvalid("it is not in order")
                self._check_part(line, header)
            except AuditInvalid as error:
                found.first_bad = line.index
                raise AuditInvalid(f"entry {line.index}: {error.message}") from error
            last = line.index
        if self._unexplained:
            found.first_bad = min(self._unexplained)
            raise AuditInvalid(f"entry {found.first_bad}: erased, and no entry records that it was")

    def _alike(self, anchor: Anchor) -> None:
        """A countersigned head that is not among the file's: only the file's own head can be compared."""
        if anchor.size and (anchor.size, anchor.root.hex()) != (self._found.size, self._found.root):
            raise AuditInvalid(
                f"the file does not prove that it extends the {anchor.size} entries that were countersigned"
            )
        self._found.anchored = True

    def _entry_lines(self) -> Iterator[EntryLine]:
        while isinstance(self._next, EntryLine):
            self._found.entries += 1
            yield self._next
            self._advance()

    def _check_part(self, line: EntryLine, header: Header) -> None:
        found, stored = self._found, _stored(line)
        if stored.salt is not None and stored.body is not None and line.entry is not None:
            if commitment(stored.salt, stored.body) != stored.commitment:
                raise AuditInvalid("its body is not the one that was committed to")
            if line.entry.peer != header.peer:
                raise AuditInvalid("it is not about the partner that the file is for")
            if line.entry.kind == REDACTED and isinstance(index := line.entry.detail.get("index"), int):
                self._unexplained.discard(index)
        else:
            found.erased += 1
            self._unexplained.add(line.index)
        proof = [_bytes(value) for value in line.proof or ()]
        leaf = leaf_hash(stored.commitment)
        verify_inclusion(leaf, line.index, found.size, _bytes(found.root), proof)


def _stored(line: EntryLine) -> StoredEntry:
    """The row that a line stands for."""
    digest = _bytes(line.commitment)
    if line.entry is None or line.salt is None:
        return StoredEntry(line.index, None, None, digest)
    try:
        return StoredEntry(line.index, _bytes(line.salt), encode_entry(line.entry), digest)
    except LocalProtocolError as error:  # our encoder's word for an entry that no log holds
        raise AuditInvalid(error.message) from error


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise AuditInvalid("a hash is not hexadecimal") from error
