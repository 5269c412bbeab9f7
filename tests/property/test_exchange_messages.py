"""Every message has one encoding, and no bytes make a parser fail otherwise than as a protocol error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import limits
from comity.errors import ComityError, RemoteProtocolError, TransferFailed
from comity.protocol.exchange.failure import error_from, fail_for, refuse_for
from comity.protocol.exchange.manifest import Entry
from comity.protocol.exchange.messages import (
    Accept,
    Close,
    Fail,
    Message,
    Offer,
    Page,
    Range,
    Refuse,
    SignedReceipt,
    Type,
    Want,
    Working,
    chunk_header,
    encode_message,
    is_a,
    parse_chunk,
    parse_message,
    ranges_of,
)

U64 = st.integers(0, 2**64 - 1)
HEX16 = st.binary(min_size=16, max_size=16).map(bytes.hex)
HEX32 = st.binary(min_size=32, max_size=32).map(bytes.hex)
DIGEST = HEX32.map(lambda text: f"sha256:{text}")
COUNT = st.integers(0, 2**53 - 1)
CODE = st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=64)
ENTRY = st.builds(Entry, st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32))
WANTS = st.sets(st.integers(0, 200)).map(lambda found: Want(201, ranges_of(sorted(found))))

MESSAGES = st.one_of(
    st.builds(
        Offer,
        transfer=HEX16,
        nonce=HEX32,
        kind=st.sampled_from(["file", "directory"]),
        name=TEXT,
        bytes=COUNT,
        chunks=COUNT,
        agreement=DIGEST,
        charter=st.none() | DIGEST,
    ),
    st.builds(Accept, transfer=HEX16),
    st.builds(Refuse, code=CODE, message=TEXT, hint=TEXT),
    st.builds(Page, U64, st.lists(ENTRY, min_size=1).map(tuple)),
    WANTS,
    st.builds(Close, digest=DIGEST, manifest=DIGEST),
    st.builds(SignedReceipt, st.binary(max_size=200)),
    st.builds(Working, U64),
    st.builds(Fail, code=CODE, message=TEXT, hint=TEXT),
)
#: Bytes that look like messages for longer than random ones do.
ALMOST = st.builds(lambda kind, rest: bytes([kind]) + rest, st.integers(0, 12), st.binary(max_size=120))


@given(MESSAGES)
def test_what_is_encoded_is_parsed(message: Message) -> None:
    assert parse_message(encode_message(message)) == message


@given(st.binary(max_size=64) | ALMOST)
def test_any_bytes_parse_or_are_refused(body: bytes) -> None:
    try:
        message = parse_message(body)
    except RemoteProtocolError:
        return
    if not isinstance(message, Offer | Accept | Refuse | Close | Fail):  # JSON has many spellings
        assert encode_message(message) == body


@given(MESSAGES, st.data())
def test_a_changed_byte_is_refused_or_another_message(message: Message, data: st.DataObject) -> None:
    body = bytearray(encode_message(message))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    try:
        parse_message(body)
    except RemoteProtocolError:
        return


@given(U64, st.binary(min_size=1, max_size=100))
def test_chunks_carry_index_and_bytes(index: int, content: bytes) -> None:
    body = memoryview(chunk_header(index) + content)
    assert is_a(Type.CHUNK, body)
    found, view = parse_chunk(body)
    assert (found, bytes(view)) == (index, content)
    with pytest.raises(RemoteProtocolError):
        parse_message(body)


@given(st.binary(max_size=20))
def test_any_bytes_are_a_chunk_or_refused(body: bytes) -> None:
    try:
        parse_chunk(memoryview(body))
    except RemoteProtocolError:
        return
    assert is_a(Type.CHUNK, body)


def test_a_chunk_over_the_bound_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        parse_chunk(memoryview(chunk_header(0) + bytes(limits.CHUNK_BYTES + 1)))


@pytest.mark.parametrize(
    "ranges",
    [
        (Range(0, 0),),
        (Range(0, 11),),
        (Range(10, 1),),
        (Range(3, 1), Range(2, 1)),
        (Range(3, 1), Range(3, 1)),
        (Range(3, 1), Range(4, 1)),  # touching: one range would say it
        (Range(2**63, 2**31),),
    ],
)
def test_wants_have_one_spelling(ranges: tuple[Range, ...]) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_message(encode_message(Want(10, ranges)))


def test_pages_and_wants_are_bounded() -> None:
    most = limits.MANIFEST_PAGE_CHUNKS
    entries = tuple(Entry(1, bytes(32)) for _ in range(most + 1))
    parse_message(encode_message(Page(0, entries[:most])))
    ranges = tuple(Range(2 * index, 1) for index in range(most + 1))
    parse_message(encode_message(Want(10_000, ranges[:most])))
    for message in (Page(0, entries), Page(0, ()), Want(10_000, ranges)):
        with pytest.raises(RemoteProtocolError):
            parse_message(encode_message(message))
    with pytest.raises(RemoteProtocolError):
        parse_message(bytes([Type.RECEIPT]) + bytes(limits.STATEMENT_BYTES + 1))
    assert len(encode_message(Page(0, entries[:most]))) < limits.FRAME_BYTES


def every_error(root: type[ComityError] = ComityError) -> list[type[ComityError]]:
    return [root, *(found for child in root.__subclasses__() for found in every_error(child))]


@pytest.mark.parametrize("kind", every_error())
def test_every_error_crosses_the_wire(kind: type[ComityError]) -> None:
    error = kind("x" * 1000 + "\x1b[2J")
    for message in (fail_for(error), refuse_for(error)):
        parsed = parse_message(encode_message(message))
        assert parsed == message
        assert isinstance(parsed, Fail | Refuse)
        assert error_from(parsed).message.isprintable()


def test_an_unknown_code_still_fails() -> None:
    error = error_from(Fail(code="from_the_future", message="a\u202eb\nc", hint=""))
    assert type(error) is TransferFailed
    assert error.message == "the peer gave up: a\\u{202e}b\\u{a}c"
