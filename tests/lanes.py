"""Streams and lanes in memory, with the semantics that ``transport.interface`` promises, for several nodes.

Frames arrive in order, whole, with bounded room on the way; a link that is lost raises LinkLost on both sides
at once, whatever was under way. ``Wire.tamper`` and ``cut_after`` are the attacker and the network.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from comity import limits
from comity.errors import ComityError, LinkLost, LocalProtocolError, PeerRefused, PeerUnreachable
from comity.identity.keys import PublicKey
from comity.protocol.hello import VERSION, Hello
from comity.protocol.paths import path_rank
from comity.transport.interface import Buffer, LinkInfo, Pace, PathName, StreamHandler

_POLL = 0.001
_PATIENCE = 60.0

INFO = LinkInfo(path="direct", remote="memory", tls="TLSv1.3", cipher="none", group="none")


class Wire:
    """Both directions of one link. An empty one takes any frame, unless its ``room`` is 0: then nothing more
    enters, however fast the other side reads.
    """

    def __init__(self, room: int = 4 * limits.MIB) -> None:
        self.room = room
        self.condition = threading.Condition()
        self.queues: tuple[deque[bytes | None], deque[bytes | None]] = (deque(), deque())
        self.lost = ""
        self.carried: list[bytes] = []  # of side 0, the dialler
        self.cut_after: int | None = None
        self.tamper: Callable[[bytes], bytes] | None = None

    def lose(self, reason: str = "the connection ended") -> None:
        with self.condition:
            self.lost = self.lost or reason
            self.condition.notify_all()

    def check(self) -> None:
        if self.lost:
            raise LinkLost(self.lost)

    def try_put(self, side: int, frame: bytes | None) -> bool:
        with self.condition:
            self.check()
            queue = self.queues[side]
            if not self.room or (queue and sum(len(each or b"") for each in queue) >= self.room):
                return False
            if side == 0 and frame is not None:
                self.carried.append(frame[:64])
                if self.tamper is not None:
                    frame = self.tamper(frame)
            if self.cut_after is not None:
                self.cut_after -= 1
                if self.cut_after < 0:
                    self.lost = "cut by the test"
                    self.condition.notify_all()
                    raise LinkLost(self.lost)
            queue.append(frame)
            self.condition.notify_all()
            return True

    def try_get(self, side: int) -> tuple[bool, bytes | None]:
        with self.condition:
            self.check()
            queue = self.queues[1 - side]
            if not queue:
                return False, None
            frame = queue.popleft()
            self.condition.notify_all()
            return True, frame

    def wait(self) -> None:
        with self.condition:
            self.condition.wait(0.05)


class End:
    """What one side knows about a link: shared by its stream and its lane."""

    def __init__(self, wire: Wire, side: int) -> None:
        self.wire = wire
        self.side = side
        self.end_sent = False
        self.end_received = False
        self.finished = False

    def take(self, frame: bytes | None) -> bytes | None:
        if frame is None:
            self.end_received = True
        return frame


class MemoryLane:
    """Implements ``interface.Lane``."""

    def __init__(self, end: End, peer: PublicKey, info: LinkInfo = INFO) -> None:
        self.info = info
        self.peer = peer
        self._end = end
        self.round_trip = 0.0

    def send(self, *parts: Buffer, pace: Pace | None = None, more: bool = False) -> None:
        left = sum(map(len, parts))
        while pace is not None and left:
            self._end.wire.check()
            left -= pace(left)
        body = b"".join(bytes(part) for part in parts)
        if len(body) > limits.LANE_FRAME_BYTES or self._end.end_sent:
            raise LocalProtocolError("a frame too long, or after the end")
        self._put(body)

    def receive(self) -> memoryview | None:
        if self._end.end_received:
            return None
        while True:
            there, frame = self._end.wire.try_get(self._end.side)
            if there:
                taken = self._end.take(frame)
                return None if taken is None else memoryview(bytearray(taken))
            self._end.wire.wait()

    def ready(self, wait: float = 0.0) -> bool:
        with self._end.wire.condition:
            self._end.wire.check()
            return self._end.end_received or bool(self._end.wire.queues[1 - self._end.side])

    def end(self) -> None:
        self._end.end_sent = True
        self._put(None)

    def finish(self) -> None:
        if self._end.finished:
            return
        if not self._end.end_sent:
            self.end()
        while self.receive() is not None:
            pass
        self._end.finished = True

    def abort(self) -> None:
        self._end.wire.lose("this side ended the link")

    def _put(self, frame: bytes | None) -> None:
        while not self._end.wire.try_put(self._end.side, frame):
            self._end.wire.wait()


class MemoryStream:
    """Implements ``interface.Stream``."""

    def __init__(
        self, wire: Wire, side: int, peer: PublicKey, hello: Hello, path: PathName = "direct"
    ) -> None:
        self.peer = peer
        self.hello = hello
        self.info = replace(INFO, path=path)
        self.instance = "00" * 16
        self.end = End(wire, side)
        self.round_trip = 0.0
        self._lane: MemoryLane | None = None

    async def send(self, body: Buffer) -> None:
        self._require_open()
        if len(body) > limits.FRAME_BYTES or self.end.end_sent:
            raise LocalProtocolError("a frame too long, or after the end")
        await self._put(bytes(body))

    async def receive(self) -> bytes | None:
        self._require_open()
        return await self._next()

    async def finish(self) -> None:
        if self.end.finished:
            return
        self._require_open()
        if not self.end.end_sent:
            self.end.end_sent = True
            await self._put(None)
        while await self._next() is not None:
            pass
        self.end.finished = True

    def abort(self) -> None:
        self.end.wire.lose("this side ended the link")

    def lane(self) -> MemoryLane:
        self._require_open()
        self._lane = MemoryLane(self.end, self.peer, self.info)
        self._lane.round_trip = self.round_trip
        return self._lane

    async def __aenter__(self) -> MemoryStream:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self.abort()
        elif self._lane is None:
            await self.finish()
        elif not self.end.finished and not self.end.wire.lost:
            self.abort()
            raise LocalProtocolError("a stream was left while its lane had not finished")

    def _require_open(self) -> None:
        if self._lane is not None:
            raise LocalProtocolError("the stream's lane has it")

    async def _next(self) -> bytes | None:
        if self.end.end_received:
            return None
        async with asyncio.timeout(_PATIENCE):
            while True:
                there, frame = self.end.wire.try_get(self.end.side)
                if there:
                    return self.end.take(frame)
                await asyncio.sleep(_POLL)

    async def _put(self, frame: bytes | None) -> None:
        async with asyncio.timeout(_PATIENCE):
            while True:
                if self.end.wire.try_put(self.end.side, frame):
                    return
                await asyncio.sleep(_POLL)


class World:
    """The nodes that can dial each other. ``setup`` is called with each new link, before anything travels;
    ``path`` is the best that a new link can take.
    """

    def __init__(self) -> None:
        self.nodes: dict[PublicKey, MemoryNet] = {}
        self.setup: Callable[[Wire], None] = lambda _: None
        self.wires: list[Wire] = []
        self.path: PathName = "direct"
        self.round_trip = 0.0

    async def close(self) -> None:
        for wire in self.wires:
            wire.lose()
        for node in self.nodes.values():
            await node.close()


class MemoryNet:
    """Implements ``interface.Network`` for the node with ``key``."""

    def __init__(self, world: World, key: PublicKey) -> None:
        self.key = key
        self.refusing: PeerRefused | None = None
        self.handled: list[ComityError | None] = []  # how each handler ended
        self._world = world
        self._handlers: dict[int, StreamHandler] = {}
        self._links: dict[PublicKey, list[Wire]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        world.nodes[key] = self

    def serve(self, port: int, handler: StreamHandler) -> None:
        self._handlers[port] = handler

    async def dial(
        self,
        peer: PublicKey,
        port: int,
        *,
        agreement: str | None = None,
        charter: str | None = None,
        purpose: str = "",
        better_than: str | None = None,
    ) -> MemoryStream:
        target = self._world.nodes.get(peer)
        if target is None:
            raise PeerUnreachable("nobody is there")
        if target.refusing is not None:
            raise target.refusing
        path = self._world.path
        if better_than is not None and path_rank(path) >= path_rank(better_than):
            raise PeerUnreachable("there is no better path")
        wire = Wire()
        self._world.setup(wire)
        self._world.wires.append(wire)
        hello = Hello(
            oldest=VERSION,
            newest=VERSION,
            port=port,
            instance="00" * 16,
            agreement=agreement,
            purpose=purpose,
        )
        self._links.setdefault(peer, []).append(wire)
        target._links.setdefault(self.key, []).append(wire)
        accepted = MemoryStream(wire, 1, self.key, hello, path)
        task = asyncio.create_task(target._handle(target._handlers[port], accepted))
        target._tasks.add(task)
        task.add_done_callback(target._tasks.discard)
        stream = MemoryStream(wire, 0, peer, hello, path)
        stream.round_trip = self._world.round_trip
        return stream

    def learn(self, peer: PublicKey, candidates: Sequence[str], expires: float) -> None:
        """Nothing to learn in memory."""

    def candidates(self) -> tuple[str, ...]:
        return ()

    def drop(self, peer: PublicKey, *, spare: int | None = None) -> int:
        wires = self._links.pop(peer, [])
        for wire in wires:
            wire.lose("dropped")
        return len(wires)

    async def idle(self) -> None:
        """Return when no handler runs."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.idle()

    async def _handle(self, handler: StreamHandler, stream: MemoryStream) -> None:
        try:
            await handler(stream)
        except ComityError as error:
            self.handled.append(error)
            stream.abort()
        except asyncio.CancelledError:
            stream.abort()
        else:
            self.handled.append(None)
