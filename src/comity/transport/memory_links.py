"""Links of the in-memory world: messages both ways, whole and in order, as TCP and TLS would carry them.

What can happen to TCP's bytes happens to them: a lost message comes late, a partition holds everything back
until it heals, a cut ends both sides at once, and a link that one side ended ends on the other once the news
has travelled. A link may run through other places (a relay), and suffers from what befalls each leg.

It moves Python objects, runs on any asyncio loop, and knows nothing of nodes, frames or keys.
``memory_world`` says what the weather is.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from comity import limits
from comity.errors import LinkLost

_RETRANSMIT_AFTER = 0.2  # seconds, doubled for each further loss of the same message
_RETRANSMITS = 6
_ENDED_HERE = "the link was ended on this side"

Route = tuple[str, ...]


@dataclass(frozen=True)
class Weather:
    """How messages fare on one leg of a route.

    ``least`` and ``most``: seconds one way. ``loss``: the share that comes late, ``cuts``: that breaks the
    link.
    """

    least: float = 0.005
    most: float = 0.030
    loss: float = 0.0
    cuts: float = 0.0


@dataclass(frozen=True)
class Message:
    """What travels: a frame's kind and body, say. ``size`` in bytes is for the trace."""

    content: object
    size: int


class Space(Protocol):
    """What a link asks of the world that it is in."""

    seed: int

    def weather(self, route: Route) -> Sequence[Weather]:
        """One for each leg."""
        ...

    def blocked(self, route: Route) -> bool:
        """Whether nothing passes now, somewhere on the way."""
        ...

    async def passable(self, route: Route) -> None:
        """Returns once something passes."""

    def note(self, event: str) -> None:
        """A line of the trace."""

    def forget(self, link: Link) -> None:
        """Both sides have ended it."""


class Link:
    """Two directions between the two ends of a route."""

    def __init__(self, world: Space, route: Route, name: str) -> None:
        self.world = world
        self.route = route
        self.name = name
        there = Direction(self, route, f"{name} there")
        back = Direction(self, route[::-1], f"{name} back")
        self.directions = (there, back)
        self.ends = (End(self, there, back), End(self, back, there))

    def cut(self, reason: str) -> None:
        """Both sides find it ended at once."""
        self.world.note(f"{self.name} cut")
        self.world.forget(self)
        for direction in self.directions:
            direction.end(LinkLost(reason))

    def ended(self) -> None:
        """One side has gone; when both have, the world forgets it."""
        if all(end.closed for end in self.ends):
            self.world.forget(self)


@dataclass
class _Sent:
    due: float
    message: Message | LinkLost


class Direction:
    """One way of a link: a bounded queue in the air and one at the receiver's."""

    def __init__(self, link: Link, route: Route, name: str) -> None:
        self._link = link
        self._route = route
        self._name = name
        # Its own generator, so that what happens on one link changes nothing on another.
        self._random = random.Random(f"{link.world.seed} {name}")  # noqa: S311  predictable on purpose
        self._air: deque[_Sent] = deque()
        self._arrived: deque[Message] = deque()
        self._last_due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._moved = asyncio.Event()
        self._end: LinkLost | None = None
        self._shut = False  # by the sender
        self._ignored = False  # by the receiver

    @property
    def _over(self) -> str | None:
        """Why the sender can't send: it has ended the link, or it knows that the link has ended."""
        back = next(direction for direction in self._link.directions if direction is not self)
        known = self._end or back._end
        return _ENDED_HERE if self._shut else None if known is None else known.message

    async def passage(self) -> None:
        """One way through, now, without carrying anything; for ever while it is blocked."""
        await asyncio.sleep(self._delay())
        await self._link.world.passable(self._route)

    async def put(self, message: Message) -> None:
        """Send, once there is room. LinkLost."""
        while len(self._air) + len(self._arrived) >= limits.STREAM_QUEUE_FRAMES and self._over is None:
            await self._changed()
        if self._over is not None:
            raise LinkLost(self._over)
        if any(self._random.random() < weather.cuts for weather in self._link.world.weather(self._route)):
            self._link.cut("the connection was reset on the way")
            raise LinkLost("the connection was reset on the way")
        self._send(message)

    async def get(self) -> Message:
        """The next message that has arrived. LinkLost at the end."""
        while not self._arrived or self._ignored:
            if self._end is not None or self._ignored:
                raise LinkLost(_ENDED_HERE if self._end is None else self._end.message)
            await self._changed()
        message = self._arrived.popleft()
        self._wake()
        return message

    def ignore(self) -> None:
        """The receiver is gone: what arrives is thrown away."""
        self._ignored = True
        self._arrived.clear()
        self._wake()

    def close(self, reason: str) -> None:
        """Send word that there is no more: what is in the air still arrives first."""
        self._shut = True
        if self._end is None:
            self._send(LinkLost(reason))
        self._wake()

    def end(self, reason: LinkLost) -> None:
        """It is over, with all that was in the air; what has arrived can still be read."""
        self._air.clear()
        self._end = self._end or reason
        if self._timer is not None:
            self._timer.cancel()
        for direction in self._link.directions:
            direction._wake()

    def resume(self) -> None:
        """Go on after a partition: what waited is sent again."""
        loop = asyncio.get_running_loop()
        if self._air and self._air[0].due <= loop.time() and self._timer is None:
            self._air[0].due = loop.time() + self._delay()
            self._schedule()

    def _send(self, message: Message | LinkLost) -> None:
        now = asyncio.get_running_loop().time()
        self._last_due = max(self._last_due, now + self._delay())
        self._air.append(_Sent(self._last_due, message))
        if len(self._air) == 1:
            self._schedule()

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_at(self._air[0].due, self._deliver)

    def _deliver(self) -> None:
        self._timer = None
        if self._link.world.blocked(self._route):
            return  # until ``resume``
        message = self._air.popleft().message
        if isinstance(message, LinkLost):
            self.end(message)
            return
        self._link.world.note(f"{self._name} {message.size} bytes")
        if not self._ignored:
            self._arrived.append(message)
        self._wake()
        if self._air:
            self._schedule()

    def _delay(self) -> float:
        total = 0.0
        for weather in self._link.world.weather(self._route):
            total += self._random.uniform(weather.least, weather.most)
            again = _RETRANSMIT_AFTER
            for _ in range(_RETRANSMITS):
                if self._random.random() >= weather.loss:
                    break
                total += again
                again *= 2
        return total

    async def _changed(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    def _wake(self) -> None:
        self._moved.set()


@dataclass(eq=False)
class End:
    """One side of a link."""

    link: Link
    _out: Direction
    _in: Direction
    closed: bool = field(default=False, init=False)

    async def send(self, message: Message) -> None:
        """Hand a message to the link. LinkLost when it has ended or takes nothing for
        ``limits.LANE_TIMEOUT``."""
        if self.closed:
            raise LinkLost(_ENDED_HERE)
        try:
            async with asyncio.timeout(limits.LANE_TIMEOUT):
                await self._out.put(message)
        except TimeoutError:
            raise LinkLost(f"nothing moved for {limits.LANE_TIMEOUT:g} seconds") from None

    async def receive(self) -> Message:
        """The next message; as long as it takes. LinkLost at the link's end."""
        return await self._in.get()

    def close(self, reason: str) -> None:
        """End this side now; the other side reads what was sent, then ``reason``."""
        if self.closed:
            return
        self.closed = True
        self._out.close(reason)
        self._in.ignore()
        self.link.ended()
