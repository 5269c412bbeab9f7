"""Setting a node up: its home folder, identity and configuration, and the card that names it to others.

No daemon is needed for any of this, and none is told: a running one notices at its next start.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from comity import limits
from comity.control import InitRequest, InitResult
from comity.errors import AlreadyInitialised, FileUnusable, InvalidInput, NotInitialised, StorageUnusable
from comity.identity.card import Card, JoinUrl
from comity.identity.fingerprint import Fingerprint
from comity.identity.hostname import normalise_hostname
from comity.identity.keys import Identity
from comity.sdk.revocation import settle
from comity.storage.config import Config
from comity.storage.home import Home
from comity.storage.keystore import FileKeyStore
from comity.storage.private import read_private


def init(request: InitRequest, *, home: Path | None = None, passphrase: str | None = None) -> InitResult:
    """Create the home with its identity and configuration; an init that was interrupted is finished.

    With ``rename`` the identity stays, and so does everything that the request leaves empty. Raises
    AlreadyInitialised, InvalidInput, InvalidJoinUrl, HomeUnsafe, WrongPassphrase, StorageUnusable, DiskFull;
    with ``rename`` also NotInitialised.
    """
    place = locate(home)
    if request.rename and not place.initialised:
        raise NotInitialised(f"no node is set up in {place.path}")
    if place.initialised and not request.rename:
        raise AlreadyInitialised(
            f"a node is set up in {place.path} already",
            hint="rename it with --rename, or set COMITY_HOME to another folder for a second node",
        )
    config = _config(request, place)
    place.create()
    if not request.rename:
        identity = _identity(FileKeyStore(place.identity_key), passphrase)
        settle(place, identity)
    place.write_config(config)
    return card(place.path)


def card(home: Path | None = None) -> InitResult:
    """Name, fingerprint and card of the node in a home. NotInitialised, HomeUnsafe, StorageUnusable."""
    place = locate(home)
    place.check()
    config = place.read_config()
    pin = _fingerprint(place)
    line = str(Card(config.hostname, JoinUrl.parse(config.join).authority, pin))
    return InitResult(
        hostname=config.hostname,
        fingerprint=str(pin),
        card=line,
        home=str(place.path),
        certificate=str(place.retirement) if place.retirement.exists() else "",
    )


def locate(home: Path | None) -> Home:
    """The home at a path, or the one that the environment names."""
    return Home.from_environment(os.environ) if home is None else Home(Path(os.path.realpath(home)))


def read_passphrase(path: Path) -> str:
    """The passphrase in a private file, without the line's end. FileUnusable, HomeUnsafe, InvalidInput."""
    try:
        return read_private(path, limits.PASSPHRASE_BYTES).decode("utf-8").rstrip("\r\n")
    except StorageUnusable as error:
        raise FileUnusable(f"no passphrase can be read: {error.message}") from error
    except UnicodeDecodeError:
        raise InvalidInput(f"the passphrase in {path} is not UTF-8 text") from None


def _config(request: InitRequest, place: Home) -> Config:
    """The configuration that the request asks for, over what is there. Everything in it is checked."""
    hostname = normalise_hostname(request.hostname)
    for name, claim in (("organization", request.organization), ("contact", request.contact)):
        if len(claim.encode("utf-8", "surrogatepass")) > limits.CLAIM_BYTES:
            raise InvalidInput(f"the {name} is longer than {limits.CLAIM_BYTES} bytes")
    if not request.rename:
        join = str(JoinUrl.parse(request.join))
        return Config(
            hostname=hostname, join=join, organization=request.organization, contact=request.contact
        )
    old = place.read_config()
    return dataclasses.replace(
        old,
        hostname=hostname,
        join=str(JoinUrl.parse(request.join)) if request.join else old.join,
        organization=request.organization or old.organization,
        contact=request.contact or old.contact,
    )


def _identity(store: FileKeyStore, passphrase: str | None) -> Identity:
    """The key that an interrupted init left, else a new one."""
    try:
        return store.load(passphrase)
    except NotInitialised:
        identity = Identity.generate()
        store.save(identity, passphrase)
        return identity


def _fingerprint(place: Home) -> Fingerprint:
    file = place.fingerprint
    if file.exists():
        return Fingerprint.parse(read_private(file, limits.KEY_FILE_BYTES).decode("ascii", "replace"))
    return FileKeyStore(place.identity_key).load().public.fingerprint
