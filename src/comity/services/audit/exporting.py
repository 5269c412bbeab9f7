"""Writing the log, or one partner's part of it, as evidence; ``audit.exported`` says in which form, and
verifies it. It only reads the log, in a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from comity.audit import merkle
from comity.audit.entry import parse_entry
from comity.audit.exportlines import (
    FORMAT,
    AgreementLine,
    End,
    Head,
    Header,
    encode_line,
    entry_line,
)
from comity.audit.note import Checkpoint, sign_checkpoint
from comity.audit.period import Period
from comity.audit.verify import REDACTED, StoredEntry
from comity.services.audit.reading import Filter
from comity.storage.audit import AuditReader
from comity.storage.logkey import AuditKey
from comity.storage.witness import Cosigned


@dataclass(frozen=True)
class Parts:
    """What an export is made of, besides the entries. ``peer``: only entries about this fingerprint.

    ``certificate``: the LogKey envelope's JSON; ``agreements``: agreement files.
    """

    certificate: bytes
    heads: Sequence[Cosigned]
    agreements: Sequence[str]
    peer: str | None
    exported_at: str


@dataclass(frozen=True)
class Written:
    entries: int
    size: int
    root: bytes


def write_export(
    reader: AuditReader, key: AuditKey, parts: Parts, write: Callable[[bytes], object]
) -> Written:
    """Write the lines, in order. AuditInvalid where the log is broken; what ``write`` raises."""
    size = reader.size()
    head = Checkpoint(key.origin, size, merkle.root(size, reader.node))
    write(
        encode_line(
            Header(
                format=FORMAT,
                origin=key.origin,
                size=size,
                root=head.root.hex(),
                note=sign_checkpoint(head, key.private).decode(),
                log_key=msgspec.Raw(parts.certificate),
                peer=parts.peer,
                exported_at=parts.exported_at,
            )
        )
    )
    for cosigned in sorted(parts.heads, key=lambda one: one.size):
        if cosigned.size <= size:
            write(encode_line(_head(reader, key, cosigned, size, parts)))
    entries = _whole(reader, size, write) if parts.peer is None else _part(reader, size, parts.peer, write)
    for agreement in parts.agreements:
        content = msgspec.json.encode(msgspec.json.decode(agreement))
        write(encode_line(AgreementLine(content=msgspec.Raw(content))))
    write(encode_line(End(entries=entries)))
    return Written(entries, size, head.root)


def _head(reader: AuditReader, key: AuditKey, cosigned: Cosigned, size: int, parts: Parts) -> Head:
    proof = None
    if parts.peer is not None:
        proof = _hex(merkle.consistency_proof(cosigned.size, size, reader.node))
    if not cosigned.line:
        return Head(size=cosigned.size, root=cosigned.root.hex(), proof=proof)
    note = sign_checkpoint(Checkpoint(key.origin, cosigned.size, cosigned.root), key.private)
    return Head(
        size=cosigned.size,
        root=cosigned.root.hex(),
        proof=proof,
        note=(note + cosigned.line).decode(),
        witness_key=msgspec.Raw(cosigned.certificate),
    )


def _whole(reader: AuditReader, size: int, write: Callable[[bytes], object]) -> int:
    for stored in reader.entries():
        if stored.index >= size:
            break
        entry = None if stored.body is None else parse_entry(stored.body)
        write(encode_line(entry_line(stored, entry, None)))
    return size


def _part(reader: AuditReader, size: int, peer: str, write: Callable[[bytes], object]) -> int:
    """Entries about a peer, and those about it that were erased, as the records of the erasures tell."""
    wanted, found = Filter(peer, None, None, Period()), 0
    erased: set[int] = set()
    for _, entry in Filter(peer, REDACTED, None, Period()).entries(reader):
        index = entry.detail.get("index") if entry else None
        if isinstance(index, int):
            erased.add(index)

    def put(stored: StoredEntry) -> None:
        nonlocal found
        entry = None if stored.body is None else parse_entry(stored.body)
        proof = _hex(merkle.inclusion_proof(stored.index, size, reader.node))
        write(encode_line(entry_line(stored, entry, proof)))
        found += 1

    rest = sorted(erased)
    for stored, _ in wanted.entries(reader):
        if stored.index >= size:
            break
        while rest and rest[0] < stored.index:
            put(reader.entry(rest.pop(0)))
        put(stored)
    return found


def _hex(hashes: list[bytes]) -> tuple[str, ...]:
    return tuple(value.hex() for value in hashes)
