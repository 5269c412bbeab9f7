"""A real server in this process, on a loopback port of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from comity.clock import Clock, SystemClock
from comity.entropy import SystemEntropy
from comity.identity.card import JoinUrl
from comity.rendezvous.desk import RATES, Rates
from comity.rendezvous.options import Endpoint, Options
from comity.rendezvous.server import Server


class ShiftedClock:
    """The machine's clock, ``shift`` seconds ahead."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift
        self._clock = SystemClock()

    def now(self) -> float:
        return self._clock.now() + self.shift

    def monotonic(self) -> float:
        return self._clock.monotonic() + self.shift


@asynccontextmanager
async def serving(state: Path, clock: Clock | None = None, rates: Rates = RATES) -> AsyncIterator[JoinUrl]:
    """The join URL of a server over ``state``, stopped in order at the end."""
    options = Options(listen=(Endpoint("127.0.0.1", 0),), advertise=None, state=state)
    server = Server(options, clock or SystemClock(), SystemEntropy(), rates)
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(server.run(stop, ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if running.done():
        running.result()
    try:
        assert server.join_url is not None
        yield server.join_url
    finally:
        stop.set()
        await running
