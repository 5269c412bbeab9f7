"""The revocation certificate of a key, made with it (SECURITY.md rule 4): what remains when the key is lost.

It is for a safe place off this machine; publishing it is the daemon's work.
"""

from __future__ import annotations

from typing import Any

from comity import limits
from comity.clock import SystemClock
from comity.entropy import SystemEntropy
from comity.identity.card import JoinUrl
from comity.identity.keys import Identity
from comity.protocol.statements import payload, payload_type
from comity.protocol.succession import Certificate, Retirement
from comity.storage.home import Home
from comity.storage.private import write_private

LOST = "lost or stolen"


def settle(place: Home, identity: Identity, join: JoinUrl) -> None:
    """What lies beside a new key: its fingerprint and its revocation certificate."""
    write_private(place.fingerprint, f"{identity.public.fingerprint}\n".encode("ascii"), replace=True)
    write_private(place.retirement, certificate(identity, join), replace=True)


def certificate(identity: Identity, join: JoinUrl) -> bytes:
    """The revocation certificate of a key: whoever holds a copy can end that key, and do nothing else."""
    statement = Retirement(**frame(identity, join, limits.REVOCATION_LIFETIME), reason=LOST)
    envelope = identity.sign_statement(payload_type(Retirement), payload(statement))
    return Certificate(key=identity.public.hex, retirement=envelope.to_json().decode()).to_json() + b"\n"


def frame(identity: Identity, join: JoinUrl, lifetime: int) -> dict[str, Any]:
    """What every statement of this key carries, for ``lifetime`` seconds from now."""
    now = int(SystemClock().now())
    return {
        "rendezvous": str(join.named),
        "network": join.network,
        "issuer": identity.public.hex,
        "nonce": SystemEntropy().token(32).hex(),
        "issued": now,
        "expires": now + lifetime,
    }
