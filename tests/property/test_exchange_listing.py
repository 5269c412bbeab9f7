"""A folder's listing: whatever a peer sends, parsing gives exactly what encoding yields, or a clear error."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from comity import limits
from comity.errors import ComityError, NameRefused, RemoteProtocolError, TooLarge
from comity.protocol.exchange.listing import EMPTY_FOLDER, Listing, parse_listing
from comity.storage.trees import pieces

NAMES = st.text(st.characters(codec="utf-8", categories=("Lu", "Ll", "Nd")), min_size=1, max_size=4)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
LENGTHS = st.integers(EMPTY_FOLDER, 50)
HOSTILE = st.sampled_from(
    [
        "",
        "/",
        "..",
        "../x",
        "a/../b",
        "/etc/passwd",
        "a//b",
        "a/",
        "./a",
        ".ssh/x",
        "-rf",
        "a\0b",
        "a\\b",
        "CON\n",
    ]
) | st.text(max_size=6)


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def parsed(data: bytes, size: int) -> Listing:
    return parse_listing(data, digest_of(data), size)


@given(st.dictionaries(PATHS, LENGTHS, max_size=12))
def test_what_can_be_listed_survives_the_wire(items: dict[str, int]) -> None:
    try:
        listing = Listing(items.items())
    except NameRefused:
        return
    again = parsed(listing.encoded, listing.size)
    assert again.items == listing.items
    assert dict(again.items) == items


@given(st.lists(st.tuples(PATHS | HOSTILE, st.integers(-3, 2**70)), max_size=8), st.integers(0, 100))
@example([("a", 1), ("a", 1)], 2)
@example([("a", 1), ("a/b", 1)], 2)
@example([("a", -1), ("a/b", 1)], 1)
@example([("b", 1), ("a", 1)], 2)
@example([("A", 1), ("a", 1)], 2)
@example([("\u00e9", 0), ("e\u0301", 0)], 0)
@example([("x/" * limits.FOLDER_DEPTH + "x", 1)], 1)
@example([("x" * (limits.FILE_NAME_BYTES + 1), 1)], 1)
def test_hostile_listings_are_refused_or_mean_what_they_say(items: list[tuple[str, int]], size: int) -> None:
    data = json.dumps(items, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")
    try:
        listing = parsed(data, size)
    except (NameRefused, RemoteProtocolError, TooLarge):
        return
    assert listing.size == size
    assert listing.encoded == data
    for path, _ in listing.items:
        for name in path.split("/"):
            assert name not in ("", ".", "..")
            assert not set(name) & set("/\\\0\n")
    assert len({path.casefold() for path, _ in listing.items}) == len(items)


@given(st.binary(max_size=200))
@example(b"[" * 5000)
@example(b'[["a",1.5]]')
@example(b'[["a",1]] ')
def test_garbage_is_a_clear_error(data: bytes) -> None:
    try:
        parsed(data, 1)
    except ComityError:
        return


def test_another_listing_than_the_offered_one() -> None:
    listing = Listing([("a", 1)])
    with pytest.raises(RemoteProtocolError):
        parse_listing(listing.encoded, digest_of(b"other"), 1)
    with pytest.raises(RemoteProtocolError):
        parsed(listing.encoded, 2)


def test_listings_are_bounded() -> None:
    with pytest.raises(TooLarge):
        Listing((f"{number:06}", 0) for number in range(limits.FOLDER_ITEMS + 1))
    with pytest.raises(TooLarge):
        parsed(bytes(limits.LISTING_BYTES + 1), 0)
    with pytest.raises(TooLarge):
        Listing((f"{number:06}/" + "x" * 200, 0) for number in range(limits.FOLDER_ITEMS // 2))


@given(st.lists(st.integers(EMPTY_FOLDER, 20), min_size=1, max_size=10), st.data())
def test_every_byte_belongs_to_one_file(lengths: list[int], data: st.DataObject) -> None:
    listing = Listing((f"{number:02}", length) for number, length in enumerate(lengths))
    owners = [(index, inside) for index, length in enumerate(lengths) for inside in range(max(length, 0))]
    offset = data.draw(st.integers(0, listing.size))
    length = data.draw(st.integers(0, listing.size - offset))
    found: list[tuple[int, int]] = []
    for index, inside, at, count in pieces(listing, offset, length):
        assert at == len(found)
        found += [(index, inside + step) for step in range(count)]
    assert found == owners[offset : offset + length]
