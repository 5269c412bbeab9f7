"""A TCP proxy on loopback for tests: it forwards blindly, and can record, hold up or cut what passes.

Standing before a rendezvous it sees what an eavesdropper on the network would see, relay lanes included.
Its methods are for the test's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field

from tests.threaded import SECONDS, Side, ThreadedServer, end

_READ = 65536
#: Bytes that a socket here holds unread (twice as many, on Linux). Left to itself it would grow to many MiB,
#: and all the rest of a file that is held up could be on its way already.
_RECEIVE_BUFFER = 128 * 1024
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


@dataclass(eq=False)
class _Flow:
    """One direction of one connection."""

    source: asyncio.StreamReader
    sink: asyncio.StreamWriter
    passed: int = 0
    recorded: bytearray = field(default_factory=bytearray)
    held: bool = False
    cut: bool = False

    def reset(self) -> None:
        with contextlib.suppress(OSError):  # it is closed already
            self.sink.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.sink.transport.abort()

    def finish(self) -> None:
        """Tell the sink that this was all."""
        with contextlib.suppress(OSError, RuntimeError):  # it knows, or is gone
            self.sink.write_eof()


class Proxy(ThreadedServer):
    """Forwards every connection to ``target`` on loopback, from the moment when that is set."""

    def __init__(self, *, recording: bool = False) -> None:
        super().__init__()
        self.target = 0
        self._recording = recording
        self._limit: int | None = None
        self._connections: list[tuple[_Flow, _Flow]] = []
        self._changed = asyncio.Condition()

    # ── what a test does ──────────────────────────────────────────────────────────────────────────────

    def recorded(self) -> list[bytes]:
        """All that has passed so far: one string of bytes for each direction of each connection."""

        async def copy() -> list[bytes]:
            return [bytes(flow.recorded) for flows in self._connections for flow in flows]

        return self.ask(copy())

    def hold(self, after: int) -> None:
        """From now on let each flow carry ``after`` bytes, and then nothing."""

        async def limit() -> None:
            self._limit = after
            for flows in self._connections:
                for flow in flows:
                    flow.passed = 0

        self.ask(limit())

    def await_held(self) -> None:
        """Return once a flow is held up."""

        async def held() -> None:
            async with self._changed, asyncio.timeout(SECONDS):
                await self._changed.wait_for(
                    lambda: any(flow.held for flows in self._connections for flow in flows)
                )

        self.ask(held())

    def release(self) -> None:
        """Let everything pass again."""

        async def release() -> None:
            async with self._changed:
                self._limit = None
                self._changed.notify_all()

        self.ask(release())

    def cut(self, *, reset: bool) -> None:
        """End the connections that are held up, with a reset or as if both sides had said all; everything
        else passes again.
        """

        async def cut() -> None:
            for flows in self._connections:
                if any(flow.held for flow in flows):
                    for flow in flows:
                        flow.cut = True
                        if reset:
                            flow.reset()
                        else:
                            flow.finish()

        self.ask(cut())
        self.release()

    # ── its life ──────────────────────────────────────────────────────────────────────────────────────

    async def listen(self) -> asyncio.Server:
        listening = _bounded()  # and with it whatever it accepts
        listening.bind((self.host, self.port))
        return await asyncio.start_server(self.enter, sock=listening)

    async def attend(self, near: Side) -> None:
        onward = _bounded()
        try:
            await asyncio.get_running_loop().sock_connect(onward, ("127.0.0.1", self.target))
            far = await asyncio.open_connection(sock=onward)
        except OSError:
            onward.close()
            near[1].transport.abort()
            return
        flows = _Flow(near[0], far[1]), _Flow(far[0], near[1])
        self._connections.append(flows)
        try:
            await asyncio.gather(*map(self._carry, flows))
        except OSError:  # one side is gone: so is the other one, then
            for flow in flows:
                flow.reset()
        except asyncio.CancelledError:
            for flow in flows:
                flow.sink.transport.abort()
            raise
        finally:
            await end(far[1])

    async def _carry(self, flow: _Flow) -> None:
        while data := await flow.source.read(_READ):
            flow.passed += len(data)
            await self._pass(flow)
            if flow.cut:
                continue  # read on, so that the end is an end and not a reset
            if self._recording:
                flow.recorded += data
            flow.sink.write(data)
            await flow.sink.drain()
        flow.finish()

    async def _pass(self, flow: _Flow) -> None:
        if self._limit is None or flow.passed <= self._limit:
            return
        async with self._changed:
            flow.held = True
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._limit is None)
            flow.held = False


def _bounded() -> socket.socket:
    """A TCP socket that holds little of what has not been read."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    return made
