"""Whose a log key is: the LogKey statement that comes with every checkpoint, opened (SECURITY.md rule 1).

The log key signs checkpoints of its own log and cosignatures of others', and nothing else. Whoever reads a
checkpoint knows an identity's fingerprint, and gets from there to the log key by this statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from comity import limits
from comity.errors import RemoteProtocolError
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.protocol.statements import LogKey, open_statement


@dataclass(frozen=True)
class Certified:
    """``key`` (32 bytes, Ed25519) signs for the log ``origin`` of ``identity``."""

    identity: PublicKey
    origin: str
    key: bytes


#: The fingerprint in it is the issuer's, or that of an earlier key of the same node (docs: protocol, "Keys"):
#: whose log it is, the signature on the certificate says, and never its name.
_ORIGIN = re.compile(r"comity\.audit/[0-9a-f]{64}")


class _Issuer(msgspec.Struct, frozen=True):
    issuer: str


def log_origin(owner: PublicKey) -> str:
    """The name of the log of a node that began with this key; its later keys certify it as well."""
    return f"comity.audit/{owner.fingerprint}"


def open_log_key(data: bytes, identity: PublicKey | None, now: float | None) -> Certified:
    """The key that a LogKey envelope (JSON) certifies; RemoteProtocolError where it does not.

    ``identity`` None: whoever signed it, to be compared with a fingerprint from elsewhere. ``now`` None: as
    evidence, whatever its age.
    """
    if len(data) > limits.STATEMENT_BYTES:
        raise RemoteProtocolError("a log key's certificate is too long")
    envelope = Envelope.from_json(data)
    statement = open_statement(
        envelope, LogKey, issuer=identity or _issuer(envelope), rendezvous=None, network=None, now=now
    )
    issuer = PublicKey.from_hex(statement.issuer)
    if not _ORIGIN.fullmatch(statement.origin):
        raise RemoteProtocolError("a log key is certified for a log without a node's name")
    return Certified(issuer, statement.origin, PublicKey.from_hex(statement.key).raw)


def _issuer(envelope: Envelope) -> PublicKey:
    """The key that an unverified statement names as its signer: the signature is checked under it next."""
    try:
        return PublicKey.from_hex(msgspec.json.decode(envelope.payload, type=_Issuer).issuer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError("a log key's certificate names no issuer") from error
