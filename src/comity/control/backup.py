"""Requests and results of backups, of an identity and of a rendezvous."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BackupResult:
    """``name`` is the node's hostname, or how nodes reach the rendezvous; ``path`` the backup's file."""

    path: str
    bytes: int
    name: str
    fingerprint: str
    created_at: str


@dataclass(frozen=True)
class RestoreResult:
    """``place`` is the folder that was filled; ``created_at`` when the backup was made."""

    place: str
    name: str
    fingerprint: str
    created_at: str


@dataclass(frozen=True)
class RendezvousBackupRequest:
    path: str
    passphrase: str


@dataclass(frozen=True)
class RendezvousRestoreRequest:
    path: str
    passphrase: str
