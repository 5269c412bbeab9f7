"""A queued file or folder, found again: the daemon opens at a path only the very one that it was once given.

Who queues a file hands over its open descriptor (SECURITY.md rule 15), and so has shown that it may read it.
A descriptor doesn't outlive the daemon; therefore its identity is kept: device, inode, size and both times.
At the path nothing is opened that has another, so a path can't make the daemon read what its client could
not, and a file that changed meanwhile is noticed before a byte of it travels. A folder's is its own device
and inode, by which it is opened, and a digest over the identities of all that was in it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from operator import itemgetter

from comity.errors import FileChanged, FileUnusable
from comity.identity.text import printable
from comity.storage.walking import Found


def identity_of(status: os.stat_result) -> str:
    """Which file, with which content: a rename keeps it, but every write changes it."""
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return ":".join(map(str, numbers))


def identity_of_folder(status: os.stat_result, found: Iterable[Found]) -> str:
    """Which folder, with which content, as it was listed; in any order."""
    whole = hashlib.sha256()
    for path, each in sorted(((each.path, each.status) for each in found), key=itemgetter(0)):
        whole.update(f"{len(path)}:{path}:{identity_of(each) if each else 'empty'};".encode())
    return _folder(status) + whole.hexdigest()


def require(identity: str, wanted: str, path: str) -> None:
    """FileChanged unless what was opened is what was queued."""
    if identity != wanted:
        raise FileChanged(
            f"{printable(path)} changed after it was queued", hint="queue it again as it is now"
        )


def reopen(path: str, identity: str) -> int:
    """A descriptor for reading; FileChanged where another file is there, FileUnusable where none is.

    Of a folder only its device and inode are compared here: who lists it knows the rest.
    """
    shown = printable(path)
    try:
        # Looked at first: to open a device or a pipe can do something.
        _require(os.stat(path, follow_symlinks=False), identity, path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else "no path"
        raise FileUnusable(
            f"{shown}, which was queued, cannot be read: {reason}", hint="queue it again from where it is"
        ) from error
    try:
        _require(os.fstat(descriptor), identity, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _require(status: os.stat_result, identity: str, path: str) -> None:
    if stat.S_ISDIR(status.st_mode) and identity.startswith(_folder(status)):
        return
    require(identity_of(status), identity, path)


def _folder(status: os.stat_result) -> str:
    return f"folder:{status.st_dev}:{status.st_ino}:"
