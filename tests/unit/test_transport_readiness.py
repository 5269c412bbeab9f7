"""Waiting for one socket by several tasks: each is woken, none is forgotten."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from comity.errors import LinkLost
from comity.transport.readiness import Readiness


@pytest_asyncio.fixture
async def ends() -> AsyncIterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


async def test_reader_and_writer_may_wait_for_the_same_direction(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    readiness = Readiness(ends[0])
    waits = [asyncio.create_task(readiness.wait(write=False, timeout=60)) for _ in range(3)]
    await asyncio.sleep(0)
    waits[0].cancel()
    await asyncio.sleep(0)
    ends[1].send(b"x")
    assert await asyncio.gather(*waits[1:]) == [None, None]
    await readiness.wait(write=True, timeout=60)
    assert readiness.waits == 4


async def test_silence_is_given_up(ends: tuple[socket.socket, socket.socket]) -> None:
    readiness = Readiness(ends[0])
    with pytest.raises(LinkLost, match=r"nothing moved for 0\.05 seconds"):
        await readiness.wait(write=False, timeout=0.05)


async def test_failing_wakes_everybody(ends: tuple[socket.socket, socket.socket]) -> None:
    readiness = Readiness(ends[0])
    waits = [asyncio.create_task(readiness.wait(write=False, timeout=60)) for _ in range(2)]
    await asyncio.sleep(0)
    readiness.fail("over")
    for result in await asyncio.gather(*waits, return_exceptions=True):
        assert isinstance(result, LinkLost)
        assert result.message == "over"


async def test_watcher_is_called_once_and_not_after_unwatch(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    readiness, calls = Readiness(ends[0]), []
    readiness.watch(lambda: calls.append("early"))
    readiness.unwatch()
    readiness.watch(lambda: calls.append("called"))
    ends[1].send(b"x")
    async with asyncio.timeout(60):
        while not calls:  # noqa: ASYNC110  what is tested is what would tell
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert calls == ["called"]
    await readiness.wait(write=False, timeout=60)
    readiness.fail("over")
