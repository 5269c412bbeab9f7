"""Where a node's identity key is kept: a file of its owner alone, or memory for tests.

Without a passphrase ``identity.key`` is PKCS #8 in PEM, so that OpenSSL can recompute the fingerprint. With
one it is JSON: argon2id with RFC 9106's second recommended parameters (section 4: 64 MiB, 3 passes, 4 lanes)
derives the key of AES-256-GCM over that PEM, and everything else in the file is authenticated with it. A
passphrase protects a stolen file, not a running daemon. It does not ask for passphrases.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Annotated, Literal, Protocol

import msgspec
import rfc8785
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from comity import limits
from comity.errors import AlreadyInitialised, InvalidInput, NotInitialised, StorageUnusable, WrongPassphrase
from comity.identity.keys import Identity
from comity.storage.private import read_private, write_private

_KEY_BYTES = 32
SALT_BYTES = 16
NONCE_BYTES = 12
_PEM = b"-----BEGIN "


class KeyStore(Protocol):
    """Keeps one identity.

    Both methods raise HomeUnsafe where others could read or change the key, StorageUnusable, DiskFull.
    """

    def load(self, passphrase: str | None = None) -> Identity:
        """The identity; NotInitialised where none was saved, WrongPassphrase where it opens with another one.

        A passphrase for a key that is not protected by one is ignored.
        """
        ...

    def save(self, identity: Identity, passphrase: str | None = None) -> None:
        """Keep the identity; AlreadyInitialised where there is one, InvalidInput for an empty passphrase."""
        ...


class Kdf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Argon2id (RFC 9106). The bounds keep a forged file from taking this machine's memory, or minutes."""

    name: Literal["argon2id"] = "argon2id"
    memory_kib: Annotated[int, msgspec.Meta(ge=65536, le=256 * 1024)] = 65536
    passes: Annotated[int, msgspec.Meta(ge=1, le=16)] = 3
    lanes: Annotated[int, msgspec.Meta(ge=1, le=16)] = 4
    salt: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class _Protected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal["comity-protected-key-v1"] = "comity-protected-key-v1"
    kdf: Kdf
    cipher: Literal["aes-256-gcm"] = "aes-256-gcm"
    nonce: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{24}\Z")]
    ciphertext: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2})+\Z")] = ""

    def header(self) -> bytes:
        """What is authenticated with the ciphertext: every other field, as RFC 8785 JSON."""
        fields = msgspec.to_builtins(self)
        del fields["ciphertext"]
        return rfc8785.dumps(fields)


class FileKeyStore:
    """The identity in a file of mode 0600, in a folder that is checked by ``Home``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, passphrase: str | None = None) -> Identity:
        if not self._path.is_symlink() and not self._path.exists():
            raise NotInitialised(f"there is no identity in {self._path.parent}")
        data = read_private(self._path, limits.KEY_FILE_BYTES)
        if data.startswith(_PEM):
            return Identity.from_pem(data)
        try:
            protected = msgspec.json.decode(data, type=_Protected)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Not chained: the cause may quote the file.
            raise StorageUnusable(
                f"{self._path} is damaged", hint="restore the home folder from a backup"
            ) from None
        if passphrase is None:
            raise WrongPassphrase(f"{self._path} is protected by a passphrase")
        return Identity.from_pem(_open(protected, passphrase))

    def save(self, identity: Identity, passphrase: str | None = None) -> None:
        pem = identity.to_pem()
        data = pem if passphrase is None else _protect(pem, passphrase)
        write_private(self._path, data, replace=False)


class MemoryKeyStore:
    """The twin for tests: the passphrase is compared, not used for anything."""

    def __init__(self) -> None:
        self._kept: tuple[Identity, str | None] | None = None

    def load(self, passphrase: str | None = None) -> Identity:
        if self._kept is None:
            raise NotInitialised("there is no identity")
        identity, wanted = self._kept
        if wanted is not None and (passphrase is None or _normal(passphrase) != wanted):
            raise WrongPassphrase("the identity opens with another passphrase")
        return identity

    def save(self, identity: Identity, passphrase: str | None = None) -> None:
        wanted = None if passphrase is None else _normal(passphrase)
        if self._kept is not None:
            raise AlreadyInitialised("there is an identity already")
        self._kept = (identity, wanted)


def _protect(pem: bytes, passphrase: str) -> bytes:
    kdf = Kdf(salt=os.urandom(SALT_BYTES).hex())
    nonce = os.urandom(NONCE_BYTES)
    empty = _Protected(kdf=kdf, nonce=nonce.hex())
    ciphertext = AESGCM(derive(kdf, passphrase)).encrypt(nonce, pem, empty.header())
    return msgspec.json.encode(msgspec.structs.replace(empty, ciphertext=ciphertext.hex())) + b"\n"


def _open(protected: _Protected, passphrase: str) -> bytes:
    cipher = AESGCM(derive(protected.kdf, passphrase))
    nonce, ciphertext = bytes.fromhex(protected.nonce), bytes.fromhex(protected.ciphertext)
    try:
        return cipher.decrypt(nonce, ciphertext, protected.header())
    except InvalidTag:
        raise WrongPassphrase("the passphrase is not the one that protects the identity key") from None


def derive(kdf: Kdf, passphrase: str) -> bytes:
    """The 32-byte key that a passphrase gives; InvalidInput for an empty one."""
    secret = _normal(passphrase).encode("utf-8")
    function = Argon2id(
        salt=bytes.fromhex(kdf.salt),
        length=_KEY_BYTES,
        iterations=kdf.passes,
        lanes=kdf.lanes,
        memory_cost=kdf.memory_kib,
    )
    return function.derive(secret)


def _normal(passphrase: str) -> str:
    """One form for what looks the same, as keyboards of different systems type it; never empty."""
    text = unicodedata.normalize("NFC", passphrase)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput("the passphrase is not valid text") from error
    if not text:
        raise InvalidInput("the passphrase is empty", hint="leave the option out to use none")
    return text
