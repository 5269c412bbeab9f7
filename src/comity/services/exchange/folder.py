"""The folder that is sent: listed once, then read file by file, in the order of its listing.

The client handed over the folder's descriptor, and everything is opened below that, without following links
(SECURITY.md rule 15). A file whose size or times differ from what they were when the folder was listed is
noticed when it is read; so is one that is gone.
"""

from __future__ import annotations

import os
import threading

from comity.errors import FileChanged, FileUnusable
from comity.identity.text import printable
from comity.protocol.exchange.listing import Listing
from comity.services.exchange.content import same_file
from comity.services.exchange.finding import identity_of_folder
from comity.storage.trees import listing_of, pieces
from comity.storage.walking import Opener, Unfit, walk


class FolderContent:
    """Implements ``content.Outgoing``. ``descriptor`` stays the caller's.

    FileUnusable where something in it is neither file nor folder; NameRefused, TooLarge.
    """

    sparse = False

    def __init__(self, descriptor: int) -> None:
        try:
            found = list(walk(descriptor))
            self.identity = identity_of_folder(os.fstat(descriptor), found)
        except Unfit as unfit:
            raise FileUnusable(
                f"the folder cannot be sent: {printable(unfit.path, 200)} is {unfit.reason}",
                hint="move it out of the folder, or replace it by a file",
            ) from unfit
        except OSError as error:
            raise _unreadable(error) from error
        self.listing: Listing | None = listing_of(found)
        self._listing = self.listing
        self._before = {each.path: each.status for each in found if each.status}
        self.size = self._listing.size
        self._opener = Opener(os.dup(descriptor))
        self._open: tuple[int, int] | None = None  # item, descriptor
        self._lock = threading.Lock()  # who hashes and who sends may read at once

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer`` from ``offset``; FileChanged, FileUnusable. Any thread."""
        with self._lock:
            self._read(offset, buffer)

    def _read(self, offset: int, buffer: memoryview) -> None:
        for index, inside, at, length in pieces(self._listing, offset, len(buffer)):
            path = self._listing.items[index][0]
            try:
                descriptor = self._file(index, path)
                count = os.preadv(descriptor, [buffer[at : at + length]], inside)
                now = os.fstat(descriptor)
            except FileNotFoundError as error:
                raise _changed(path) from error
            except OSError as error:
                raise _unreadable(error) from error
            if count < length or not same_file(self._before[path], now):
                raise _changed(path)

    def check_unchanged(self) -> None:
        """Nothing: each file is checked whenever it is read."""

    def close(self) -> None:
        """Give up what it opened."""
        self._leave()
        self._opener.close()

    def _file(self, index: int, path: str) -> int:
        if self._open is None or self._open[0] != index:
            self._leave()
            self._open = index, self._opener.open(path, os.O_RDONLY | os.O_NONBLOCK)
        return self._open[1]

    def _leave(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None


def _changed(path: str) -> FileChanged:
    return FileChanged(f"{printable(path, 200)} changed while the folder was sent")


def _unreadable(error: OSError) -> FileUnusable:
    reason = os.strerror(error.errno).lower() if error.errno else "unknown error"
    return FileUnusable(f"the folder cannot be read: {reason}")
