"""Servers that start at once: a process that has imported all there is forks one for each order.

They are processes of their own, with the program's own main, and are killed as such; what is saved is the
half second that Python takes to import. ``python -m tests.rendezvous.nursery LOG``: a line in is a server's
flags in JSON, the line out its process id, and the next one says how it ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from comity.rendezvous.__main__ import main
from tests.rendezvous.program import READY

_PATIENCE = 60.0


class Nursery:
    """The side of the test. One server at a time."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self.pid = 0  # of the server that runs

    def allow_files(self, most: int) -> None:
        """What the system allows the servers that are started from now on (Linux)."""
        resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, (most, most))

    async def start(self, *flags: str) -> None:
        """Fork a server; it may not serve yet."""
        self._log.write_bytes(b"")
        self.pid = int(await self._line(json.dumps(flags).encode() + b"\n"))

    async def ready(self) -> None:
        """Return once it serves."""
        async with asyncio.timeout(_PATIENCE):
            while READY not in (said := self._log.read_bytes()):
                assert b"comity: " not in said, said.decode()
                await asyncio.sleep(0.002)

    async def kill(self) -> None:
        """kill -9; returns once it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        ended = await self._line(b"")
        assert ended == f"ended {self.pid} {-signal.SIGKILL}", (ended, self._log.read_text())
        self.pid = 0

    async def close(self) -> None:
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(_PATIENCE):
            await self._process.wait()

    async def _line(self, order: bytes) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(order)
        async with asyncio.timeout(_PATIENCE):
            return (await self._process.stdout.readline()).decode().strip()


@asynccontextmanager
async def nursery(log: Path) -> AsyncIterator[Nursery]:
    """Servers which log to ``log``; all are dead at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.rendezvous.nursery",
        str(log),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )
    made = Nursery(process, log)
    try:
        yield made
    finally:
        await made.close()


def _serve(log: str, flags: list[str]) -> int:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    sys.argv = ["comity rendezvous serve", *flags]
    return main()


def _keep() -> None:
    while line := sys.stdin.buffer.readline():
        pid = os.fork()
        if not pid:
            os._exit(_serve(sys.argv[1], json.loads(line)))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"ended {pid} {os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _keep()
