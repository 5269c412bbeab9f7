"""The revocation certificate of a key, made with it (SECURITY.md rule 4): what remains when the key is lost.

It is for a safe place off this machine; publishing it is the daemon's work.
"""

from __future__ import annotations

from typing import Any

from comity import limits
from comity.clock import SystemClock
from comity.entropy import SystemEntropy
from comity.identity.keys import Identity
from comity.protocol.realm import Realm
from comity.protocol.statements import payload, payload_type
from comity.protocol.succession import NOWHERE, Certificate, Retirement
from comity.storage.home import Home
from comity.storage.private import write_private

LOST = "lost or stolen"


def settle(place: Home, identity: Identity) -> None:
    """What lies beside a new key: its fingerprint and its revocation certificate."""
    write_private(place.fingerprint, f"{identity.public.fingerprint}\n".encode("ascii"), replace=True)
    write_private(place.retirement, certificate(identity), replace=True)


def certificate(identity: Identity) -> bytes:
    """The revocation certificate of a key: whoever holds a copy can end that key, and do nothing else."""
    statement = Retirement(**frame(identity, NOWHERE, limits.REVOCATION_LIFETIME), reason=LOST)
    envelope = identity.sign_statement(payload_type(Retirement), payload(statement))
    return Certificate(key=identity.public.hex, retirement=envelope.to_json().decode()).to_json() + b"\n"


def frame(identity: Identity, realm: Realm, lifetime: int) -> dict[str, Any]:
    """What every statement of this key carries, for ``lifetime`` seconds from now."""
    now = int(SystemClock().now())
    return {
        "rendezvous": str(realm.rendezvous),
        "network": realm.network,
        "issuer": identity.public.hex,
        "nonce": SystemEntropy().token(32).hex(),
        "issued": now,
        "expires": now + lifetime,
    }
