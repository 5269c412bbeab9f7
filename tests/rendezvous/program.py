"""The server as a process of its own, and what it says on standard error."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from comity.identity.card import JoinUrl

LOOPBACK = ("--listen", "127.0.0.1:0")
READY = b"join URL: "


class Program:
    """A running server process; ``log`` is what it has said on standard error."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.log: list[str] = []

    async def line_with(self, wanted: bytes) -> str:
        assert self.process.stderr is not None
        async with asyncio.timeout(60):
            while line := await self.process.stderr.readline():
                self.log.append(line.decode().rstrip("\n"))
                if wanted in line:
                    return self.log[-1]
        raise AssertionError(f"ended without {wanted!r}: {self.log}")

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.rest()

    async def rest(self) -> int:
        assert self.process.stderr is not None
        async with asyncio.timeout(60):
            self.log += (await self.process.stderr.read()).decode().splitlines()
            return await self.process.wait()


async def start(*arguments: str, **environment: str) -> Program:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "comity.rendezvous",
        *arguments,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    return Program(process)


@asynccontextmanager
async def running(state: Path, *arguments: str) -> AsyncIterator[tuple[Program, JoinUrl]]:
    program = await start("--state", str(state), *(arguments or LOOPBACK))
    try:
        line = await program.line_with(READY)
        yield program, JoinUrl.parse(line.split("join URL: ")[1].split()[0])
    finally:
        await program.end(signal.SIGKILL)
