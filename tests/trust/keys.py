"""Retirements and rotations as honest and dishonest holders of a key make them."""

from __future__ import annotations

from typing import Any

from comity import limits
from comity.clock import Clock
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity
from comity.protocol.statements import Predecessor, Statement, payload, payload_type
from comity.protocol.succession import Retirement, Rotation


def retirement(identity: Identity, rendezvous: Fingerprint, clock: Clock, reason: str = "stolen") -> str:
    """The envelope's text, by which the key of ``identity`` ends."""
    return _signed(
        identity,
        Retirement(**_frame(identity, rendezvous, clock, limits.REVOCATION_LIFETIME), reason=reason),
    )


def predecessor(
    identity: Identity,
    successor: Identity,
    rendezvous: Fingerprint,
    clock: Clock,
    *,
    network: int = 1,
    lifetime: int = limits.REQUEST_LIFETIME,
) -> Predecessor:
    """The word of ``identity`` that ``successor`` follows it."""
    frame = _frame(identity, rendezvous, clock, lifetime) | {"network": network}
    said = Rotation(**frame, successor=successor.public.hex)
    return Predecessor(key=identity.public.hex, rotation=_signed(identity, said))


def _signed(identity: Identity, statement: Statement) -> str:
    return identity.sign_statement(payload_type(type(statement)), payload(statement)).to_json().decode()


def _frame(identity: Identity, rendezvous: Fingerprint, clock: Clock, lifetime: int) -> dict[str, Any]:
    now = int(clock.now())
    return {
        "rendezvous": str(rendezvous),
        "network": 1,
        "issuer": identity.public.hex,
        "nonce": "5a" * 32,
        "issued": now,
        "expires": now + lifetime,
    }
