"""The numbers behind END: what is dropped, added or cut between two tallies shows (SECURITY.md rule 11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.errors import LocalProtocolError, RemoteProtocolError
from comity.protocol.framing import Kind
from comity.transport.tally import Tally, size_of

BODIES = st.lists(st.binary(max_size=40), max_size=8)


def sent(bodies: list[bytes]) -> tuple[Tally, bytes]:
    tally = Tally()
    for body in bodies:
        tally.count_sent(len(body))
    return tally, tally.end()


@given(BODIES)
def test_what_was_sent_ends_right(bodies: list[bytes]) -> None:
    _, end = sent(bodies)
    receiver = Tally()
    for body in bodies:
        assert receiver.take(Kind.DATA, body)
    assert not receiver.take(Kind.END, end)
    assert receiver.end_received


@given(BODIES, BODIES)
def test_anything_else_does_not(bodies: list[bytes], others: list[bytes]) -> None:
    if (len(bodies), sum(map(len, bodies))) == (len(others), sum(map(len, others))):
        return
    _, end = sent(bodies)
    receiver = Tally()
    for body in others:
        receiver.take(Kind.DATA, body)
    with pytest.raises(RemoteProtocolError, match="does not match"):
        receiver.take(Kind.END, end)
    assert not receiver.end_received


@given(st.sampled_from(Kind), st.binary(max_size=40))
def test_no_frame_raises_anything_but_a_protocol_error(kind: Kind, body: bytes) -> None:
    try:
        assert Tally().take(kind, body) is (kind is Kind.DATA)
    except RemoteProtocolError:
        assert kind is not Kind.DATA


def test_nothing_follows_our_end() -> None:
    tally, _ = sent([b"x"])
    for use in (tally.end, tally.check_sending):
        with pytest.raises(LocalProtocolError):
            use()


def test_bytes_are_counted_not_items() -> None:
    assert size_of(memoryview(bytes(16)).cast("Q")) == size_of(bytes(16)) == size_of(bytearray(16)) == 16
