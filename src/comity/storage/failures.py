"""What goes wrong with disks and files, as errors of ours: one class, and the translations into it.

It knows no store and no file layout. A full disk is always ``DiskFull``; whatever else the system reports
becomes ``StorageUnusable`` with the system's own words. Errors that are our own bugs (a broken constraint,
wrong SQL) are left as they are.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from types import TracebackType

from comity.errors import ComityError, DiskFull, StorageUnusable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_OUTSIDE = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOMEM,
    }
)
_PRIMARY = 0xFF  # an extended result code holds its primary one in the low byte


def file_failure(error: OSError, path: str | os.PathLike[str]) -> ComityError:
    """The error to raise for an OSError at ``path``."""
    if error.errno in _FULL:
        return DiskFull(f"no space left for {os.fspath(path)}")
    reason = os.strerror(error.errno).lower() if error.errno else "unknown error"
    return StorageUnusable(f"{os.fspath(path)} cannot be used: {reason}")


def database_failure(error: sqlite3.Error, path: str) -> ComityError | None:
    """The error to raise for what SQLite reported, or None where it reported a mistake of ours."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & _PRIMARY
    if primary == sqlite3.SQLITE_FULL:
        return DiskFull(f"no space left for {path}")
    if primary in _CORRUPT:
        return damaged(path, str(error))
    if primary in _LOCKED:
        return StorageUnusable(
            f"{path} is locked by another process", hint="run comity status; only the daemon opens this file"
        )
    if primary in _OUTSIDE:
        return StorageUnusable(f"{path} cannot be used: {error}")
    return None


class FilesReported:
    """``with FilesReported(path):`` turns every OSError inside into one of ours."""

    __slots__ = ("_path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise file_failure(error, self._path) from error


class DatabaseReported:
    """``with DatabaseReported(path):`` does so for SQLite's errors; cheap enough for every row."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error):
            failure = database_failure(error, self._path)
            if failure is not None:
                raise failure from error
        if isinstance(error, UnicodeDecodeError):  # SQLite quotes a schema, or a text, that is none any more
            raise damaged(self._path, "a text in it is not UTF-8") from error


def damaged(path: str, why: str) -> StorageUnusable:
    """What to say of a database that was changed from outside, or by its disk."""
    return StorageUnusable(
        f"{path} is damaged, or no database of comity's ({why})",
        hint="keep a copy of it, then restore the home folder from a backup",
    )
