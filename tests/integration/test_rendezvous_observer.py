"""The rendezvous's observer: what it tells a connection, and what it does with others that begin alike."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from comity.protocol.observing import OBSERVE_REQUEST, parse_answer
from comity.rendezvous.doors import observers
from comity.rendezvous.options import Endpoint
from tests.rendezvous.server import serving


async def test_a_connection_is_told_where_it_comes_from(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join, asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(join.host, join.port)
        host, port = writer.get_extra_info("sockname")[:2]
        writer.write(OBSERVE_REQUEST)
        assert parse_answer(await reader.readline()) == f"{host}:{port}"
        writer.write_eof()
        assert await reader.read() == b""  # it holds the connection until the node lets go
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("question", [b"O", OBSERVE_REQUEST[:-1], b"O" * 64, b"OPTIONS / HTTP/1.1\r\n" * 4])
async def test_whoever_asks_something_else_gets_no_byte(tmp_path: Path, question: bytes) -> None:
    async with serving(tmp_path / "state") as join, asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(join.host, join.port)
        writer.write(question)
        writer.write_eof()
        assert await _rest(reader) == b""
        writer.close()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


def test_nodes_are_told_of_two_literal_addresses_at_most() -> None:
    one, two, three = (Endpoint(f"198.51.100.{number}", 443) for number in (1, 2, 3))
    assert observers([one, Endpoint("198.51.100.1", 8443), two, three]) == (
        "198.51.100.1:443",
        "198.51.100.2:443",
    )
    assert observers([Endpoint("0.0.0.0", 443), Endpoint("::", 443)]) == ()  # noqa: S104  compared, not bound
