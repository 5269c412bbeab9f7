"""The key that signs the audit log's checkpoints: a file beside the identity, made at the first start.

It is a key of its own, because an identity signs statements and nothing else (SECURITY.md rule 1); the
identity certifies it with a LogKey statement, which ``services.logkey`` makes. It lies unprotected, mode
0600, since the daemon needs it at every start. What it signs proves that the log was not changed by somebody
without this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from comity import limits
from comity.errors import StorageUnusable
from comity.identity.keys import PublicKey
from comity.protocol.logkeys import log_origin
from comity.storage.private import read_private, write_private


@dataclass(frozen=True)
class AuditKey:
    """``origin`` names the log in its checkpoints: the same for its whole life, whatever key the node has."""

    origin: str
    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls, owner: PublicKey) -> AuditKey:
        """A new key for the log of the node ``owner``, from the operating system's generator."""
        return cls(log_origin(owner), Ed25519PrivateKey.generate())

    @property
    def public(self) -> bytes:
        """32 bytes."""
        return self.private.public_key().public_bytes_raw()


def load_audit_key(path: Path, owner: PublicKey, origin: str | None = None) -> AuditKey:
    """The key at ``path``, made first where there is none; HomeUnsafe, StorageUnusable, DiskFull.

    ``origin`` is the log's name, where it was given one under an earlier key of the owner.
    """
    if not path.exists():
        key = AuditKey.generate(owner)
        pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(path, pem, replace=False)
        return key
    try:
        private = load_pem_private_key(read_private(path, limits.KEY_FILE_BYTES), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None  # not chained: the cause may quote the file
    if not isinstance(private, Ed25519PrivateKey):
        raise StorageUnusable(f"{path} is damaged", hint="restore the home folder from a backup")
    return AuditKey(origin or log_origin(owner), private)
