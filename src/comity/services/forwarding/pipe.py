"""One forwarded connection: bytes between a program's socket and a stream, both ways, until both have ended.

What a program says last still arrives after it has closed its side (half-close). A program that reads slowly
holds back its own connection: at most ``limits.FORWARD_WINDOW`` bytes wait here for it. What breaks one side
breaks the other: a TCP program then sees a reset, never an end that looks orderly.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable

from comity import limits
from comity.clock import Clock
from comity.errors import ComityError, Denied, RemoteProtocolError
from comity.policy.operation import Decision
from comity.protocol.forwarding.flow import Flow
from comity.protocol.forwarding.messages import PAYLOAD_BYTES, Tag, bare, credit, credit_of, parse
from comity.transport.interface import Stream

_RESET = struct.pack("ii", 1, 0)  # linger for no time: a reset instead of an orderly end


def break_off(sock: socket.socket) -> None:
    """Let a program's connection go by a reset, which is no orderly end; nothing where it is closed."""
    with contextlib.suppress(OSError):  # not TCP, or gone
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


class ProgramGone(ComityError):
    """The program at this side broke its connection off."""

    code = "program_gone"
    exit_status = 55
    default_hint = "look at the program that used the connection"


class Pipe:
    """``sock`` is non-blocking and the pipe's own from now on; ``stream`` was opened, and stays the caller's,
    who finishes it where ``run`` returned and aborts it where ``run`` raised. ``permitted`` is asked again
    every few seconds: what a charter allows can end by the clock.
    """

    def __init__(
        self, sock: socket.socket, stream: Stream, clock: Clock, permitted: Callable[[], Decision]
    ) -> None:
        self._sock = sock
        self._stream = stream
        self._clock = clock
        self._permitted = permitted
        self.flow = Flow(clock.monotonic())
        self._waiting: deque[memoryview | None] = deque()  # None: the peer's end
        self._arrived = asyncio.Event()
        self._credited = asyncio.Event()
        self._taken = asyncio.Event()  # the peer's program has all of it

    async def run(self) -> None:
        """Carry until both directions are done. LinkLost, RemoteProtocolError, ProgramGone, Denied."""
        try:
            await self._together()
            self._sock.close()
        except OSError as error:
            raise ProgramGone(f"the program's connection broke: {_reason(error)}") from error
        finally:
            break_off(self._sock)

    async def _together(self) -> None:
        """Return once both directions are done, and raise once anything fails; nothing runs on after that."""
        carrying = {asyncio.create_task(job) for job in (self._outward(), self._hand_over())}
        watching = {asyncio.create_task(job) for job in (self._inward(), self._beat())}
        tasks = carrying | watching
        try:
            while any(not task.done() for task in carrying):
                running = [task for task in tasks if not task.done()]
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.exception()  # seen: the first one is what counts

    # ── from the program ──────────────────────────────────────────────────────────────────────────────

    async def _outward(self) -> None:
        loop, flow = asyncio.get_running_loop(), self.flow
        frame = memoryview(bytearray(1 + PAYLOAD_BYTES))
        frame[0] = Tag.PAYLOAD
        while True:
            while not flow.credit:
                self._credited.clear()
                await self._credited.wait()
            room = min(flow.credit, PAYLOAD_BYTES)
            count = await loop.sock_recv_into(self._sock, frame[1 : 1 + room])
            if not count:
                break
            flow.sending(count, self._clock.monotonic())
            await self._stream.send(frame[: 1 + count])
        flow.ending(self._clock.monotonic())
        await self._stream.send(bare(Tag.END))
        await self._taken.wait()

    # ── to the program ────────────────────────────────────────────────────────────────────────────────

    async def _inward(self) -> None:
        flow = self.flow
        while (body := await self._stream.receive()) is not None:
            tag, rest = parse(body)
            count = credit_of(rest) if tag is Tag.CREDIT else len(rest)
            flow.arrived(tag, count, self._clock.monotonic())
            if tag is Tag.PAYLOAD:
                self._waiting.append(rest)
                self._arrived.set()
            elif tag is Tag.END:
                self._waiting.append(None)
                self._arrived.set()
            elif tag is Tag.CREDIT:
                self._credited.set()
            elif tag is Tag.DONE:
                self._taken.set()
        if not flow.over:
            raise RemoteProtocolError("the peer ended a forward in its middle")

    async def _hand_over(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            payload = self._waiting.popleft()
            if payload is None:
                break
            await loop.sock_sendall(self._sock, payload)
            grant = self.flow.handed(len(payload), self._clock.monotonic())
            if grant:
                await self._stream.send(credit(grant))
        with contextlib.suppress(OSError):  # a program that has closed already needs no end
            self._sock.shutdown(socket.SHUT_WR)
        self.flow.delivered(self._clock.monotonic())
        await self._stream.send(bare(Tag.DONE))

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────

    async def _beat(self) -> None:
        while True:
            wait = self.flow.beat_due(self._clock.monotonic())
            if not wait:
                self.flow.beating(self._clock.monotonic())
                await self._stream.send(bare(Tag.BEAT))
                continue
            await asyncio.sleep(min(wait, limits.FORWARD_RECHECK_EVERY))
            decision = self._permitted()
            if not decision.allowed:
                raise Denied(f"the connection is not allowed any more: {'; '.join(decision.reasons)}")


def _reason(error: OSError) -> str:
    return os.strerror(error.errno or 0).lower()
