"""The server's backup: its key, its database and its last join URL, in one encrypted file, and back; and a
new key.

The copy of the database is what one commit left, so everything that nodes were told before it is in it. A
restore takes the lock of the folder, so none happens under a running server.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from comity import limits
from comity.clock import Clock
from comity.control.backup import BackupResult, RestoreResult
from comity.control.rendezvous import RotateKeyResult
from comity.entropy import Entropy
from comity.errors import AlreadyInitialised, FileUnusable
from comity.identity.card import JoinUrl
from comity.rendezvous.sqlite import SqliteBooks
from comity.rendezvous.state import State
from comity.rendezvous.tenancy import Act
from comity.rendezvous.timing import latest
from comity.storage.backup import copy_database, put_database, read_backup, write_backup
from comity.storage.private import check_private_folder, read_private, write_private

_KEY, _DATABASE, _URL, _LINEAGE = "rendezvous.key", "rendezvous.db", "join.url", "lineage.json"


def backup(folder: Path, path: Path, passphrase: str, now: str) -> BackupResult:
    """Back the state in ``folder`` up.

    AlreadyInitialised where ``path`` exists; TooLarge, StorageUnusable, DiskFull.
    """
    check_private_folder(folder)
    files = {name: read_private(folder / name, limits.KEY_FILE_BYTES) for name in (_KEY, _URL)}
    if (folder / _LINEAGE).exists():
        files[_LINEAGE] = read_private(folder / _LINEAGE, limits.RENDEZVOUS_LINEAGE_BYTES)
    files[_DATABASE] = copy_database(folder / _DATABASE)
    join = JoinUrl.parse(files[_URL].decode())
    header = write_backup(
        path,
        files,
        passphrase,
        kind="rendezvous",
        name=join.authority,
        fingerprint=str(join.fingerprint),
        created_at=now,
    )
    return BackupResult(
        os.fspath(path), path.stat().st_size, header.name, header.fingerprint, header.created_at
    )


def restore(folder: Path, path: Path, passphrase: str, clock: Clock, who: str) -> RestoreResult:
    """Fill ``folder``.

    AlreadyInitialised where a key is there; AlreadyRunning, FileUnusable, WrongPassphrase.
    """
    header, files = read_backup(
        path, passphrase, "rendezvous", {_KEY, _DATABASE, _URL, _LINEAGE}.__contains__
    )
    if not {_KEY, _DATABASE, _URL} <= set(files):
        raise FileUnusable(f"{path} holds no rendezvous", hint="try another copy")
    state = State(folder)
    try:
        if (folder / _KEY).exists():
            raise AlreadyInitialised(
                f"there is a rendezvous in {folder} already", hint="name an empty folder with --state DIR"
            )
        put_database(folder / _DATABASE, files[_DATABASE])
        _note(folder / _DATABASE, clock, who, "restored", f"{path}, made {header.created_at}")
        for name in (_LINEAGE, _URL, _KEY):  # the key last: until it is there, nothing is restored
            if name not in files:
                continue
            write_private(folder / name, files[name], replace=True)
    finally:
        state.close()
    return RestoreResult(os.fspath(folder), header.name, header.fingerprint, header.created_at)


def rotate_key(folder: Path, clock: Clock, entropy: Entropy, who: str) -> RotateKeyResult:
    """Give the server of ``folder`` a new key. AlreadyRunning while it serves."""
    state = State(folder)
    try:
        _note(state.database, clock, who, "key rotation begun", f"from {state.identity().public.fingerprint}")
        old, new = state.rotate(clock, entropy)
        _note(state.database, clock, who, "key rotated", f"to {new.public.fingerprint}")
        known = state.read_join_url()
        url = replace(known, fingerprint=new.public.fingerprint, first=known.named)
        state.write_join_url(url)
    finally:
        state.close()
    return RotateKeyResult(str(url), str(new.public.fingerprint), str(old.public.fingerprint))


def _note(database: Path, clock: Clock, who: str, act: str, detail: str) -> None:
    """A line in the admin log of a server that is stopped."""
    books = SqliteBooks(database)
    try:
        with books.transaction():
            books.tenancy.note(Act(int(max(clock.now(), latest(books))), who, act, 0, detail))
    finally:
        books.close()
