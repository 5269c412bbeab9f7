"""The processes of the bench: what is measured, and who calls it; ended by their ids."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from transfers.usage import cpu_seconds

_PATIENCE = 20.0


class Program:
    """A process of ours; some are asked, and answer, in lines."""

    def __init__(
        self, module: str, *arguments: str, files: int | None = None, log: IO[bytes] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            preexec_fn=None if files is None else _limited(files),
            text=True,
        )

    def ask(self, **order: Any) -> dict[str, Any]:
        """Its answer to an order; SystemExit where it ended instead."""
        stdin = self.process.stdin
        if stdin is not None:
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()
        answer: dict[str, Any] = json.loads(self.line())
        return answer

    def line(self) -> str:
        line = self.process.stdout.readline().strip() if self.process.stdout else ""
        if not line:
            raise SystemExit("a program of the bench ended")
        return line

    def memory(self) -> tuple[int, int]:
        """Resident bytes: now, and at most."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith("Vm")}
        return found["VmRSS"], found["VmHWM"]

    def cpu(self) -> float:
        return cpu_seconds(self.process.pid)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Server(Program):
    """A rendezvous, with its state and log in ``folder``; ``join`` is its join URL."""

    def __init__(self, folder: Path, files: int | None = None) -> None:
        folder.mkdir(mode=0o700)
        self.state = folder / "state"
        with (folder / "log").open("wb") as log:
            super().__init__(
                "comity.rendezvous",
                "--listen",
                "127.0.0.1:0",
                "--state",
                str(self.state),
                files=files,
                log=log,
            )
        url, deadline = self.state / "join.url", time.monotonic() + _PATIENCE
        while not url.exists():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(f"the rendezvous does not start: {(folder / 'log').read_text()[-500:]}")
            time.sleep(0.05)
        self.join = url.read_text().strip()

    def allow_files(self, more: int) -> None:
        """Let it open so many files more than it has, where the system allowed it so many; or none."""
        hard = resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE)[1]
        used = {int(name) for name in os.listdir(f"/proc/{self.process.pid}/fd")}
        lowest = next(number for number in range(len(used) + 1) if number not in used)  # the next file's
        most = min(hard, lowest + more)
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (most, hard))


class Echo(Program):
    """An echo server of ``crowd.echo``'s kind."""

    def __init__(self, folder: Path, kind: str) -> None:
        folder.mkdir(mode=0o700)
        super().__init__("crowd.echo", kind, str(folder))
        self.join = self.line()


def _limited(files: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
