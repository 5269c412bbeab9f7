"""Administering a rendezvous on the machine that it runs on, as its user, whether it serves or not.

A process of the server's own program is asked (``python -m comity.rendezvous.admin``), which finds the server
or opens its database; this module knows neither. ``state``: the server's folder; None for the one that
``COMITY_RENDEZVOUS_HOME`` names, or the default.

Every function raises NotInitialised where no rendezvous was ever started there, HomeUnsafe, InvalidInput,
AlreadyRunning while a server is just starting or stopping, TimedOut, StorageUnusable, DiskFull.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from comity import limits
from comity.control import rendezvous as control
from comity.control.backup import (
    BackupResult,
    RendezvousBackupRequest,
    RendezvousRestoreRequest,
    RestoreResult,
)
from comity.control.codec import from_plain, to_plain
from comity.control.rendezvous_status import RendezvousStatus, StatusRequest
from comity.errors import RemoteProtocolError, TimedOut
from comity.sdk.answers import reported

T = TypeVar("T")

#: -P: a folder that happens to be the current one must not add modules to it.
_ADMIN = (sys.executable, "-P", "-X", "utf8", "-m", "comity.rendezvous.admin")
_PATIENCE = 2 * limits.ADMIN_SECONDS


def create_network(request: control.NetworkCreateRequest, state: Path | None = None) -> control.NetworkView:
    """A new network."""
    return _ask("network-create", request, control.NetworkView, state)


def change_network(request: control.NetworkChangeRequest, state: Path | None = None) -> control.NetworkView:
    """A network on new terms; its members stay."""
    return _ask("network-change", request, control.NetworkView, state)


def networks(state: Path | None = None) -> control.NetworkListResult:
    """All networks."""
    return _ask("network-list", control.NetworkListRequest(), control.NetworkListResult, state)


def invite(request: control.InviteCreateRequest, state: Path | None = None) -> control.InviteCreateResult:
    """A join URL with an invitation in it; the token is in no other place."""
    return _ask("invite-create", request, control.InviteCreateResult, state)


def invitations(network: str, state: Path | None = None) -> control.InviteListResult:
    """A network's invitations, without their tokens."""
    return _ask("invite-list", control.InviteListRequest(network), control.InviteListResult, state)


def revoke_invitation(number: int, state: Path | None = None) -> control.InvitationView:
    """End an invitation; whoever came in by it stays."""
    return _ask("invite-revoke", control.InviteRevokeRequest(number), control.InvitationView, state)


def nodes(network: str = "", state: Path | None = None) -> control.NodesResult:
    """The nodes of one network, or of all."""
    return _ask("nodes", control.NodesRequest(network), control.NodesResult, state)


def remove(request: control.RemoveRequest, state: Path | None = None) -> control.NodeEnded:
    """Forget a node; UnknownPeer. Its key needs a new invitation to come back."""
    return _ask("remove", request, control.NodeEnded, state)


def release(request: control.ReleaseRequest, state: Path | None = None) -> control.NodeEnded:
    """Take a hostname from its key; UnknownPeer."""
    return _ask("release", request, control.NodeEnded, state)


def admin_log(request: control.AdminLogRequest, state: Path | None = None) -> control.AdminLogResult:
    """The newest acts, oldest first, and whether the log is what it was."""
    return _ask("admin-log", request, control.AdminLogResult, state)


def status(state: Path | None = None) -> RendezvousStatus:
    """How the server is; ``running`` is false where none serves."""
    return _ask("status", StatusRequest(), RendezvousStatus, state)


def force_clock_back(state: Path | None = None) -> control.ForcedClockBack:
    """Turn a stopped server's time back to this machine's. AlreadyRunning, InvalidInput."""
    return _ask("force-clock-back", control.ForceClockBackRequest(), control.ForcedClockBack, state)


def backup(path: Path, passphrase: str, state: Path | None = None) -> BackupResult:
    """Write an encrypted backup, while it serves or not. AlreadyInitialised where it exists; TooLarge."""
    request = RendezvousBackupRequest(os.path.abspath(path), passphrase)
    return _ask("backup", request, BackupResult, state)


def restore(path: Path, passphrase: str, state: Path | None = None) -> RestoreResult:
    """Fill an empty state folder from a backup. AlreadyInitialised, FileUnusable, WrongPassphrase."""
    request = RendezvousRestoreRequest(os.path.abspath(path), passphrase)
    return _ask("restore", request, RestoreResult, state)


def _ask(operation: str, request: object, kind: type[T], state: Path | None) -> T:
    command = [*_ADMIN, *([] if state is None else ["--state", str(state)])]
    line = msgspec.json.encode({"operation": operation, "request": to_plain(request)})
    try:
        ran = subprocess.run(command, input=line, capture_output=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise TimedOut("the rendezvous did not answer in time") from None
    try:
        answer: dict[str, Any] = msgspec.json.decode(ran.stdout, type=dict)
    except (msgspec.DecodeError, UnicodeDecodeError):
        last = ran.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise RemoteProtocolError(": ".join(["the rendezvous gave no answer", *last])) from None
    if "error" in answer:
        raise reported(answer["error"])
    return from_plain(answer.get("result"), kind)


def rotate_key(state: Path | None = None) -> control.RotateKeyResult:
    """Give a server that is stopped a new key, which its nodes follow. AlreadyRunning while it serves."""
    return _ask("rotate-key", control.RotateKeyRequest(), control.RotateKeyResult, state)
