"""Files to and from peers. Errors: those of ``Client``, and those of the operation.

The file is opened here, with the rights of whoever calls, and the open descriptor is handed to the daemon: it
never opens a path that somebody else chose (SECURITY.md rule 15).
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from comity.control import (
    CancelRequest,
    CancelResult,
    Progress,
    QueueFileRequest,
    QueueResult,
    ReceivedRequest,
    ReceivedResult,
    SendFileRequest,
    SendResult,
    SignArtifactRequest,
    SignArtifactResult,
    TransfersResult,
)
from comity.control.codec import from_plain
from comity.errors import FileUnusable
from comity.identity.text import printable
from comity.protocol.exchange.names import check_name
from comity.sdk import asks
from comity.sdk.client import Client

_REASONS = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "a part of its path is not a folder",
    errno.EACCES: "you may not read it",
    errno.EPERM: "you may not read it",
    errno.ELOOP: "its symbolic links go round in a circle",
    errno.ENXIO: "it is neither a file nor a folder",
}


def send_file(
    client: Client,
    peer: str,
    path: str | os.PathLike[str],
    progress: Callable[[Progress], None],
    *,
    limit: int | None = None,
    signature: str | None = None,
) -> SendResult:
    """Send the file or folder at ``path``, whole and verified; returns once the peer's receipt is here.

    ``progress`` is called in this thread, several times a second. ``limit``: bytes a second. ``signature``:
    what ``sign_artifact`` answered to somebody else, for a charter that wants this signer. Raises
    FileUnusable, NameRefused, FileChanged, TooLarge, UntrustedPeer, Denied, PeerUnreachable, PeerRefused,
    DiskFull, InboxFull, TransferFailed, TransferCancelled, VerificationFailed.
    """
    descriptor = open_to_send(path)
    try:
        name = name_of(path)
        token = client.hand_over(descriptor)
        request = SendFileRequest(peer=peer, name=name, file=token, limit=limit, signature=signature)
    finally:
        os.close(descriptor)
    return client.follow("send-file", request, SendResult, progress)


def sign_artifact(client: Client, path: str | os.PathLike[str]) -> SignArtifactResult:
    """Have the node stand for the file at ``path``, for whoever sends it; FileUnusable."""
    descriptor = open_to_send(path)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileUnusable("a folder cannot be signed", hint="pack it: tar -cf NAME.tar FOLDER")
    with open(descriptor, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        request = SignArtifactRequest(f"sha256:{digest}", file.tell())
    return client.ask(asks.sign_artifact(request))


def queue_file(
    client: Client, peer: str, path: str | os.PathLike[str], *, limit: int | None = None
) -> QueueResult:
    """Have the file at ``path`` sent when the peer is there, through restarts; returns at once.

    It is sent as it is now: if it changes before, it is not sent, and ``transfers`` says so. Raises
    FileUnusable, NameRefused, TooLarge, UntrustedPeer, Denied.
    """
    descriptor = open_to_send(path)
    try:
        name = name_of(path)
        where = os.path.realpath(path)
        token = client.hand_over(descriptor)
        request = QueueFileRequest(peer=peer, name=name, file=token, path=where, limit=limit)
    finally:
        os.close(descriptor)
    return client.ask(asks.queue_file(request))


def received(client: Client, request: ReceivedRequest) -> ReceivedResult:
    """What has arrived; with ``wait``, once a file of that name is there (TimedOut)."""
    return client.ask(asks.received(request))


def transfers(client: Client) -> TransfersResult:
    """What is on its way, and what was."""
    return client.ask(asks.transfers())


def watch(client: Client) -> Iterator[Progress]:
    """What runs, in both directions, again and again; each transfer once more as it ended. Without an end."""
    with client.listen("watch-transfers", None) as lines:
        while True:
            yield from_plain(lines.next(None)["progress"], Progress)


def cancel(client: Client, transfer: str) -> CancelResult:
    """End a transfer for good, by its id or the beginning of it: UnknownTransfer, InvalidInput."""
    return client.ask(asks.cancel(CancelRequest(transfer)))


def name_of(path: str | os.PathLike[str]) -> str:
    """What the file or folder at ``path`` is called; NameRefused."""
    name = Path(os.path.abspath(path)).name
    check_name(name)
    return name


def open_to_send(path: str | os.PathLike[str]) -> int:
    """A descriptor of the regular file, or of the folder, at ``path``, for reading; FileUnusable says what is
    there instead.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not block
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, os.strerror(error.errno or 0).lower())
        raise FileUnusable(f"{printable(os.fspath(path))} cannot be sent: {reason}") from error
    except ValueError as error:
        raise FileUnusable("a path cannot hold a zero byte") from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return descriptor
    os.close(descriptor)
    raise FileUnusable(f"{printable(os.fspath(path))} cannot be sent: it is neither a file nor a folder")
