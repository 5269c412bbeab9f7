"""A new key for a node, in a home that no daemon runs (docs: protocol, "Keys").

Nothing here talks to anybody: partners and the rendezvous are told by the daemon, at its next start.
"""

from __future__ import annotations

import os
from pathlib import Path

from comity import limits
from comity.control.trust import RotateResult
from comity.errors import WrongPassphrase
from comity.identity.card import JoinUrl
from comity.identity.keys import Identity
from comity.protocol.realm import Realm
from comity.protocol.statements import Predecessor, payload, payload_type
from comity.protocol.succession import Rotation
from comity.protocol.wire import encode
from comity.sdk.home import card, locate
from comity.sdk.revocation import frame, settle
from comity.storage.home import Home
from comity.storage.keystore import FileKeyStore
from comity.storage.lease import Lease
from comity.storage.places import places_of
from comity.storage.private import make_private_folder, move_private, write_private
from comity.storage.runtime import runtime_of


def rotate(home: Path | None = None, passphrase: str | None = None) -> RotateResult:
    """Give this node a new key, on the old one's signed word; the same passphrase protects it.

    The old key is gone once this returns. What it had certified lies in ``former/``. A rotation that was
    interrupted is begun anew, or was complete. Raises NotInitialised, AlreadyRunning, WrongPassphrase,
    HomeUnsafe, StorageUnusable, DiskFull.
    """
    place = locate(home)
    place.check()
    places = places_of(place.read_config())
    runtime = runtime_of(place, os.environ)
    runtime.create()
    with Lease.acquire(place, runtime):
        old = FileKeyStore(place.identity_key).load(passphrase)
        new = Identity.generate()
        place.next_key.unlink(missing_ok=True)
        kept_by = passphrase if _protected(place) else None
        FileKeyStore(place.next_key).save(new, kept_by)
        for file in place.rotations:
            file.unlink()
        for number, each in enumerate(places):
            kept = place.rotation_in(each.name) if number else place.rotation
            write_private(kept, encode(_rotation(old, new, each.join)), replace=True)
        former = place.former(str(old.public.fingerprint))
        make_private_folder(former.parent)
        make_private_folder(former)
        for file in (place.retirement, place.log_certificate, *place.rotations):
            if file.exists():
                write_private(former / file.name, file.read_bytes(), replace=True)
        move_private(place.next_key, place.identity_key)  # from here on it is done
        settle(place, new)
    named = card(place.path)
    return RotateResult(
        hostname=named.hostname,
        fingerprint=named.fingerprint,
        former_fingerprint=str(old.public.fingerprint),
        card=named.card,
        certificate=str(place.retirement),
    )


def _rotation(old: Identity, new: Identity, join: JoinUrl) -> Predecessor:
    """The old key's word to one network, which names no other one."""
    realm = Realm(join.named, join.network)
    statement = Rotation(**frame(old, realm, limits.REQUEST_LIFETIME), successor=new.public.hex)
    envelope = old.sign_statement(payload_type(Rotation), payload(statement))
    return Predecessor(key=old.public.hex, rotation=envelope.to_json().decode())


def _protected(place: Home) -> bool:
    try:
        FileKeyStore(place.identity_key).load(None)
    except WrongPassphrase:
        return True
    return False
