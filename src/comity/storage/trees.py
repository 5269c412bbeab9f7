"""Folders as artifacts: the files' contents, one after another in the order of the listing.

A part of a folder is a folder itself, ``incoming/<part>.part/``, and becomes visible by being renamed. A
chunk may hold many small files, or a piece of a large one: each byte goes to its file at once. Names were
checked when the listing was parsed; that nothing leads out of the folder is held here again, by descriptors.
"""

from __future__ import annotations

import ctypes
import os
import sys
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

from comity import limits
from comity.errors import ComityError, StorageUnusable
from comity.protocol.exchange.listing import EMPTY_FOLDER, Listing
from comity.storage.failures import FilesReported
from comity.storage.parts import Buffer, sync_descriptor
from comity.storage.walking import Found, Opener, Unfit, walk

_Piece = tuple[int, int, int, int]  # item, offset in its file, offset in the chunk, length


def pieces(listing: Listing, offset: int, length: int) -> Iterator[_Piece]:
    """Which files the bytes from ``offset`` on belong to."""
    index, done = listing.at(offset), 0
    while done < length:
        inside = offset + done - listing.begins[index]
        count = min(listing.items[index][1] - inside, length - done)
        if count > 0:
            yield index, inside, done, count
            done += count
        index += 1


class TreePart:
    """Implements ``parts.Part`` over a folder's descriptor, which it owns; ``where`` is named in errors."""

    def __init__(self, descriptor: int, listing: Listing, where: Path) -> None:
        self._listing = listing
        self._where = where
        self._root = descriptor
        self._opener = Opener(descriptor, create=True)
        self._open: tuple[int, int] | None = None  # item, descriptor
        self._reached = array("Q", bytes(8 * len(listing.items)))  # how far each file was written

    def write(self, offset: int, data: Buffer) -> None:
        view = memoryview(data)
        with FilesReported(self._where):
            for index, inside, at, length in pieces(self._listing, offset, len(view)):
                descriptor = self._file(index, os.O_RDWR | os.O_CREAT)
                self._reached[index] = max(self._reached[index], inside + length)
                piece = view[at : at + length]
                while piece:
                    count = os.pwrite(descriptor, piece, inside)
                    inside += count
                    piece = piece[count:]

    def read_into(self, offset: int, buffer: memoryview) -> None:
        with FilesReported(self._where):
            for index, inside, at, length in pieces(self._listing, offset, len(buffer)):
                piece = buffer[at : at + length]
                try:
                    descriptor = self._file(index, os.O_RDWR)
                except FileNotFoundError:
                    count = 0
                else:
                    count = os.preadv(descriptor, [piece], inside)
                piece[count:] = bytes(length - count)

    def hole(self, offset: int, length: int) -> bool:
        for index, inside, _, count in pieces(self._listing, offset, length):
            try:
                if os.fstat(self._file(index, os.O_RDWR)).st_size < inside + count:
                    return True
            except OSError:
                return True
        return False

    def sync(self) -> None:
        with FilesReported(self._where):
            self._complete()
            self._leave()
            if len(self._listing.items) <= limits.FOLDER_SYNC_EACH or not _sync_filesystem(self._root):
                self._sync_each()

    def close(self) -> None:
        self._leave()
        self._opener.close()

    def _complete(self) -> None:
        """What no chunk has touched: empty files and folders, and what is zeros to its end."""
        for index, (path, length) in enumerate(self._listing.items):
            if length == EMPTY_FOLDER:
                self._opener.folder(path)
            elif self._reached[index] < length or length == 0:
                descriptor = self._file(index, os.O_RDWR | os.O_CREAT)
                if os.fstat(descriptor).st_size < length:
                    os.ftruncate(descriptor, length)

    def _sync_each(self) -> None:
        for index, (_, length) in enumerate(self._listing.items):
            if length != EMPTY_FOLDER:
                sync_descriptor(self._file(index, os.O_RDWR))
        for folder in ("", *self._listing.folders()):
            os.fsync(self._opener.folder(folder))

    def _file(self, index: int, flags: int) -> int:
        if self._open is None or self._open[0] != index:
            self._leave()
            self._open = index, self._opener.open(self._listing.items[index][0], flags)
        return self._open[1]

    def _leave(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None


class TreeSource:
    """Implements ``parts.Source`` over a folder's descriptor, which it owns. StorageUnusable."""

    def __init__(self, descriptor: int, where: Path) -> None:
        self._where = where
        self._opener = Opener(descriptor)
        self._open: tuple[int, int] | None = None
        try:
            found = [
                (each.path, each.status.st_size if each.status else EMPTY_FOLDER) for each in walk(descriptor)
            ]
            listing = Listing(found)
        except (Unfit, OSError, ComityError) as error:
            self.close()
            raise StorageUnusable(f"a folder in {where.parent} is not what arrived: {error}") from error
        self.listing: Listing | None = listing
        self._listing = listing
        self.size = listing.size

    def read_into(self, offset: int, buffer: memoryview) -> None:
        with FilesReported(self._where):
            for index, inside, at, length in pieces(self._listing, offset, len(buffer)):
                if self._open is None or self._open[0] != index:
                    self._leave()
                    path = self._listing.items[index][0]
                    self._open = index, self._opener.open(path, os.O_RDONLY | os.O_NONBLOCK)
                if os.preadv(self._open[1], [buffer[at : at + length]], inside) < length:
                    raise StorageUnusable(f"a folder in {self._where.parent} has changed")

    def close(self) -> None:
        self._leave()
        self._opener.close()

    def _leave(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None


def listing_of(found: Iterable[Found]) -> Listing:
    """What was found, as a listing. NameRefused, TooLarge, and what ``found`` raises."""
    return Listing((each.path, each.status.st_size if each.status else EMPTY_FOLDER) for each in found)


def fits(descriptor: int, listing: Listing) -> bool:
    """Whether all that lies in a folder can be a part of what is listed."""
    lengths, folders = dict(listing.items), listing.folders()
    try:
        for found in walk(descriptor):
            if found.status is None:
                if found.path not in folders:
                    return False
            elif lengths.get(found.path, EMPTY_FOLDER) < found.status.st_size:
                return False
    except (Unfit, OSError):
        return False
    return True


def _sync_filesystem(descriptor: int) -> bool:
    """syncfs(2), which reports failed writes since Linux 5.8; False where there is none."""
    if sys.platform != "linux":
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        return False
    if call(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return True
