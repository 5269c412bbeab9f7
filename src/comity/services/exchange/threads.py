"""The exchange's threads: each serves one task, which can always get it back (DESIGN.md, "The house").

A lane's thread blocks in the socket. A task that is cancelled aborts its lane, which unblocks the thread, and
waits for it; so no thread outlives its transfer. They are our own, not asyncio's default ones, which others
wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from comity import limits
from comity.transport.interface import Lane

P = ParamSpec("P")
T = TypeVar("T")

#: A lane's thread, and one beside it that hashes ahead or waits for the disk.
_MOST = 2 * (limits.SENDING_MOST + limits.RECEIVING_AT_ONCE)


class Threads:
    """A bounded pool; callers bound themselves, so that a thread is always free."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_MOST, thread_name_prefix="exchange")

    async def run(self, lane: Lane, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """``work`` in a thread that may block on ``lane``."""
        future = self.begin(partial(work, *args, **kwargs))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            lane.abort()
            await asyncio.wait([future])
            future.exception()  # seen: the cancellation is what counts
            raise

    async def apart(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """``work`` in a thread that needs no lane, and ends by itself: a cancellation waits for it."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *args, **kwargs))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            future.exception()  # seen: the cancellation is what counts
            raise

    def begin(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """``work`` for a task, which waits for it. A loop of virtual time knows that it is at work."""
        return asyncio.get_running_loop().run_in_executor(self._pool, work)

    def start(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """``work`` beside a lane's thread, which waits for it."""
        return self._pool.submit(work, *args, **kwargs)

    def close(self) -> None:
        """No more work; every transfer must be over."""
        self._pool.shutdown(wait=True)
