"""What is signed about charters: one frozen struct a type (docs: protocol, "Charter", statements).

A signature and an end concern every party: they name no recipient, and verify by themselves, whoever brings
them. A charter itself is larger than a statement may be, so that it travels in parts; what is signed is the
digest of its canonical bytes, the schema that they validated against and the digest of the policy that they
compile to (SECURITY.md rule 16). Parts and notes are how one node hands things to another.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from comity import limits
from comity.identity.keys import PublicKey
from comity.protocol.statements import Claim, PairStatement, Statement
from comity.protocol.wire import Digest, Hex32, decode

Version = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Clause = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9._-]{0,199}\Z")]
Said = Annotated[str, msgspec.Meta(max_length=limits.CHARTER_TEXT_CHARS)]


class CharterSignature(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The issuer agrees to exactly this version. ``signed_by`` says which person decided, as claimed.

    ``lineage`` is the first version's digest, in the first version its own; ``policy`` that of the compiled
    policy and its schema.
    """

    TYPE = "charter-signature"

    charter: Digest
    schema: Annotated[str, msgspec.Meta(pattern=r"^comity\.charter/[1-9][0-9]{0,3}\Z")]
    policy: Digest
    lineage: Digest
    predecessor: Digest | None
    version: Version
    signed_by: Claim


class CharterEnd(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The issuer ends the whole line of versions, for good; it stood under ``charter``."""

    TYPE = "charter-end"

    lineage: Digest
    charter: Digest
    reason: Claim


class CharterPart(PairStatement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One part of a charter's canonical bytes, in base64; ``part`` counts from 1 to ``parts``."""

    TYPE = "charter-part"

    charter: Digest
    part: Annotated[int, msgspec.Meta(ge=1, le=limits.CHARTER_PARTS)]
    parts: Annotated[int, msgspec.Meta(ge=1, le=limits.CHARTER_PARTS)]
    data: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.CHARTER_PART_BYTES * 4 // 3 + 4)]


class CharterNote(PairStatement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Carries a CharterSignature or a CharterEnd: the JSON of its envelope, by whomever it was signed."""

    TYPE = "charter-note"

    statement: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.CHARTER_NOTE_BYTES)]


class CharterSuspension(PairStatement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The issuer does nothing with the subject until a person there lifts it; ``clause`` says why.

    ``state``: ``suspended``, or ``lifted`` by that person.
    """

    TYPE = "charter-suspension"

    lineage: Digest
    charter: Digest
    clause: Clause
    reason: Claim
    state: Literal["suspended", "lifted"]


class Disposed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of one artifact."""

    digest: Digest
    disposition: Literal["deleted", "returned", "retained"]


class CharterAttestation(PairStatement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """After the end: what the issuer says became of what the subject gave it (SECURITY.md rule 20).

    It proves that this was said, and not that it is so. ``method``: of deletion, as NIST SP 800-88 names it.
    """

    TYPE = "charter-attestation"

    lineage: Digest
    items: Annotated[tuple[Disposed, ...], msgspec.Meta(min_length=1, max_length=limits.CHARTER_ATTESTED)]
    method: Literal["clear", "purge", "destroy", "none"]
    backups: Said
    derivatives: Said
    exceptions: Said
    attested_by: Claim


class _Issuer(msgspec.Struct, frozen=True, kw_only=True):
    issuer: Hex32


def claimed_issuer(payload: bytes) -> PublicKey:
    """Who a statement says has signed it, before its signature was verified; RemoteProtocolError."""
    return PublicKey.from_hex(decode(payload, _Issuer, limits.STATEMENT_BYTES).issuer)


#: What travels from node to node, in the order of its sequence.
PAIR_TYPES: tuple[type[PairStatement], ...] = (
    CharterPart,
    CharterNote,
    CharterSuspension,
    CharterAttestation,
)
#: What a note may carry.
CARRIED: tuple[type[Statement], ...] = (CharterSignature, CharterEnd)
#: For how many seconds each may hold.
LIFETIMES: dict[type[Statement], int] = {
    CharterSignature: limits.CHARTER_STATEMENT_LIFETIME,
    CharterEnd: limits.CHARTER_STATEMENT_LIFETIME,
    CharterPart: limits.REQUEST_LIFETIME,
    CharterNote: limits.REQUEST_LIFETIME,
    CharterSuspension: limits.CHARTER_STATEMENT_LIFETIME,
    CharterAttestation: limits.CHARTER_STATEMENT_LIFETIME,
}

__all__ = [
    "CARRIED",
    "LIFETIMES",
    "PAIR_TYPES",
    "CharterAttestation",
    "CharterEnd",
    "CharterNote",
    "CharterPart",
    "CharterSignature",
    "CharterSuspension",
    "Disposed",
    "claimed_issuer",
]
