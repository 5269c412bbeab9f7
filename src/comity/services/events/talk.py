"""Frames between a stream and a machine, for either side of a subscription.

Three tasks own it: one reads, one writes, one keeps the time; more may be added. Whatever a machine or the
stream raises ends it, and is raised by ``run`` once every task is gone. It knows no message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from comity import limits
from comity.clock import Clock
from comity.errors import ComityError, LinkLost
from comity.services.events.surroundings import Frames

_SPARE_FRAMES = 64  # beats and answers, besides events


class Side(Protocol):
    """What a talk drives."""

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is due, by the monotonic clock."""

    def received(self, body: bytes) -> None:
        """One frame arrived; raises ComityError to end the talk."""

    def tick(self) -> None:
        """``deadline`` has come; raises ComityError to end the talk."""


class Talk:
    """One conversation. ``say`` and ``end`` may be called at any time, from the loop."""

    def __init__(self, stream: Frames, side: Side, clock: Clock) -> None:
        self._stream = stream
        self._side = side
        self._clock = clock
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(limits.EVENTS_UNACKNOWLEDGED + _SPARE_FRAMES)
        self._over = asyncio.Event()
        self._changed = asyncio.Event()
        self._error: ComityError | None = None

    def say(self, body: bytes) -> None:
        """Write a frame, in order; ends the talk where the other side reads nothing."""
        self._changed.set()
        try:
            self._outgoing.put_nowait(body)
        except asyncio.QueueFull:
            self.end(LinkLost("the peer reads nothing"))

    def end(self, error: ComityError | None = None) -> None:
        """Be done: at once for an error, else when everything is written."""
        if not self._over.is_set():
            self._error = error
            self._over.set()

    async def run(self, *jobs: Coroutine[Any, Any, None]) -> None:
        """Talk until either side is done. Raises what ended it, LinkLost among others."""
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(self._until_over(job))
                for job in (self._read(), self._write(), self._watch(), *jobs)
            ]
            await self._over.wait()
            if self._error is None:
                await self._flush()
            for task in running:
                task.cancel()
        if self._error is not None:
            raise self._error

    async def _until_over(self, job: Coroutine[Any, Any, None]) -> None:
        try:
            await job
        except ComityError as error:
            self.end(error)

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(limits.CLOSE_TIMEOUT):
                await self._outgoing.join()
        except TimeoutError:
            self._error = LinkLost("the peer did not read the end")

    async def _read(self) -> None:
        while (body := await self._stream.receive()) is not None:
            self._changed.set()
            self._side.received(body)
            if self._over.is_set():
                return
        self.end()

    async def _write(self) -> None:
        while True:
            body = await self._outgoing.get()
            await self._stream.send(body)
            self._outgoing.task_done()

    async def _watch(self) -> None:
        """Tick when it is due.

        What is said and heard moves that to later, and once to earlier: when the peer has answered, beats are
        due, so nobody sleeps through the first.
        """
        while True:
            self._changed.clear()
            deadline = self._side.deadline
            if deadline is None:
                await self._changed.wait()
            elif (left := deadline - self._clock.monotonic()) > 0:
                await asyncio.sleep(min(left, limits.EVENTS_BEAT_EVERY))
            else:
                self._side.tick()
