"""However a WebSocket's bytes are cut up, and whatever comes instead of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.protocol import Protocol, Side

from comity import limits
from comity.errors import LinkLost
from comity.transport.layers import Stack, WebSocketLayer


def sides() -> tuple[WebSocketLayer, WebSocketLayer]:
    most = limits.WEBSOCKET_MESSAGE_BYTES
    return (
        WebSocketLayer(Protocol(Side.CLIENT, max_size=most)),
        WebSocketLayer(Protocol(Side.SERVER, max_size=most)),
    )


@given(st.lists(st.binary(min_size=1, max_size=3000), max_size=10), st.integers(1, 700), st.booleans())
def test_cut_up_in_any_way_it_says_the_same(pieces: list[bytes], size: int, back: bool) -> None:
    one, two = sides()[:: -1 if back else 1]
    wrapped = b"".join(one.outward(piece) for piece in pieces) + one.end()
    found = b""
    for start in range(0, len(wrapped), size):
        assert not two.ended
        found += two.inward(wrapped[start : start + size])
    assert found == b"".join(pieces)
    assert two.ended


def test_what_is_longer_than_a_message_becomes_several() -> None:
    one, two = sides()
    data = bytes(3 * limits.WEBSOCKET_MESSAGE_BYTES + 1)
    assert two.inward(one.outward(data)) == data
    assert not two.ended


@given(st.binary(max_size=400), st.booleans())
def test_hostile_bytes_are_a_lost_link_or_nothing(noise: bytes, server: bool) -> None:
    stack = Stack([sides()[server]])
    try:
        stack.inward(noise)
        stack.answer()
        stack.outward(b"more")
        stack.end()
    except LinkLost:
        return


def test_a_frame_that_claims_too_much_is_refused_before_it_is_there() -> None:
    _, server = sides()
    claimed = b"\x82\xff" + (limits.WEBSOCKET_MESSAGE_BYTES + 1).to_bytes(8, "big") + b"mask"
    with pytest.raises(LinkLost, match="the websocket: "):
        server.inward(claimed)
