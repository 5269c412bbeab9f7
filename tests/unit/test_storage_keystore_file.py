"""The identity's file: private, reproducible with OpenSSL, opened by the right passphrase only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from comity.errors import HomeUnsafe, InvalidInput, StorageUnusable, WrongPassphrase
from comity.identity.keys import Identity
from comity.storage.keystore import FileKeyStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "identity.key"


def test_plain_file_is_what_openssl_reads(path: Path) -> None:
    identity = Identity.generate()
    FileKeyStore(path).save(identity)
    key = load_pem_private_key(path.read_bytes(), password=None)
    assert key.public_key() == identity.private_key.public_key()


@pytest.mark.parametrize("passphrase", [None, "secret"])
def test_private_and_alone_whatever_the_umask(path: Path, passphrase: str | None) -> None:
    before = os.umask(0)
    try:
        FileKeyStore(path).save(Identity.generate(), passphrase)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_readable_by_others_is_refused(path: Path, mode: int) -> None:
    FileKeyStore(path).save(Identity.generate())
    path.chmod(mode)
    with pytest.raises(HomeUnsafe, match=f"{mode:04o}"):
        FileKeyStore(path).load()


def test_link_is_refused(path: Path, tmp_path: Path) -> None:
    FileKeyStore(tmp_path / "real").save(Identity.generate())
    path.symlink_to(tmp_path / "real")
    with pytest.raises(HomeUnsafe, match="symbolic link"):
        FileKeyStore(path).load()


def test_protected_file_holds_no_key_in_clear(path: Path) -> None:
    identity = Identity.generate()
    FileKeyStore(path).save(identity, "secret")
    content = path.read_bytes()
    assert b"PRIVATE KEY" not in content
    assert identity.private_key.private_bytes_raw().hex().encode() not in content


def test_protected_file_is_what_its_description_says(path: Path) -> None:
    """Opened here by hand: argon2id as RFC 9106 recommends, AES-256-GCM over the header."""
    identity = Identity.generate()
    FileKeyStore(path).save(identity, "secret")
    file = msgspec.json.decode(path.read_bytes())
    kdf = file["kdf"]
    assert (kdf["name"], kdf["memory_kib"], kdf["passes"], kdf["lanes"]) == ("argon2id", 65536, 3, 4)
    key = Argon2id(
        salt=bytes.fromhex(kdf["salt"]), length=32, iterations=3, lanes=4, memory_cost=65536
    ).derive(b"secret")
    header = (
        '{"cipher":"aes-256-gcm","format":"comity-protected-key-v1","kdf":{"lanes":4,"memory_kib":65536,'
        f'"name":"argon2id","passes":3,"salt":"{kdf["salt"]}"}},"nonce":"{file["nonce"]}"}}'
    )
    pem = AESGCM(key).decrypt(
        bytes.fromhex(file["nonce"]), bytes.fromhex(file["ciphertext"]), header.encode()
    )
    assert Identity.from_pem(pem).public == identity.public


def test_no_two_files_are_alike(path: Path, tmp_path: Path) -> None:
    identity = Identity.generate()
    other = tmp_path / "other.key"
    for file in (path, other):
        FileKeyStore(file).save(identity, "secret")
    first, second = (msgspec.json.decode(file.read_bytes()) for file in (path, other))
    assert first["kdf"]["salt"] != second["kdf"]["salt"]
    assert first["nonce"] != second["nonce"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"passes":3', b'"passes":2'),
        (b'"lanes":4', b'"lanes":3'),
        (b'"ciphertext":"', b'"ciphertext":"00'),
    ],
)
def test_changed_file_does_not_open(path: Path, old: bytes, new: bytes) -> None:
    FileKeyStore(path).save(Identity.generate(), "secret")
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(WrongPassphrase):
        FileKeyStore(path).load("secret")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"memory_kib":65536', b'"memory_kib":999999999'),  # would exhaust this machine
        (b'"memory_kib":65536', b'"memory_kib":8'),  # would be guessed in no time
        (b"argon2id", b"pbkdf2"),
        (b"key-v1", b"key-v2"),
        (b"{", b"["),
        (b'"nonce"', b'"extra":1,"nonce"'),
    ],
)
def test_damaged_file_is_a_clear_error(path: Path, old: bytes, new: bytes) -> None:
    FileKeyStore(path).save(Identity.generate(), "secret")
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(StorageUnusable, match="damaged"):
        FileKeyStore(path).load("secret")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"x" * 100_000])
def test_other_content_is_a_clear_error(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StorageUnusable):
        FileKeyStore(path).load()


def test_pem_of_something_else_is_a_clear_error(path: Path) -> None:
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    path.chmod(0o600)
    with pytest.raises(InvalidInput):
        FileKeyStore(path).load()
