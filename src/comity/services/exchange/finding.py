"""A queued file, found again: the daemon opens at a path only the very file that it was once given.

Who queues a file hands over its open descriptor (SECURITY.md rule 15), and so has shown that it may read it.
A descriptor doesn't outlive the daemon; therefore its identity is kept: device, inode, size and both times.
At the path nothing is opened that has another, so a path can't make the daemon read what its client could
not, and a file that changed meanwhile is noticed before a byte of it travels.
"""

from __future__ import annotations

import os

from comity.errors import FileChanged, FileUnusable
from comity.identity.text import printable


def identity_of(status: os.stat_result) -> str:
    """Which file, with which content: a rename keeps it, but every write changes it."""
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return ":".join(map(str, numbers))


def reopen(path: str, identity: str) -> int:
    """A descriptor for reading; FileChanged where another file is there, FileUnusable where none is."""
    shown = printable(path)
    try:
        # Looked at first: to open a device or a pipe can do something.
        _require(os.stat(path, follow_symlinks=False), identity, shown)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else "no path"
        raise FileUnusable(
            f"{shown}, which was queued, cannot be read: {reason}", hint="queue it again from where it is"
        ) from error
    try:
        _require(os.fstat(descriptor), identity, shown)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _require(status: os.stat_result, identity: str, shown: str) -> None:
    if identity_of(status) != identity:
        raise FileChanged(f"{shown} changed after it was queued", hint="queue it again as it is now")
