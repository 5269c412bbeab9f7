"""The life of this node's key: backup and restore, with the agreements and the audit log, without a daemon.

The backup holds the key (as it lies in the home: with its own passphrase, if it has one), the log key and its
certificate, ``config.toml`` and the database. Received files are not in it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from comity import limits
from comity.clock import SystemClock, rfc3339
from comity.control.backup import BackupResult, RestoreResult
from comity.errors import AlreadyInitialised, AlreadyRunning, FileUnusable
from comity.sdk.home import card, locate
from comity.storage.backup import copy_database, put_database, read_backup, write_backup
from comity.storage.home import Home
from comity.storage.lease import Machine, read_holder
from comity.storage.private import read_private, write_private

#: The old key's word to another network than the first: ``Home.rotation_in``.
_ROTATION = re.compile(r"rotation-[a-z][a-z0-9-]{0,31}\.json")


def backup(path: Path, passphrase: str, home: Path | None = None) -> BackupResult:
    """Write an encrypted backup, while the node runs or not.

    Raises NotInitialised, AlreadyInitialised where ``path`` exists, AlreadyRunning where the node runs on
    another machine, InvalidInput for an empty passphrase, TooLarge, HomeUnsafe, StorageUnusable, DiskFull.
    """
    place = locate(home)
    known = card(place.path)
    holder = read_holder(place)
    if holder is not None and not Machine.here().may_be(holder):
        raise AlreadyRunning(
            f"this node was started on {holder.host}", hint=f"run the same command on {holder.host}"
        )
    files = {
        name: read_private(file, limits.CONFIG_BYTES)
        for name, file in _small_files(place).items()
        if file.exists()
    }
    if place.database.exists():
        files[place.database.name] = copy_database(place.database)
    header = write_backup(
        path,
        files,
        passphrase,
        kind="identity",
        name=known.hostname,
        fingerprint=known.fingerprint,
        created_at=rfc3339(SystemClock().now()),
    )
    where = os.path.abspath(path)
    return BackupResult(where, path.stat().st_size, header.name, header.fingerprint, header.created_at)


def restore(path: Path, passphrase: str, home: Path | None = None) -> RestoreResult:
    """Fill an empty home from a backup; one that was interrupted is done again.

    Raises AlreadyInitialised where a node is set up there, FileUnusable, WrongPassphrase, HomeUnsafe,
    StorageUnusable, DiskFull.
    """
    place = locate(home)
    if place.identity_key.exists():
        raise AlreadyInitialised(f"a node is set up in {place.path} already")
    small = set(_small_files(place))

    def known(name: str) -> bool:
        return name in small or name == place.database.name or bool(_ROTATION.fullmatch(name))

    header, files = read_backup(path, passphrase, "identity", known)
    if not {place.identity_key.name, place.config.name} <= set(files):
        raise FileUnusable(f"{path} holds no identity", hint="try another copy")
    place.create()
    if place.database.name in files:
        put_database(place.database, files[place.database.name])
    others = sorted(set(files) - {place.database.name, place.identity_key.name})
    for name in (*others, place.identity_key.name):  # the key last: until it is there, nothing is set up
        write_private(place.path / name, files[name], replace=True)
    return RestoreResult(str(place.path), header.name, header.fingerprint, header.created_at)


def _small_files(place: Home) -> dict[str, Path]:
    files = (
        place.config,
        place.fingerprint,
        place.retirement,
        place.rotation,
        *place.rotations,
        place.log_key,
        place.log_certificate,
        place.identity_key,
    )
    return {file.name: file for file in files}
