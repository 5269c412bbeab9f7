"""The scribe: results after the commit, many jobs in one, failures that stay with whose they are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from comity.errors import DiskFull, LocalProtocolError, NewerDatabase, UnknownPeer
from comity.rendezvous.memory import MemoryBooks
from comity.rendezvous.scribe import Scribe
from comity.rendezvous.stores import Books


class CountingBooks(MemoryBooks):
    """Counts commits, and fails one on request."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0
        self.failure: Exception | None = None
        self.thread = threading.current_thread()
        self.closed = False
        self._depth = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._depth += 1
        try:
            with super().transaction():
                yield
                if self._depth == 1:
                    failure, self.failure = self.failure, None
                    if failure is not None:
                        raise failure
                    self.commits += 1
        finally:
            self._depth -= 1

    def close(self) -> None:
        self.closed = True


@asynccontextmanager
async def scribing(books: list[CountingBooks]) -> AsyncIterator[Scribe]:
    def make() -> Books:
        books.append(CountingBooks())
        return books[-1]

    scribe = Scribe(make)
    await scribe.open()
    try:
        yield scribe
    finally:
        await scribe.close()


def reserve(number: int) -> Callable[[Books], int]:
    def work(books: Books) -> int:
        books.letters.reserve(1, bytes([number]), [b"x"])
        return number

    return work


def reserved(books: Books) -> list[int]:
    return [number for number in range(100) if books.letters.reserves(1, bytes([number]), b"x")]


async def test_books_live_in_their_own_thread() -> None:
    made: list[CountingBooks] = []
    async with scribing(made) as scribe:
        ran_in = await scribe.run(lambda _: threading.current_thread())
        assert made[0].thread is ran_in is not threading.current_thread()
    assert made[0].closed
    assert not ran_in.is_alive()


async def test_jobs_that_wait_share_a_commit() -> None:
    made: list[CountingBooks] = []
    async with scribing(made) as scribe:
        gate = threading.Event()
        first = asyncio.create_task(scribe.run(lambda _: gate.wait(60)))
        rest = [asyncio.create_task(scribe.run(reserve(number))) for number in range(50)]
        await asyncio.sleep(0.05)
        gate.set()
        assert await asyncio.gather(*rest) == list(range(50))
        assert await first
        assert made[0].commits <= 3
        assert await scribe.run(reserved) == list(range(50))


async def test_a_refused_job_undoes_only_itself() -> None:
    def fail(books: Books) -> None:
        reserve(2)(books)
        raise UnknownPeer("no")

    made: list[CountingBooks] = []
    async with scribing(made) as scribe:
        results = await asyncio.gather(
            scribe.run(reserve(1)), scribe.run(fail), scribe.run(reserve(3)), return_exceptions=True
        )
        assert isinstance(results[1], UnknownPeer)
        assert (results[0], results[2]) == (1, 3)
        assert await scribe.run(reserved) == [1, 3]


async def test_nobody_is_told_of_what_was_not_committed() -> None:
    made: list[CountingBooks] = []
    async with scribing(made) as scribe:
        made[0].failure = DiskFull("no space")
        with pytest.raises(DiskFull):
            await scribe.run(reserve(1))
        assert await scribe.run(reserved) == []
        assert await scribe.run(reserve(2)) == 2


async def test_when_a_shared_commit_fails_each_job_has_its_own_chance() -> None:
    made: list[CountingBooks] = []
    runs = 0

    def fail_once(_: Books) -> None:
        nonlocal runs
        runs += 1
        made[0].failure = DiskFull("no space") if runs == 1 else None

    async with scribing(made) as scribe:
        gate = threading.Event()
        first = asyncio.create_task(scribe.run(lambda _: gate.wait(60)))
        await asyncio.sleep(0.02)
        works: list[Callable[[Books], int | None]] = [fail_once, *map(reserve, range(5))]
        rest = [asyncio.create_task(scribe.run(work)) for work in works]
        await asyncio.sleep(0.02)
        gate.set()
        assert await first
        assert await asyncio.gather(*rest) == [None, *range(5)]
        assert runs == 2
        assert await scribe.run(reserved) == list(range(5))


async def test_a_bug_in_one_job_is_its_caller_s() -> None:
    made: list[CountingBooks] = []
    async with scribing(made) as scribe:
        with pytest.raises(ZeroDivisionError):
            await scribe.run(lambda _: 1 // 0)
        assert await scribe.run(reserve(1)) == 1


async def test_a_caller_that_left_does_not_matter() -> None:
    made: list[CountingBooks] = []
    async with scribing(made) as scribe:
        gate = threading.Event()
        leaving = asyncio.create_task(scribe.run(lambda _: gate.wait(60)))
        await asyncio.sleep(0.02)
        leaving.cancel()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await scribe.run(reserve(1)) == 1


async def test_what_opening_raises() -> None:
    def fail() -> Books:
        raise NewerDatabase("newer")

    scribe = Scribe(fail)
    with pytest.raises(NewerDatabase):
        await scribe.open()
    await scribe.close()


async def test_closing_finishes_what_was_asked() -> None:
    made: list[CountingBooks] = []
    async with scribing(made) as scribe:
        asked = [asyncio.create_task(scribe.run(reserve(number))) for number in range(5)]
        await asyncio.sleep(0)
        await scribe.close()
        assert await asyncio.gather(*asked) == list(range(5))
        with pytest.raises(LocalProtocolError):
            await scribe.run(reserve(9))
