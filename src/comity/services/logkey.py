"""The identity's certificate of its log key, kept beside the key: whoever gets checkpoints can check both.

Made at the first start, and again once it has ended (SECURITY.md rules 1 and 2). It names no realm:
partners in every network are shown the same one, and none shall learn of the others. The key itself is
``storage.logkey``'s.
"""

from __future__ import annotations

from pathlib import Path

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import RemoteProtocolError
from comity.identity.envelope import Envelope
from comity.protocol.statements import LogKey, open_statement
from comity.protocol.succession import NOWHERE
from comity.protocol.wire import decode_canonical
from comity.services.notary import Notary
from comity.storage.logkey import AuditKey
from comity.storage.private import read_private, write_private


def certify(path: Path, key: AuditKey, notary: Notary, clock: Clock, entropy: Entropy) -> Envelope:
    """The LogKey statement at ``path`` if it is of this key and in force, else a new one, kept there.

    HomeUnsafe, StorageUnusable, DiskFull.
    """
    now = int(clock.now())
    if path.exists():
        kept = _kept(path, key, notary, now)
        if kept is not None:
            return kept
    envelope = make_certificate(key, notary, clock, entropy)
    write_private(path, envelope.to_json(), replace=True)
    return envelope


def make_certificate(key: AuditKey, notary: Notary, clock: Clock, entropy: Entropy) -> Envelope:
    """A new LogKey statement of this key."""
    now = int(clock.now())
    statement = LogKey(
        rendezvous=str(NOWHERE.rendezvous),
        network=NOWHERE.network,
        issuer=notary.public.hex,
        nonce=entropy.token(32).hex(),
        issued=now,
        expires=now + limits.LOG_KEY_LIFETIME,
        origin=key.origin,
        key=key.public.hex(),
    )
    return notary.sign(statement)


def origin_of(path: Path) -> str | None:
    """How the log is named in the certificate at ``path``, whichever key of this node has signed that."""
    if not path.exists():
        return None
    try:
        envelope = Envelope.from_json(read_private(path, limits.STATEMENT_BYTES))
        return decode_canonical(envelope.payload, LogKey, limits.STATEMENT_BYTES).origin
    except RemoteProtocolError:
        return None


def _kept(path: Path, key: AuditKey, notary: Notary, now: int) -> Envelope | None:
    try:
        envelope = Envelope.from_json(read_private(path, limits.STATEMENT_BYTES))
        statement = open_statement(
            envelope,
            LogKey,
            issuer=notary.public,
            rendezvous=NOWHERE.rendezvous,
            network=NOWHERE.network,
            now=now,
        )
    except RemoteProtocolError:
        return None
    return envelope if (statement.origin, statement.key) == (key.origin, key.public.hex()) else None
