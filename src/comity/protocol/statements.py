"""The signed statements: what an identity can say, one frozen struct a type (SECURITY.md rules 1 and 2).

A statement is the payload of a DSSE envelope whose payload type names it and its version, so a signature over
one can never be read as another. Each names the rendezvous, the network, both keys, its issuer, a nonce, a
per-pair sequence, and when it was issued and expires. ``open_statement`` is the only way in: signature, exact
payload type, canonical form, issuer and recipient, freshness, in this order.

It does not decide what a statement changes: that is ``protocol.trust``.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeVar

import msgspec

from comity import limits
from comity.errors import RemoteProtocolError
from comity.identity.envelope import Envelope, statement_digest, verify
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.protocol.wire import (
    Count,
    Digest,
    Hex16,
    Hex32,
    Network,
    Seconds,
    decode_canonical,
    encode_canonical,
)

Claim = Annotated[str, msgspec.Meta(max_length=limits.CLAIM_BYTES)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.JUSTIFICATION_BYTES)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.HOSTNAME_CHARS)]
Tag = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\Z")]
Tags = Annotated[tuple[Tag, ...], msgspec.Meta(max_length=limits.TAGS)]
ServiceName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\Z")]
Services = Annotated[tuple[ServiceName, ...], msgspec.Meta(max_length=16)]
#: A DSSE envelope's JSON, where one statement carries another.
EnvelopeText = Annotated[str, msgspec.Meta(max_length=limits.SUCCESSION_BYTES)]
Candidate = Annotated[str, msgspec.Meta(max_length=64)]  # "HOST:PORT" with a literal IP address


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every statement carries. Keys are raw Ed25519 keys in hexadecimal; times are whole seconds UTC.

    ``rendezvous`` is the SHA-256 fingerprint of the rendezvous's key, as the join URL pins it.
    """

    TYPE: ClassVar[str] = ""

    rendezvous: Hex32
    network: Network
    issuer: Hex32
    nonce: Hex32
    issued: Seconds
    expires: Seconds


class PairStatement(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A statement from one node to another; ``sequence`` counts the issuer's statements to this subject."""

    subject: Hex32
    sequence: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]


class Registration(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To the rendezvous: this key is here under this name. ``nonce`` is the server's challenge."""

    TYPE = "registration"

    hostname: Name
    public: bool
    tags: Tags


class SealingKey(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HPKE key to which messages for the issuer are sealed (SECURITY.md rule 4).

    ``public`` is ML-KEM-768's 1184 bytes and X25519's 32 in hexadecimal; ``sequence`` never goes back.
    """

    TYPE = "sealing-key"

    public: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{2432}\Z")]
    sequence: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]


class Predecessor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The old key of whoever carries this, and its Rotation: a DSSE envelope's JSON."""

    key: Hex32
    rotation: EnvelopeText


class HandshakeRequest(
    PairStatement, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One institution asks another for an agreement. ``expires`` ends the offer, ``until`` the agreement.

    ``predecessor`` is there where the issuer's key follows another one (``succession``).
    """

    TYPE = "handshake-request"

    hostname: Name
    address: Annotated[str, msgspec.Meta(max_length=20)]
    subject_hostname: Name
    organization: Claim
    contact: Claim
    requested_by: Claim
    justification: Text
    charter: Digest | None
    until: Seconds
    predecessor: Predecessor | None = None


class Approval(PairStatement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer yes: quotes the request's digest and consumes its nonce. With it the agreement exists.

    ``reason`` is the approver's own justification where both had asked (a mutual handshake), else empty.
    ``allow`` lists the services that the approver opens to the issuer of the request.
    """

    TYPE = "approval"

    request: Digest
    request_nonce: Hex32
    hostname: Name
    address: Annotated[str, msgspec.Meta(max_length=20)]
    organization: Claim
    contact: Claim
    reason: Annotated[str, msgspec.Meta(max_length=limits.JUSTIFICATION_BYTES)]
    allow: Services
    charter: Digest | None
    until: Seconds


class Rejection(PairStatement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer no, with the reason that the asker is shown."""

    TYPE = "rejection"

    request: Digest
    request_nonce: Hex32
    reason: Claim


class Revocation(PairStatement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The end of one agreement, which it names and for which it is final."""

    TYPE = "revocation"

    agreement: Digest
    reason: Claim


class Reachability(PairStatement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the issuer can be dialled now (SECURITY.md rule 9). ``answer`` asks the subject for its own."""

    TYPE = "reachability"

    candidates: Annotated[tuple[Candidate, ...], msgspec.Meta(max_length=limits.CANDIDATES)]
    answer: bool


class Punch(PairStatement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of a simultaneous open (SECURITY.md rule 9): the dialler's call, the answer, the dialler's go.

    ``call`` names the punch. ``observed`` is where the issuer's SYNs will seem to come from, empty where that
    can't be known; ``local`` are its interfaces' addresses with the same port. Empty in a go.
    """

    TYPE = "punch"

    call: Hex16
    step: Literal["call", "answer", "go"]
    local: Annotated[tuple[Candidate, ...], msgspec.Meta(max_length=limits.CANDIDATES)]
    observed: Annotated[tuple[Candidate, ...], msgspec.Meta(max_length=limits.OBSERVERS)]


class Receipt(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The receiver's word that an artifact arrived whole (SECURITY.md rule 12).

    ``nonce`` is the sender's, from its offer. ``manifest`` covers name, length and every chunk digest.
    """

    TYPE = "receipt"

    subject: Hex32
    agreement: Digest
    charter: Digest | None
    manifest: Digest
    digest: Digest
    bytes: Count


class ArtifactSignature(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The issuer stands for an artifact: for these bytes, whatever they are called and whoever sends them."""

    TYPE = "artifact-signature"

    digest: Digest
    bytes: Count


class LogKey(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The identity certifies the key that signs its audit log's checkpoints (SECURITY.md rule 1)."""

    TYPE = "log-key"

    origin: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    key: Hex32


S = TypeVar("S", bound=Statement)

#: What travels sealed between two nodes.
PAIR_TYPES: tuple[type[PairStatement], ...] = (
    HandshakeRequest,
    Approval,
    Rejection,
    Revocation,
    Reachability,
    Punch,
)


def payload_type(kind: type[Statement] | str) -> str:
    """The DSSE payload type of a statement type."""
    name = kind if isinstance(kind, str) else kind.TYPE
    return f"application/vnd.comity.{name}.v1+json"


def payload(statement: Statement) -> bytes:
    """The canonical bytes that are signed."""
    return encode_canonical(statement)


def digest(statement: Statement) -> str:
    """The statement's digest: over its DSSE pre-authentication encoding, never over an envelope's JSON."""
    return statement_digest(payload_type(type(statement)), payload(statement))


def open_statement(
    envelope: Envelope,
    kind: type[S],
    *,
    issuer: PublicKey,
    rendezvous: Fingerprint | None,
    network: int | None,
    now: float | None,
) -> S:
    """The statement in ``envelope``, or RemoteProtocolError saying which check failed.

    ``rendezvous`` and ``network`` are what the reader expects (None where any is acceptable, as in an offline
    verification); ``now`` is None where age doesn't matter (evidence).
    """
    body = verify(envelope, issuer, payload_type(kind))
    statement = decode_canonical(body, kind, limits.STATEMENT_BYTES)
    if statement.issuer != issuer.hex:
        raise RemoteProtocolError(f"{kind.TYPE} names another issuer than its signer")
    if rendezvous is not None and statement.rendezvous != str(rendezvous):
        raise RemoteProtocolError(f"{kind.TYPE} was made for another rendezvous")
    if network is not None and statement.network != network:
        raise RemoteProtocolError(f"{kind.TYPE} was made for another network")
    if statement.expires <= statement.issued:
        raise RemoteProtocolError(f"{kind.TYPE} expires before it was issued")
    if now is not None:
        check_fresh(statement, now)
    return statement


def check_lifetime(statement: Statement, most: int) -> None:
    """RemoteProtocolError where the statement claims to hold for more than ``most`` seconds."""
    if statement.expires - statement.issued > most:
        raise RemoteProtocolError(f"{statement.TYPE} lives longer than {most} s")


def check_fresh(statement: Statement, now: float) -> None:
    """RemoteProtocolError unless ``now`` (seconds UTC) lies in the statement's life, with the allowed
    skew.
    """
    if statement.issued > now + limits.CLOCK_SKEW:
        raise RemoteProtocolError(
            f"{statement.TYPE} was issued in the future",
            hint="compare the clocks of both machines; five minutes apart is the most",
        )
    if statement.expires < now - limits.CLOCK_SKEW:
        raise RemoteProtocolError(f"{statement.TYPE} has expired", hint="ask your partner to send a new one")
