"""A task always gets its thread back: by its result, its error, or by ending the lane under it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from comity.errors import LinkLost
from comity.services.exchange.threads import Threads
from tests.exchanges import SENDER
from tests.lanes import End, MemoryLane, Wire


@pytest.fixture
def lane() -> MemoryLane:
    return MemoryLane(End(Wire(), 0), SENDER.public)


async def test_results_and_errors_come_back(lane: MemoryLane) -> None:
    threads = Threads()
    assert await threads.run(lane, lambda: threading.current_thread().name.startswith("exchange"))
    with pytest.raises(ZeroDivisionError):
        await threads.run(lane, lambda: 1 // 0)
    assert threads.start(lambda: 5).result() == 5
    threads.close()


async def test_a_cancelled_task_takes_its_thread_along(lane: MemoryLane) -> None:
    threads, began = Threads(), threading.Event()
    ended: list[str] = []

    def work() -> None:
        began.set()
        try:
            lane.receive()
        except LinkLost:
            ended.append("lost")
            raise

    task = asyncio.create_task(threads.run(lane, work))
    await asyncio.to_thread(began.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["lost"]
    threads.close()
