"""A backup in one encrypted file: small files and a database, under a passphrase.

    comity-backup-v1 LF  header in JSON LF  AES-256-GCM ciphertext

Argon2id derives the key as for the identity's key file (``keystore``); everything before the ciphertext is
authenticated with it. Inside is MessagePack: names and bytes. A database is copied with SQLite's online
backup, so whoever writes it need not stop, and the copy is what one transaction left. What belongs into a
backup is its callers' knowledge, and so is where it is put back.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from comity import limits
from comity.errors import AlreadyInitialised, FileUnusable, StorageUnusable, TooLarge, WrongPassphrase
from comity.storage.failures import DatabaseReported
from comity.storage.keystore import NONCE_BYTES, SALT_BYTES, Kdf, derive
from comity.storage.private import check_private_file, write_private

Kind = Literal["identity", "rendezvous"]

_MAGIC = b"comity-backup-v1\n"
_HEADER_BYTES = 4096


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be read without the passphrase: whose backup it is, and from when (RFC 3339)."""

    kind: Kind
    name: str
    fingerprint: str
    created_at: str
    kdf: Kdf
    cipher: Literal["aes-256-gcm"] = "aes-256-gcm"
    nonce: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{24}\Z")]


def write_backup(
    path: Path,
    files: Mapping[str, bytes],
    passphrase: str,
    *,
    kind: Kind,
    name: str,
    fingerprint: str,
    created_at: str,
) -> Header:
    """Put a backup at ``path``, mode 0600.

    AlreadyInitialised where something is there; FileUnusable, DiskFull.
    """
    nonce = os.urandom(NONCE_BYTES)
    header = Header(
        kind=kind,
        name=name,
        fingerprint=fingerprint,
        created_at=created_at,
        kdf=Kdf(salt=os.urandom(SALT_BYTES).hex()),
        nonce=nonce.hex(),
    )
    head = _MAGIC + msgspec.json.encode(header) + b"\n"
    content = msgspec.msgpack.encode(dict(files))
    sealed = head + AESGCM(derive(header.kdf, passphrase)).encrypt(nonce, content, head)
    try:
        write_private(path, sealed, replace=False)
    except AlreadyInitialised as error:
        raise AlreadyInitialised(error.message, hint="name another file with --out") from error
    except StorageUnusable as error:
        raise FileUnusable(error.message) from error
    return header


def read_backup(
    path: Path, passphrase: str, kind: Kind, known: Callable[[str], bool]
) -> tuple[Header, dict[str, bytes]]:
    """What ``write_backup`` wrote; only files whose names are ``known``.

    FileUnusable where it is no backup of that kind, WrongPassphrase where it doesn't open.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FileUnusable(f"the backup {path} is not a regular file")
            data = file.read(limits.BACKUP_FILE_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        raise FileUnusable(f"the backup {path} cannot be read: {reason}") from error
    end = data.find(b"\n", len(_MAGIC), _HEADER_BYTES) + 1
    if not data.startswith(_MAGIC) or not end or len(data) > limits.BACKUP_FILE_BYTES:
        raise _unreadable(path)
    try:
        header = msgspec.json.decode(data[len(_MAGIC) : end], type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(path) from error
    if header.kind != kind:
        raise FileUnusable(
            f"{path} is a backup of another kind: {header.kind}", hint=f"run comity {header.kind} restore"
        )
    try:
        cipher = AESGCM(derive(header.kdf, passphrase))
        content = cipher.decrypt(bytes.fromhex(header.nonce), data[end:], data[:end])
    except InvalidTag:
        raise WrongPassphrase(
            f"{path} opens with another passphrase, or is damaged", hint="try the right one, or another copy"
        ) from None
    files = msgspec.msgpack.decode(content, type=dict[str, bytes])
    return header, {each: data for each, data in files.items() if known(each)}


def _unreadable(path: Path) -> FileUnusable:
    return FileUnusable(f"{path} is not a backup that this version can read", hint="try another copy")


def copy_database(path: Path) -> bytes:
    """A consistent copy of the SQLite database at ``path``, which may be in use.

    StorageUnusable, HomeUnsafe; TooLarge where it does not fit ``limits.BACKUP_DATABASE_BYTES``.
    """
    check_private_file(path)
    if path.stat().st_size > limits.BACKUP_DATABASE_BYTES:
        raise TooLarge(
            f"{path} is larger than a backup can hold",
            hint="stop it, and copy the whole folder instead: tar, or your backup program",
        )
    with DatabaseReported(str(path)):
        source = sqlite3.connect(path, timeout=limits.DATABASE_LOCK_TIMEOUT)
        copy = sqlite3.connect(":memory:")
        try:
            source.backup(copy)
            return copy.serialize()
        finally:
            copy.close()
            source.close()


def put_database(path: Path, data: bytes) -> None:
    """Put a copy back where no database is in use; what an earlier one left beside it goes away."""
    for suffix in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    write_private(path, data, replace=True)
