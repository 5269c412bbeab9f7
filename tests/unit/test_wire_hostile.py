"""What a parser says of hostile JSON: a short error that steers no terminal, of one kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from comity import limits
from comity.errors import RemoteProtocolError
from comity.protocol.registry import parse_node_message, parse_server_message
from comity.protocol.session.messages import parse_message
from comity.protocol.statements import HandshakeRequest
from comity.protocol.wire import decode_canonical

HOSTILE = [
    b'{"type":"ping","\\u001b[2J' + b"x" * 20_000 + b'":1}',
    b'{"type":"\\u202e' + b"y" * 20_000 + b'"}',
    b'{"type":"ping","id":' + b"9" * 20_000 + b"}",
    b'{"type":"ping","id":1e999}',
    b'{"type":"ping","n":"\\ud800"}',
    b'{"type":"ping","n":"\xed\xa0\x80"}',
    b'{"type":"ping","n":' + b"[" * 20_000,
    b'{"\xff":1}',
    b"\x00",
    b"",
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_the_error_is_short_and_plain(body: bytes) -> None:
    parsers: list[Callable[[bytes], object]] = [
        parse_message,
        parse_node_message,
        parse_server_message,
        lambda data: decode_canonical(data, HandshakeRequest, limits.STATEMENT_BYTES),
    ]
    for parse in parsers:
        with pytest.raises(RemoteProtocolError) as caught:
            parse(body)
        assert len(caught.value.message) < 300
        assert caught.value.message.isprintable()
