"""How head reads and writes each recorded format, and what it makes of it.

A vector's meaning is what its bytes say, as plain JSON: dictionaries, lists, texts, numbers. ``write`` is
None for what draws its own salt or nonce, and so is never written twice alike.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from comity.audit.anchor import read_anchor, write_anchor
from comity.audit.entry import encode_entry, parse_entry
from comity.audit.exportlines import encode_line, parse_line
from comity.identity.card import Card, JoinUrl
from comity.identity.envelope import Envelope
from comity.identity.keys import Identity, PublicKey
from comity.identity.sealing import open_sealed
from comity.policy.charter.canonical import charter_digest, from_canonical, to_canonical
from comity.policy.charter.cedar import compile_charter
from comity.policy.charter.editing import read_charter
from comity.policy.charter.model import Charter
from comity.protocol import hello, observing, registry, succession, witness
from comity.protocol.charter.terms import Line
from comity.protocol.events import messages as events
from comity.protocol.exchange import messages as exchange
from comity.protocol.exchange.lanes import lanes_frame, parse_lanes
from comity.protocol.exchange.listing import LISTING_HEADER, Listing, parse_listing, parse_listing_frame
from comity.protocol.exchange.manifest import digest_text
from comity.protocol.forwarding import messages as forwarding
from comity.protocol.framing import Kind, check_end, end_body, header, parse_header
from comity.protocol.session import messages as session
from comity.protocol.statements import Predecessor, Statement, open_statement, payload_type
from comity.protocol.trust.evidence import Evidence, verify_agreement
from comity.protocol.trust.relationship import Relationship
from comity.protocol.wire import decode, encode
from comity.sdk.offline_audit import verify_log
from comity.storage.backup import read_backup
from comity.storage.config import parse_config
from comity.storage.keystore import FileKeyStore
from comity.storage.lease import Holder
from tests.wire import files, messages
from tests.wire.keys import LAB_A, LAB_B, NEXT_SERVER, SERVER, sign
from tests.wire.statements import statements
from tests.wire.structs import concrete_statements

Samples = Callable[[], dict[str, bytes]]


@dataclass(frozen=True)
class Format:
    """``samples``: what head writes of it. ``read`` raises for what it does not understand.

    ``grows``: a later version may add members to the JSON, which older ones ignore. ``prefix``: so many bytes
    come before that JSON.
    """

    samples: Samples
    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes] | None
    grows: bool = False
    prefix: int = 0


def meaning(value: Any) -> Any:
    """What was read, as plain JSON, with the names of the types that were told apart."""
    said = msgspec.json.decode(msgspec.json.encode(value, enc_hook=_plain))
    return {"is": type(value).__name__, "says": said}


def _plain(value: object) -> Any:
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(bytes(value))
    raise TypeError(f"a vector cannot say {type(value)}")


# ── frames and what comes before TLS ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class FrameHeader:
    kind: str
    size: int


@dataclass(frozen=True)
class FrameEnd:
    frames: int
    size: int


def _read_frame(data: bytes) -> FrameHeader | FrameEnd:
    if len(data) == 16:
        said = FrameEnd(int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big"))
        check_end(data, said.frames, said.size)
        return said
    kind, size = parse_header(data, 2**20)
    return FrameHeader(kind.name, size)


def _write_frame(said: FrameHeader | FrameEnd) -> bytes:
    if isinstance(said, FrameEnd):
        return end_body(said.frames, said.size)
    return header(Kind[said.kind], said.size)


#: What stays the same in each preface: read by comparing, as the servers do.
_PREFACES = {
    registry.RELAY_PREFACE: registry.RELAY_PREFACE_BYTES,
    registry.RELAY_READY: len(registry.RELAY_READY),
    observing.OBSERVE_REQUEST: len(observing.OBSERVE_REQUEST),
    succession.LINEAGE_REQUEST: succession.LINEAGE_REQUEST_BYTES,
}


def _read_preface(data: bytes) -> str:
    for known, size in _PREFACES.items():
        if data.startswith(known) and len(data) == size:
            return data.decode("ascii")
    return observing.parse_answer(data) + "\n"


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────


def _read_hello(data: bytes) -> hello.Hello | hello.Welcome | hello.Refused:
    members = json.loads(data)
    if "port" in members:
        return hello.parse_hello(data)
    return hello.parse_welcome(data) if "version" in members else hello.parse_refused(data)


def _read_chunk(data: bytes) -> tuple[int, bytes]:
    index, content = exchange.parse_chunk(memoryview(data))
    return index, bytes(content)


def _read_listing(data: bytes) -> tuple[tuple[str, int], ...]:
    listed = parse_listing_frame(data)
    size = sum(max(length, 0) for _, length in json.loads(listed))
    return parse_listing(listed, digest_text(hashlib.sha256(listed).digest()), size).items


@dataclass(frozen=True)
class Forwarded:
    """``says``: bytes of payload as Latin 1, of credit; a failure's code and message."""

    tag: str
    says: str


def _read_forward(data: bytes) -> Forwarded:
    if data.startswith(b"tcp "):
        return Forwarded("purpose", str(forwarding.port_of(data.decode("ascii"))))
    tag, rest = forwarding.parse(data)
    if tag is forwarding.Tag.CREDIT:
        return Forwarded(tag.name, str(forwarding.credit_of(rest)))
    if tag is forwarding.Tag.FAIL:
        error = forwarding.error_of(rest)
        return Forwarded(tag.name, f"{error.code}: {error.message}")
    return Forwarded(tag.name, bytes(rest).decode("latin-1"))


def _read_witness(data: bytes) -> witness.AddCheckpoint | witness.Answer:
    asks = json.loads(data)["type"] == "add-checkpoint"
    return witness.parse_request(data) if asks else witness.parse_answer(data)


# ── what is signed ────────────────────────────────────────────────────────────────────────────────────


class Signed(msgspec.Struct, frozen=True):
    """A statement whose signature was verified; ``digest`` is what others quote it by."""

    statement: Any
    digest: str


def _read_statement(data: bytes) -> Signed:
    envelope = Envelope.from_json(data)
    kinds = {payload_type(kind): kind for kind in concrete_statements()}
    issuer = PublicKey.from_hex(json.loads(envelope.payload)["issuer"])
    said: Statement = open_statement(
        envelope, kinds[envelope.payload_type], issuer=issuer, rendezvous=None, network=None, now=None
    )
    return Signed(said, envelope.digest)


def _write_statement(said: Signed) -> bytes:
    return sign(said.statement)


def _signed() -> dict[str, bytes]:
    return {name: sign(said) for name, said in statements().items()}


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────


class Key(msgspec.Struct, frozen=True):
    """Whose private key it is."""

    fingerprint: str


def _read_key(data: bytes) -> Key:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "identity.key")
        path.write_bytes(data)
        path.chmod(0o600)
        identity: Identity = FileKeyStore(path).load(files.PASSPHRASE)
    return Key(str(identity.public.fingerprint))


def _read_backup(data: bytes) -> dict[str, Any]:
    kind = json.loads(data.split(b"\n")[1])["kind"]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "backup")
        path.write_bytes(data)
        head, held = read_backup(path, files.PASSPHRASE, kind, {"config.toml", "identity.key"}.__contains__)
    return {
        "kind": head.kind,
        "name": head.name,
        "fingerprint": head.fingerprint,
        "created_at": head.created_at,
        "files": {name: data.decode("ascii") for name, data in sorted(held.items())},
    }


def _read_letter(data: bytes) -> Signed:
    return _read_statement(open_sealed(data, files.SEALING, files.sealed_context()))


class Agreed(msgspec.Struct, frozen=True):
    """An agreement file that verifies, with both fingerprints given."""

    digest: str
    identities: str
    request: Any
    approval: Any
    revocation: Any


def _read_agreement(data: bytes) -> Agreed:
    anchors = {"lab-a-trainer": LAB_A.public.fingerprint, "charité-trainer": LAB_B.public.fingerprint}
    found: Evidence = verify_agreement(data, anchors)
    return Agreed(found.digest, found.identities, found.request, found.approval, found.revocation)


class Lawful(msgspec.Struct, frozen=True):
    """A charter, the digest that parties sign, and that of the policy which head compiles it to."""

    charter: Any
    digest: str
    policy: str


def _read_charter(data: bytes) -> Lawful:
    return _lawful(from_canonical(data))


def _lawful(charter: Charter) -> Lawful:
    return Lawful(charter, charter_digest(to_canonical(charter)), compile_charter(charter).digest)


class Export(msgspec.Struct, frozen=True):
    """The lines of an export, and what they prove beside the partner's checkpoint."""

    lines: list[Any]
    verified: Any


def _read_export(data: bytes) -> Export:
    lines = data.splitlines(keepends=True)
    anchors = {"lab-a": LAB_A.public.fingerprint, "charité-trainer": LAB_B.public.fingerprint}
    verified = verify_log(lines, anchors, files.audit_files()["checkpoint"])
    assert verified.valid, verified.problem
    return Export([parse_line(number, line) for number, line in enumerate(lines, 1)], verified)


def _write_export(said: Export) -> bytes:
    return b"".join(encode_line(line) for line in said.lines)


class Checkpointed(msgspec.Struct, frozen=True):
    note: str
    log_key: Any
    witness_key: Any


def _read_checkpoint(data: bytes) -> Checkpointed:
    held = read_anchor(data)
    return Checkpointed(held.note.decode(), _read_statement(held.log_key), _read_statement(held.witness_key))


def _write_checkpoint(said: Checkpointed) -> bytes:
    keys = (_write_statement(said.log_key), _write_statement(said.witness_key))
    return write_anchor(said.note.encode(), *keys).encode()


class Link(msgspec.Struct, frozen=True):
    """A card or a join URL, as it is written again, and what it names."""

    text: str
    fingerprint: str
    first: str
    network: int


def _read_link(data: bytes) -> Link:
    text = data.decode()
    if text.startswith("comity://"):
        url = JoinUrl.parse(text)
        return Link(str(url), str(url.fingerprint), str(url.named), url.network)
    card = Card.parse(text)
    return Link(str(card), str(card.fingerprint), "", 0)


def _lineage(data: bytes) -> succession.Lineage:
    said = succession.Lineage.parse(data)
    newest = said.follow(SERVER.public.fingerprint, SERVER.public.fingerprint)
    assert newest == (NEXT_SERVER if said.keys else SERVER).public.fingerprint
    return said


def _cell(kind: Any) -> Callable[[bytes], Any]:
    return lambda data: msgspec.json.decode(data, type=kind)


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────

#: By name. A format is never taken out of here: its vectors stay.
FORMATS: dict[str, Format] = {
    "frame": Format(messages.frames, _read_frame, _write_frame),
    "preface": Format(messages.prefaces, _read_preface, str.encode),
    "hello": Format(messages.hellos, _read_hello, hello.encode_message, grows=True),
    "node": Format(messages.from_node, registry.parse_node_message, registry.encode_message),
    "server": Format(messages.from_server, registry.parse_server_message, registry.encode_message),
    "session": Format(messages.sessions, session.parse_message, session.encode_message),
    "events": Format(messages.event_messages, events.parse_message, events.encode_message, grows=True),
    "exchange": Format(
        messages.exchange_messages, exchange.parse_message, exchange.encode_message, grows=True, prefix=1
    ),
    "chunk": Format(
        messages.chunks, _read_chunk, lambda said: exchange.chunk_header(said[0]) + bytes(said[1])
    ),
    "lanes": Format(messages.lanes, parse_lanes, lanes_frame),
    "listing": Format(messages.listings, _read_listing, lambda said: LISTING_HEADER + Listing(said).encoded),
    "forward": Format(messages.forwards, _read_forward, None),
    "witness": Format(messages.witness_messages, _read_witness, witness.encode_message),
    "statement": Format(_signed, _read_statement, _write_statement),
    "key": Format(
        lambda: {"identity key": files.key_files()["identity key"]}, _read_key, lambda _: LAB_A.to_pem()
    ),
    "protected": Format(lambda: _once("identity key under a passphrase"), _read_key, None),
    "backup": Format(lambda: _once("identity backup", "rendezvous backup"), _read_backup, None),
    "letter": Format(lambda: _once("sealed letter"), _read_letter, None),
    "certificate": Format(
        lambda: _some("revocation certificate"), succession.Certificate.parse, lambda said: said.to_json()
    ),
    "lineage": Format(
        lambda: _some("rendezvous lineage", "empty lineage"), _lineage, lambda said: said.to_json()
    ),
    "rotation": Format(lambda: _some("rotation"), lambda data: decode(data, Predecessor, 2**16), encode),
    "agreement": Format(files.agreements, _read_agreement, None),
    "link": Format(files.links, _read_link, lambda said: said.text.encode()),
    "config": Format(lambda: {"config": files.home_files()["config"]}, parse_config, None),
    "lease": Format(
        lambda: {"lease": files.home_files()["lease"]}, _cell(Holder), msgspec.json.encode, grows=True
    ),
    "charter": Format(
        lambda: files.charter_files()[0], _read_charter, lambda said: to_canonical(said.charter)
    ),
    "charter-file": Format(lambda: files.charter_files()[1], lambda data: _lawful(read_charter(data)), None),
    "audit-entry": Format(files.audit_entries, parse_entry, encode_entry),
    "checkpoint": Format(
        lambda: {"checkpoint": files.audit_files()["checkpoint"]}, _read_checkpoint, _write_checkpoint
    ),
    "audit-export": Format(
        lambda: {name: data for name, data in files.audit_files().items() if name != "checkpoint"},
        _read_export,
        _write_export,
    ),
    "relationship": Format(lambda: files.cells()[0], _cell(Relationship), msgspec.json.encode, grows=True),
    "line-of-charters": Format(lambda: files.cells()[1], _cell(Line), msgspec.json.encode, grows=True),
}


def _once(*names: str) -> dict[str, bytes]:
    made = files.recorded_once()
    return {name: made[name] for name in names}


def _some(*names: str) -> dict[str, bytes]:
    made = files.key_files()
    return {name: made[name] for name in names}
