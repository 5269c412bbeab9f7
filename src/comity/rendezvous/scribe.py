"""The scribe: one thread that owns the books, and commits for everybody who came meanwhile.

A job is a function over the books. Jobs that wait while a commit is written run in the next transaction
together, so one fsync serves many nodes (group commit); each is a transaction of its own inside it, and a job
that fails undoes only its own part. A result is handed out after the commit, never before: what a node was
told is on disk.

It knows neither nodes nor letters. Jobs must be short: they hold up everybody.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from comity import limits
from comity.errors import LocalProtocolError
from comity.rendezvous.stores import Books

T = TypeVar("T")


@dataclass
class _Job(Generic[T]):
    work: Callable[[Books], T]
    future: asyncio.Future[T]
    result: T | None = None
    error: Exception | None = None


class Scribe:
    """Opens the books in its own thread (``open_books`` runs there). Use it from one event loop."""

    def __init__(self, open_books: Callable[[], Books]) -> None:
        self._open_books = open_books
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(limits.RENDEZVOUS_JOBS)
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        # A daemon: if the program ends by a bug, SQLite's journal is the safer end than a hanging process.
        self._thread = threading.Thread(target=self._main, name="scribe", daemon=True)

    async def open(self) -> None:
        """Raises what opening the books raises."""
        self._thread.start()
        await self._opened

    async def run(self, work: Callable[[Books], T]) -> T:
        """What ``work`` returned or raised, once it is committed.

        DiskFull or StorageUnusable where it isn't.
        """
        async with self._room:
            if self._closed:
                raise LocalProtocolError("the scribe was asked after it was closed")
            job: _Job[T] = _Job(work, self._loop.create_future())
            self._jobs.put(job)
            return await job.future

    async def close(self) -> None:
        """Finish the jobs that were asked for, close the books and end the thread."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _main(self) -> None:
        try:
            books = self._open_books()
        except BaseException as error:  # noqa: BLE001  handed to whoever awaits open()
            failure = error  # the name ``error`` ends with this block
            self._hand_over(lambda: self._opened.set_exception(failure))
            return
        self._hand_over(lambda: self._opened.set_result(None))
        try:
            while self._batch(books):
                pass
        finally:
            books.close()

    def _batch(self, books: Books) -> bool:
        """Run what waits in one transaction; whether there may be more."""
        batch: list[_Job[Any]] = []
        job = self._jobs.get()
        while job is not None:
            batch.append(job)
            if self._jobs.empty() or len(batch) >= limits.RENDEZVOUS_JOBS:
                break
            job = self._jobs.get()
        if batch:
            if not _commit(books, batch) and len(batch) > 1:
                # A full disk, say: then who only reads, or makes room, must not fail with who writes.
                for each in batch:
                    _commit(books, [each])
            self._hand_over(lambda: _finish(batch))
        return job is not None

    def _hand_over(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop is gone, and with it everybody who waited
            return


def _commit(books: Books, batch: list[_Job[Any]]) -> bool:
    """Run a batch in one transaction; False where nothing of it is on disk, and every job has the error."""
    try:
        with books.transaction():
            for job in batch:
                _run(books, job)
    except Exception as error:  # noqa: BLE001  handed to whoever awaits
        for job in batch:
            job.error = error
        return False
    return True


def _run(books: Books, job: _Job[Any]) -> None:
    job.error = None
    try:
        with books.transaction():
            job.result = job.work(books)
    except Exception as error:  # noqa: BLE001  handed to whoever awaits; its own part is undone
        job.error = error


def _finish(batch: list[_Job[Any]]) -> None:
    for job in batch:
        if job.future.done():  # cancelled: its connection ended
            continue
        if job.error is None:
            job.future.set_result(job.result)
        else:
            job.future.set_exception(job.error)
