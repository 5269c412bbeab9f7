"""However a connection ends, nothing of it is left to the garbage collector, which ``garbage`` keeps away
from what is old; and what is left all the same is counted, and found.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.protocol import Protocol

from comity import limits
from comity.clock import SystemClock
from comity.errors import LinkLost
from comity.identity.card import JoinUrl
from comity.protocol.registry import Done, Ping, Superseded
from comity.rendezvous.garbage import keep_out_of_sight
from comity.rendezvous.visit import Visit
from comity.transport.tlssocket import TlsSocket
from tests.integration.test_rendezvous_websocket import register_inside
from tests.rendezvous.client import Refusal, dial, last_words, registered
from tests.rendezvous.nodes import Registrant
from tests.rendezvous.server import serving

PATIENCE = 60.0


def connections() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, Visit | TlsSocket | Protocol)]


@pytest.fixture
def left() -> Iterator[Callable[[], list[object]]]:
    """What there is of connections without the collector, but for what other tests of this process left."""
    gc.unfreeze()
    gc.collect()
    others = connections()  # held, so that nothing new takes their ids
    known = set(map(id, others))
    gc.disable()
    try:
        yield lambda: [each for each in connections() if id(each) not in known]
    finally:
        gc.enable()


def node(join: JoinUrl) -> Registrant:
    return Registrant(join.fingerprint, hostname="lab-a")


async def cut_off(join: JoinUrl) -> None:
    async with registered(join, node(join)):
        pass


async def said_goodbye(join: JoinUrl) -> None:
    async with registered(join, node(join)) as client:
        await client.channel.close()


async def misbehaved(join: JoinUrl) -> None:
    client = await dial(join, node(join))
    with suppress(Refusal):
        await client.ask(Ping(id=1), Done)  # nothing is answered before Open
    client.channel.abort()


async def superseded(join: JoinUrl) -> None:
    who = node(join)
    async with registered(join, who) as older, registered(join, who):
        await older.push(Superseded)
        with suppress(LinkLost):
            await older.hear()


async def never_registered(join: JoinUrl) -> None:
    client = await dial(join, node(join))
    await client.open()
    client.channel.abort()


async def inside_a_websocket(join: JoinUrl) -> None:
    await register_inside(join, "lab-a", "")


async def no_websocket(join: JoinUrl) -> None:
    reader, writer = await asyncio.open_connection(join.host, join.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await last_words(reader)).startswith(b"HTTP/1.1 ")
    writer.close()


async def half_a_handshake(join: JoinUrl) -> None:
    reader, writer = await asyncio.open_connection(join.host, join.port)
    writer.write(b"\x16\x03\x01")
    writer.write_eof()
    await last_words(reader)
    writer.close()


@pytest.mark.parametrize(
    "end",
    [
        cut_off,
        said_goodbye,
        misbehaved,
        superseded,
        never_registered,
        half_a_handshake,
        inside_a_websocket,
        no_websocket,
    ],
)
async def test_nothing_is_left(
    tmp_path: Path, left: Callable[[], list[object]], end: Callable[[JoinUrl], Awaitable[None]]
) -> None:
    async with serving(tmp_path / "state") as join:
        await end(join)
        async with asyncio.timeout(PATIENCE):
            while left():  # noqa: ASYNC110  the server tells nobody
                await asyncio.sleep(0.01)


async def test_what_is_left_is_found_once_it_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RENDEZVOUS_GHOSTS", 5)
    monkeypatch.setattr("comity.rendezvous.garbage._EVERY", 0.001)
    monkeypatch.setattr("comity.rendezvous.garbage._LOOK_EVERY", 0.0)

    class Round:
        def __init__(self) -> None:
            self.itself = self

    made = [Round() for _ in range(10)]
    there = weakref.WeakSet(made)

    def count() -> int:
        return 0 if made else len(there)  # the collector's own list leaves out what is frozen

    keeper = asyncio.create_task(keep_out_of_sight(count, SystemClock()))
    try:
        await asyncio.sleep(0.05)  # they are frozen
        made.clear()
        assert count() == 10
        async with asyncio.timeout(PATIENCE):
            while count():  # noqa: ASYNC110  the collector tells nobody
                await asyncio.sleep(0.01)
    finally:
        keeper.cancel()
        gc.unfreeze()
