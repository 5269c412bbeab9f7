"""What lies in a folder, however deep, seen without following any link.

Only regular files and folders are fit to be an artifact's; the first other thing ends the walk. Everything is
opened relative to the folder's descriptor, so that nothing outside of it can be reached, whoever moves
folders meanwhile.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from comity import limits

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Unfit(Exception):
    """Something that can't be part of an artifact: its path, and what it is."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class Found:
    """A regular file, or an empty folder (``status`` is None). ``path`` is relative, with slashes."""

    path: str
    status: os.stat_result | None


def walk(descriptor: int) -> Iterator[Found]:
    """Everything below an open folder, in no order. Unfit, OSError."""
    yield from _walk(descriptor, "", 1)


def _walk(descriptor: int, prefix: str, depth: int) -> Iterator[Found]:
    empty = True
    with os.scandir(descriptor) as entries:
        for entry in entries:
            empty = False
            path = prefix + entry.name
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                yield Found(path, status)
            elif not stat.S_ISDIR(status.st_mode):
                raise Unfit(path, _kind(status.st_mode))
            elif depth >= limits.FOLDER_DEPTH:
                raise Unfit(path, "too deep")
            else:
                below = os.open(entry.name, FOLDER_FLAGS, dir_fd=descriptor)
                try:
                    yield from _walk(below, f"{path}/", depth + 1)
                finally:
                    os.close(below)
    if empty and prefix:
        yield Found(prefix[:-1], None)


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


class Opener:
    """Opens files below a folder by their listed paths, one after another; the last folder stays open.

    One thread. ``close`` gives the folders up, the one that it was made over included.
    """

    def __init__(self, descriptor: int, *, create: bool = False) -> None:
        self._root = descriptor
        self._create = create
        self._folder: tuple[str, int] = ("", descriptor)

    def open(self, path: str, flags: int) -> int:
        """A descriptor; OSError. With ``create``, folders on the way are made."""
        folder, _, name = path.rpartition("/")
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o600, dir_fd=self.folder(folder))

    def folder(self, path: str) -> int:
        """The folder's descriptor, valid until the next call; OSError."""
        if path == self._folder[0]:
            return self._folder[1]
        self._leave()
        at = self._root
        for name in path.split("/") if path else ():
            try:
                if self._create:
                    _make(name, at)
                below = os.open(name, FOLDER_FLAGS, dir_fd=at)
            finally:
                if at != self._root:
                    os.close(at)
            at = below
        self._folder = path, at
        return at

    def close(self) -> None:
        self._leave()
        os.close(self._root)

    def _leave(self) -> None:
        if self._folder[1] != self._root:
            os.close(self._folder[1])
        self._folder = "", self._root


def _make(name: str, at: int) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=at)
    except FileExistsError:
        return
