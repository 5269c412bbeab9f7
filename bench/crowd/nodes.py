"""A process full of nodes, or of callers of an echo server, that does what its standard input says.

    python -m crowd.nodes node|framed|plain JOIN

Each line in is an order in JSON, each line out its answer:

    {"do": "come", "count": N, "first": K, "at_once": M}     {"came", "seconds", "refused": {code: count}}
    {"do": "measure", "seconds": S, "names": N, "questions": Q, "requests": R}
                                       {"questions": TIMES, "requests": TIMES, "failed": {code: count}}
    {"do": "state"}                    {"online", "ended": {code: count}}

``questions`` a second are asked for the names of ``names`` nodes, ``requests`` a second are posted between
two nodes of this process; TIMES are count, median, p99 and most in milliseconds.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from comity.errors import ComityError
from comity.identity.card import JoinUrl
from crowd.caller import Framed, Plain
from crowd.files import raise_files
from crowd.node import Node

KINDS: dict[str, Callable[..., Node | Framed | Plain]] = {"node": Node, "framed": Framed, "plain": Plain}
_ARRIVAL_SECONDS = 10.0


class Crowd:
    def __init__(self, kind: str, join: JoinUrl) -> None:
        self._kind, self._join = kind, join
        self._here: list[Any] = []
        self._arrived: dict[str, asyncio.Future[float]] = {}

    async def come(self, *, count: int, first: int, at_once: int) -> dict[str, Any]:
        coming = [KINDS[self._kind](self._join, hostname(first + n), self._hear) for n in range(count)]
        refused: Counter[str] = Counter()
        places = asyncio.Semaphore(at_once)

        async def one(node: Any) -> None:
            async with places:
                try:
                    await node.come()
                except (ComityError, OSError) as error:
                    refused[_code(error)] += 1
                else:
                    self._here.append(node)

        began = time.perf_counter()
        await asyncio.gather(*map(one, coming))
        seconds = time.perf_counter() - began
        return {"came": count - refused.total(), "seconds": seconds, "refused": refused}

    async def measure(self, *, seconds: float, names: int, questions: int, requests: int) -> dict[str, Any]:
        asked: list[float] = []
        delivered: list[float] = []
        failed: Counter[str] = Counter()

        async def ask(node: Any) -> None:
            asked.append(await node.resolve(hostname(random.randrange(names))))

        async def request(node: Any) -> None:
            to = random.choice(self._here)
            if to is node:
                return
            message_id = os.urandom(16).hex()
            arrival = self._arrived[message_id] = asyncio.get_running_loop().create_future()
            began = time.perf_counter()
            try:
                await node.post(to.identity.public, message_id)
                async with asyncio.timeout(_ARRIVAL_SECONDS):
                    delivered.append(await arrival - began)
            finally:
                del self._arrived[message_id]

        async with asyncio.TaskGroup() as tasks:
            for what, rate in ((ask, questions), (request, requests)):
                if rate:
                    tasks.create_task(self._at_rate(what, rate, seconds, failed))
        return {"questions": _times(asked), "requests": _times(delivered), "failed": failed}

    async def state(self) -> dict[str, Any]:
        ended = Counter(_code(node.ended) for node in self._here if node.ended is not None)
        return {"online": len(self._here) - ended.total(), "ended": ended}

    async def _at_rate(
        self, what: Callable[[Any], Awaitable[None]], rate: int, seconds: float, failed: Counter[str]
    ) -> None:
        """Begin so many a second, whether those before have ended or not."""

        async def one() -> None:
            try:
                await what(random.choice(self._here))
            except (ComityError, TimeoutError) as error:
                failed[_code(error)] += 1

        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
                tasks.create_task(one())

    def _hear(self, message_id: str) -> None:
        arrival = self._arrived.get(message_id)
        if arrival is not None and not arrival.done():
            arrival.set_result(time.perf_counter())


def hostname(number: int) -> str:
    return f"node-{number}"


def _code(error: BaseException) -> str:
    return error.code if isinstance(error, ComityError) else type(error).__name__.lower()


def _times(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {"count": 0}
    ordered = sorted(each * 1e3 for each in seconds)
    return {
        "count": len(ordered),
        "median": ordered[len(ordered) // 2],
        "p99": ordered[int(len(ordered) * 0.99)],
        "most": ordered[-1],
    }


async def main() -> None:
    logging.disable(logging.WARNING)  # the answers tell what went wrong
    kind, join = sys.argv[1], JoinUrl.parse(sys.argv[2])
    random.seed(1)
    gc.disable()  # it would stop thousands of nodes for a second, and then have them all speak at once
    crowd = Crowd(kind, join)
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        if order["do"] == "come":
            raise_files(len(crowd._here) + order["count"] + 200)
        answer = await getattr(crowd, order.pop("do"))(**order)
        print(json.dumps(answer), flush=True)
    os._exit(0)  # the connections end with the process


if __name__ == "__main__":
    asyncio.run(main())
