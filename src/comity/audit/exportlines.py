"""The lines of an exported log, as they are written and parsed; ``exported`` says what they prove."""

from __future__ import annotations

import msgspec

from comity import limits
from comity.audit.entry import Entry
from comity.audit.verify import StoredEntry
from comity.errors import AuditInvalid
from comity.identity.text import printable

FORMAT = "comity-audit/1"
NONE = msgspec.Raw(b"null")


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """One line; hashes are hexadecimal."""


class Header(Line, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="log"):
    format: str
    origin: str
    size: int
    root: str
    note: str
    log_key: msgspec.Raw
    peer: str | None
    exported_at: str


class Head(Line, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="head"):
    """``note`` has the cosignature, and ``witness_key`` certifies its key; both null where none was given."""

    size: int
    root: str
    proof: tuple[str, ...] | None = None
    note: str | None = None
    witness_key: msgspec.Raw = NONE


class EntryLine(Line, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="entry"):
    """An erased one has neither ``entry`` nor ``salt``."""

    index: int
    commitment: str
    entry: Entry | None = None
    salt: str | None = None
    proof: tuple[str, ...] | None = None


class AgreementLine(Line, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="agreement"):
    """``content`` is an agreement file's."""

    content: msgspec.Raw


class End(Line, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="end"):
    entries: int


_DECODER = msgspec.json.Decoder(Header | Head | EntryLine | AgreementLine | End)
_ENCODER = msgspec.json.Encoder()


def encode_line(line: Line) -> bytes:
    """A line with its end."""
    return _ENCODER.encode(line) + b"\n"


def entry_line(stored: StoredEntry, entry: Entry | None, proof: tuple[str, ...] | None) -> EntryLine:
    """The line of a stored entry."""
    digest = stored.commitment.hex()
    if entry is None or stored.salt is None:
        return EntryLine(index=stored.index, commitment=digest, proof=proof)
    return EntryLine(index=stored.index, commitment=digest, entry=entry, salt=stored.salt.hex(), proof=proof)


def parse_line(number: int, data: bytes) -> Line:
    """The line in the ``number``-th of a file; AuditInvalid."""
    if len(data) > limits.EXPORT_LINE_BYTES:
        raise AuditInvalid(f"line {number} of the file is too long")
    try:
        line: Line = _DECODER.decode(data)
        return line
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AuditInvalid(f"line {number} of the file is malformed: {printable(str(error), 200)}") from error
