"""Files and folders that nobody else may enter: made, checked, read and written in one way.

A private folder is a real directory of ours with mode 0700, a private file a regular file of ours with mode
0600, neither reached through a symbolic link (where it says so). It knows nothing of what they hold. Access
lists count as well: POSIX shows them in the group bits.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from comity.errors import AlreadyInitialised, HomeUnsafe, StorageUnusable
from comity.storage.failures import FilesReported

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private_folder(path: Path) -> None:
    """Create ``path`` with mode 0700 (its parents as the umask says) and check it; it may exist already.

    HomeUnsafe where it exists and is not private; StorageUnusable, DiskFull.
    """
    with FilesReported(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            pass
        else:
            path.chmod(0o700)  # a default access list, or an odd umask, may have changed what mkdir asked for
    check_private_folder(path)


def check_private_folder(path: Path) -> None:
    """HomeUnsafe unless ``path`` itself, not what a link points to, is a directory of ours, mode 0700."""
    with FilesReported(path):
        status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise HomeUnsafe(f"{path} is a symbolic link, where a folder of yours is needed")
    if not stat.S_ISDIR(status.st_mode):
        raise HomeUnsafe(f"{path} is not a folder")
    _check_access(path, status)


def check_private_file(path: Path) -> None:
    """HomeUnsafe unless ``path`` is a regular file of ours that others can neither read nor write."""
    with FilesReported(path):
        status = path.lstat()
    _check_file(path, status)


def touch_private(path: Path) -> None:
    """Make sure that a private file is at ``path``; an existing one keeps its content."""
    descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
    os.close(descriptor)


def open_private(path: Path, flags: int) -> int:
    """A descriptor of the private file at ``path``, checked after it was opened; the caller closes it."""
    with FilesReported(path):
        if path.is_symlink():
            raise HomeUnsafe(f"{path} is a symbolic link, where a file of yours is needed")
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            _check_file(path, os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def read_private(path: Path, limit: int) -> bytes:
    """The content of a private file, at most ``limit`` bytes.

    HomeUnsafe where others can read it, StorageUnusable where it is absent, larger or unreadable.
    """
    with FilesReported(path), open(open_private(path, os.O_RDONLY), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise StorageUnusable(f"{path} is larger than {limit} bytes")
    return data


def write_private(path: Path, data: bytes, *, replace: bool) -> None:
    """Put ``data`` at ``path`` with mode 0600, whole or not at all, and on disk when this returns.

    AlreadyInitialised where ``replace`` is false and something is there; StorageUnusable, DiskFull.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with FilesReported(path):
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            if replace:
                draft.replace(path)
            else:
                _place_once(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(path.parent)


def move_private(source: Path, target: Path) -> None:
    """Put one private file in another's place, durably; StorageUnusable, DiskFull."""
    with FilesReported(target):
        source.replace(target)
        sync_folder(target.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _place_once(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)  # unlike a rename, it never replaces
    except FileExistsError as error:
        raise AlreadyInitialised(f"{path} exists already") from error


def _check_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise HomeUnsafe(f"{path} is not a regular file")
    _check_access(path, status)


def _check_access(path: Path, status: os.stat_result) -> None:
    kind = "700" if stat.S_ISDIR(status.st_mode) else "600"
    if status.st_uid != os.geteuid():
        raise HomeUnsafe(
            f"{path} belongs to another user (uid {status.st_uid})", hint=f"as its owner, run chown on {path}"
        )
    if status.st_mode & _OTHERS:
        raise HomeUnsafe(
            f"{path} is open to other users (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"run chmod {kind} {path}",
        )
