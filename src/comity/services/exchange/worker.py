"""One thread beside a lane's, which does what it is given, in order."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

from comity.services.exchange.threads import Threads

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """Until ``close``. Whoever gives it work waits for all of it before that work's memory or files go."""

    def __init__(self, threads: Threads) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._running = threads.start(self._run)

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """``work`` after all that was given before; the future holds what it returns or raises."""
        future: Future[T] = Future()

        def do() -> None:
            try:
                future.set_result(work(*args, **kwargs))
            except Exception as error:  # noqa: BLE001  it is raised where the future is asked
                future.set_exception(error)

        self._work.put(do)
        return future

    def close(self) -> None:
        """Return when everything is done."""
        self._work.put(None)
        self._running.result()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
