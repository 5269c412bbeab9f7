"""One session over one stream: it moves what the machine in ``protocol.session`` says, and ends with it.

Four tasks own it: one reads, one writes, one keeps the time, one handles statements in order, so that a slow
handler never delays a heartbeat. It doesn't know of other sessions, and it doesn't dial.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from comity import limits
from comity.clock import Clock
from comity.errors import ComityError, RemoteProtocolError
from comity.protocol.session import machine
from comity.protocol.session.duplicate import Contender
from comity.protocol.session.machine import Closed, Dead, Deliver, Output, Rtt, Send, Session, State, Told
from comity.protocol.session.messages import Goodbye, parse_message
from comity.transport.interface import Stream

#: Handles one statement (an envelope's JSON) of the peer; whether the peer may be told that it is committed.
Deliverer = Callable[[str], Awaitable[bool]]


class Tunnel:
    """``since`` is when it came up, in seconds UTC; ``rtt_ms`` the last heartbeat's round trip."""

    def __init__(self, stream: Stream, contender: Contender, clock: Clock) -> None:
        self.stream = stream
        self.contender = contender
        self.since = clock.now()
        self.rtt_ms: float | None = None
        #: Why it ended, once it has.
        self.ending = ""
        #: Set once nothing of it is left.
        self.gone = asyncio.Event()
        self._delivering: asyncio.Task[Any] | None = None  # the task that handles a statement
        self._close_after = ""
        self._clock = clock
        self._machine = Session()
        self._over = asyncio.Event()
        self._flush = False
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(limits.SESSION_QUEUE_FRAMES)
        self._incoming: asyncio.Queue[Deliver] = asyncio.Queue(limits.SESSION_STATEMENTS)
        self._told: dict[int, asyncio.Future[None]] = {}
        self._tells = 0

    async def run(self, deliver: Deliverer) -> None:
        """Until either side ends it or the link breaks; ``ending`` then says why. Leaves no stream behind."""
        finished = False
        try:
            if not self._over.is_set():
                await self._talk(deliver)
            finished = self._flush and await self._finish()
        finally:
            if not finished:
                self.stream.abort()
            for waiting in self._told.values():
                waiting.cancel()
            self.gone.set()

    async def tell(self, envelope: str, timeout: float) -> bool:
        """Send a statement; whether the peer acknowledged it within ``timeout`` seconds."""
        if self._machine.state is not State.OPEN:
            return False
        self._tells += 1
        number, answered = self._tells, asyncio.get_running_loop().create_future()
        self._told[number] = answered
        self._take(machine.TellRequested(number, envelope))
        done, _ = await asyncio.wait({answered}, timeout=timeout)
        self._told.pop(number, None)
        return bool(done) and not answered.cancelled()

    def close(self, reason: str) -> None:
        """Say goodbye, and nothing else any more; ``run`` returns within twice ``limits.GOODBYE_SECONDS``."""
        self._take(machine.CloseRequested(reason))

    def close_when_handled(self, reason: str) -> bool:
        """Called by what handles a statement of this session: ``close`` once that is acknowledged.

        False for any other caller: a peer cannot put off its end by what takes long to handle.
        """
        delivering = self._delivering is not None and self._delivering is asyncio.current_task()
        if delivering:
            self._close_after = reason
        return delivering

    def abort(self, reason: str) -> None:
        """End at once, without a word to the peer."""
        self._end(reason, flush=False)
        self.stream.abort()

    # ── the machine's outputs ─────────────────────────────────────────────────────────────────────────

    def _take(self, event: machine.Event) -> None:
        for output in self._machine.handle(event, self._clock.monotonic()):
            self._act(output)

    def _act(self, output: Output) -> None:
        match output:
            case Send():
                if self._outgoing.full():
                    self._end("the peer reads nothing", flush=False)
                else:
                    self._outgoing.put_nowait(output.body)
            case Deliver():
                self._incoming.put_nowait(output)  # the machine never lets more than fit be unhandled
            case Told():
                answered = self._told.get(output.id)
                if answered is not None and not answered.done():
                    answered.set_result(None)
            case Rtt():
                self.rtt_ms = output.ms
            case Dead():
                self._end(output.reason, flush=False)
            case Closed():
                who = "the peer said goodbye" if output.by_peer else "closed"
                self._end(f"{who}: {output.reason}", flush=True)

    def _end(self, reason: str, *, flush: bool) -> None:
        if not self._over.is_set():
            self.ending, self._flush = reason, flush
            self._over.set()

    # ── its tasks ─────────────────────────────────────────────────────────────────────────────────────

    async def _until_over(self, job: Coroutine[Any, Any, None]) -> None:
        try:
            await job
        except ComityError as error:
            self._end(error.message, flush=False)

    async def _read(self) -> None:
        while (body := await self.stream.receive()) is not None:
            self._take(machine.MessageReceived(body))
            if self._over.is_set() and _is_goodbye(body):
                return
        self._end("the peer ended the stream without a goodbye", flush=True)

    async def _write(self) -> None:
        while True:
            body = await self._outgoing.get()
            await self.stream.send(body)
            self._outgoing.task_done()

    async def _watch(self) -> None:
        while (deadline := self._machine.deadline) is not None:
            if (left := deadline - self._clock.monotonic()) > 0:
                await asyncio.sleep(left)
            else:
                self._take(machine.Tick())

    async def _handle(self, deliver: Deliverer) -> None:
        while True:
            statement = await self._incoming.get()
            self._delivering = asyncio.current_task()
            try:
                async with asyncio.timeout(limits.DELIVER_SECONDS):
                    taken = await deliver(statement.envelope)
            except TimeoutError:
                taken = False
            self._delivering = None
            if taken:
                self._take(machine.StatementHandled(statement.id))
            if self._close_after:
                self._take(machine.CloseRequested(self._close_after))

    # ── its end ───────────────────────────────────────────────────────────────────────────────────────

    async def _talk(self, deliver: Deliverer) -> None:
        self._take(machine.Opened())
        async with asyncio.TaskGroup() as tasks:
            reader, *others = [
                tasks.create_task(self._until_over(job))
                for job in (self._read(), self._write(), self._watch(), self._handle(deliver))
            ]
            await self._over.wait()
            if self._flush:
                # No frame is cut in two: the goodbye is written whole, and the peer's answer read.
                self._flush = await _within(
                    limits.GOODBYE_SECONDS, self._outgoing.join(), asyncio.wait({reader})
                )
            for job in (reader, *others):
                job.cancel()

    async def _finish(self) -> bool:
        """Exchange END, where both sides still listen; whether the link may serve again.

        A relayed one may not: from the pool it would be taken before a better path is tried.
        """
        try:
            async with asyncio.timeout(limits.GOODBYE_SECONDS):
                while not self._outgoing.empty():
                    await self.stream.send(self._outgoing.get_nowait())
                if self.contender.path == "direct":
                    await self.stream.finish()
        except (TimeoutError, ComityError):
            return False
        return self.contender.path == "direct"


async def _within(seconds: float, *steps: Awaitable[object]) -> bool:
    """Wait for all the steps; whether there was time enough."""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.gather(*steps)
    except TimeoutError:
        return False
    return True


def _is_goodbye(body: bytes) -> bool:
    try:
        return isinstance(parse_message(body), Goodbye)
    except RemoteProtocolError:
        return False
