"""What a folder holds, as it crosses the wire: paths and lengths, in one order only.

A path is a list of names, each fit to be a received file's name by the same rule as a single file's; so none
is absolute, climbs, hides or names a device. Files come in ascending order of their paths; folders are listed
only where nothing is in them. Names that differ in case or composition only are refused, since some
filesystems would make one of two. Contents follow one another in that order: the artifact's bytes. Parsing
accepts exactly what encoding yields. Implements docs: protocol, "Exchange", folders.
"""

from __future__ import annotations

import hashlib
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Iterable

import msgspec

from comity import limits
from comity.errors import NameRefused, RemoteProtocolError, TooLarge
from comity.identity.text import printable
from comity.protocol.exchange.manifest import digest_text
from comity.protocol.exchange.messages import Buffer, Type
from comity.protocol.exchange.names import check_name

SEPARATOR = "/"
#: The length of what is listed without being a file: an empty folder.
EMPTY_FOLDER = -1
#: What precedes a folder's listing in its frame.
LISTING_HEADER = bytes([Type.LISTING])


class Listing:
    """``items``: path → bytes (or EMPTY_FOLDER), in order. NameRefused, TooLarge."""

    def __init__(self, items: Iterable[tuple[str, int]]) -> None:
        self.items = tuple(sorted(items, key=_order))
        _check(self.items)
        self.begins = array("Q")  # where each item's content begins
        self.size = 0
        for _, length in self.items:
            self.begins.append(self.size)
            self.size += max(length, 0)
        self.encoded = msgspec.json.encode(self.items)
        if len(self.encoded) > limits.LISTING_BYTES:
            raise TooLarge(f"a listing of {len(self.encoded)} bytes is more than {limits.LISTING_BYTES}")

    @property
    def digest(self) -> str:
        """``sha256:…`` of the listing itself."""
        return digest_text(hashlib.sha256(self.encoded).digest())

    def folders(self) -> set[str]:
        """Every folder below this one, empty ones too."""
        found: set[str] = set()
        for path, length in self.items:
            folder = path if length == EMPTY_FOLDER else path.rpartition(SEPARATOR)[0]
            while folder and folder not in found:
                found.add(folder)
                folder = folder.rpartition(SEPARATOR)[0]
        return found

    def at(self, offset: int) -> int:
        """The index of the file that has the byte at ``offset`` of the artifact."""
        return bisect_right(self.begins, offset) - 1


def parse_listing_frame(body: Buffer) -> bytes:
    """The listing in a frame's body; RemoteProtocolError where it is something else."""
    if not len(body) or body[0] != Type.LISTING:
        raise RemoteProtocolError("something else came instead of a folder's listing")
    return bytes(body[1:])


def parse_listing(data: bytes, digest: str, size: int) -> Listing:
    """The listing that an offer promised, by its digest and the bytes in all.

    RemoteProtocolError, NameRefused, TooLarge.
    """
    if len(data) > limits.LISTING_BYTES:
        raise TooLarge(f"a listing of {len(data)} bytes is more than {limits.LISTING_BYTES}")
    if digest_text(hashlib.sha256(data).digest()) != digest:
        raise RemoteProtocolError("the listing is not the one that was offered")
    try:
        items = msgspec.json.decode(data, type=list[tuple[str, int]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError("malformed listing") from error
    if any(length < EMPTY_FOLDER or length > limits.ARTIFACT_BYTES for _, length in items):
        raise RemoteProtocolError("a listing with impossible lengths")
    listing = Listing(items)
    if listing.encoded != data or listing.size != size:
        raise RemoteProtocolError("a listing out of order, or of other lengths than were offered")
    return listing


def _order(item: tuple[str, int]) -> list[str]:
    return item[0].split(SEPARATOR)


def _check(items: tuple[tuple[str, int], ...]) -> None:
    if len(items) > limits.FOLDER_ITEMS:
        raise TooLarge(
            f"a folder of {len(items)} files is more than {limits.FOLDER_ITEMS}",
            hint="pack it into one file first: tar -cf NAME.tar FOLDER",
        )
    taken: dict[str, tuple[str, bool]] = {}  # as some filesystem may see it → as it is spelt, and ``shared``
    for path, _ in items:
        names = path.split(SEPARATOR)
        if len(names) > limits.FOLDER_DEPTH or len(path) > limits.FOLDER_PATH_LENGTH:
            raise NameRefused(f"the path {printable(path, 80)!r} is too long or too deep")
        for depth in range(1, len(names)):
            _claim(taken, SEPARATOR.join(names[:depth]), names[depth - 1], shared=True)
        _claim(taken, path, names[-1], shared=False)


def _claim(taken: dict[str, tuple[str, bool]], path: str, name: str, *, shared: bool) -> None:
    """Take ``path`` for a folder that holds something (``shared``), or for a file or an empty folder."""
    seen = unicodedata.normalize("NFC", path).casefold()
    before = taken.get(seen)
    if before is None:
        check_name(name)
        taken[seen] = path, shared
    elif not shared or before != (path, True):
        raise NameRefused(
            f"{printable(path, 80)!r} and {printable(before[0], 80)!r} cannot both be in one folder"
        )
