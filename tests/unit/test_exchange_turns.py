"""Whose transfer begins next."""

from __future__ import annotations

import asyncio

from comity.services.exchange.turns import Turns


class Crowd:
    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.running: list[str] = []
        self.begun: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.ends: dict[str, asyncio.Event] = {}

    async def come(self, name: str) -> None:
        """``a1`` is the peer ``a``'s."""
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._run(name))
        await self.settle()

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await self.tasks[name]
        await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        ended = await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ended)
        assert self.turns.admits("z")

    async def _run(self, name: str) -> None:
        async with self.turns.turn(name[0]):
            self.running.append(name)
            self.begun.append(name)
            try:
                await self.ends[name].wait()
            finally:
                self.running.remove(name)


async def test_one_peers_many_do_not_keep_anothers_first_waiting() -> None:
    crowd = Crowd(Turns(2, 4))
    for name in ("a1", "a2", "a3", "a4"):
        await crowd.come(name)
    assert crowd.running == ["a1", "a2"]
    await crowd.come("b1")
    await crowd.come("c1")
    assert crowd.running == ["a1", "a2", "b1", "c1"]
    await crowd.come("d1")  # that is all the memory there is
    await crowd.come("b2")
    assert len(crowd.running) == 4
    await crowd.end("a1")
    assert "d1" in crowd.running
    await crowd.close()


async def test_places_go_to_whom_has_fewest_then_in_order() -> None:
    crowd = Crowd(Turns(3, 3))
    for name in ("a1", "a2", "b1", "a3", "b2", "b3"):
        await crowd.come(name)
    assert crowd.begun == ["a1", "a2", "b1"]
    await crowd.end("a1")
    await crowd.end("a2")
    assert crowd.begun[3:] == ["a3", "b2"]
    await crowd.close()


async def test_one_that_gives_up_waiting_takes_no_place() -> None:
    crowd = Crowd(Turns(1, 1))
    for name in ("a1", "b1", "c1"):
        await crowd.come(name)
    crowd.tasks["b1"].cancel()
    await crowd.end("a1")
    assert crowd.running == ["c1"]
    await crowd.close()


async def test_one_that_gives_up_just_as_its_place_is_given_gives_it_back() -> None:
    turns = Turns(1, 1)
    crowd = Crowd(turns)
    async with turns.turn("a"):
        await crowd.come("b1")
        await crowd.come("c1")
    crowd.tasks["b1"].cancel()  # it has its place, and doesn't know yet
    await crowd.settle()
    assert crowd.begun == crowd.running == ["c1"]
    await crowd.close()
