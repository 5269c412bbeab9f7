"""Received files: parts under construction, and the finished ones, each under its peer's folder.

    incoming/<part>.part            being written, 0600 (a folder: 0700), nobody reads it
    received/<folder>/<name>        complete and durable, never written again

``publish`` is the moment when a file appears: a hard link of the synced part, which is atomic and never
replaces anything. So a file is visible under its name whole or not at all, whenever the machine stops; the
part is removed by ``discard`` later, and ``published`` tells after a crash on which side of that moment it
was. Names come from the wire: they are checked again here, and every access is relative to a folder's
descriptor that was opened without following links. What may be stored, and which transfer a part belongs to,
is known elsewhere.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from comity import limits
from comity.errors import LocalProtocolError, TooLarge
from comity.protocol.exchange.listing import Listing
from comity.protocol.exchange.names import check_name
from comity.storage.failures import FilesReported
from comity.storage.parts import FilePart, FileSource, Part, Source
from comity.storage.private import check_private_folder, make_private_folder
from comity.storage.trees import TreePart, TreeSource, fits

_SUFFIX = ".part"
#: How filesystems without hard links answer (vfat, some FUSE and SMB mounts).
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class Occupied(Exception):
    """Something is under this name already: no failure, the caller takes the next name."""


class BlobStore(Protocol):
    """Where parts and received files are. Methods raise DiskFull and StorageUnusable."""

    def free_bytes(self) -> int:
        """What this user may still write."""

    def create(self, part: str, size: int, listing: Listing | None = None) -> Part:
        """A new part of ``size`` zero bytes that take no space yet: a file, or the folder that is listed.

        LocalProtocolError where one exists.
        """

    def reopen(self, part: str, size: int, listing: Listing | None = None) -> Part | None:
        """A part that was left behind, with what was written to it; None where there is none that fits."""

    def parts(self) -> tuple[str, ...]:
        """Every part there is."""

    def discard(self, part: str) -> None:
        """Remove a part, if it is there. What was published stays."""

    def vacant(self, folder: str, name: str) -> str:
        """``name``, or the first of NAME.2, NAME.3, … that nothing in ``folder`` is called."""

    def publish(self, part: str, folder: str, name: str) -> None:
        """Make a synced part visible as ``folder/name``, durably. Occupied where something has that name."""

    def published(self, part: str, folder: str, name: str) -> bool:
        """Whether ``publish`` of this part under this name took effect."""

    def present(self, folder: str, name: str) -> bool:
        """Whether a received file is still there."""

    def source(self, folder: str, name: str) -> Source | None:
        """What a received file holds now; None where it is gone."""

    def path(self, folder: str, name: str) -> str:
        """Where a received file lies, for a person."""


def numbered(name: str) -> Iterator[str]:
    """``name``, NAME.2, NAME.3, …, each cut so that it stays a possible file name."""
    yield name
    for number in range(2, limits.RECEIVED_SAME_NAME + 1):
        suffix = f".{number}"
        kept = name.encode()[: limits.FILE_NAME_BYTES - len(suffix)].decode(errors="ignore")
        yield kept.rstrip() + suffix


def too_many(name: str) -> TooLarge:
    """What ``vacant`` raises in the end."""
    return TooLarge(
        f"more than {limits.RECEIVED_SAME_NAME} files are called {name}", hint="move or remove some of them"
    )


class FileBlobStore:
    """On a filesystem, in the two folders of a home, which are made where they are missing.

    HomeUnsafe where one of them is a link or open to others.
    """

    def __init__(self, incoming: Path, received: Path) -> None:
        self._received = received
        for folder in (incoming, received):
            make_private_folder(folder)
        with FilesReported(incoming):
            self._incoming_fd = _open_folder(str(incoming))
        with FilesReported(received):
            self._received_fd = _open_folder(str(received))

    def close(self) -> None:
        """Give up the folders."""
        os.close(self._incoming_fd)
        os.close(self._received_fd)

    def free_bytes(self) -> int:
        with FilesReported(self._received):
            space = os.fstatvfs(self._incoming_fd)
        return space.f_bavail * space.f_frsize

    def create(self, part: str, size: int, listing: Listing | None = None) -> Part:
        if listing is not None:
            return self._create_tree(part, listing)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with FilesReported(self._received):
            try:
                descriptor = os.open(_part_name(part), flags, 0o600, dir_fd=self._incoming_fd)
            except FileExistsError as error:
                raise LocalProtocolError(f"part {part} exists already") from error
            try:
                os.ftruncate(descriptor, size)
            except BaseException:
                os.close(descriptor)
                self.discard(part)
                raise
        return FilePart(descriptor, self._received)

    def reopen(self, part: str, size: int, listing: Listing | None = None) -> Part | None:
        if listing is not None:
            return self._reopen_tree(part, listing)
        with FilesReported(self._received):
            try:
                descriptor = os.open(
                    _part_name(part), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._incoming_fd
                )
            except FileNotFoundError:
                return None
            except IsADirectoryError:
                return None
            if os.fstat(descriptor).st_size != size:
                os.close(descriptor)
                return None
        return FilePart(descriptor, self._received)

    def _create_tree(self, part: str, listing: Listing) -> Part:
        with FilesReported(self._received):
            try:
                os.mkdir(_part_name(part), 0o700, dir_fd=self._incoming_fd)
            except FileExistsError as error:
                raise LocalProtocolError(f"part {part} exists already") from error
            return TreePart(_open_folder(_part_name(part), self._incoming_fd), listing, self._received)

    def _reopen_tree(self, part: str, listing: Listing) -> Part | None:
        try:
            descriptor = _open_folder(_part_name(part), self._incoming_fd)
        except OSError:
            return None
        if not fits(descriptor, listing):
            os.close(descriptor)
            return None
        return TreePart(descriptor, listing, self._received)

    def parts(self) -> tuple[str, ...]:
        with FilesReported(self._received):
            names = os.listdir(self._incoming_fd)
        return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))

    def discard(self, part: str) -> None:
        with FilesReported(self._received):
            there = _lstat_at(self._incoming_fd, _part_name(part))
            if there is None:
                return
            if stat.S_ISDIR(there.st_mode):
                shutil.rmtree(_part_name(part), dir_fd=self._incoming_fd)
            else:
                os.unlink(_part_name(part), dir_fd=self._incoming_fd)

    def vacant(self, folder: str, name: str) -> str:
        for candidate in numbered(name):
            if self._lstat(folder, candidate) is None:
                return candidate
        raise too_many(name)

    def publish(self, part: str, folder: str, name: str) -> None:
        check_name(name)
        with FilesReported(self._received), self._folder(folder, create=True) as descriptor:
            os.fsync(self._incoming_fd)
            there = _lstat_at(self._incoming_fd, _part_name(part))
            if there is not None and stat.S_ISDIR(there.st_mode):
                self._rename(part, descriptor, name)
                os.fsync(descriptor)
                os.fsync(self._incoming_fd)
                return
            try:
                os.link(_part_name(part), name, src_dir_fd=self._incoming_fd, dst_dir_fd=descriptor)
            except FileExistsError as error:
                raise Occupied(name) from error
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                self._rename(part, descriptor, name)
            os.fsync(descriptor)

    def published(self, part: str, folder: str, name: str) -> bool:
        here = self._lstat(folder, name)
        if here is None:
            return False
        with FilesReported(self._received):
            try:
                origin = os.stat(_part_name(part), dir_fd=self._incoming_fd, follow_symlinks=False)
            except FileNotFoundError:
                return True  # renamed, or linked and then discarded
        return (origin.st_dev, origin.st_ino) == (here.st_dev, here.st_ino)

    def present(self, folder: str, name: str) -> bool:
        status = self._lstat(folder, name)
        return status is not None and (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode))

    def source(self, folder: str, name: str) -> Source | None:
        check_name(name)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with FilesReported(self._received):
            try:
                with self._folder(folder, create=False) as there:
                    descriptor = os.open(name, flags, dir_fd=there)
            except OSError:  # moved away, or something else is there now
                return None
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            return FileSource(descriptor, self._received)
        if stat.S_ISDIR(mode):
            return TreeSource(descriptor, self._received)
        os.close(descriptor)
        return None

    def path(self, folder: str, name: str) -> str:
        return str(self._received / folder / name)

    def _rename(self, part: str, folder: int, name: str) -> None:
        """Without hard links, and folders: only this daemon makes files here, so looking first will do."""
        if _lstat_at(folder, name) is not None:
            raise Occupied(name)
        os.rename(_part_name(part), name, src_dir_fd=self._incoming_fd, dst_dir_fd=folder)

    def _lstat(self, folder: str, name: str) -> os.stat_result | None:
        check_name(name)
        with FilesReported(self._received):
            try:
                with self._folder(folder, create=False) as descriptor:
                    return _lstat_at(descriptor, name)
            except FileNotFoundError:
                return None

    @contextmanager
    def _folder(self, folder: str, *, create: bool) -> Iterator[int]:
        """A peer's folder, opened; ``create`` makes it durably where it is missing."""
        check_name(folder)
        if create:
            try:
                os.mkdir(folder, 0o700, dir_fd=self._received_fd)
                os.fsync(self._received_fd)
            except FileExistsError:
                check_private_folder(self._received / folder)
        descriptor = _open_folder(folder, self._received_fd)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _open_folder(path: str, at: int | None = None) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)


def _lstat_at(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _part_name(part: str) -> str:
    check_name(part)
    return part + _SUFFIX
