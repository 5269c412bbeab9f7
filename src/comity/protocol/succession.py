"""What ends a key, and what passes its name on: retirement and rotation (SECURITY.md rule 4).

A retirement is signed by the key that it ends. It names no recipient and no moment from which it counts: a
copy is made when the key is, kept away from the machine, and published by whoever holds it once the key is
lost or stolen. It takes nothing but trust away, so it is heard at every rendezvous and at any age, and it is
final. A rotation is signed by the old key and names the new one; the new key proves itself by signing the
request that carries the rotation. It gives nothing: partners approve again.

Spec: docs/reference/protocol/keys.md. It does not decide what a retired key may still do: that is ``trust``'s
machine here, and the membership of a network at the rendezvous.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from comity import limits
from comity.errors import FileUnusable, RemoteProtocolError
from comity.identity.envelope import Envelope
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.protocol.realm import Realm
from comity.protocol.statements import (
    Claim,
    EnvelopeText,
    Predecessor,
    Statement,
    check_lifetime,
    open_statement,
)
from comity.protocol.wire import Hex32, decode, encode

#: What a statement of a rendezvous about itself gives as its network.
EVERY_NETWORK = 1
#: What a node gives as its realm in a statement about its own keys that counts everywhere: the same for
#: all, so that nobody learns from it of which networks the node is a member.
NOWHERE = Realm(Fingerprint.parse("00" * 32), EVERY_NETWORK)

#: What a node that meets another key than it has pinned asks, in the clear, followed by that pin and a line
#: feed; the answer is a Lineage, which proves itself, and the end of the connection.
LINEAGE_REQUEST = b"KEYS-COMITY/1 "
LINEAGE_REQUEST_BYTES = len(LINEAGE_REQUEST) + 64 + 1


class Retirement(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The issuer's key is not to be trusted any more, wherever and whenever this is read."""

    TYPE = "retirement"

    reason: Claim


class Rotation(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The issuer goes on under the key ``successor`` and gives its own up."""

    TYPE = "rotation"

    successor: Hex32


class Handover(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rendezvous goes on under the key ``successor``. It concerns every network; ``network`` is 1."""

    TYPE = "rendezvous-rotation"

    successor: Hex32


class Lineage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys that a rendezvous has had, oldest first, each with its Handover to the next."""

    keys: Annotated[tuple[Predecessor, ...], msgspec.Meta(max_length=limits.RENDEZVOUS_KEYS)] = ()

    def to_json(self) -> bytes:
        """As it is kept and sent."""
        return encode(self)

    @classmethod
    def parse(cls, data: bytes) -> Lineage:
        """RemoteProtocolError."""
        return decode(data, cls, limits.RENDEZVOUS_LINEAGE_BYTES)

    def follow(self, pin: Fingerprint, named: Fingerprint) -> Fingerprint:
        """The newest key of the rendezvous ``named``, from the one that is pinned on; RemoteProtocolError.

        A handover is heard at any age: a node may have been away for long.
        """
        for said in self.keys:
            key = PublicKey.from_hex(said.key)
            if key.fingerprint == pin:
                envelope = Envelope.from_json(said.rotation.encode())
                found = open_statement(
                    envelope, Handover, issuer=key, rendezvous=named, network=EVERY_NETWORK, now=None
                )
                pin = PublicKey.from_hex(found.successor).fingerprint
        return pin


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A revocation certificate as a file: the key that it ends, and its Retirement, a DSSE envelope's
    JSON.
    """

    format: Literal["comity-revocation-certificate-v1"] = "comity-revocation-certificate-v1"
    key: Hex32
    retirement: EnvelopeText

    def to_json(self) -> bytes:
        """The file's bytes."""
        return encode(self)

    @classmethod
    def parse(cls, data: bytes) -> Certificate:
        """A certificate that verifies; FileUnusable for anything else."""
        try:
            made = decode(data, cls, limits.SUCCESSION_FILE_BYTES)
            open_retirement(PublicKey.from_hex(made.key), made.retirement)
        except RemoteProtocolError as error:
            raise FileUnusable(
                f"this is no revocation certificate: {error.message}",
                hint="use the file that comity init wrote, retirement.json",
            ) from error
        return made


def named_successor(rotation: str) -> PublicKey:
    """Whom a rotation names, one that was verified when it was taken; RemoteProtocolError."""
    said = decode(Envelope.from_json(rotation.encode()).payload, Rotation, limits.STATEMENT_BYTES)
    return PublicKey.from_hex(said.successor)


def open_retirement(key: PublicKey, text: str) -> Retirement:
    """The retirement of ``key``, which signed it; RemoteProtocolError."""
    envelope = Envelope.from_json(text.encode())
    return open_statement(envelope, Retirement, issuer=key, rendezvous=None, network=None, now=None)


def open_rotation(
    predecessor: Predecessor, successor: PublicKey, *, rendezvous: Fingerprint, network: int, now: float
) -> tuple[PublicKey, Rotation]:
    """The old key, and its word that ``successor`` follows it here; RemoteProtocolError."""
    old = PublicKey.from_hex(predecessor.key)
    envelope = Envelope.from_json(predecessor.rotation.encode())
    said = open_statement(envelope, Rotation, issuer=old, rendezvous=rendezvous, network=network, now=now)
    check_lifetime(said, limits.REQUEST_LIFETIME)
    if said.successor != successor.hex:
        raise RemoteProtocolError("the rotation names another key than the one that shows it")
    if old == successor:
        raise RemoteProtocolError("a key cannot follow itself")
    return old, said
